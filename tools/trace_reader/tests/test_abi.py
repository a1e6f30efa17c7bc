# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of the abi headers: what it reads, and that it refuses what it does not know with file and line."""
import subprocess
import tempfile
import unittest
from pathlib import Path

from trace_reader.abi import DEFAULT_DIRECTORY, AbiError, Headers, headers
from trace_reader.decode import decoders
from trace_reader.reader import record_layout
from trace_reader.sentences import sentences


class HeaderCase(unittest.TestCase):
    def headers(self, text, **others):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name, content in {"tandem_x": text, **others}.items():
            Path(directory.name, f"{name}.h").write_text(content)
        return Headers(directory.name)

    def refuse(self, text, *expected, ask=None):
        with self.assertRaises(AbiError) as caught:
            read = self.headers(text)
            if ask:
                ask(read)
        for part in expected:
            self.assertIn(part, str(caught.exception))


class Constants(HeaderCase):
    def test_ArithmeticIsThatOfC(self):
        read = self.headers("#define A 0x10u\n#define B (1ULL << 47)\n#define C (A | 3)\n#define D ~A\n#define E (7 / 2)\n")
        self.assertEqual([read.constant(name) for name in "ABCDE"], [16, 1 << 47, 19, (1 << 64) - 17, 3])

    def test_FunctionLikeMacrosExpandWithTheirArguments(self):
        read = self.headers("#define BIT(n) (1ULL << (n))\n#define MASK(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))\n"
                            "#define BOTH (BIT(2 + 1) | MASK(7, 6))\n")
        self.assertEqual(read.constant("BOTH"), 0xc8)

    def test_CommentsAndContinuedLinesAreNotPartOfTheValue(self):
        read = self.headers("#define A 5 /* several\n lines */\n#define B \\\n  (A + 1) // more\n#define S \"a /* b */\"\n")
        self.assertEqual((read.constant("B"), read.constant("S")), (6, "a /* b */"))

    def test_FlagsAreNamedByWhatFollowsThePrefix(self):
        read = self.headers("#define HIT_L2 2\n#define HIT_L1 1\n#define OTHER 9\n")
        self.assertEqual(read.flags("HIT_"), {1: "l1", 2: "l2"})

    def test_AnUnknownNameIsRefusedWithFileAndLine(self):
        self.refuse("\n\n#define A (B + 1)\n", "tandem_x.h:3:", "B", ask=lambda read: read.constant("A"))

    def test_ADefinitionThatIsNoConstantIsRefusedWhenAskedFor(self):
        self.refuse("#define A sizeof(int)\n", "tandem_x.h:1:", ask=lambda read: read.constant("A"))
        self.refuse("#define A (1 +)\n", "tandem_x.h:1:", "constant expression", ask=lambda read: read.constant("A"))
        self.refuse("#define A 3 ? 1 : 2\n", "tandem_x.h:1:", "cannot understand", ask=lambda read: read.constant("A"))

    def test_RecursionEndsInAnError(self):
        self.refuse("#define A B\n#define B A\n", "nested too deeply", ask=lambda read: read.constant("A"))

    def test_AWrongNumberOfArgumentsIsRefused(self):
        self.refuse("#define F(a) (a)\n#define A F(1, 2)\n", "tandem_x.h:2:", "1 arguments, not 2",
                    ask=lambda read: read.constant("A"))

    def test_ASecondDefinitionIsRefusedAndNamesTheFirst(self):
        self.refuse("#define A 1\n\n#define A 2\n", "tandem_x.h:3:", "tandem_x.h:1")

    def test_AMalformedDefineIsRefused(self):
        self.refuse("int x;\n#define 1A 1\n", "tandem_x.h:2:")

    def test_AnOpenCommentIsRefused(self):
        self.refuse("#define A 1\n/* never\n#define B 2\n", "tandem_x.h:2:", "comment")

    def test_ADirectoryWithoutHeadersIsRefused(self):
        with tempfile.TemporaryDirectory() as directory, self.assertRaisesRegex(AbiError, "no abi headers"):
            Headers(directory)


class Enums(HeaderCase):
    def test_NamesLoseTheCommonPrefix(self):
        read = self.headers("enum e {\n\tX_CAUSE_NONE = 0, /* a, b */\n\tX_CAUSE_SOFT_DIRTY = 5,\n};\n")
        self.assertEqual(read.names("e"), {0: "none", 5: "soft-dirty"})

    def test_BoundsHaveNoName(self):
        read = self.headers("enum e { X_C_BASE = 4, X_C_RETRY_LIMIT = 4, X_C_LIMIT = 6, X_C_COUNT = 7 };\n")
        self.assertEqual(read.names("e"), {4: "retry-limit"})

    def test_EnumeratorsMayUseConstants(self):
        read = self.headers("#define N 3\nenum e { A_X = N, A_Y = A_X + 1 };\n")
        self.assertEqual(read.enum("e"), {"A_X": 3, "A_Y": 4})

    def test_AnEnumeratorWithoutValueIsRefusedWithItsOwnLine(self):
        self.refuse("enum e {\n\tA = 1,\n\tB,\n};\n", "tandem_x.h:3:", "'B' is not NAME = VALUE")

    def test_AnUnclosedEnumIsRefused(self):
        self.refuse("\nenum e {\n\tA = 1,\n", "tandem_x.h:2:", "closed")

    def test_AnAbsentEnumIsNamed(self):
        self.refuse("#define A 1\n", "no header defines enum e", ask=lambda read: read.names("e"))


class Structures(HeaderCase):
    def test_MembersGiveTheLayout(self):
        read = self.headers("#define N 2\nstruct s { char magic[8]; uint16_t a; uint8_t b; uint32_t c[N]; };\n")
        layout, members = read.structure("s")
        self.assertEqual((layout.size, members), (19, ["magic", "a", "b", "c[0]", "c[1]"]))

    def test_AMemberThatIsNotOfFixedWidthIsRefused(self):
        self.refuse("struct s {\n\tint a;\n};\n", "tandem_x.h:1:", "'int a'", ask=lambda read: read.structure("s"))


class TheProjectsHeaders(unittest.TestCase):
    def test_AgreeWithACompiler(self):
        """Every enumerator and mask, as the C compiler sees it."""
        names = [name for enum in headers()._enums for name in headers().enum(enum)]
        names += [name for name in headers()._definitions if name.startswith(("TANDEM_PTE_", "TANDEM_HIT_", "TANDEM_TRACE_NO"))]
        lines = [f'TANDEM_STATIC_ASSERT((uint64_t)({name}) == {headers().constant(name) & (1 << 64) - 1}ULL, "{name}");'
                 for name in names]
        source = '#include "tandem_abi.h"\n' + "\n".join(lines) + "\n"
        try:
            result = subprocess.run(["cc", "-fsyntax-only", "-x", "c", f"-I{DEFAULT_DIRECTORY}", "-"], input=source, text=True,
                                    capture_output=True, check=False)
        except FileNotFoundError:
            self.skipTest("no C compiler here")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertGreater(len(names), 100)

    def test_StructuresHaveTheSizesThatTheHeadersAssert(self):
        self.assertEqual(headers().structure("tandem_trace_header")[0].size, 64)
        self.assertEqual(record_layout().size, 64)

    def test_EveryRecordTypeCanBeDecodedAndTold(self):
        types = set(headers().names("tandem_trace_type"))
        self.assertEqual(set(decoders()), types)
        self.assertEqual(set(sentences()), types)


if __name__ == "__main__":
    unittest.main()
