// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": questions about whole rows that have one answer: in which lanes does a condition hold, are all lanes'
// addresses side by side. The compiler vectorises the comparisons of plain loops, but not what gathers their results, which
// each branch and each memory instruction waits for. So the rows are taken in vectors of the x86-64 level's own size, and
// gathered with the instruction that it has for that.
#pragma once

#include <immintrin.h>

#include "compute/lanes.h"

namespace tandem::compute {

#if defined(__AVX512F__)
inline constexpr uint32_t kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr uint32_t kVectorBytes = 32;
#else
inline constexpr uint32_t kVectorBytes = 16;
#endif
inline constexpr uint32_t kVectorLanes = kVectorBytes / sizeof(uint64_t);

// The anonymous namespace: each level's are types of its own.
namespace {

using LaneVector [[gnu::vector_size(kVectorBytes)]] = uint64_t;
using SignedLaneVector [[gnu::vector_size(kVectorBytes)]] = int64_t;

TANDEM_ALWAYS_INLINE LaneVector lanes_from(const uint64_t* row, uint32_t first) {
  return *reinterpret_cast<const LaneVector*>(row + first);
}

// Each element of `truth` is all ones or 0: bit n of the result for element n.
TANDEM_ALWAYS_INLINE uint32_t bits_of(SignedLaneVector truth) {
#if defined(__AVX512F__)
  return _mm512_movepi64_mask(reinterpret_cast<__m512i>(truth));
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(truth)));
#else
  return static_cast<uint32_t>(_mm_movemask_pd(reinterpret_cast<__m128d>(truth)));
#endif
}

TANDEM_ALWAYS_INLINE bool is_zero(LaneVector v) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask(reinterpret_cast<__m512i>(v), reinterpret_cast<__m512i>(v)) == 0;
#elif defined(__AVX2__)
  return _mm256_testz_si256(reinterpret_cast<__m256i>(v), reinterpret_cast<__m256i>(v));
#else
  return _mm_testz_si128(reinterpret_cast<__m128i>(v), reinterpret_cast<__m128i>(v));
#endif
}

// 0, 1, 2 ...
TANDEM_ALWAYS_INLINE LaneVector lane_numbers() {
  LaneVector numbers;
  for (uint32_t i = 0; i < kVectorLanes; ++i) numbers[i] = i;
  return numbers;
}

// The lanes for which Condition::of(a, b) holds; it compares vectors and says so in vectors of all ones and 0. Rows are aligned.
template <typename Condition>
TANDEM_ALWAYS_INLINE LaneMask lanes_where_rows(const uint64_t* a, const uint64_t* b) {
  LaneMask mask = 0;
  for (uint32_t i = 0; i < kLanes; i += kVectorLanes)
    mask |= bits_of(Condition::of(lanes_from(a, i), lanes_from(b, i))) << i;
  return mask;
}

// Whether lane n has row[0] + n * step.
TANDEM_ALWAYS_INLINE bool rises_by(const uint64_t* row, uint64_t step) {
  const uint64_t first = row[0];
  LaneVector different{};
  for (uint32_t i = 0; i < kLanes; i += kVectorLanes) different |= lanes_from(row, i) ^ (first + (lane_numbers() + i) * step);
  return is_zero(different);
}

}  // namespace
}  // namespace tandem::compute
