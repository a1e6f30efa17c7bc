// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/soft_float.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tandem::compute::soft {
namespace {

__extension__ using u128 = unsigned __int128;

template <typename Format>
struct Shape;
template <>
struct Shape<uint32_t> {
  static constexpr int kFraction = 23, kExponent = 8;
};
template <>
struct Shape<uint64_t> {
  static constexpr int kFraction = 52, kExponent = 11;
};

template <typename Format> constexpr int kFraction = Shape<Format>::kFraction;
template <typename Format> constexpr int kMaxExponent = (1 << (Shape<Format>::kExponent - 1)) - 1;  // also the bias
template <typename Format> constexpr int kMinExponent = 1 - kMaxExponent<Format>;
template <typename Format> constexpr Format kSign = Format{1} << (sizeof(Format) * 8 - 1);
template <typename Format> constexpr Format kHidden = Format{1} << kFraction<Format>;
template <typename Format> constexpr Format kInfinity = static_cast<Format>(kSign<Format> - kHidden<Format>);
template <typename Format> constexpr Format kQuietBit = kHidden<Format> >> 1;

template <typename F> bool sign_of(F a) { return (a & kSign<F>) != 0; }
template <typename F> F magnitude(F a) { return a & static_cast<F>(~kSign<F>); }
template <typename F> bool is_nan(F a) { return magnitude(a) > kInfinity<F>; }
template <typename F> bool is_signalling(F a) { return is_nan(a) && !(a & kQuietBit<F>); }
template <typename F> bool is_infinite(F a) { return magnitude(a) == kInfinity<F>; }
template <typename F> bool is_zero(F a) { return magnitude(a) == 0; }
template <typename F> F with_sign(bool sign, F magnitude) { return sign ? magnitude | kSign<F> : magnitude; }

template <typename F>
F nan_result(Env& env, bool invalid) {
  if (invalid) env.flags |= kInvalid;
  return canonical_nan<F>();
}

// A finite number other than 0 is significand * 2^exponent; the significand is below 2^127, and its lowest bit may be
// sticky: "and a bit more".
struct Finite {
  bool sign = false;
  int exponent = 0;
  u128 significand = 0;
};

int top_bit(u128 v) {
  const auto high = static_cast<uint64_t>(v >> 64);
  return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(static_cast<uint64_t>(v));
}

template <typename F>
Finite unpack(F a) {
  const int biased = static_cast<int>(magnitude(a) >> kFraction<F>);
  const F fraction = a & (kHidden<F> - 1);
  const int lowest = kMinExponent<F> - kFraction<F>;
  if (biased == 0) return {sign_of(a), lowest, fraction};
  return {sign_of(a), lowest + biased - 1, u128{fraction | kHidden<F>}};
}

// Shifts right; what falls off is kept as a sticky lowest bit.
u128 shift_right_sticky(u128 v, int by) {
  if (by <= 0) return v;
  if (by > 126) return v != 0;
  return v >> by | ((v & ((u128{1} << by) - 1)) != 0);
}

struct Rounded {
  u128 value = 0;
  bool inexact = false;
};

bool rounds_away(Rounding rounding, bool sign, bool odd, bool half, bool rest) {
  switch (rounding) {
    case kNearestEven: return half && (rest || odd);
    case kNearestMax: return half;
    case kDown: return sign && (half || rest);
    case kUp: return !sign && (half || rest);
    default: return false;
  }
}

// v / 2^by as an integer.
Rounded round_right(u128 v, int by, bool sign, Rounding rounding) {
  if (by <= 0) return {v << -by, false};
  if (by > 127) {  // less than half of one
    v = v != 0;
    by = 2;
  }
  const u128 kept = v >> by;
  const bool half = v >> (by - 1) & 1;
  const bool rest = (v & ((u128{1} << (by - 1)) - 1)) != 0;
  return {kept + rounds_away(rounding, sign, kept & 1, half, rest), half || rest};
}

template <typename F>
F overflowed(bool sign, Env& env) {
  env.flags |= kOverflow | kInexact;
  const bool to_infinity = env.rounding == kNearestEven || env.rounding == kNearestMax || env.rounding == (sign ? kDown : kUp);
  return with_sign<F>(sign, to_infinity ? kInfinity<F> : kInfinity<F> - 1);
}

// Tiny: below the normal range when rounded as if the exponent had no bounds.
template <typename F>
bool is_tiny(const Finite& n, int top, Rounding rounding) {
  const int exponent = n.exponent + top;
  if (exponent >= kMinExponent<F>) return false;
  const Rounded r = round_right(n.significand, top - kFraction<F>, n.sign, rounding);
  return exponent + (r.value >> (kFraction<F> + 1) != 0) < kMinExponent<F>;
}

template <typename F>
F pack(const Finite& n, Env& env) {
  if (n.significand == 0) return with_sign<F>(n.sign, 0);
  const int top = top_bit(n.significand);
  const int unit = std::max(n.exponent + top, kMinExponent<F>) - kFraction<F>;  // weight of the result's lowest bit
  const Rounded r = round_right(n.significand, unit - n.exponent, n.sign, env.rounding);
  // A carry out of the fraction goes into the exponent, which is what it should do.
  const int biased = unit + kFraction<F> - kMinExponent<F> + 1;
  const u128 bits = r.value + (u128(biased - 1) << kFraction<F>);
  if (bits >= kInfinity<F>) return overflowed<F>(n.sign, env);
  if (r.inexact) env.flags |= kInexact;
  if (r.inexact && is_tiny<F>(n, top, env.rounding)) env.flags |= kUnderflow;
  return with_sign<F>(n.sign, static_cast<F>(bits));
}

// The sum of two finite numbers, exact but for a sticky bit far below the result's precision. The significands
// have at most 107 bits.
Finite add_exact(Finite a, Finite b, Rounding rounding) {
  if (a.significand == 0 || (b.significand != 0 && a.exponent + top_bit(a.significand) < b.exponent + top_bit(b.significand)))
    std::swap(a, b);
  if (a.significand == 0) return {a.sign == b.sign ? a.sign : rounding == kDown, 0, 0};
  if (b.significand == 0) return a;
  const int up = 125 - top_bit(a.significand);  // room for a carry
  a.significand <<= up;
  a.exponent -= up;
  const int down = a.exponent - b.exponent;
  b.significand = down >= 0 ? shift_right_sticky(b.significand, down) : b.significand << -down;
  const bool subtract = a.sign != b.sign;
  if (subtract && a.significand < b.significand) {
    std::swap(a.significand, b.significand);
    a.sign = b.sign;
  }
  const u128 sum = subtract ? a.significand - b.significand : a.significand + b.significand;
  return {sum == 0 ? rounding == kDown : a.sign, a.exponent, sum};
}

template <typename F>
Finite normalised(F a) {
  Finite n = unpack(a);
  const int up = kFraction<F> - top_bit(n.significand);
  n.significand <<= up;
  n.exponent -= up;
  return n;
}

u128 root(u128 v, bool& exact) {
  u128 result = 0;
  for (u128 bit = u128{1} << 124; bit; bit >>= 2) {
    if (v >= result + bit) {
      v -= result + bit;
      result = (result >> 1) + bit;
    } else {
      result >>= 1;
    }
  }
  exact = v == 0;
  return result;
}

// Order of numbers that are not NaN; -0 equals +0.
template <typename F>
bool ordered_less(F a, F b) {
  if (is_zero(a) && is_zero(b)) return false;
  if (sign_of(a) != sign_of(b)) return sign_of(a);
  return sign_of(a) ? magnitude(a) > magnitude(b) : magnitude(a) < magnitude(b);
}

enum class Pick { Smaller, Larger };

template <typename F>
F pick(F a, F b, Pick which, Env& env) {
  if (is_signalling(a) || is_signalling(b)) env.flags |= kInvalid;
  if (is_nan(a)) return is_nan(b) ? canonical_nan<F>() : b;
  if (is_nan(b)) return a;
  const bool zeros = is_zero(a) && is_zero(b);
  const bool a_is_smaller = zeros ? sign_of(a) : ordered_less(a, b);
  return a_is_smaller == (which == Pick::Smaller) ? a : b;
}

}  // namespace

