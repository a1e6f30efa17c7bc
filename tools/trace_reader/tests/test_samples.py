# SPDX-License-Identifier: GPL-2.0-or-later
"""Percentiles: exact while there are few values, close and in bounded memory when there are many."""
import random
import unittest

from trace_reader.samples import EXACT, Samples
from trace_reader.units import duration, exact_size, milliseconds, parse_duration, parse_range


def fed(values):
    samples = Samples()
    for index, value in enumerate(values):
        samples.add(value)
        if index % 10000 == 0:
            samples.settle()
    samples.settle()
    return samples


class Percentiles(unittest.TestCase):
    def test_are_nearest_rank(self):
        samples = fed([15, 20, 35, 40, 50])
        self.assertEqual(samples.percentiles((5, 30, 40, 50, 100)), [15, 20, 20, 35, 50])

    def test_of_one_value_are_that_value(self):
        self.assertEqual(fed([7]).percentiles(), [7, 7, 7])

    def test_of_nothing_are_none(self):
        self.assertEqual((fed([]).percentiles(), fed([]).maximum, fed([]).exact), ([], 0, True))

    def test_of_many_values_are_off_by_less_than_half_a_per_cent(self):
        generator = random.Random(7)
        values = [int(generator.lognormvariate(9, 3)) for _ in range(EXACT * 3)]
        samples = fed(values)
        self.assertFalse(samples.exact)
        ordered = sorted(values)
        for percent, found in zip((1, 50, 90, 99), samples.percentiles((1, 50, 90, 99))):
            true = ordered[-(-percent * len(ordered) // 100) - 1]
            self.assertLessEqual(abs(found - true), true * 0.005, percent)
        self.assertEqual((samples.count, samples.sum, samples.maximum), (len(values), sum(values), max(values)))

    def test_memory_is_bounded(self):
        samples = fed(range(0, 1 << 40, (1 << 40) // (EXACT * 4)))
        self.assertLess(len(samples._values) + len(samples._buckets), EXACT)


class Units(unittest.TestCase):
    def test_durations_have_three_digits(self):
        self.assertEqual([duration(ns) for ns in (0, 999, 1000, 12_345, 123_456, 999_499, 999_600, 1_500_000_000)],
                         ["0 ns", "999 ns", "1.00 us", "12.3 us", "123 us", "999 us", "1.00 ms", "1.50 s"])

    def test_durations_can_be_written_in_every_unit(self):
        self.assertEqual([parse_duration(text) for text in ("850ns", "12.5us", "3", "3 ms", "1.000000001s")],
                         [850, 12_500, 3_000_000, 3_000_000, 1_000_000_001])

    def test_milliseconds_keep_every_digit(self):
        self.assertEqual((milliseconds(1_000_000_001), milliseconds(-5)), ("1000.000001", "-0.000005"))

    def test_sizes_are_exact(self):
        self.assertEqual([exact_size(size) for size in (0, 100, 4096, 12288, 1 << 21, (1 << 21) + 4096, 1 << 30)],
                         ["0", "100", "4K", "12K", "2M", "2052K", "1G"])

    def test_ranges(self):
        self.assertEqual((parse_range("0x1000"), parse_range("1000-2000")), ((0x1000, 0x1001), (0x1000, 0x2000)))


if __name__ == "__main__":
    unittest.main()
