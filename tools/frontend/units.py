# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one Python test module (unittest) and reports as GoogleTest does, so that one reader serves all kinds of tests.

    python3 tools/frontend/units.py FILE [--gtest_list_tests | --gtest_filter=A.b:A.c]
"""
import importlib.util
import sys
import time
import traceback
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]


class StreamResult(unittest.TestResult):
    """Prints each test's start and end in GoogleTest's form."""

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()
        self._failed = self._skipped = False
        print(f"[ RUN      ] {case_name(test)}", flush=True)

    def stopTest(self, test):
        mark = "[  FAILED  ]" if self._failed else "[  SKIPPED ]" if self._skipped else "[       OK ]"
        print(f"{mark} {case_name(test)} ({(time.monotonic() - self._began) * 1000:.0f} ms)", flush=True)
        super().stopTest(test)

    def _fail(self, error):
        self._failed = True
        print("".join(traceback.format_exception(*error)), flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        if not hasattr(test, "_testMethodName"):  # setUpClass, or a module that does not load: no test was started
            self.startTest(test)
            self._fail(err)
            self.stopTest(test)
        else:
            self._fail(err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            print(subtest, flush=True)
            self._fail(err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._skipped = True
        print(reason, flush=True)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._failed = True
        print("succeeded, and was expected to fail", flush=True)


def case_name(test):
    """Class.method; for a failed setUpClass, which is no test, its description as one word."""
    method = getattr(test, "_testMethodName", None)
    return f"{type(test).__name__}.{method}" if method else f"Setup.{str(test).split('(')[0].strip()}"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return unittest.TestLoader().loadTestsFromModule(module)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def print_list(tests):
    suite = None
    for test in tests:
        name, method = case_name(test).split(".", 1)
        if name != suite:
            suite = name
            print(f"{suite}.")
        print(f"  {method}")


def main(arguments):
    path, *options = arguments
    path = Path(path).resolve()
    sys.path[:0] = [str(TOOLS), str(TOOLS / "trace"), str(path.parent)]
    tests = list(flatten(load(path)))
    if "--gtest_list_tests" in options:
        print_list(tests)
        return 0
    wanted = next((option.split("=", 1)[1].split(":") for option in options if option.startswith("--gtest_filter=")), None)
    selected = [test for test in tests if wanted is None or case_name(test) in wanted]
    result = StreamResult()
    unittest.TestSuite(selected).run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
