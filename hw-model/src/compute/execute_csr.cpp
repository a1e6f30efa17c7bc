// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": control and status registers: floating point flags and rounding mode of each lane, counters, and
// what tells a lane who it is (tandem_kernel_isa.h).
#include <array>

#include "compute/execute.h"
#include "compute/unit_context.h"

namespace tandem::compute {
namespace {

constexpr uint32_t kFflags = 0x001, kFrm = 0x002, kFcsr = 0x003, kCycle = 0xc00, kTime = 0xc01, kInstret = 0xc02;
constexpr uint64_t kFlagBits = 0x1f, kRoundingBits = 0x7;

// RISC-V privileged specification: numbers whose top two bits are set can only be read.
bool is_read_only(uint32_t number) { return number >> 10 == 3; }

struct WorkItem {
  std::array<uint32_t, 3> local{};
};

WorkItem work_item(const Wave& w, uint32_t lane) {
  const auto& extent = w.group->extent;
  const uint32_t linear = w.number * kLanes + lane;
  return {.local = {linear % extent[0], linear / extent[0] % extent[1], linear / extent[0] / extent[1]}};
}

// instructions of the running stretch that the run loop has not counted yet
uint64_t uncounted(const Wave& w, const Decoded& d) { return (d.pc - w.stretch_pc) / 4; }

bool read(const Wave& w, const Decoded& d, uint32_t number, uint32_t lane, uint64_t& value) {
  const WorkgroupLaunch& launch = w.group->launch;
  const DispatchState& dispatch = *launch.dispatch;
  const auto axis = [&](uint32_t first) { return number - first; };
  switch (number) {
    case kFflags: value = w.fflags[lane]; return true;
    case kFrm: value = w.frm[lane]; return true;
    case kFcsr: value = uint64_t{w.frm[lane]} << 5 | w.fflags[lane]; return true;
    case kCycle: value = w.issued + uncounted(w, d); return true;
    case kTime: value = w.unit->now(); return true;
    case kInstret: value = w.retired(lane) + uncounted(w, d); return true;
    case TANDEM_CSR_LANE_ID: value = lane; return true;
    case TANDEM_CSR_WAVE_ID: value = w.number; return true;
    case TANDEM_CSR_GLOBAL_ID_X:
    case TANDEM_CSR_GLOBAL_ID_Y:
    case TANDEM_CSR_GLOBAL_ID_Z: {
      const uint32_t a = axis(TANDEM_CSR_GLOBAL_ID_X);
      value = uint64_t{launch.group_id[a]} * dispatch.workgroup_size[a] + work_item(w, lane).local[a];
      return true;
    }
    case TANDEM_CSR_LOCAL_ID_X:
    case TANDEM_CSR_LOCAL_ID_Y:
    case TANDEM_CSR_LOCAL_ID_Z: value = work_item(w, lane).local[axis(TANDEM_CSR_LOCAL_ID_X)]; return true;
    case TANDEM_CSR_GROUP_ID_X:
    case TANDEM_CSR_GROUP_ID_Y:
    case TANDEM_CSR_GROUP_ID_Z: value = launch.group_id[axis(TANDEM_CSR_GROUP_ID_X)]; return true;
    case TANDEM_CSR_GROUP_SIZE_X:
    case TANDEM_CSR_GROUP_SIZE_Y:
    case TANDEM_CSR_GROUP_SIZE_Z: value = dispatch.workgroup_size[axis(TANDEM_CSR_GROUP_SIZE_X)]; return true;
    case TANDEM_CSR_GRID_SIZE_X:
    case TANDEM_CSR_GRID_SIZE_Y:
    case TANDEM_CSR_GRID_SIZE_Z: value = dispatch.grid_size[axis(TANDEM_CSR_GRID_SIZE_X)]; return true;
    case TANDEM_CSR_LDS_BASE: value = TANDEM_LDS_BASE; return true;
    case TANDEM_CSR_LDS_BYTES: value = dispatch.lds_bytes; return true;
    case TANDEM_CSR_DISPATCH_ID: value = dispatch.packet; return true;
    case TANDEM_CSR_COMPUTE_UNIT: value = w.unit->config.unit; return true;
    case TANDEM_CSR_ACTIVE_LANES: value = w.active; return true;
    case TANDEM_CSR_SKIPPED: value = w.skips.count[lane]; return true;
    default: return false;
  }
}

void set_rounding(Wave& w, uint32_t lane, uint64_t mode) {
  w.frm[lane] = static_cast<uint8_t>(mode & kRoundingBits);
  w.frm_not_nearest &= ~lane_bit(lane);
  if (w.frm[lane]) w.frm_not_nearest |= lane_bit(lane);
}

// Only the floating point registers can be written.
void write(Wave& w, uint32_t number, uint32_t lane, uint64_t value) {
  if (number == kFrm) return set_rounding(w, lane, value);
  w.fflags[lane] = static_cast<uint8_t>(value & kFlagBits);
  if (number == kFcsr) set_rounding(w, lane, value >> 5);
}

enum class Change { Replace, Set, Clear };
enum class Operand { Register, Immediate };

// Set and Clear with register x0 or immediate 0 do not write at all, so they may name a read-only register.
template <Change kChange, Operand kOperand>
Next access_csr(Wave& w, const Decoded& d) {
  const uint32_t number = static_cast<uint32_t>(d.imm);
  const bool writes = kChange == Change::Replace || d.rs1 != 0;
  uint64_t old = 0;
  if ((writes && is_read_only(number)) || !read(w, d, number, first_lane(w.active), old))
    return fail(w, d, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, first_lane(w.active), d.pc, d.word);
  for_each_lane(w.active, [&](uint32_t lane) {
    read(w, d, number, lane, old);
    const uint64_t operand = kOperand == Operand::Immediate ? d.rs1 : w.x[d.rs1].lane[lane];
    if (writes)
      write(w, number, lane, kChange == Change::Replace ? operand : kChange == Change::Set ? old | operand : old & ~operand);
    w.x[d.rd].lane[lane] = old;
  });
  return Next::Sequential;
}

void set(HandlerTable& table, Op op, Handler handler) {
  table.full[static_cast<uint32_t>(op)] = handler;
  table.masked[static_cast<uint32_t>(op)] = handler;
}

}  // namespace

void fill_csr(HandlerTable& table) {
  set(table, Op::Csrrw, access_csr<Change::Replace, Operand::Register>);
  set(table, Op::Csrrs, access_csr<Change::Set, Operand::Register>);
  set(table, Op::Csrrc, access_csr<Change::Clear, Operand::Register>);
  set(table, Op::Csrrwi, access_csr<Change::Replace, Operand::Immediate>);
  set(table, Op::Csrrsi, access_csr<Change::Set, Operand::Immediate>);
  set(table, Op::Csrrci, access_csr<Change::Clear, Operand::Immediate>);
}

}  // namespace tandem::compute
