// SPDX-License-Identifier: GPL-2.0-or-later
// Test support: builds RISC-V instruction words from their fields, and programs from instructions with labels. Written from
// the instruction formats, not from the decoder under test.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tandem_abi.h"

namespace tandem::rv {

enum Reg : uint32_t {
  x0, ra, sp, gp, tp, t0, t1, t2, s0, s1, a0, a1, a2, a3, a4, a5, a6, a7, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6
};

constexpr uint32_t r_type(uint32_t opcode, uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1, uint32_t rs2) {
  return opcode | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}
constexpr uint32_t i_type(uint32_t opcode, uint32_t f3, uint32_t rd, uint32_t rs1, int32_t imm) {
  return opcode | rd << 7 | f3 << 12 | rs1 << 15 | static_cast<uint32_t>(imm) << 20;
}
constexpr uint32_t s_type(uint32_t opcode, uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm) {
  const auto v = static_cast<uint32_t>(imm);
  return opcode | (v & 0x1f) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (v >> 5 & 0x7f) << 25;
}
constexpr uint32_t b_type(uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t offset) {
  const auto v = static_cast<uint32_t>(offset);
  return 0x63 | (v >> 11 & 1) << 7 | (v >> 1 & 0xf) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20 | (v >> 5 & 0x3f) << 25 |
         (v >> 12 & 1) << 31;
}
constexpr uint32_t u_type(uint32_t opcode, uint32_t rd, uint32_t imm20) { return opcode | rd << 7 | imm20 << 12; }
constexpr uint32_t j_type(uint32_t rd, int32_t offset) {
  const auto v = static_cast<uint32_t>(offset);
  return 0x6f | rd << 7 | (v >> 12 & 0xff) << 12 | (v >> 11 & 1) << 20 | (v >> 1 & 0x3ff) << 21 | (v >> 20 & 1) << 31;
}

constexpr uint32_t lui(uint32_t rd, uint32_t imm20) { return u_type(0x37, rd, imm20); }
constexpr uint32_t auipc(uint32_t rd, uint32_t imm20) { return u_type(0x17, rd, imm20); }
constexpr uint32_t addi(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 0, rd, rs1, imm); }
constexpr uint32_t slti(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 2, rd, rs1, imm); }
constexpr uint32_t sltiu(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 3, rd, rs1, imm); }
constexpr uint32_t xori(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 4, rd, rs1, imm); }
constexpr uint32_t ori(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 6, rd, rs1, imm); }
constexpr uint32_t andi(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 7, rd, rs1, imm); }
constexpr uint32_t slli(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x13, 1, rd, rs1, n); }
constexpr uint32_t srli(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x13, 5, rd, rs1, n); }
constexpr uint32_t srai(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x13, 5, rd, rs1, n | 0x400); }
constexpr uint32_t addiw(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x1b, 0, rd, rs1, imm); }
constexpr uint32_t slliw(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x1b, 1, rd, rs1, n); }
constexpr uint32_t srliw(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x1b, 5, rd, rs1, n); }
constexpr uint32_t sraiw(uint32_t rd, uint32_t rs1, int32_t n) { return i_type(0x1b, 5, rd, rs1, n | 0x400); }
constexpr uint32_t op(uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1, uint32_t rs2) { return r_type(0x33, f3, f7, rd, rs1, rs2); }
constexpr uint32_t op32(uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1, uint32_t rs2) { return r_type(0x3b, f3, f7, rd, rs1, rs2); }
constexpr uint32_t add(uint32_t rd, uint32_t rs1, uint32_t rs2) { return op(0, 0, rd, rs1, rs2); }
constexpr uint32_t sub(uint32_t rd, uint32_t rs1, uint32_t rs2) { return op(0, 0x20, rd, rs1, rs2); }
constexpr uint32_t mul(uint32_t rd, uint32_t rs1, uint32_t rs2) { return op(0, 1, rd, rs1, rs2); }
constexpr uint32_t xor_(uint32_t rd, uint32_t rs1, uint32_t rs2) { return op(4, 0, rd, rs1, rs2); }

