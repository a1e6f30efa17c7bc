// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": IEEE 754 binary32 and binary64 in integer arithmetic, as the F and D extensions want it: canonical NaNs,
// all five rounding modes, tininess detected after rounding, exact flags. It is the reference for every lane that the host's
// FPU cannot serve (execute_float.cpp): other rounding modes, NaNs, flags of a single lane.
//
// Format is uint32_t or uint64_t: the bits of a number.
#pragma once

#include <cstdint>

namespace tandem::compute::soft {

enum Rounding : uint32_t { kNearestEven = 0, kTowardZero = 1, kDown = 2, kUp = 3, kNearestMax = 4 };

enum Flag : uint8_t { kInexact = 1, kUnderflow = 2, kOverflow = 4, kDivideByZero = 8, kInvalid = 16 };

struct Env {
  Rounding rounding = kNearestEven;
  uint8_t flags = 0;  // added to
};

template <typename Format> Format add(Format a, Format b, Env& env);
template <typename Format> Format sub(Format a, Format b, Env& env);
template <typename Format> Format mul(Format a, Format b, Env& env);
template <typename Format> Format div(Format a, Format b, Env& env);
template <typename Format> Format sqrt(Format a, Env& env);
template <typename Format> Format fma(Format a, Format b, Format c, Env& env);  // a * b + c, rounded once

template <typename Format> Format min(Format a, Format b, Env& env);
template <typename Format> Format max(Format a, Format b, Env& env);
template <typename Format> bool equal(Format a, Format b, Env& env);          // quiet
template <typename Format> bool less(Format a, Format b, Env& env);           // signals on any NaN
template <typename Format> bool less_or_equal(Format a, Format b, Env& env);  // signals on any NaN
template <typename Format> uint32_t classify(Format a);                       // the bits of FCLASS

template <typename To, typename From> To convert(From a, Env& env);           // between the two formats

// Saturates and raises Invalid beyond the range of Int; NaN gives the largest value.
template <typename Int, typename Format> Int to_int(Format a, Env& env);
template <typename Format> Format from_int(int64_t value, Env& env);
template <typename Format> Format from_uint(uint64_t value, Env& env);

template <typename Format> Format canonical_nan();

}  // namespace tandem::compute::soft
