// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": from an instruction word to the form that is executed. Done once for each instruction of a code
// page (code_cache.h), never for a lane.
//
// All targets and pc-relative values are absolute in the decoded form, so it can be kept and run again when
// its code page is gone (a memory instruction of which some lanes still wait).
#pragma once

#include <cstdint>

#include "compute/ops.h"
#include "tandem_abi.h"

namespace tandem::compute {

struct Wave;
struct Decoded;

// What the run loop has to do after an instruction. A handler leaves what belongs to it in the wavefront.
enum class Next : uint8_t {
  Sequential,  // the next instruction in memory, for the same lanes
  Jump,        // Wave::pc is set: all active lanes go there
  Diverged,    // Wave::lane_pc of the active lanes is set: choose a group anew
  Wait,        // Wave::pending lanes wait for a translation; the instruction has not retired
  Failed,      // Wave::error is set
  Barrier,     // the active lanes arrived
  Exit,        // the active lanes end
  Refetch,     // retired, but decoded instructions may be gone, or it took long: fetch anew, and see whether somebody waits
  Pause,       // retired; the wavefront waits until its atomics under way are written
  Hold,        // not retired, and nothing done: to be tried again after a tick (late_loads.h)
  Yield,       // retired; the group waits for somebody (pause): let others run first
};

using Handler = Next (*)(Wave&, const Decoded&);

inline constexpr uint32_t kReleaseBit = 1u << 25;              // rl of an atomic instruction
inline constexpr uint32_t kFenceWrites = 0x5, kFenceReads = 0xa;  // of the sets of a fence, each i o r w

inline constexpr uint8_t kSinkRegister = 32;  // where results for x0 go

struct Decoded {
  Handler full = nullptr;    // all 32 lanes are active; runs `length` instructions from here (fuse.h)
  Handler alone = nullptr;   // the same for just this one
  Handler masked = nullptr;  // some are
  int64_t imm = 0;           // immediate, absolute target, constant, CSR number or zimm
  uint64_t pc = 0;
  uint32_t word = 0;
  Op op = Op::Illegal;
  uint8_t rd = 0;            // kSinkRegister for x0; f registers have their own numbers
  uint8_t rs1 = 0;
  uint8_t rs2 = 0;
  uint8_t rs3 = 0;
  uint8_t rm = 0;            // rounding mode field of float instructions
  uint8_t length = 1;        // instructions that `full` runs
};

// Of a fence or an atomic instruction.
tandem_scope scope_of(const Decoded& d);

// Never fails: what is no instruction becomes Op::Illegal. The handlers are left empty.
Decoded decode(uint32_t word, uint64_t pc);

}  // namespace tandem::compute
