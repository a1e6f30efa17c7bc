// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/decode.h"

#include <initializer_list>

#include "tandem_abi.h"

namespace tandem::compute {
namespace {

constexpr uint32_t bits(uint32_t word, unsigned hi, unsigned lo) { return (word >> lo) & ((2u << (hi - lo)) - 1u); }
constexpr uint32_t opcode_of(uint32_t word) { return word & 0x7f; }
constexpr uint32_t funct3_of(uint32_t word) { return bits(word, 14, 12); }
constexpr uint32_t funct7_of(uint32_t word) { return bits(word, 31, 25); }
constexpr uint32_t rd_of(uint32_t word) { return bits(word, 11, 7); }
constexpr uint32_t rs1_of(uint32_t word) { return bits(word, 19, 15); }
constexpr uint32_t rs2_of(uint32_t word) { return bits(word, 24, 20); }

constexpr int64_t sign_extend(uint64_t value, unsigned width) {
  return static_cast<int64_t>(value << (64 - width)) >> (64 - width);
}
constexpr int64_t imm_i(uint32_t word) { return sign_extend(bits(word, 31, 20), 12); }
constexpr int64_t imm_s(uint32_t word) { return sign_extend(bits(word, 31, 25) << 5 | bits(word, 11, 7), 12); }
constexpr int64_t imm_b(uint32_t word) {
  return sign_extend(bits(word, 31, 31) << 12 | bits(word, 7, 7) << 11 | bits(word, 30, 25) << 5 | bits(word, 11, 8) << 1, 13);
}
constexpr int64_t imm_u(uint32_t word) { return sign_extend(word & 0xfffff000u, 32); }
constexpr int64_t imm_j(uint32_t word) {
  return sign_extend(
      bits(word, 31, 31) << 20 | bits(word, 19, 12) << 12 | bits(word, 20, 20) << 11 | bits(word, 30, 21) << 1, 21);
}

int64_t absolute(uint64_t pc, int64_t offset) { return static_cast<int64_t>(pc + static_cast<uint64_t>(offset)); }

Op pick(std::initializer_list<Op> by_funct3, uint32_t funct3) {
  return funct3 < by_funct3.size() ? by_funct3.begin()[funct3] : Op::Illegal;
}

void int_destination(Decoded& d) { d.rd = rd_of(d.word) ? static_cast<uint8_t>(rd_of(d.word)) : kSinkRegister; }

// An instruction whose only effect is its x register: without one it is a Nop.
void pure(Decoded& d, Op op) { d.op = op != Op::Illegal && rd_of(d.word) == 0 ? Op::Nop : op; }

void decode_load(Decoded& d) {
  d.imm = imm_i(d.word);
  d.op = pick({Op::Lb, Op::Lh, Op::Lw, Op::Ld, Op::Lbu, Op::Lhu, Op::Lwu}, funct3_of(d.word));
}

void decode_store(Decoded& d) {
  d.imm = imm_s(d.word);
  d.op = pick({Op::Sb, Op::Sh, Op::Sw, Op::Sd}, funct3_of(d.word));
}

void decode_float_load(Decoded& d) {
  d.imm = imm_i(d.word);
  d.rd = static_cast<uint8_t>(rd_of(d.word));
  d.op = pick({Op::Illegal, Op::Illegal, Op::Flw, Op::Fld}, funct3_of(d.word));
}

void decode_float_store(Decoded& d) {
  d.imm = imm_s(d.word);
  d.op = pick({Op::Illegal, Op::Illegal, Op::Fsw, Op::Fsd}, funct3_of(d.word));
}

void decode_op_imm(Decoded& d) {
  const uint32_t funct6 = bits(d.word, 31, 26);
  d.imm = imm_i(d.word);
  Op op = pick({Op::Addi, Op::Illegal, Op::Slti, Op::Sltiu, Op::Xori, Op::Illegal, Op::Ori, Op::Andi}, funct3_of(d.word));
  if (funct3_of(d.word) == 1 && funct6 == 0) op = Op::Slli;
  if (funct3_of(d.word) == 5 && funct6 == 0) op = Op::Srli;
  if (funct3_of(d.word) == 5 && funct6 == 0x10) op = Op::Srai;
  if (funct3_of(d.word) == 1 || funct3_of(d.word) == 5) d.imm = bits(d.word, 25, 20);
  pure(d, op);
}

void decode_op_imm_32(Decoded& d) {
  const uint32_t funct3 = funct3_of(d.word), funct7 = funct7_of(d.word);
  d.imm = funct3 == 0 ? imm_i(d.word) : rs2_of(d.word);
  Op op = Op::Illegal;
  if (funct3 == 0) op = Op::Addiw;
  if (funct3 == 1 && funct7 == 0) op = Op::Slliw;
  if (funct3 == 5 && funct7 == 0) op = Op::Srliw;
  if (funct3 == 5 && funct7 == 0x20) op = Op::Sraiw;
  pure(d, op);
}

void decode_op(Decoded& d) {
  const uint32_t funct3 = funct3_of(d.word);
  switch (funct7_of(d.word)) {
    case 0x00: return pure(d, pick({Op::Add, Op::Sll, Op::Slt, Op::Sltu, Op::Xor, Op::Srl, Op::Or, Op::And}, funct3));
    case 0x01: return pure(d, pick({Op::Mul, Op::Mulh, Op::Mulhsu, Op::Mulhu, Op::Div, Op::Divu, Op::Rem, Op::Remu}, funct3));
    case 0x20: return pure(d, funct3 == 0 ? Op::Sub : funct3 == 5 ? Op::Sra : Op::Illegal);
    default: return;
  }
}

void decode_op_32(Decoded& d) {
  const uint32_t funct3 = funct3_of(d.word);
  constexpr Op none = Op::Illegal;
  switch (funct7_of(d.word)) {
    case 0x00: return pure(d, pick({Op::Addw, Op::Sllw, none, none, none, Op::Srlw, none, none}, funct3));
    case 0x01: return pure(d, pick({Op::Mulw, none, none, none, Op::Divw, Op::Divuw, Op::Remw, Op::Remuw}, funct3));
    case 0x20: return pure(d, funct3 == 0 ? Op::Subw : funct3 == 5 ? Op::Sraw : none);
    default: return;
  }
}

void decode_branch(Decoded& d) {
  d.imm = absolute(d.pc, imm_b(d.word));
  d.op = pick({Op::Beq, Op::Bne, Op::Illegal, Op::Illegal, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu}, funct3_of(d.word));
}

// fm and the fields that are not used are ignored, as the base ISA wants of standard fences.
void decode_misc_mem(Decoded& d) {
  constexpr uint32_t pause = 0x0100000f;  // Zihintpause: fence w, 0 with rd and rs1 x0
  if (d.word == pause) d.op = Op::Pause;
  else if (funct3_of(d.word) == 0) d.op = Op::Fence;
  else if (funct3_of(d.word) == 1) d.op = Op::FenceI;
}

void decode_system(Decoded& d) {
  const uint32_t funct3 = funct3_of(d.word);
  if (d.word == 0x00000073) d.op = Op::Ecall;
  if (d.word == 0x00100073) d.op = Op::Ebreak;
  if (funct3 == 0) return;
  d.imm = bits(d.word, 31, 20);
  d.op = pick({Op::Illegal, Op::Csrrw, Op::Csrrs, Op::Csrrc, Op::Illegal, Op::Csrrwi, Op::Csrrsi, Op::Csrrci}, funct3);
}

void decode_scoped_fence(Decoded& d) {
  constexpr uint32_t kSets = TANDEM_FENCE_WRITES | TANDEM_FENCE_READS;
  if (rd_of(d.word) == 0 && rs1_of(d.word) <= kSets && rs2_of(d.word) <= kSets && funct7_of(d.word) <= TANDEM_SCOPE_WORKGROUP)
    d.op = Op::ScopedFence;
}

void decode_custom0(Decoded& d) {
  if (funct3_of(d.word) == TANDEM_FUNCT3_FENCE) return decode_scoped_fence(d);
  if (funct7_of(d.word) != 0) return;
  const bool bare = rd_of(d.word) == 0 && rs1_of(d.word) == 0 && rs2_of(d.word) == 0;
  switch (funct3_of(d.word)) {
    case TANDEM_FUNCT3_BARRIER: if (bare) d.op = Op::Barrier; return;
    case TANDEM_FUNCT3_EXIT: if (bare) d.op = Op::Exit; return;
    case TANDEM_FUNCT3_BALLOT: if (rs2_of(d.word) == 0) d.op = Op::Ballot; return;
    case TANDEM_FUNCT3_SHUFFLE: d.op = Op::Shuffle; return;
    default: return;
  }
}

// funct5 in bits 31..27; aq and rl in 26 and 25, and the scope, which is the opcode, stay in the word.
void decode_amo(Decoded& d) {
  const uint32_t funct3 = funct3_of(d.word);
  if (funct3 != 2 && funct3 != 3) return;
  const auto sized = [&](Op word, Op doubleword) { d.op = funct3 == 2 ? word : doubleword; };
  switch (bits(d.word, 31, 27)) {
    case 0x02: if (rs2_of(d.word) == 0) sized(Op::LrW, Op::LrD); return;
    case 0x03: return sized(Op::ScW, Op::ScD);
    case 0x01: return sized(Op::AmoSwapW, Op::AmoSwapD);
    case 0x00: return sized(Op::AmoAddW, Op::AmoAddD);
    case 0x04: return sized(Op::AmoXorW, Op::AmoXorD);
    case 0x0c: return sized(Op::AmoAndW, Op::AmoAndD);
    case 0x08: return sized(Op::AmoOrW, Op::AmoOrD);
    case 0x10: return sized(Op::AmoMinW, Op::AmoMinD);
    case 0x14: return sized(Op::AmoMaxW, Op::AmoMaxD);
    case 0x18: return sized(Op::AmoMinuW, Op::AmoMinuD);
    case 0x1c: return sized(Op::AmoMaxuW, Op::AmoMaxuD);
    default: return;
  }
}

bool rounding_mode_exists(uint32_t rm) { return rm != 5 && rm != 6; }

struct FloatPair {
  Op single, twice;
  Op of(bool is_double) const { return is_double ? twice : single; }
};

void decode_fma(Decoded& d, FloatPair pair) {
  const uint32_t format = bits(d.word, 26, 25);
  d.rd = static_cast<uint8_t>(rd_of(d.word));
  d.rm = static_cast<uint8_t>(funct3_of(d.word));
  if (format <= 1 && rounding_mode_exists(d.rm)) d.op = pair.of(format == 1);
}

void float_result(Decoded& d, Op op) {
  d.op = op;
  d.rd = static_cast<uint8_t>(rd_of(d.word));
}

void rounded_float_result(Decoded& d, Op op) {
  if (rounding_mode_exists(d.rm)) float_result(d, op);
}

void by_funct3(Decoded& d, std::initializer_list<FloatPair> pairs, bool is_double, bool to_float) {
  if (d.rm >= pairs.size()) return;
  d.op = pairs.begin()[d.rm].of(is_double);
  if (to_float) d.rd = static_cast<uint8_t>(rd_of(d.word));
}

void decode_convert_to_int(Decoded& d, bool is_double) {
  constexpr FloatPair pairs[] = {{Op::FcvtWS, Op::FcvtWD}, {Op::FcvtWuS, Op::FcvtWuD}, {Op::FcvtLS, Op::FcvtLD},
                                 {Op::FcvtLuS, Op::FcvtLuD}};
  if (rs2_of(d.word) < 4 && rounding_mode_exists(d.rm)) d.op = pairs[rs2_of(d.word)].of(is_double);
}

void decode_convert_from_int(Decoded& d, bool is_double) {
  constexpr FloatPair pairs[] = {{Op::FcvtSW, Op::FcvtDW}, {Op::FcvtSWu, Op::FcvtDWu}, {Op::FcvtSL, Op::FcvtDL},
                                 {Op::FcvtSLu, Op::FcvtDLu}};
  if (rs2_of(d.word) < 4) rounded_float_result(d, pairs[rs2_of(d.word)].of(is_double));
}

void decode_op_fp(Decoded& d) {
  const uint32_t funct7 = funct7_of(d.word), rs2 = rs2_of(d.word), format = funct7 & 3;
  const bool is_double = format == 1;
  d.rm = static_cast<uint8_t>(funct3_of(d.word));
  if (format > 1) return;
  switch (funct7 >> 2) {
    case 0x00: return rounded_float_result(d, FloatPair{Op::FaddS, Op::FaddD}.of(is_double));
    case 0x01: return rounded_float_result(d, FloatPair{Op::FsubS, Op::FsubD}.of(is_double));
    case 0x02: return rounded_float_result(d, FloatPair{Op::FmulS, Op::FmulD}.of(is_double));
    case 0x03: return rounded_float_result(d, FloatPair{Op::FdivS, Op::FdivD}.of(is_double));
    case 0x0b: if (rs2 == 0) rounded_float_result(d, FloatPair{Op::FsqrtS, Op::FsqrtD}.of(is_double)); return;
    case 0x04: return by_funct3(d, {{Op::FsgnjS, Op::FsgnjD}, {Op::FsgnjnS, Op::FsgnjnD}, {Op::FsgnjxS, Op::FsgnjxD}},
                                is_double, true);
    case 0x05: return by_funct3(d, {{Op::FminS, Op::FminD}, {Op::FmaxS, Op::FmaxD}}, is_double, true);
    case 0x14: return by_funct3(d, {{Op::FleS, Op::FleD}, {Op::FltS, Op::FltD}, {Op::FeqS, Op::FeqD}}, is_double, false);
    case 0x08:  // between the formats: rs2 names the source
      if (rs2 == (is_double ? 0u : 1u)) rounded_float_result(d, is_double ? Op::FcvtDS : Op::FcvtSD);
      return;
    case 0x18: return decode_convert_to_int(d, is_double);
    case 0x1a: return decode_convert_from_int(d, is_double);
    case 0x1c:
      if (rs2 == 0) by_funct3(d, {{Op::FmvXW, Op::FmvXD}, {Op::FclassS, Op::FclassD}}, is_double, false);
      return;
    case 0x1e: if (rs2 == 0 && d.rm == 0) float_result(d, is_double ? Op::FmvDX : Op::FmvWX); return;
    default: return;
  }
}

void decode_by_opcode(Decoded& d) {
  switch (opcode_of(d.word)) {
    case 0x03: return decode_load(d);
    case 0x07: return decode_float_load(d);
    case TANDEM_OPCODE_CUSTOM0: return decode_custom0(d);
    case 0x0f: return decode_misc_mem(d);
    case 0x13: return decode_op_imm(d);
    case 0x17: d.imm = absolute(d.pc, imm_u(d.word)); return pure(d, Op::Const);
    case 0x1b: return decode_op_imm_32(d);
    case 0x23: return decode_store(d);
    case 0x27: return decode_float_store(d);
    case TANDEM_OPCODE_AMO:
    case TANDEM_OPCODE_AMO_DEVICE:
    case TANDEM_OPCODE_AMO_WORKGROUP: return decode_amo(d);
    case 0x33: return decode_op(d);
    case 0x37: d.imm = imm_u(d.word); return pure(d, Op::Const);
    case 0x3b: return decode_op_32(d);
    case 0x43: return decode_fma(d, {Op::FmaddS, Op::FmaddD});
    case 0x47: return decode_fma(d, {Op::FmsubS, Op::FmsubD});
    case 0x4b: return decode_fma(d, {Op::FnmsubS, Op::FnmsubD});
    case 0x4f: return decode_fma(d, {Op::FnmaddS, Op::FnmaddD});
    case 0x53: return decode_op_fp(d);
    case 0x63: return decode_branch(d);
    case 0x67: d.imm = imm_i(d.word); if (funct3_of(d.word) == 0) d.op = Op::Jalr; return;
    case 0x6f: d.imm = absolute(d.pc, imm_j(d.word)); d.op = Op::Jal; return;
    case 0x73: return decode_system(d);
    default: return;
  }
}

}  // namespace

tandem_scope scope_of(const Decoded& d) {
  switch (opcode_of(d.word)) {
    case TANDEM_OPCODE_CUSTOM0: return static_cast<tandem_scope>(funct7_of(d.word));
    case TANDEM_OPCODE_AMO_DEVICE: return TANDEM_SCOPE_DEVICE;
    case TANDEM_OPCODE_AMO_WORKGROUP: return TANDEM_SCOPE_WORKGROUP;
    default: return TANDEM_SCOPE_SYSTEM;
  }
}

Decoded decode(uint32_t word, uint64_t pc) {
  Decoded d;
  d.word = word;
  d.pc = pc;
  d.rs1 = static_cast<uint8_t>(rs1_of(word));
  d.rs2 = static_cast<uint8_t>(rs2_of(word));
  d.rs3 = static_cast<uint8_t>(bits(word, 31, 27));
  int_destination(d);
  decode_by_opcode(d);
  return d;
}

}  // namespace tandem::compute