// f3 of loads: 0 lb, 1 lh, 2 lw, 3 ld, 4 lbu, 5 lhu, 6 lwu; of stores: 0 sb .. 3 sd
constexpr uint32_t load(uint32_t f3, uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x03, f3, rd, rs1, imm); }
constexpr uint32_t store(uint32_t f3, uint32_t rs2, uint32_t rs1, int32_t imm) { return s_type(0x23, f3, rs1, rs2, imm); }
constexpr uint32_t ld(uint32_t rd, uint32_t rs1, int32_t imm) { return load(3, rd, rs1, imm); }
constexpr uint32_t lw(uint32_t rd, uint32_t rs1, int32_t imm) { return load(2, rd, rs1, imm); }
constexpr uint32_t sd(uint32_t rs2, uint32_t rs1, int32_t imm) { return store(3, rs2, rs1, imm); }
constexpr uint32_t sw(uint32_t rs2, uint32_t rs1, int32_t imm) { return store(2, rs2, rs1, imm); }
constexpr uint32_t flw(uint32_t fd, uint32_t rs1, int32_t imm) { return i_type(0x07, 2, fd, rs1, imm); }
constexpr uint32_t fld(uint32_t fd, uint32_t rs1, int32_t imm) { return i_type(0x07, 3, fd, rs1, imm); }
constexpr uint32_t fsw(uint32_t fs2, uint32_t rs1, int32_t imm) { return s_type(0x27, 2, rs1, fs2, imm); }
constexpr uint32_t fsd(uint32_t fs2, uint32_t rs1, int32_t imm) { return s_type(0x27, 3, rs1, fs2, imm); }

constexpr uint32_t jalr(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x67, 0, rd, rs1, imm); }
constexpr uint32_t ret() { return jalr(x0, ra, 0); }
constexpr uint32_t fence(uint32_t before, uint32_t after) { return 0x0f | after << 20 | before << 24; }
constexpr uint32_t fence_rw_rw() { return fence(3, 3); }
constexpr uint32_t fence_i() { return 0x0000100f; }
constexpr uint32_t pause() { return 0x0100000f; }
constexpr uint32_t ecall() { return 0x73; }
constexpr uint32_t ebreak() { return 0x00100073; }

// funct5: 02 lr, 03 sc, 01 swap, 00 add, 04 xor, 0c and, 08 or, 10 min, 14 max, 18 minu, 1c maxu
enum Width : uint32_t { word = 2, doubleword = 3 };
enum Order : uint32_t { relaxed = 0, rl = 1, aq = 2, aqrl = 3 };
constexpr uint32_t amo(uint32_t funct5, Width width, uint32_t rd, uint32_t rs2, uint32_t rs1, Order order = relaxed) {
  return r_type(0x2f, width, funct5 << 2 | order, rd, rs1, rs2);
}
constexpr uint32_t lr(Width width, uint32_t rd, uint32_t rs1, Order order = relaxed) { return amo(2, width, rd, 0, rs1, order); }
constexpr uint32_t sc(Width width, uint32_t rd, uint32_t rs2, uint32_t rs1, Order order = relaxed) {
  return amo(3, width, rd, rs2, rs1, order);
}

// An atomic instruction in a narrower scope.
constexpr uint32_t scoped(uint32_t instruction, tandem_scope scope) {
  const uint32_t opcodes[] = {TANDEM_OPCODE_AMO, TANDEM_OPCODE_AMO_DEVICE, TANDEM_OPCODE_AMO_WORKGROUP};
  return (instruction & ~0x7fu) | opcodes[scope];
}

constexpr uint32_t csrrw(uint32_t rd, uint32_t csr, uint32_t rs1) { return i_type(0x73, 1, rd, rs1, static_cast<int32_t>(csr)); }
constexpr uint32_t csrrs(uint32_t rd, uint32_t csr, uint32_t rs1) { return i_type(0x73, 2, rd, rs1, static_cast<int32_t>(csr)); }
constexpr uint32_t csrrc(uint32_t rd, uint32_t csr, uint32_t rs1) { return i_type(0x73, 3, rd, rs1, static_cast<int32_t>(csr)); }
constexpr uint32_t csrrwi(uint32_t rd, uint32_t csr, uint32_t imm) { return i_type(0x73, 5, rd, imm, static_cast<int32_t>(csr)); }
constexpr uint32_t csrrsi(uint32_t rd, uint32_t csr, uint32_t imm) { return i_type(0x73, 6, rd, imm, static_cast<int32_t>(csr)); }
constexpr uint32_t csrrci(uint32_t rd, uint32_t csr, uint32_t imm) { return i_type(0x73, 7, rd, imm, static_cast<int32_t>(csr)); }
constexpr uint32_t csrr(uint32_t rd, uint32_t csr) { return csrrs(rd, csr, x0); }

