# SPDX-License-Identifier: GPL-2.0-or-later
"""The abi headers as Python sees them: constants, enums and flat structures of hw-model/abi/tandem_*.h, read at run time.

There is one truth for bits, and it is the headers; nothing of them is copied into Python. The parser knows the plain C that
those headers are written in and refuses anything else with the file and the line, so that a change of style is noticed here
and not as a wrong number in somebody's trace. Values are worked out when they are asked for.
"""
import ast
import functools
import operator
import re
import struct
from pathlib import Path

DEFAULT_DIRECTORY = Path(__file__).resolve().parents[2] / "hw-model" / "abi"

_WORD = (1 << 64) - 1
_JOIN = "\v"  # stands for a newline that C does not see, so that a definition is one line and lines can still be counted

_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|/\*', re.S)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define\b([^\n]*)$", re.M)
_DEFINE_BODY = re.compile(r"\s+([A-Za-z_]\w*)(?:\(([^()]*)\))?(?:\s+(.*))?$", re.S)
_ENUM = re.compile(r"\benum\s+(\w+)\s*\{([^{}]*)(\})?")
_ENUMERATOR = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.+?)\s*$", re.S)
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{")
_MEMBER = re.compile(r"\s*(\w+)\s+(\w+)\s*(?:\[\s*(\w+)\s*\])?\s*$")
_TOKEN = re.compile(r'\s*(?:(0[xX][0-9a-fA-F]+|\d+)[uUlL]*(?!\w)|([A-Za-z_]\w*)|(<<|>>|[-+*/|&~(),])|("[^"]*"))')

_FIELD_CODES = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q", "char": "s"}
_OPERATORS = {
    ast.BitOr: operator.or_, ast.BitAnd: operator.and_, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
}
_MACRO_DEPTH = 16


class AbiError(Exception):
    """A header that does not say what the reader needs; the message begins with its file and line."""


class _Definition:
    """A name with the C expression that it stands for. `parameters` is None for everything but function-like macros."""

    def __init__(self, text, path, line, parameters=None):
        self.text = text
        self.path = path
        self.line = line
        self.parameters = parameters

    def error(self, message):
        return AbiError(f"{self.path}:{self.line}: {message}")


class Headers:
    """All of a directory's tandem_*.h. Raises AbiError where one of them cannot be understood."""

    def __init__(self, directory=DEFAULT_DIRECTORY):
        self.directory = Path(directory)
        self._definitions = {}
        self._enums = {}
        self._structs = {}
        paths = sorted(self.directory.glob("tandem_*.h"))
        if not paths:
            raise AbiError(f"{self.directory}: no abi headers here; the trace reader needs the checkout it belongs to")
        for path in paths:
            self._parse(path)

    # ---- what the rest of the reader asks for

    def constant(self, name):
        """The value of a #define or an enumerator: an integer, or a string."""
        tokens = self._expand(self._definition(name), 0)
        if len(tokens) == 1 and tokens[0].startswith('"'):
            return tokens[0][1:-1]
        return _evaluate(tokens, self._definition(name))

    def enum(self, name):
        """Enumerator -> value, in the header's order."""
        if name not in self._enums:
            raise AbiError(f"{self.directory}: no header defines enum {name}")
        return {enumerator: self.constant(enumerator) for enumerator in self._enums[name]}

    def names(self, enum):
        """Value -> readable name: without the prefix that all enumerators share, in small letters, words joined by '-'.

        Enumerators that only mark the bounds of the enum (LIMIT, COUNT, *_BASE) have no name of their own.
        """
        values = self.enum(enum)
        prefix = _common_prefix(list(values))
        shortened = {name[len(prefix):]: value for name, value in values.items()}
        return {value: name.lower().replace("_", "-") for name, value in shortened.items() if not _is_bound(name)}

    def flags(self, prefix):
        """Value -> readable name of all constants that begin with the prefix, in order of value."""
        found = {self.constant(name): name[len(prefix):].lower().replace("_", "-")
                 for name in self._definitions if name.startswith(prefix)}
        return dict(sorted(found.items()))

    def structure(self, name):
        """(struct.Struct, member names) of a flat structure, little-endian and packed as the headers promise."""
        if name not in self._structs:
            raise AbiError(f"{self.directory}: no header defines struct {name}")
        body, path, line = self._structs[name]
        return _flat_layout(name, body, path, line, self)

    # ---- reading

    def _parse(self, path):
        text = _readable_text(path)
        for match in _DEFINE.finditer(text):
            self._parse_define(match, path, _line(text, match.start()))
        for match in _ENUM.finditer(text):
            self._parse_enum(match, text, path)
        for match in _STRUCT.finditer(text):
            self._structs[match.group(1)] = (text[match.end():], path, _line(text, match.end()))

    def _parse_define(self, match, path, line):
        parts = _DEFINE_BODY.match(match.group(1))
        if not parts:
            raise AbiError(f"{path}:{line}: cannot understand '#define{match.group(1)}'")
        name, parameters, body = parts.groups()
        if body is None:
            return  # an include guard, or a mark
        if parameters is not None:
            parameters = [parameter.strip() for parameter in parameters.split(",")]
            self._definitions[name] = _Definition(body, path, line, parameters)
            return
        self._define(name, _Definition(body, path, line))

    def _parse_enum(self, match, text, path):
        name, body, closed = match.groups()
        if not closed:
            raise AbiError(f"{path}:{_line(text, match.start())}: enum {name} is not a plain list closed by '}}'")
        position = match.start(2)
        members = []
        for part in body.split(","):
            if part.strip():
                line = _line(text, position + len(part) - len(part.lstrip()))
                found = _ENUMERATOR.match(part)
                if not found:
                    raise AbiError(f"{path}:{line}: enum {name}: '{part.strip()}' is not NAME = VALUE")
                self._define(found.group(1), _Definition(found.group(2), path, line))
                members.append(found.group(1))
            position += len(part) + 1
        self._enums[name] = members

    def _define(self, name, definition):
        if name in self._definitions:
            earlier = self._definitions[name]
            raise definition.error(f"{name} is defined already, at {earlier.path}:{earlier.line}")
        self._definitions[name] = definition

    def _definition(self, name):
        if name not in self._definitions:
            raise AbiError(f"{self.directory}: no header defines {name}")
        return self._definitions[name]

    # ---- macros

    def _expand(self, definition, depth, arguments=None):
        """The definition as tokens without any name left in them."""
        if depth > _MACRO_DEPTH:
            raise definition.error("macros are nested too deeply")
        tokens = _tokens(definition)
        result = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            index += 1
            if not (token[0].isalpha() or token[0] == "_"):
                result.append(token)
            elif arguments and token in arguments:
                result += ["(", *arguments[token], ")"]
            else:
                inner = self._definitions.get(token)
                if inner is None:
                    raise definition.error(f"unknown name {token}")
                given = None
                if inner.parameters is not None:
                    given, index = self._arguments(inner, token, tokens, index, definition, arguments or {}, depth)
                result += ["(", *self._expand(inner, depth + 1, given), ")"]
        return result

    def _arguments(self, inner, name, tokens, index, definition, outer, depth):
        """The arguments of a macro call whose '(' is at index, expanded; and the index after its ')'."""
        if index >= len(tokens) or tokens[index] != "(":
            raise definition.error(f"{name} needs arguments")
        groups, level = [[]], 0
        while True:
            if index >= len(tokens):
                raise definition.error(f"the call of {name} is not closed")
            token = tokens[index]
            index += 1
            if token == "(":
                level += 1
                if level == 1:
                    continue
            elif token == ")":
                level -= 1
                if level == 0:
                    break
            if token == "," and level == 1:
                groups.append([])
            else:
                groups[-1].append(token)
        if len(groups) != len(inner.parameters):
            raise definition.error(f"{name} takes {len(inner.parameters)} arguments, not {len(groups)}")
        expanded = []
        for group in groups:
            argument = _Definition(" ".join(group), definition.path, definition.line)
            expanded.append(self._expand(argument, depth + 1, outer))
        return dict(zip(inner.parameters, expanded)), index


@functools.cache
def headers():
    """The headers of the checkout that this reader belongs to, read once."""
    return Headers()


def _readable_text(path):
    """The file without comments, with as many lines as before."""
    text = path.read_text(encoding="utf-8")

    def blank(match):
        found = match.group(0)
        if found == "/*":
            raise AbiError(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: a comment is never closed")
        return found if found.startswith('"') else _JOIN * found.count("\n") or " "

    return _COMMENT_OR_STRING.sub(blank, text).replace("\\\n", _JOIN)


def _line(text, position):
    return text.count("\n", 0, position) + text.count(_JOIN, 0, position) + 1


def _tokens(definition):
    tokens = []
    position = 0
    text = definition.text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise definition.error(f"cannot understand '{text[position:].strip()}'")
        tokens.append(next(group for group in match.groups() if group is not None))
        position = match.end()
    return tokens


def _evaluate(tokens, definition):
    """C arithmetic on 64-bit unsigned words, which is what the headers' masks are written in."""
    try:
        # A leading zero would be octal in C and is an error in Python; the headers have none.
        tree = ast.parse(" ".join("//" if token == "/" else token for token in tokens), mode="eval")
    except SyntaxError as error:
        raise definition.error(f"'{definition.text.strip()}' is not a constant expression") from error
    return _value(tree.body, definition)


def _value(node, definition):
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return _value(node.operand, definition) ^ _WORD
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, definition)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, definition), _value(node.right, definition)
        try:
            result = _OPERATORS[type(node.op)](left, right)
        except (ValueError, ZeroDivisionError) as error:
            raise definition.error(f"'{definition.text.strip()}': {error}") from error
        return result & _WORD if isinstance(node.op, ast.LShift) else result
    raise definition.error(f"'{definition.text.strip()}' is not a constant expression")


def _flat_layout(name, rest, path, line, headers_):
    end = rest.find("}")
    if end < 0:
        raise AbiError(f"{path}:{line}: struct {name} is never closed")
    code, members = "<", []
    for part in rest[:end].split(";"):
        if not part.strip():
            continue
        found = _MEMBER.match(part)
        if not found or found.group(1) not in _FIELD_CODES:
            raise AbiError(f"{path}:{line}: struct {name}: '{' '.join(part.split())}' is not a fixed-width member")
        kind, member, count = found.groups()
        if count is not None and not count.isdigit():
            count = str(headers_.constant(count))
        if kind == "char" or count is None:
            code += (count or "") + _FIELD_CODES[kind]
            members.append(member)
        else:
            code += _FIELD_CODES[kind] * int(count)
            members += [f"{member}[{index}]" for index in range(int(count))]
    return struct.Struct(code), members


def _common_prefix(names):
    words = [name.split("_") for name in names]
    count = 0
    while all(len(parts) > count + 1 and parts[count] == words[0][count] for parts in words):
        count += 1
    return "".join(word + "_" for word in words[0][:count])


def _is_bound(name):
    return name in ("LIMIT", "COUNT", "TYPE_LIMIT") or name.endswith("_BASE")
