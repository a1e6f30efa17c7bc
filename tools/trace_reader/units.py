# SPDX-License-Identifier: GPL-2.0-or-later
"""Quantities as people read and write them: durations, sizes and address ranges, both ways."""
import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s)?")
_NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_POWERS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def milliseconds(ns):
    """The time column: milliseconds with all digits down to the nanosecond."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    return f"{sign}{ns // 1_000_000}.{ns % 1_000_000:06d}"


def duration(ns):
    """Three significant digits and a unit."""
    for unit in ("ns", "us", "ms"):
        if ns < 999.5 * _NANOSECONDS[unit]:
            break
    else:
        unit = "s"
    value = ns / _NANOSECONDS[unit]
    if unit == "ns" or value >= 99.95:
        return f"{value:.0f} {unit}"
    return f"{value:.1f} {unit}" if value >= 9.995 else f"{value:.2f} {unit}"


def parse_duration(text):
    """Nanoseconds from '850ns', '12.5us', '3ms', '1s'; a number alone counts milliseconds, as the time column does."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"'{text}' is no time; write 850ns, 12.5us, 3ms or 1s (a number alone counts milliseconds)")
    whole, _, fraction = match.group(1).partition(".")
    scale = _NANOSECONDS[match.group(2) or "ms"]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def exact_size(count):
    """4K, 64K, 2M, 12K: without a remainder, so that ranges can be compared; other counts are plain bytes."""
    for power, letter in _POWERS:
        if count and count % power == 0:
            return f"{count // power}{letter}"
    return str(count)


def rough_size(count):
    """For sums: 1.2 MiB."""
    for power, letter in _POWERS:
        if count >= power:
            return f"{count / power:.1f} {letter}iB"
    return f"{count} B"


def address_range(start, count):
    return f"{start:#x}+{exact_size(count)}"


def parse_range(text):
    """(start, end) from START or START-END, hexadecimal, 0x optional, end exclusive; START alone is one byte."""
    first, dash, last = text.partition("-")
    try:
        start = int(first, 16)
        end = int(last, 16) if dash else start + 1
    except ValueError:
        raise ValueError(f"'{text}' is no address range; write START or START-END in hexadecimal") from None
    if end <= start:
        raise ValueError(f"'{text}' is empty: its end must lie above its start")
    return start, end
