#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes float_cases.inc: what the F and D instructions must give, worked out with exact rational numbers.

Nothing here shares code or method with the model: values are fractions, rounding is done on fractions.
"""
import random
import sys
from fractions import Fraction
from math import isqrt

NX, UF, OF, DZ, NV = 1, 2, 4, 8, 16
RNE, RTZ, RDN, RUP, RMM = range(5)
LANES = 32


class Format:
    def __init__(self, exponent, fraction):
        self.fraction, self.bits = fraction, 1 + exponent + fraction
        self.bias = (1 << (exponent - 1)) - 1
        self.emin, self.emax = 1 - self.bias, self.bias
        self.inf = ((1 << exponent) - 1) << fraction
        self.nan = self.inf | 1 << (fraction - 1)
        self.sign = 1 << (self.bits - 1)

    def is_nan(self, v):
        return v & ~self.sign > self.inf

    def is_signalling(self, v):
        return self.is_nan(v) and not v >> (self.fraction - 1) & 1

    def is_inf(self, v):
        return v & ~self.sign == self.inf

    def negative(self, v):
        return bool(v & self.sign)

    def value(self, v):
        exponent, fraction = (v & ~self.sign) >> self.fraction, v & ((1 << self.fraction) - 1)
        if exponent:
            fraction |= 1 << self.fraction
        magnitude = Fraction(fraction) * Fraction(2) ** (max(exponent, 1) - self.bias - self.fraction)
        return -magnitude if self.negative(v) else magnitude


S, D = Format(8, 23), Format(11, 52)


def to_integer(x, mode):
    """A fraction rounded to an integer."""
    floor = x.numerator // x.denominator
    rest = x - floor
    if rest == 0:
        return floor
    if mode == RDN:
        return floor
    if mode == RUP:
        return floor + 1
    if mode == RTZ:
        return floor if x > 0 else floor + 1
    if rest != Fraction(1, 2):
        return floor + (rest > Fraction(1, 2))
    if mode == RNE:
        return floor + (floor & 1)
    return floor + (x > 0)  # RMM: away from zero


def exponent_of(x):
    """e with 2^e <= |x| < 2^(e+1)."""
    x = abs(x)
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def rounded(fmt, x, mode, negative_zero=False):
    """(bits, flags) of the exact value x."""
    if x == 0:
        return (fmt.sign if negative_zero else 0), 0
    sign = fmt.sign if x < 0 else 0
    e = exponent_of(x)
    unit = Fraction(2) ** (max(e, fmt.emin) - fmt.fraction)
    n = to_integer(x / unit, mode)
    result = n * unit
    flags = NX if result != x else 0
    if abs(result) >= Fraction(2) ** (fmt.emax + 1):
        to_inf = mode in (RNE, RMM) or (mode == RUP and x > 0) or (mode == RDN and x < 0)
        return sign | (fmt.inf if to_inf else fmt.inf - 1), OF | NX
    unbounded = to_integer(x / Fraction(2) ** (e - fmt.fraction), mode) * Fraction(2) ** (e - fmt.fraction)
    if flags and abs(unbounded) < Fraction(2) ** fmt.emin:
        flags |= UF
    if result == 0:
        return sign, flags
    re = max(exponent_of(result), fmt.emin)
    scaled = abs(result) / Fraction(2) ** (re - fmt.fraction)
    assert scaled.denominator == 1
    biased = re + fmt.bias if scaled >= 1 << fmt.fraction else 0
    return sign | biased << fmt.fraction | int(scaled) & ((1 << fmt.fraction) - 1), flags


def nan(fmt, *operands):
    return fmt.nan, NV if any(fmt.is_signalling(o) for o in operands) else 0


def add(fmt, a, b, mode):
    if fmt.is_nan(a) or fmt.is_nan(b):
        return nan(fmt, a, b)
    if fmt.is_inf(a) or fmt.is_inf(b):
        if fmt.is_inf(a) and fmt.is_inf(b) and a != b:
            return fmt.nan, NV
        return (a if fmt.is_inf(a) else b), 0
    x, y = fmt.value(a), fmt.value(b)
    if x == 0 and y == 0 and fmt.negative(a) == fmt.negative(b):
        return a, 0
    return rounded(fmt, x + y, mode, mode == RDN)


def sub(fmt, a, b, mode):
    return nan(fmt, a, b) if fmt.is_nan(b) else add(fmt, a, b ^ fmt.sign, mode)


def mul(fmt, a, b, mode):
    if fmt.is_nan(a) or fmt.is_nan(b):
        return nan(fmt, a, b)
    sign = (a ^ b) & fmt.sign
    if fmt.is_inf(a) or fmt.is_inf(b):
        if fmt.value(a) == 0 and not fmt.is_inf(a) or fmt.value(b) == 0 and not fmt.is_inf(b):
            return fmt.nan, NV
        return sign | fmt.inf, 0
    return rounded(fmt, fmt.value(a) * fmt.value(b), mode, bool(sign))


def div(fmt, a, b, mode):
    if fmt.is_nan(a) or fmt.is_nan(b):
        return nan(fmt, a, b)
    sign = (a ^ b) & fmt.sign
    if fmt.is_inf(a):
        return (fmt.nan, NV) if fmt.is_inf(b) else (sign | fmt.inf, 0)
    if fmt.is_inf(b):
        return sign, 0
    if fmt.value(b) == 0:
        return (fmt.nan, NV) if fmt.value(a) == 0 else (sign | fmt.inf, DZ)
    return rounded(fmt, fmt.value(a) / fmt.value(b), mode, bool(sign))


def sqrt(fmt, a, mode):
    if fmt.is_nan(a):
        return nan(fmt, a)
    x = 0 if fmt.is_inf(a) else fmt.value(a)
    if x == 0 and not fmt.is_inf(a):
        return a, 0
    if fmt.negative(a):
        return fmt.nan, NV
    if fmt.is_inf(a):
        return a, 0
    scale = 1300  # enough bits that an inexact root is never near a tie
    n = x * 4 ** scale
    root = isqrt(int(n))
    exact = root * root == n
    return rounded(fmt, Fraction(2 * root + (not exact), 2 ** (scale + 1)), mode)


def fma(fmt, a, b, c, mode):
    impossible = fmt.is_inf(a) and b & ~fmt.sign == 0 or fmt.is_inf(b) and a & ~fmt.sign == 0
    if any(fmt.is_nan(v) for v in (a, b, c)):
        bits, flags = nan(fmt, a, b, c)
        return bits, flags | (NV if impossible else 0)
    if impossible:
        return fmt.nan, NV
    sign = (a ^ b) & fmt.sign
    if fmt.is_inf(a) or fmt.is_inf(b):
        return (fmt.nan, NV) if fmt.is_inf(c) and c & fmt.sign != sign else (sign | fmt.inf, 0)
    if fmt.is_inf(c):
        return c, 0
    product, addend = fmt.value(a) * fmt.value(b), fmt.value(c)
    if product == 0 and addend == 0:
        return (sign if sign == c & fmt.sign else fmt.sign if mode == RDN else 0), 0
    return rounded(fmt, product + addend, mode, mode == RDN)


def to_int(fmt, a, mode, low, high):
    if fmt.is_nan(a):
        return high, NV
    if fmt.is_inf(a):
        return (low if fmt.negative(a) else high), NV
    x = fmt.value(a)
    n = to_integer(x, mode)
    if not low <= n <= high:
        return (low if n < low else high), NV
    return n, NX if n != x else 0


def minmax(fmt, a, b, smaller):
    flags = NV if fmt.is_signalling(a) or fmt.is_signalling(b) else 0
    if fmt.is_nan(a) or fmt.is_nan(b):
        return (fmt.nan if fmt.is_nan(a) and fmt.is_nan(b) else b if fmt.is_nan(a) else a), flags

    def key(v):
        if fmt.is_inf(v):
            return (-1 if fmt.negative(v) else 1) * Fraction(2) ** 2000, 0
        return fmt.value(v), -1 if fmt.negative(v) else 1

    return (min if smaller else max)((a, b), key=key), 0


def compare(fmt, a, b, how):
    if fmt.is_nan(a) or fmt.is_nan(b):
        quiet = how == 'eq' and not fmt.is_signalling(a) and not fmt.is_signalling(b)
        return 0, 0 if quiet else NV

    def key(v):
        return (-1 if fmt.negative(v) else 1) * Fraction(2) ** 2000 if fmt.is_inf(v) else fmt.value(v)

    x, y = key(a), key(b)
    return int({'eq': x == y, 'lt': x < y, 'le': x <= y}[how]), 0


def classify(fmt, a):
    n = fmt.negative(a)
    if fmt.is_nan(a):
        return (1 << 8 if fmt.is_signalling(a) else 1 << 9), 0
    if fmt.is_inf(a):
        return (1 << 0 if n else 1 << 7), 0
    if a & ~fmt.sign == 0:
        return (1 << 3 if n else 1 << 4), 0
    if abs(fmt.value(a)) < Fraction(2) ** fmt.emin:
        return (1 << 2 if n else 1 << 5), 0
    return (1 << 1 if n else 1 << 6), 0


def convert(source, target, a, mode):
    if source.is_nan(a):
        return target.nan, NV if source.is_signalling(a) else 0
    if source.is_inf(a):
        return (target.sign if source.negative(a) else 0) | target.inf, 0
    return rounded(target, source.value(a), mode, source.negative(a))


def specials(fmt):
    one = fmt.bias << fmt.fraction
    base = [0, 1, 2, (1 << fmt.fraction) - 1, 1 << fmt.fraction, (1 << fmt.fraction) + 1, one - 1, one, one + 1,
            one | 1 << (fmt.fraction - 1), fmt.inf - 1, fmt.inf, fmt.nan, fmt.inf | 1, (fmt.bias + 31) << fmt.fraction,
            (fmt.bias + 63) << fmt.fraction, (fmt.bias - 1) << fmt.fraction, (fmt.bias + 1 << fmt.fraction) | 1 << (fmt.fraction - 2)]
    return base + [v | fmt.sign for v in base]


def operand(fmt, rng):
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(specials(fmt))
    if kind < 0.6:  # near one, so that sums cancel and products meet ties
        exponent = fmt.bias + rng.randint(-3, 3)
        fraction = rng.choice([rng.getrandbits(fmt.fraction), rng.getrandbits(4) << (fmt.fraction - 4), rng.getrandbits(2)])
        return rng.getrandbits(1) << (fmt.bits - 1) | exponent << fmt.fraction | fraction
    if kind < 0.8:  # small: results below the normal range
        exponent = rng.choice([rng.randint(0, 3), fmt.bias // 2 + rng.randint(-3, 3)])
        return rng.getrandbits(1) << (fmt.bits - 1) | exponent << fmt.fraction | rng.getrandbits(fmt.fraction)
    return rng.getrandbits(fmt.bits)


def box(fmt, v):
    return v | 0xffffffff << 32 if fmt is S else v


def word(opcode, rm, rs2, funct7):
    return opcode | 28 << 7 | rm << 12 | 5 << 15 | rs2 << 20 | funct7 << 25


MASK = (1 << 64) - 1


def sext32(v):
    v &= 0xffffffff
    return (v | 0xffffffff << 32) if v >> 31 else v


def groups(rng):
    """(name, instruction, rm or None, result is x, source is x, [(a, b, c, expected, flags)])"""
    for index, fmt in enumerate((S, D)):
        letter = 'sd'[index]

        def many(name, instruction, rm, to_x, compute, count=3, unboxed=True):
            for n in range(count):
                cases = []
                for lane in range(LANES):
                    a, b, c = (operand(fmt, rng) for _ in range(3))
                    raw = [box(fmt, v) for v in (a, b, c)]
                    if fmt is S and unboxed and rng.random() < 0.05:
                        raw[0] &= MASK ^ (1 << 40)  # not boxed: a canonical NaN
                        a = fmt.nan
                    value, flags = compute(a, b, c)
                    cases.append((*raw, value & MASK if to_x else box(fmt, value), flags))
                yield (f'{name}.{letter} #{n}', instruction, rm, to_x, False, cases)

        for rm in range(5):
            for name, funct5, f in (('fadd', 0, add), ('fsub', 1, sub), ('fmul', 2, mul), ('fdiv', 3, div)):
                yield from many(f'{name} rm {rm}', word(0x53, rm, 6, funct5 << 2 | index), rm, False,
                                lambda a, b, c, f=f: f(fmt, a, b, rm))
            yield from many(f'fsqrt rm {rm}', word(0x53, rm, 0, 0x0b << 2 | index), rm, False, lambda a, b, c: sqrt(fmt, a, rm))
            for name, opcode, sa, sc in (('fmadd', 0x43, 0, 0), ('fmsub', 0x47, 0, 1), ('fnmsub', 0x4b, 1, 0),
                                         ('fnmadd', 0x4f, 1, 1)):
                yield from many(f'{name} rm {rm}', word(opcode, rm, 6, 7 << 2 | index), rm, False,
                                lambda a, b, c, sa=sa, sc=sc: fma(fmt, a ^ (fmt.sign * sa), b, c ^ (fmt.sign * sc), rm))
            for code, low, high in ((0, -2**31, 2**31 - 1), (1, 0, 2**32 - 1), (2, -2**63, 2**63 - 1), (3, 0, 2**64 - 1)):
                def to(a, b, c, low=low, high=high, code=code):
                    value, flags = to_int(fmt, a, rm, low, high)
                    return (sext32(value) if code < 2 else value & MASK), flags
                yield from many(f'fcvt to int {code} rm {rm}', word(0x53, rm, code, 0x18 << 2 | index), rm, True, to)
            for code in range(4):
                cases = []
                for lane in range(LANES):
                    raw = rng.choice([rng.getrandbits(64), rng.getrandbits(32), rng.getrandbits(5), MASK, 1 << 63, 1 << 31, 0,
                                      (1 << 62) + (1 << 37), (1 << 53) + 1, (1 << 24) + 1, (1 << 24) + 3, MASK - rng.getrandbits(30)])
                    narrow = raw & 0xffffffff if code < 2 else raw
                    width = 32 if code < 2 else 64
                    value = narrow - (1 << width) if code % 2 == 0 and narrow >> (width - 1) else narrow
                    bits, flags = rounded(fmt, Fraction(value), rm)
                    cases.append((raw, 0, 0, box(fmt, bits), flags))
                yield (f'fcvt from int {code} rm {rm}.{letter}', word(0x53, rm, code, 0x1a << 2 | index), rm, False, True, cases)
        for rm, name in ((0, 'fmin'), (1, 'fmax')):
            yield from many(name, word(0x53, rm, 6, 5 << 2 | index), None, False, lambda a, b, c: minmax(fmt, a, b, rm == 0))
        for rm, how in ((2, 'eq'), (1, 'lt'), (0, 'le')):
            yield from many('f' + how, word(0x53, rm, 6, 0x14 << 2 | index), None, True, lambda a, b, c: compare(fmt, a, b, how))
        yield from many('fclass', word(0x53, 1, 0, 0x1c << 2 | index), None, True, lambda a, b, c: classify(fmt, a))
        for rm, name, f in ((0, 'fsgnj', lambda a, b: b), (1, 'fsgnjn', lambda a, b: ~b), (2, 'fsgnjx', lambda a, b: a ^ b)):
            yield from many(name, word(0x53, rm, 6, 4 << 2 | index), None, False,
                            lambda a, b, c, f=f: (a & ~fmt.sign | f(a, b) & fmt.sign, 0))
    for rm in range(5):
        for source, target, name, code, index in ((S, D, 'fcvt.d.s', 0, 1), (D, S, 'fcvt.s.d', 1, 0)):
            cases = []
            for lane in range(LANES):
                a = operand(source, rng)
                if source is D and lane % 2:  # within the range of singles
                    a = rng.getrandbits(1) << 63 | (1023 + rng.randint(-152, 129)) << 52 | rng.getrandbits(52)
                bits, flags = convert(source, target, a, rm)
                cases.append((box(source, a), 0, 0, box(target, bits), flags))
            yield (f'{name} rm {rm}', word(0x53, rm, code, 8 << 2 | index), rm, False, False, cases)


def main():
    rng = random.Random(20260101)
    with open(sys.argv[1], 'w') as out:
        for name, instruction, rm, to_x, from_x, cases in groups(rng):
            out.write(f'{{"{name}", {instruction:#x}, {-1 if rm is None else rm}, {str(to_x).lower()}, {{\n')
            for case in cases:
                out.write('  {' + ', '.join(f'{v:#x}' for v in case) + '},\n')
            out.write('}},\n')


if __name__ == '__main__':
    main()
