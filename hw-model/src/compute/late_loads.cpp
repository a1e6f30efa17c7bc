// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/late_loads.h"

#include <algorithm>

#include "check/checker.h"
#include "compute/float_lane.h"
#include "compute/lane_access.h"
#include "mem/host_words.h"

namespace tandem::compute {
namespace {

constexpr size_t kMostLate = 8;
// Values come from near and from far: a load of distance n is read at once if n is 0, else with one chance in 2^n at each instruction
// of its wavefront, or tick that it waits. All distances are equally likely, so the loads of one piece of code change places often,
// and now and then one is late enough for others to write in between.
constexpr uint64_t kFarthest = 7;

constexpr uint32_t bit(uint32_t number) { return uint32_t{1} << (number & 31); }

// ---- reading ----

template <typename T>
uint64_t read(const std::byte* from) {
  return static_cast<uint64_t>(static_cast<int64_t>(load_relaxed<T>(from)));
}

uint64_t read(Op op, const std::byte* from) {
  switch (op) {
    case Op::Lb: return read<int8_t>(from);
    case Op::Lh: return read<int16_t>(from);
    case Op::Lw: return read<int32_t>(from);
    case Op::Lbu: return read<uint8_t>(from);
    case Op::Lhu: return read<uint16_t>(from);
    case Op::Lwu: return read<uint32_t>(from);
    case Op::Flw: return read<uint32_t>(from) | kBox;
    default: return read<int64_t>(from);
  }
}

bool is_float(Op op) { return op == Op::Flw || op == Op::Fld; }

void read_lanes(Wave& wave, LateLoad& load) {
  if (load.lanes) load.translated.done(wave.unit->memory, LateAccess::LateLoad, load.at, load.lanes);
  Row& to = is_float(load.op) ? wave.f[load.rd] : wave.x[load.rd];
  for_each_lane(load.lanes, [&](uint32_t lane) { to.lane[lane] = read(load.op, load.host[lane]); });
  load.lanes = 0;
}

// ---- what an instruction is ----

uint32_t load_bytes(Op op) {
  switch (op) {
    case Op::Lb: case Op::Lbu: return 1;
    case Op::Lh: case Op::Lhu: return 2;
    case Op::Lw: case Op::Lwu: case Op::Flw: return 4;
    case Op::Ld: case Op::Fld: return 8;
    default: return 0;
  }
}

uint32_t store_bytes(Op op) {
  switch (op) {
    case Op::Sb: return 1;
    case Op::Sh: return 2;
    case Op::Sw: case Op::Fsw: return 4;
    case Op::Sd: case Op::Fsd: return 8;
    default: return 0;
  }
}

bool is_atomic(Op op) { return op >= Op::LrW && op <= Op::AmoMaxuD; }

uint32_t atomic_bytes(const Decoded& d) { return (d.word >> 12 & 7) == 2 ? 4 : 8; }

// Everything older has to be done before it, or its outcome shows the registers.
bool needs_all(const Decoded& d) {
  switch (d.op) {
    case Op::Fence: return d.word >> 24 & kFenceReads;
    case Op::ScopedFence: return d.rs1 & TANDEM_FENCE_READS;
    case Op::FenceI: case Op::Barrier: case Op::Exit: case Op::Ecall: case Op::Ebreak: case Op::Illegal: return true;
    default: return is_atomic(d.op) && d.word & kReleaseBit;
  }
}

// The registers that it names, whichever file they are of. Fields that its format does not have are left out; too many would only
// mean that fewer loads are late.
uint32_t registers_of(const Decoded& d) {
  const uint32_t opcode = d.word & 0x7f;
  uint32_t named = bit(d.word >> 7);  // of stores and branches it is part of the offset
  const bool has_rs1 = opcode != 0x17 && opcode != 0x37 && opcode != 0x6f;
  const bool has_rs3 = opcode == 0x43 || opcode == 0x47 || opcode == 0x4b || opcode == 0x4f;
  bool has_rs2 = has_rs3;
  switch (opcode) {
    case 0x23: case 0x27: case 0x63: named = 0; has_rs2 = true; break;
    case 0x33: case 0x3b: case 0x53: case TANDEM_OPCODE_CUSTOM0:
    case TANDEM_OPCODE_AMO: case TANDEM_OPCODE_AMO_DEVICE: case TANDEM_OPCODE_AMO_WORKGROUP: has_rs2 = true; break;
    default: break;
  }
  if (has_rs1) named |= bit(d.rs1);
  if (has_rs2) named |= bit(d.rs2);
  if (has_rs3) named |= bit(d.rs3);
  return named;
}

void addresses_of(const Wave& wave, const Decoded& d, uint64_t* address) {
  TANDEM_FOR_LANES(i) address[i] = wave.x[d.rs1].lane[i] + static_cast<uint64_t>(d.imm);
}

// The lanes that can reach memory at all.
LaneMask lanes_in_memory(const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  return lanes & lanes_where([&](uint32_t i) { return address[i] <= TANDEM_VA_LIMIT - bytes; });
}

// ---- late or not ----

Next run_real(Wave& wave, const Decoded& d) {
  const HandlerTable& handlers = wave.unit->handlers;
  const auto op = static_cast<uint32_t>(d.op);
  const bool full = !wave.pending && wave.active == kAllLanes;
  return (full ? handlers.full[op] : handlers.masked[op])(wave, d);
}

// A load whose lanes are all in memory and aligned: others are rare, and done at once.
bool can_be_late(const Wave& wave, const Decoded& d, const uint64_t* address, uint32_t bytes) {
  if (!is_float(d.op) && d.rd == kSinkRegister) return false;
  const LaneMask aligned = lanes_where([&](uint32_t i) { return address[i] % bytes == 0; });
  return (lanes_in_memory(address, wave.active, bytes) & aligned) == wave.active;
}

// Translates now, reads later.
Next begin_load(Wave& wave, const Decoded& d, const uint64_t* address, uint32_t bytes, uint32_t distance) {
  UnitContext& unit = *wave.unit;
  LaneAddresses at;
  at.set(address, wave.active, bytes);
  unit.write_queued_overlapping(wave, address, wave.active, bytes);
  if (wave.late.size() == kMostLate) wave.late.bind_nth(wave, 0);
  wave.late.begin(d.op, d.rd, at, distance);
  const auto note = [&](const MemoryRun& run, LaneMask lanes) {
    for_each_lane(lanes, [&](uint32_t i) { wave.late.note(i, run.host + (address[i] - run.va)); });
    wave.late.translated().note(unit.memory, wave.request);
  };
  const Next next = access_by_run(wave, d, address, bytes, Access::Read, wave.active, note, [](const Straddle&, uint32_t) {});
  unit.loads += count_lanes(wave.active & ~wave.pending);
  // The rest of the lanes will be read when their pages are there, by the real handler.
  if (next == Next::Wait || next == Next::Failed) wave.late.bind_newest(wave);
  return next;
}

Next run_load(Wave& wave, const Decoded& d, uint32_t bytes) {
  alignas(64) uint64_t address[kLanes];
  addresses_of(wave, d, address);
  const LaneMask lanes = lanes_in_memory(address, wave.active, bytes);
  if (lanes && !wave.late.empty()) {
    LaneAddresses at;
    at.set(address, lanes, bytes);
    wave.late.bind_overlapping(wave, at);
  }
  const auto distance = static_cast<uint32_t>(wave.unit->random.below(kFarthest + 1));
  if (distance == 0 || !can_be_late(wave, d, address, bytes)) return run_real(wave, d);
  return begin_load(wave, d, address, bytes, distance);
}

// Late loads of bytes that this instruction is about to write are read before.
void bind_what_is_written(Wave& wave, const Decoded& d) {
  const uint32_t bytes = is_atomic(d.op) ? atomic_bytes(d) : store_bytes(d.op);
  if (!bytes) return;
  alignas(64) uint64_t address[kLanes];
  addresses_of(wave, d, address);
  const LaneMask lanes = lanes_in_memory(address, wave.active, bytes);
  if (!lanes) return;
  LaneAddresses at;
  at.set(address, lanes, bytes);
  wave.late.bind_overlapping(wave, at);
}

// False: a value that the instruction needs is still on its way.
bool settle_late_loads(Wave& wave, const Decoded& d) {
  wave.late.bind_some(wave, wave.unit->random);
  if (!wave.late.empty() && (needs_all(d) || wave.late.registers() & registers_of(d))) return false;
  bind_what_is_written(wave, d);
  return true;
}

}  // namespace

void LateLoads::begin(Op op, uint8_t rd, const LaneAddresses& at, uint32_t distance) {
  LateLoad& load = loads_.emplace_back();
  load.at = at;
  load.op = op;
  load.rd = rd;
  load.distance = distance;
  registers_ |= bit(rd);
}

void LateLoads::note(uint32_t lane, const std::byte* host) {
  loads_.back().host[lane] = host;
  loads_.back().lanes |= lane_bit(lane);
}

void LateLoads::bind_all(Wave& wave) {
  for (LateLoad& load : loads_) read_lanes(wave, load);
  discard();
}

void LateLoads::bind_some(Wave& wave, Random& random) {
  for (size_t n = loads_.size(); n-- > 0;)
    if (random.below(uint64_t{1} << loads_[n].distance) == 0) bind_nth(wave, n);
}

void LateLoads::bind_overlapping(Wave& wave, const LaneAddresses& at) {
  for (size_t n = loads_.size(); n-- > 0;)
    if (loads_[n].at.touches(at)) bind_nth(wave, n);
}

// May come while the lanes of a new one are still being noted, so none is removed.
void LateLoads::drain(Wave& wave, uint64_t va, uint64_t bytes) {
  for (LateLoad& load : loads_)
    if (load.at.touches(va, bytes)) read_lanes(wave, load);
}

void LateLoads::bind_newest(Wave& wave) { bind_nth(wave, loads_.size() - 1); }

void LateLoads::bind_nth(Wave& wave, size_t n) {
  read_lanes(wave, loads_[n]);
  loads_.erase(loads_.begin() + static_cast<std::ptrdiff_t>(n));
  registers_ = 0;
  for (const LateLoad& load : loads_) registers_ |= bit(load.rd);
}

void LateLoads::discard() {
  loads_.clear();
  registers_ = 0;
}

Next run_with_late_loads(Wave& wave, const Decoded& d) {
  if (wave.pending) return run_real(wave, d);  // it began before, and whatever it needs has come
  if (!wave.late.empty() && !settle_late_loads(wave, d)) return Next::Hold;
  if (const uint32_t bytes = load_bytes(d.op)) return run_load(wave, d, bytes);
  return run_real(wave, d);
}

}  // namespace tandem::compute
