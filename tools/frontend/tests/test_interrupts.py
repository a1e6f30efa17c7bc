# SPDX-License-Identifier: GPL-2.0-or-later
import signal
import threading
import unittest

from frontend.interrupts import InterruptsHeld


class Held(unittest.TestCase):
    def test_signal_waits_until_it_is_delivered(self):
        with self.assertRaises(KeyboardInterrupt):
            with InterruptsHeld() as interrupts:
                signal.raise_signal(signal.SIGINT)
                known = True
                interrupts.deliver()
                known = False
        self.assertTrue(known)

    def test_leaving_delivers(self):
        with self.assertRaises(KeyboardInterrupt):
            with InterruptsHeld():
                signal.raise_signal(signal.SIGINT)

    def test_after_delivery_the_old_handler_stands(self):
        before = signal.getsignal(signal.SIGINT)
        with InterruptsHeld() as interrupts:
            self.assertIsNot(signal.getsignal(signal.SIGINT), before)
            interrupts.deliver()
            self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_ignored_signals_stay_ignored(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        with InterruptsHeld():
            self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_other_threads_touch_no_handler(self):
        before = signal.getsignal(signal.SIGINT)
        seen = []

        def work():
            with InterruptsHeld():
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(seen, [before])
