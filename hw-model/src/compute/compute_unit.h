// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit: runs the kernel in wavefronts" of the journey, as the command processor sees it.
//
// A workgroup is launched on one compute unit and stays there until it is done, killed, or taken off at the end of its
// queue's time slice; then it may be resumed on any compute unit.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/types.h"
#include "mem/memory_port.h"
#include "mmu/translation.h"

namespace tandem {

// What all workgroups of one dispatch share; owned by the command processor until the last workgroup is done or dead.
struct DispatchState {
  Pasid pasid;
  QueueId queue;
  uint64_t packet = 0;                     // number of the packet in its queue
  uint64_t entry = 0;                      // VA of the first instruction
  uint64_t global_pointer = 0;
  uint64_t kernarg = 0;
  uint64_t scratch = 0;                    // of the queue
  uint32_t scratch_lane_bytes = 0;
  uint64_t scratch_bytes = 0;              // all of them; used for resident-only queues
  bool resident_only = false;              // loads, stores and atomics that find no page are skipped
  uint32_t lds_bytes = 0;                  // of one workgroup
  std::array<uint32_t, 3> workgroup_size{1, 1, 1};
  std::array<uint32_t, 3> grid_size{1, 1, 1};
  uint64_t lane_instructions = 0;          // the compute units add to it
};

struct WorkgroupLaunch {
  DispatchState* dispatch = nullptr;
  std::array<uint32_t, 3> group_id{};      // in the grid; a partial last workgroup has fewer lanes
  // One free scratch slice of the queue for each wavefront: lane l of wavefront w uses the stack
  // [scratch + (slots[w] * 32 + l) * scratch_lane_bytes, + scratch_lane_bytes).
  std::vector<uint32_t> scratch_slots;
};

struct Workgroup;  // registers, masks, LDS; opaque outside compute/

struct WorkgroupDeleter {
  void operator()(Workgroup* workgroup) const;
};
using WorkgroupPtr = std::unique_ptr<Workgroup, WorkgroupDeleter>;

const WorkgroupLaunch& launch_of(const Workgroup& workgroup);

// Why a wavefront cannot go on; its whole queue stops.
struct WaveError {
  QueueError error = TANDEM_QUEUE_OK;
  uint64_t va = 0;        // address concerned
  uint64_t pc = 0;
  uint32_t detail = 0;    // instruction word, or enum tandem_access
  uint32_t lane = 0;
  // The state of the lane; pasid, queue and packet are filled in as well. Only of errors that a wavefront made.
  std::optional<tandem_wave_report> report;
};

// The command processor's ear. Called from inside ComputeUnit::run(); must only note the news.
class WorkgroupListener {
 public:
  virtual ~WorkgroupListener() = default;
  virtual void workgroup_done(const WorkgroupLaunch& launch) = 0;   // removed from the unit already, its stores are written
  virtual void wave_failed(const DispatchState& dispatch, const WaveError& error) = 0;
};

struct ComputeConfig {
  uint32_t unit = 0;
  uint32_t waves = 8;
  uint32_t lds_bytes = 65536;
  uint32_t store_queue_depth = 0;
  tandem_store_drain store_drain = TANDEM_DRAIN_FIFO;
  bool load_reorder = false;
  uint32_t mutation = 0;   // a test's (tandem_mutation)
  uint64_t seed = 0;
  uint8_t isa_level = 0;   // x86-64 level of the lane loops: 2, 3 or 4; 0: the best that the host has
};

class ComputeUnit final : public TranslationClient {
 public:
  // None of the references is owned; all must outlive the unit. now() gives the time CSR, should_yield() ends run() early.
  ComputeUnit(const ComputeConfig& config, Translator& translator, MemoryPort& memory, WorkgroupListener& listener,
              Counters& counters, std::function<uint64_t()> now, std::function<bool()> should_yield);
  ~ComputeUnit() override;

  static uint32_t waves_needed(const DispatchState& dispatch, const std::array<uint32_t, 3>& group_id);

  // Wavefront slots and LDS are free for it.
  bool has_room(const WorkgroupLaunch& launch) const;
  void launch(WorkgroupLaunch launch);

  // Runs up to budget wavefront instructions over the wavefronts that can run, in turn. Returns how many it ran; 0 means that
  // all wait (or there is none).
  uint64_t run(uint64_t budget);

  bool idle() const;              // no workgroup is resident
  bool runnable() const;          // some wavefront does not wait
  uint32_t resident_waves() const;
  uint32_t resident_waves(QueueId queue) const;

  // Takes the queue's workgroups off the unit, their queued stores written, ready to be resumed anywhere.
  std::vector<WorkgroupPtr> suspend(QueueId queue);
  bool has_room(const Workgroup& workgroup) const;
  void resume(WorkgroupPtr workgroup);

  // Ends the queue's workgroups. Queued stores are written (they were made before the end).
  void kill(QueueId queue);

  // A dispatch begins or a kernel was loaded: decoded instructions of this address space must be fetched anew.
  void acquire(Pasid pasid);

  void reset();

  DrainResult drain(Pasid pasid, Gva start, Gva end) override;
  DrainResult drain_all() override;

  // One line for each wavefront: queue, workgroup, pc, active mask, state. For the monitor.
  void describe(const std::function<void(const std::string&)>& line) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