template <typename F>
F canonical_nan() {
  return kInfinity<F> | kQuietBit<F>;
}

template <typename F>
F add(F a, F b, Env& env) {
  if (is_nan(a) || is_nan(b)) return nan_result<F>(env, is_signalling(a) || is_signalling(b));
  if (is_infinite(a) && is_infinite(b) && sign_of(a) != sign_of(b)) return nan_result<F>(env, true);
  if (is_infinite(a)) return a;
  if (is_infinite(b)) return b;
  return pack<F>(add_exact(unpack(a), unpack(b), env.rounding), env);
}

template <typename F>
F sub(F a, F b, Env& env) {
  return is_nan(b) ? add(a, b, env) : add<F>(a, b ^ kSign<F>, env);
}

template <typename F>
F mul(F a, F b, Env& env) {
  const bool sign = sign_of(a) != sign_of(b);
  if (is_nan(a) || is_nan(b)) return nan_result<F>(env, is_signalling(a) || is_signalling(b));
  if (is_infinite(a) || is_infinite(b))
    return is_zero(a) || is_zero(b) ? nan_result<F>(env, true) : with_sign<F>(sign, kInfinity<F>);
  const Finite x = unpack(a), y = unpack(b);
  return pack<F>({sign, x.exponent + y.exponent, x.significand * y.significand}, env);
}