constexpr uint32_t barrier() { return r_type(TANDEM_OPCODE_CUSTOM0, TANDEM_FUNCT3_BARRIER, 0, 0, 0, 0); }
constexpr uint32_t exit_lane() { return r_type(TANDEM_OPCODE_CUSTOM0, TANDEM_FUNCT3_EXIT, 0, 0, 0, 0); }
constexpr uint32_t ballot(uint32_t rd, uint32_t rs1) { return r_type(TANDEM_OPCODE_CUSTOM0, TANDEM_FUNCT3_BALLOT, 0, rd, rs1, 0); }
constexpr uint32_t shuffle(uint32_t rd, uint32_t rs1, uint32_t rs2) {
  return r_type(TANDEM_OPCODE_CUSTOM0, TANDEM_FUNCT3_SHUFFLE, 0, rd, rs1, rs2);
}

constexpr uint32_t scoped_fence(uint32_t before, uint32_t after, tandem_scope scope) {
  return r_type(TANDEM_OPCODE_CUSTOM0, TANDEM_FUNCT3_FENCE, scope, 0, before, after);
}

// OP-FP: funct5 and format (0 S, 1 D); rm or funct3
enum Format : uint32_t { S = 0, D = 1 };
constexpr uint32_t fop(uint32_t funct5, Format format, uint32_t rd, uint32_t rs1, uint32_t rs2, uint32_t rm) {
  return r_type(0x53, rm, funct5 << 2 | format, rd, rs1, rs2);
}
// opcode: 43 fmadd, 47 fmsub, 4b fnmsub, 4f fnmadd
constexpr uint32_t fma(uint32_t opcode, Format format, uint32_t rd, uint32_t rs1, uint32_t rs2, uint32_t rs3, uint32_t rm) {
  return r_type(opcode, rm, rs3 << 2 | format, rd, rs1, rs2);
}

// A program at an address, with forward and backward labels.
class Program {
 public:
  explicit Program(uint64_t base) : base_(base) {}

  Program& emit(uint32_t word) {
    words_.push_back(word);
    return *this;
  }
  Program& operator<<(uint32_t word) { return emit(word); }

  void label(const std::string& name) { labels_[name] = words_.size(); }

  // f3: 0 beq, 1 bne, 4 blt, 5 bge, 6 bltu, 7 bgeu
  void branch(uint32_t f3, uint32_t rs1, uint32_t rs2, const std::string& to) {
    uses_.push_back({words_.size(), to});
    emit(b_type(f3, rs1, rs2, 0));
  }
  void jump(uint32_t rd, const std::string& to) {
    uses_.push_back({words_.size(), to});
    emit(j_type(rd, 0));
  }

  // Any 64-bit constant, most significant part first: lui and shifts.
  void li(uint32_t rd, uint64_t value) {
    emit(addi(rd, x0, 0));
    for (int shift = 55; shift >= 0; shift -= 11) part(rd, value, shift);
  }

  const std::vector<uint32_t>& words() {
    for (const Use& use : uses_) {
      const auto offset = static_cast<int32_t>(4 * (static_cast<int64_t>(labels_.at(use.label)) - static_cast<int64_t>(use.at)));
      uint32_t& word = words_[use.at];
      word |= (word & 0x7f) == 0x6f ? j_type(0, offset) : b_type(0, 0, 0, offset);
    }
    uses_.clear();
    return words_;
  }
  uint64_t base() const { return base_; }
  uint64_t here() const { return base_ + 4 * words_.size(); }

 private:
  struct Use {
    size_t at;
    std::string label;
  };
  // Eleven bits at a time, so that the immediate is never negative.
  void part(uint32_t rd, uint64_t value, int shift) {
    emit(slli(rd, rd, shift == 55 ? 0 : 11));
    emit(addi(rd, rd, static_cast<int32_t>(value >> shift & 0x7ff)));
  }

  uint64_t base_;
  std::vector<uint32_t> words_;
  std::map<std::string, size_t> labels_;
  std::vector<Use> uses_;
};

}  // namespace tandem::rv
