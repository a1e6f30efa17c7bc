// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": the operations that the decoder knows, one for each instruction of RV64IMAFD, Zicsr, Zifencei,
// Zihintpause and tandem_kernel_isa.h. Lui and auipc are both Const: their value is known when they are decoded.
#pragma once

#include <cstdint>

#define TANDEM_INT_OPS(X)                                                                                       \
  X(Const) X(Nop) X(Addi) X(Slti) X(Sltiu) X(Xori) X(Ori) X(Andi) X(Slli) X(Srli) X(Srai) X(Add) X(Sub) X(Sll)     \
  X(Slt) X(Sltu) X(Xor) X(Srl) X(Sra) X(Or) X(And) X(Addiw) X(Slliw) X(Srliw) X(Sraiw) X(Addw) X(Subw) X(Sllw)      \
  X(Srlw) X(Sraw)

#define TANDEM_MULDIV_OPS(X)                                                                                    \
  X(Mul) X(Mulh) X(Mulhsu) X(Mulhu) X(Div) X(Divu) X(Rem) X(Remu) X(Mulw) X(Divw) X(Divuw) X(Remw) X(Remuw)

#define TANDEM_CONTROL_OPS(X)                                                                                   \
  X(Jal) X(Jalr) X(Beq) X(Bne) X(Blt) X(Bge) X(Bltu) X(Bgeu) X(Fence) X(ScopedFence) X(FenceI) X(Pause) X(Ecall)    \
  X(Ebreak) X(Illegal) X(Barrier) X(Exit) X(Ballot) X(Shuffle)

#define TANDEM_MEMORY_OPS(X)                                                                                    \
  X(Lb) X(Lh) X(Lw) X(Ld) X(Lbu) X(Lhu) X(Lwu) X(Sb) X(Sh) X(Sw) X(Sd) X(Flw) X(Fld) X(Fsw) X(Fsd)

#define TANDEM_ATOMIC_OPS(X)                                                                                    \
  X(LrW) X(LrD) X(ScW) X(ScD) X(AmoSwapW) X(AmoSwapD) X(AmoAddW) X(AmoAddD) X(AmoXorW) X(AmoXorD) X(AmoAndW)        \
  X(AmoAndD) X(AmoOrW) X(AmoOrD) X(AmoMinW) X(AmoMinD) X(AmoMaxW) X(AmoMaxD) X(AmoMinuW) X(AmoMinuD) X(AmoMaxuW)    \
  X(AmoMaxuD)

#define TANDEM_CSR_OPS(X) X(Csrrw) X(Csrrs) X(Csrrc) X(Csrrwi) X(Csrrsi) X(Csrrci)

#define TANDEM_FLOAT_OPS(X)                                                                                     \
  X(FaddS) X(FaddD) X(FsubS) X(FsubD) X(FmulS) X(FmulD) X(FdivS) X(FdivD) X(FsqrtS) X(FsqrtD) X(FmaddS) X(FmaddD)   \
  X(FmsubS) X(FmsubD) X(FnmsubS) X(FnmsubD) X(FnmaddS) X(FnmaddD) X(FsgnjS) X(FsgnjD) X(FsgnjnS) X(FsgnjnD)         \
  X(FsgnjxS) X(FsgnjxD) X(FminS) X(FminD) X(FmaxS) X(FmaxD) X(FeqS) X(FeqD) X(FltS) X(FltD) X(FleS) X(FleD)         \
  X(FclassS) X(FclassD) X(FcvtWS) X(FcvtWD) X(FcvtWuS) X(FcvtWuD) X(FcvtLS) X(FcvtLD) X(FcvtLuS) X(FcvtLuD)         \
  X(FcvtSW) X(FcvtDW) X(FcvtSWu) X(FcvtDWu) X(FcvtSL) X(FcvtDL) X(FcvtSLu) X(FcvtDLu) X(FcvtSD) X(FcvtDS) X(FmvXW)  \
  X(FmvXD) X(FmvWX) X(FmvDX)

#define TANDEM_ALL_OPS(X)                                                                                       \
  TANDEM_INT_OPS(X) TANDEM_MULDIV_OPS(X) TANDEM_CONTROL_OPS(X) TANDEM_MEMORY_OPS(X) TANDEM_ATOMIC_OPS(X)           \
  TANDEM_CSR_OPS(X) TANDEM_FLOAT_OPS(X)

namespace tandem::compute {

enum class Op : uint8_t {
#define TANDEM_OP_NAME(name) name,
  TANDEM_ALL_OPS(TANDEM_OP_NAME)
#undef TANDEM_OP_NAME
      Count
};

inline constexpr uint32_t kOps = static_cast<uint32_t>(Op::Count);

}  // namespace tandem::compute