template <typename F>
F fma(F a, F b, F c, Env& env) {
  const bool sign = sign_of(a) != sign_of(b);
  const bool impossible = (is_infinite(a) && is_zero(b)) || (is_zero(a) && is_infinite(b));
  if (is_nan(a) || is_nan(b) || is_nan(c))
    return nan_result<F>(env, impossible || is_signalling(a) || is_signalling(b) || is_signalling(c));
  if (impossible) return nan_result<F>(env, true);
  if (is_infinite(a) || is_infinite(b)) {
    if (is_infinite(c) && sign_of(c) != sign) return nan_result<F>(env, true);
    return with_sign<F>(sign, kInfinity<F>);
  }
  if (is_infinite(c)) return c;
  const Finite x = unpack(a), y = unpack(b);
  return pack<F>(add_exact({sign, x.exponent + y.exponent, x.significand * y.significand}, unpack(c), env.rounding), env);
}

template <typename F>
F div(F a, F b, Env& env) {
  const bool sign = sign_of(a) != sign_of(b);
  if (is_nan(a) || is_nan(b)) return nan_result<F>(env, is_signalling(a) || is_signalling(b));
  if ((is_zero(a) && is_zero(b)) || (is_infinite(a) && is_infinite(b))) return nan_result<F>(env, true);
  if (is_infinite(a)) return with_sign<F>(sign, kInfinity<F>);
  if (is_infinite(b) || is_zero(a)) return with_sign<F>(sign, 0);
  if (is_zero(b)) {
    env.flags |= kDivideByZero;
    return with_sign<F>(sign, kInfinity<F>);
  }
  constexpr int kExtra = 66;  // quotient bits beyond the ratio of two significands of equal length
  const Finite x = normalised(a), y = normalised(b);
  const u128 dividend = x.significand << kExtra;
  const u128 quotient = dividend / y.significand;
  const bool rest = dividend % y.significand != 0;
  return pack<F>({sign, x.exponent - y.exponent - kExtra, quotient | rest}, env);
}

template <typename F>
F sqrt(F a, Env& env) {
  if (is_nan(a)) return nan_result<F>(env, is_signalling(a));
  if (is_zero(a)) return a;
  if (sign_of(a)) return nan_result<F>(env, true);
  if (is_infinite(a)) return a;
  Finite n = normalised(a);
  int up = 124 - kFraction<F>;
  if ((n.exponent - up) & 1) --up;
  n.significand <<= up;
  n.exponent -= up;
  bool exact = false;
  const u128 r = root(n.significand, exact);
  // One more bit, so that the sticky bit lies below the half.
  return pack<F>({false, n.exponent / 2 - 1, r << 1 | !exact}, env);
}

template <typename F> F min(F a, F b, Env& env) { return pick(a, b, Pick::Smaller, env); }
template <typename F> F max(F a, F b, Env& env) { return pick(a, b, Pick::Larger, env); }

