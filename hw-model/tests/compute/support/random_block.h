// SPDX-License-Identifier: GPL-2.0-or-later
// Test support: blocks of random instructions of RV64IMAFD and Zicsr as differential.h wants them. Every encoding is legal; what
// would differ from place to place is not used (auipc, link addresses, counters), and each LR has its SC behind it.
#pragma once

#include <array>
#include <initializer_list>
#include <random>
#include <span>

#include "support/rv_asm.h"

extern "C" {
#include "kernels/differential.h"
}

namespace tandem::test {

class RandomBlock {
 public:
  explicit RandomBlock(uint64_t seed) : random_(seed) {}

  void fill(std::span<uint32_t, DIFFERENTIAL_WORDS> code) {
    code_ = code;
    at_ = 0;
    put(rv::ld(kCodeRegister, kState, 8 * kCodeRegister));
    while (at_ + kLongest < code_.size()) one();
    while (at_ < code_.size()) put(rv::jalr(rv::x0, kWayBack, 0));
  }

  uint64_t any() { return random_(); }
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

 private:
  static constexpr uint32_t kState = 31, kWayBack = 30, kCodeRegister = 29, kMemory = 28, kElsewhere = 27;
  static constexpr size_t kLongest = 3;

  void put(uint32_t word) { code_[at_++] = word; }
  uint32_t of(std::initializer_list<uint32_t> choice) { return *(choice.begin() + below(static_cast<uint32_t>(choice.size()))); }
  uint32_t read() { const uint32_t r = below(28); return r == kElsewhere ? kCodeRegister : r; }
  uint32_t write() { return read(); }
  uint32_t f() { return below(32); }
  int32_t imm12() { return static_cast<int32_t>(below(4096)) - 2048; }
  uint32_t rounding() { return of({0, 1, 2, 3, 4, 7}); }
  rv::Format format() { return below(2) ? rv::D : rv::S; }
  int32_t anywhere() { return static_cast<int32_t>(below(DIFFERENTIAL_MEMORY - 8)) - DIFFERENTIAL_MEMORY / 2; }

  void one() {
    switch (below(16)) {
      case 0: case 1: return put(rv::op(below(8), 0, write(), read(), read()));
      case 2: return put(rv::op(of({0, 5}), 0x20, write(), read(), read()));
      case 3: return put(rv::op(below(8), 1, write(), read(), read()));
      case 4: return immediate();
      case 5: return words();
      case 6: return put(rv::load(below(7), write(), kMemory, anywhere()));
      case 7: return put(rv::store(below(4), read(), kMemory, anywhere()));
      case 8: return float_memory();
      case 9: return branch();
      case 10: return atomic();
      case 11: return csr();
      case 12: return put(rv::fma(of({0x43, 0x47, 0x4b, 0x4f}), format(), f(), f(), f(), f(), rounding()));
      case 13: return put(rv::fop(of({0, 1, 2, 3}), format(), f(), f(), f(), rounding()));
      case 14: return convert();
      case 15: return compare();
    }
  }

  void immediate() {
    const uint32_t f3 = below(8);
    if (f3 == 1) return put(rv::slli(write(), read(), static_cast<int32_t>(below(64))));
    if (f3 == 5) return put((below(2) ? rv::srai : rv::srli)(write(), read(), static_cast<int32_t>(below(64))));
    if (below(8) == 0) return put(rv::lui(write(), below(1 << 20)));
    put(rv::i_type(0x13, f3, write(), read(), imm12()));
  }

  void words() {
    switch (below(5)) {
      case 0: return put(rv::op32(of({0, 1, 5}), 0, write(), read(), read()));
      case 1: return put(rv::op32(of({0, 5}), 0x20, write(), read(), read()));
      case 2: return put(rv::op32(of({0, 4, 5, 6, 7}), 1, write(), read(), read()));
      case 3: return put(rv::addiw(write(), read(), imm12()));
      case 4: {
        const auto shift = static_cast<int32_t>(below(32));
        const uint32_t rd = write(), rs = read();
        return put(below(3) == 0 ? rv::slliw(rd, rs, shift) : below(2) ? rv::srliw(rd, rs, shift) : rv::sraiw(rd, rs, shift));
      }
    }
  }

  void float_memory() {
    switch (below(4)) {
      case 0: return put(rv::flw(f(), kMemory, anywhere()));
      case 1: return put(rv::fld(f(), kMemory, anywhere()));
      case 2: return put(rv::fsw(f(), kMemory, anywhere()));
      case 3: return put(rv::fsd(f(), kMemory, anywhere()));
    }
  }

  // Forward only, over a few instructions, or over whatever is left.
  void branch() {
    const auto offset = static_cast<int32_t>(4 * (1 + std::min<size_t>(below(6), code_.size() - 2 - at_)));
    if (below(6) == 0) return put(rv::j_type(rv::x0, offset));
    put(rv::b_type(of({0, 1, 4, 5, 6, 7}), read(), read(), offset));
  }

  void atomic() {
    const auto width = below(2) ? rv::doubleword : rv::word;
    const auto order = static_cast<rv::Order>(below(4));
    const uint32_t at = below(2) ? kMemory : kElsewhere;
    if (below(4)) return put(rv::amo(of({1, 0, 4, 0xc, 8, 0x10, 0x14, 0x18, 0x1c}), width, write(), read(), at, order));
    put(rv::lr(width, write(), at));
    put(rv::sc(width, write(), read(), at, order));
    if (below(3) == 0) put(rv::sc(width, write(), read(), at, order));  // has no reservation
  }

  // Never an invalid rounding mode: what that does to later instructions is told by tests of its own.
  void csr() {
    constexpr uint32_t kFlags = 1, kRounding = 2, kBoth = 3;
    switch (below(6)) {
      case 0: return put(rv::csrrwi(write(), kRounding, below(5)));
      case 1: return put(rv::csrrwi(write(), kBoth, below(32)));
      case 2: return put(rv::csrrsi(write(), kFlags, below(32)));
      case 3: return put(rv::csrrci(write(), kFlags, below(32)));
      case 4: return put(rv::csrrw(write(), kFlags, read()));
      case 5: return put(rv::csrr(write(), of({kFlags, kRounding, kBoth})));
    }
  }

  void convert() {
    switch (below(7)) {
      case 0: return put(rv::fop(0x0b, format(), f(), f(), 0, rounding()));                   // square root
      case 1: return put(rv::fop(0x18, format(), write(), f(), below(4), rounding()));         // to integer
      case 2: return put(rv::fop(0x1a, format(), f(), read(), below(4), rounding()));          // from integer
      case 3: return put(rv::fop(0x08, rv::S, f(), f(), 1, rounding()));
      case 4: return put(rv::fop(0x08, rv::D, f(), f(), 0, 0));
      case 5: return put(rv::fop(0x1c, format(), write(), f(), 0, below(2)));                  // move, class
      case 6: return put(rv::fop(0x1e, format(), f(), read(), 0, 0));
    }
  }

  void compare() {
    switch (below(3)) {
      case 0: return put(rv::fop(0x04, format(), f(), f(), f(), below(3)));                    // signs
      case 1: return put(rv::fop(0x05, format(), f(), f(), f(), below(2)));                    // minimum, maximum
      case 2: return put(rv::fop(0x14, format(), write(), f(), f(), below(3)));
    }
  }

  std::mt19937_64 random_;
  std::span<uint32_t> code_;
  size_t at_ = 0;
};

}  // namespace tandem::test
