# SPDX-License-Identifier: GPL-2.0-or-later
"""Many durations, and their percentiles, in bounded memory.

Up to EXACT values are kept as they are, and percentiles are exact. Beyond that each value falls into a bucket that is at
most 1/128 of its size wide and answers with the bucket's middle, so a percentile is off by less than half a per cent; the
maximum, the count and the sum stay exact. `exact` tells which it is.
"""
from array import array

EXACT = 65536
_KEPT_BITS = 8
PERCENTILES = (50, 90, 99)


class Samples:
    """Add with `add(value)`; call settle() now and then, which is where memory is bounded."""

    def __init__(self):
        self._values = array("Q")
        self._buckets = {}
        self._folded = 0
        self._folded_sum = 0
        self._folded_maximum = 0
        self.add = self._values.append  # the hot path of a summary: no call in between

    @property
    def exact(self):
        return not self._folded

    @property
    def count(self):
        return self._folded + len(self._values)

    @property
    def sum(self):
        return self._folded_sum + sum(self._values)

    @property
    def maximum(self):
        return max(self._folded_maximum, max(self._values, default=0))

    def settle(self):
        """Fold the values into buckets if there are too many of them to keep."""
        if len(self._values) <= EXACT and (self.exact or len(self._values) < EXACT // 16):
            return
        self._folded += len(self._values)
        self._folded_sum += sum(self._values)
        self._folded_maximum = self.maximum
        buckets = self._buckets
        for value in self._values:
            key = _bucket(value)
            buckets[key] = buckets.get(key, 0) + 1
        del self._values[:]

    def percentiles(self, wanted=PERCENTILES):
        """Nearest-rank percentiles, in the order asked for; [] if there is no value."""
        if not self.count:
            return []
        if self.exact:
            ordered = sorted(self._values)
            return [ordered[_rank(percent, len(ordered)) - 1] for percent in wanted]
        return [self._from_buckets(_rank(percent, self.count)) for percent in wanted]

    def _from_buckets(self, rank):
        counts = dict(self._buckets)
        for value in self._values:
            key = _bucket(value)
            counts[key] = counts.get(key, 0) + 1
        for key in sorted(counts, key=_lowest):
            rank -= counts[key]
            if rank <= 0:
                return min(_middle(key), self.maximum)
        return self.maximum

    def as_dict(self):
        names = [f"p{percent}" for percent in PERCENTILES]
        return {"count": self.count, "sum": self.sum, **dict(zip(names, self.percentiles())), "max": self.maximum,
                "exact": self.exact}


def _rank(percent, count):
    return max(1, -(-percent * count // 100))


def _bucket(value):
    """(shift, leading bits)."""
    shift = max(0, value.bit_length() - _KEPT_BITS)
    return shift, value >> shift


def _lowest(key):
    return key[1] << key[0]


def _middle(key):
    return _lowest(key) + ((1 << key[0]) - 1) // 2
