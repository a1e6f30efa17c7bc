# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's selftests: what their sources declare, and what their TAP says."""
import unittest

from frontend import hmm_tests
from frontend.hmm_tests import KselftestStream
from frontend.results import FAILED, PASSED, SKIPPED

SOURCE = """
FIXTURE_VARIANT_ADD(hmm, hmm_device_private)
{
};
FIXTURE_VARIANT_ADD(hmm, hmm_device_coherent)
FIXTURE_VARIANT_ADD(hmm2, two)
TEST_F(hmm, open_close)
{
	/* TEST_F(hmm, not_this_one) */
}
TEST_F(hmm2, migrate_mixed)
TEST_F_TIMEOUT(hmm, benchmark, 120)
"""

TAP = """TAP version 13
1..5
# Starting 5 tests from 2 test cases.
#  RUN           hmm.private.good ...
#            OK  hmm.private.good
ok 1 hmm.private.good
#  RUN           hmm.private.bad ...
# hmm-tests.c:1019:bad:Expected ret (-12) == 0 (0)
# bad: Test terminated by assertion
#          FAIL  hmm.private.bad
not ok 2 hmm.private.bad
#  RUN           hmm.private.without ...
#      SKIP      Not enough huge pages
#            OK  hmm.private.without
ok 3 hmm.private.without # SKIP Not enough huge pages
#  RUN           hmm.private.expected ...
#          FAIL  hmm.private.expected
ok 4 hmm.private.expected # XFAIL unknown
#  RUN           hmm.private.unexpected ...
#            OK  hmm.private.unexpected
ok 5 hmm.private.unexpected # XPASS unknown
# FAILED: 3 / 5 tests passed.
# Totals: pass:1 fail:1 xfail:1 xpass:1 skip:1 error:0
"""


class KernelSelftestsTest(unittest.TestCase):
    def setUp(self):
        self.started, self.cases, self.totals = [], [], []
        self.stream = KselftestStream(self.started.append, self.cases.append, self.totals.append)

    def status(self):
        return {case.name.rsplit(".", 1)[1]: case.status for case in self.cases}

    def test_every_variant_has_the_tests_of_its_fixture(self):
        self.assertEqual(hmm_tests.test_names(SOURCE), [
            "hmm.hmm_device_private.open_close", "hmm.hmm_device_private.benchmark", "hmm.hmm_device_coherent.open_close",
            "hmm.hmm_device_coherent.benchmark", "hmm2.two.migrate_mixed"])

    def test_results_do_not_depend_on_how_the_bytes_arrive(self):
        data = TAP.encode()
        for step in (1, 7, len(data)):
            self.setUp()
            for at in range(0, len(data), step):
                self.stream.feed(data[at:at + step])
            self.assertEqual(self.status(), {"good": PASSED, "bad": FAILED, "without": SKIPPED, "expected": PASSED,
                                             "unexpected": FAILED}, step)
            self.assertEqual(self.totals, ["Totals: pass:1 fail:1 xfail:1 xpass:1 skip:1 error:0"])
            self.assertEqual(len(self.started), 5)

    def test_a_failure_says_what_the_test_said(self):
        self.stream.feed(TAP.encode())
        self.assertIn("# hmm-tests.c:1019:bad:Expected ret (-12) == 0 (0)", self.cases[1].output)

    def test_a_test_that_was_running_at_the_end_has_failed(self):
        self.stream.feed(TAP[:TAP.index("#          FAIL")].encode())
        self.assertTrue(self.stream.abandon("the guest died"))
        self.assertEqual(self.status(), {"good": PASSED, "bad": FAILED})
        self.assertEqual(self.cases[-1].output[-1], "the guest died")

    def test_the_result_of_another_test_is_not_taken_for_this_ones(self):
        self.stream.feed(b"#  RUN           hmm.a.b ...\nok 1 hmm.a.c\n")
        self.assertEqual((self.cases, self.stream.current), ([], "hmm.a.b"))


if __name__ == "__main__":
    unittest.main()