template <typename F>
bool equal(F a, F b, Env& env) {
  if (is_signalling(a) || is_signalling(b)) env.flags |= kInvalid;
  if (is_nan(a) || is_nan(b)) return false;
  return a == b || (is_zero(a) && is_zero(b));
}

template <typename F>
bool less(F a, F b, Env& env) {
  if (!is_nan(a) && !is_nan(b)) return ordered_less(a, b);
  env.flags |= kInvalid;
  return false;
}

template <typename F>
bool less_or_equal(F a, F b, Env& env) {
  if (!is_nan(a) && !is_nan(b)) return !ordered_less(b, a);
  env.flags |= kInvalid;
  return false;
}

template <typename F>
uint32_t classify(F a) {
  const bool negative = sign_of(a);
  if (is_nan(a)) return is_signalling(a) ? 1u << 8 : 1u << 9;
  if (is_infinite(a)) return negative ? 1u << 0 : 1u << 7;
  if (is_zero(a)) return negative ? 1u << 3 : 1u << 4;
  if (magnitude(a) < kHidden<F>) return negative ? 1u << 2 : 1u << 5;
  return negative ? 1u << 1 : 1u << 6;
}

template <typename To, typename From>
To convert(From a, Env& env) {
  if (is_nan(a)) return nan_result<To>(env, is_signalling(a));
  if (is_infinite(a)) return with_sign<To>(sign_of(a), kInfinity<To>);
  return pack<To>(unpack(a), env);
}

template <typename Int, typename F>
Int to_int(F a, Env& env) {
  using Limits = std::numeric_limits<Int>;
  const bool negative = sign_of(a) && !is_nan(a);
  const auto out_of_range = [&] {
    env.flags |= kInvalid;
    return negative ? Limits::min() : Limits::max();
  };
  if (is_nan(a) || is_infinite(a)) return out_of_range();
  const Finite n = unpack(a);
  if (n.exponent > 64) return out_of_range();
  const Rounded r = round_right(n.significand, -n.exponent, n.sign, env.rounding);
  const u128 limit = negative ? u128(0) - u128(Limits::min()) : u128(Limits::max());
  if (r.value > limit) return out_of_range();
  if (r.inexact) env.flags |= kInexact;
  const auto value = static_cast<uint64_t>(r.value);
  return static_cast<Int>(negative ? 0 - value : value);
}

template <typename F>
F from_uint(uint64_t value, Env& env) {
  return pack<F>({false, 0, value}, env);
}

template <typename F>
F from_int(int64_t value, Env& env) {
  const auto bits = static_cast<uint64_t>(value);
  return pack<F>({value < 0, 0, value < 0 ? 0 - bits : bits}, env);
}

#define TANDEM_SOFT_FORMAT(F)                                \
  template F canonical_nan<F>();                             \
  template F add<F>(F, F, Env&);                             \
  template F sub<F>(F, F, Env&);                             \
  template F mul<F>(F, F, Env&);                             \
  template F div<F>(F, F, Env&);                             \
  template F sqrt<F>(F, Env&);                               \
  template F fma<F>(F, F, F, Env&);                          \
  template F min<F>(F, F, Env&);                             \
  template F max<F>(F, F, Env&);                             \
  template bool equal<F>(F, F, Env&);                        \
  template bool less<F>(F, F, Env&);                         \
  template bool less_or_equal<F>(F, F, Env&);                \
  template uint32_t classify<F>(F);                          \
  template int32_t to_int<int32_t, F>(F, Env&);              \
  template uint32_t to_int<uint32_t, F>(F, Env&);            \
  template int64_t to_int<int64_t, F>(F, Env&);              \
  template uint64_t to_int<uint64_t, F>(F, Env&);            \
  template F from_int<F>(int64_t, Env&);                     \
  template F from_uint<F>(uint64_t, Env&);
TANDEM_SOFT_FORMAT(uint32_t)
TANDEM_SOFT_FORMAT(uint64_t)
template uint32_t convert<uint32_t, uint64_t>(uint64_t, Env&);
template uint64_t convert<uint64_t, uint32_t>(uint32_t, Env&);

}  // namespace tandem::compute::soft
