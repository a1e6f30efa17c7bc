// SPDX-License-Identifier: GPL-2.0-or-later
// The whole GPU: its blocks, wired together in the order in which data flows, its life (reset, enable, stop), and the
// scheduler behind tandem_model_run().
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/hostile.h"
#include "check/checker.h"
#include "check/process_truth.h"
#include "cp/command_processor.h"
#include "device/config.h"
#include "device/invalidation_ring.h"
#include "device/kernel_ring.h"
#include "device/register_file.h"
#include "device/saved_state.h"
#include "iommu/bus_addresses.h"

namespace tandem {

class Device final : public RegisterOwner, public ErrorSink {
 public:
  Device(const tandem_model_config& config, const tandem_host_ops& ops, void* opaque, std::byte* vram);
  ~Device() override;

  void reset(tandem_reset_kind kind);
  uint64_t mmio_read(int bar, uint64_t offset, unsigned size);
  void mmio_write(int bar, uint64_t offset, uint64_t value, unsigned size);
  tandem_run_result run(uint64_t budget);
  void memory_map_changed() { drop_host_pointers(); }
  void set_peers(std::span<const tandem_model_peer> peers);
  bool poison(uint64_t offset);
  const std::set<uint64_t>& poisoned_pages() const { return memory_.own_poison().all(); }
  void set_atomic_requester(bool on);
  void set_ats(bool ats, uint32_t page_requests);
  void ats_answer(uint64_t id, const tandem_ats_answer& answer);
  void set_bus_translation(bool on);
  void atc_invalidate(const tandem_atc_invalidation& invalidation);
  bool page_response(uint32_t bus_pasid, uint32_t group, uint32_t code);
  // Device::save and load are in device/saved_state.cpp. Each returns what stands in the way, in words, or nothing.
  std::string save(std::vector<std::byte>& bytes) const;
  std::string load(std::span<const std::byte> bytes);
  void set_trace(bool on) { trace_.set(on); }

  const Counters& counters() const { return counters_; }
  const Checker* checker() const { return checker_.get(); }
  using Write = std::function<void(const std::string&)>;
  bool describe(const std::string& topic, const Write& write) const;

  uint64_t read_register(uint32_t offset) override;
  void write_register(uint32_t offset, uint64_t value) override;
  bool enabled() const override { return enabled_; }
  void stop(tandem_device_error error, const char* what) override;

 private:
  // Registers
  uint32_t features() const;
  uint32_t status() const;
  void write_control(uint32_t value);
  void enable();
  void keep_own_addresses();
  void write_command_put(uint32_t put);
  void write_invalidate_put(uint32_t put);
  void write_fault_get(uint32_t get);
  void write_waiting_faults();
  void write_event_get(uint32_t get);
  void write_test_control(uint32_t value);
  void write_access_threshold(uint32_t threshold);
  void write_test_poison(uint64_t offset);
  bool index_is_sane(const Ring& ring, const char* name);
  void write_doorbell(uint64_t offset, uint64_t value, unsigned size);

  // Stores that have translated are written; nothing of the device rests on an address of the past.
  void drop_host_pointers();
  void clear_poison();

  // IOMMU (device/translation_services.cpp)
  struct Released {
    Pasid last{};  // of the address spaces that the invalidation met; none: 0
    Invalidator::Outcome outcome;
  };
  // Carries an invalidation out without counting it as one that the IOMMU sent.
  Released let_go_of(const tandem_atc_invalidation& invalidation);
  Invalidator::Outcome invalidate_bus(Gva start, Gva end);
  void bus_answer(const Atc::Reply& reply);
  void trace_atc_invalidated(const tandem_atc_invalidation& invalidation, Pasid pasid, const Invalidator::Outcome& outcome) const;

  // Events that nothing waits for: posted when there is room, so that none is lost.
  bool notices_wait() const { return !unannounced_poison_.empty() || memory_.access_counters().any_reached() || (truth_ && truth_->wishes_rest()); }
  bool post_notices();
  void post_poison(uint64_t offset);
  void post_region(const AccessCounters::Region& region);
  void post_wish_for_rest();

  // Checker
  void write_check_format(uint64_t address);
  void processors_at_rest();

  // Saved state
  std::string why_not_now() const;
  std::string why_not_here(const SavedState& state) const;
  SavedState present_state() const;
  void restore(const SavedState& state);

  // Scheduler
  bool running() const { return enabled_ && error_ == TANDEM_DEVICE_OK; }
  bool serve_rings();
  bool take_in();
  void take_answer(uint64_t id, const tandem_ats_answer& answer);
  bool take_response(uint32_t bus_pasid, uint32_t group, uint32_t code);
  void take_held_responses();
  bool responses_are_stalled() const { return test_control_ & TANDEM_TEST_STALL_RESPONSE; }
  bool send_out();
  void hold_nothing_back();
  bool serve_queues();
  uint64_t turn_length() const;
  uint64_t run_compute(uint64_t budget);
  bool go_to_next_event(uint64_t end);
  void let_time_pass(uint64_t until);
  std::optional<uint64_t> next_event() const;

  // Monitor
  void describe_summary(const Write& write) const;
  void describe_atomics(const Write& write) const;
  void describe_ats(const Write& write) const;
  void describe_tlbs(const Write& write) const;
  void describe_address_spaces(const Write& write) const;
  void describe_queues(const Write& write) const;
  void describe_waves(const Write& write) const;
  void describe_faults(const Write& write) const;
  void describe_counters(const Write& write) const;
  void describe_checker(const Write& write) const;

  const tandem_model_config config_;
  const tandem_host_ops ops_;
  const Host host_;
  Hostile hostile_;
  Trace trace_;
  Counters counters_;
  MemoryPort memory_;
  RegisterFile registers_;
  Interrupts interrupts_;
  StatusPage status_page_;
  AddressSpaces spaces_;
  const std::unique_ptr<Checker> checker_;  // nullptr: nobody watches. Before the blocks, which ask memory_ for it
  RetryLimits retries_;
  FaultUnit faults_;
  PageRequests page_requests_;
  Atc atc_;
  BusAddresses bus_;
  Mmu mmu_;
  EventRing events_;
  CopyEngine copies_;
  Attention attention_;
  ComputeUnits units_;
  CommandProcessor processor_;
  std::vector<TranslationClient*> clients_;  // whatever keeps translations: compute units and the copy engine
  Invalidator invalidator_;
  KernelRing kernel_ring_;
  InvalidationRing invalidation_ring_;
  const std::unique_ptr<ProcessTruth> truth_;  // nullptr: nobody watches

  // Hostile timing, or a test's stall: what the IOMMU has said, until the device takes notice.
  struct HeldAnswer {
    uint64_t id;
    tandem_ats_answer answer;
  };
  struct HeldResponse {
    uint32_t bus_pasid, group, code;
  };
  std::vector<HeldAnswer> held_answers_;
  std::vector<HeldResponse> held_responses_;

  bool enabled_ = false;
  tandem_device_error error_ = TANDEM_DEVICE_OK;
  uint32_t test_control_ = 0;
  std::set<uint64_t> unannounced_poison_;  // pages whose event the driver has not got since ENABLE
  uint64_t ticks_ = 0;
  uint32_t rounds_since_poll_ = 0;
  uint64_t last_poll_ = 0;          // in ticks
};

}  // namespace tandem
