// SPDX-License-Identifier: GPL-2.0-or-later
// "Nothing hidden": what the hardware holds now, as text for a monitor.
#include "base/names.h"
#include "device/device.h"

namespace tandem {

namespace {

using ull = unsigned long long;

const char* state_name(tandem_queue_state state) {
  switch (state) {
    case TANDEM_QUEUE_DISABLED: return "disabled";
    case TANDEM_QUEUE_ACTIVE: return "active";
    case TANDEM_QUEUE_FAULTED: return "faulted";
    case TANDEM_QUEUE_DRAINING: return "draining";
  }
  return "?";
}

const char* atomics_name(uint32_t mode) {
  switch (mode) {
    case TANDEM_ATOMICS_PCIE: return "pcie";
    case TANDEM_ATOMICS_EXCLUSIVE: return "exclusive";
    case TANDEM_ATOMICS_VRAM: return "vram";
  }
  return "?";
}

void describe_tlb(const std::string& name, const Tlb& tlb, const Device::Write& write) {
  write(format("%s: %u of %u entries\n", name.c_str(), tlb.valid_entries(), tlb.capacity()));
  tlb.for_each([&](const TlbEntry& entry) {
    write(format("  pasid %u va %#014llx +%#llx -> %s %#llx %s%s pte %#llx\n", entry.pasid.value,
                 static_cast<ull>(entry.va.value), static_cast<ull>(entry.bytes), aperture_name(entry.aperture),
                 static_cast<ull>(entry.device_address), entry.write ? "rw" : "ro", entry.atomic ? " atomic" : "",
                 static_cast<ull>(entry.pte)));
  });
}

}  // namespace

bool Device::describe(const std::string& topic, const Write& write) const {
  const struct {
    const char* name;
    void (Device::*describe)(const Write&) const;
  } topics[] = {
      {"summary", &Device::describe_summary},   {"address-spaces", &Device::describe_address_spaces},
      {"queues", &Device::describe_queues},     {"waves", &Device::describe_waves},
      {"faults", &Device::describe_faults},     {"tlbs", &Device::describe_tlbs},
      {"counters", &Device::describe_counters}, {"checker", &Device::describe_checker},
  };
  bool known = false;
  for (const auto& each : topics) {
    if (topic != each.name && topic != "all") continue;
    (this->*each.describe)(write);
    known = true;
  }
  return known;
}

void Device::describe_summary(const Write& write) const {
  const uint32_t now = status();
  write(format("device: %s%s%s, error %u\n", now & TANDEM_STATUS_ENABLED ? "enabled" : "disabled",
               now & TANDEM_STATUS_BUSY ? ", busy" : "", now & TANDEM_STATUS_STOPPED ? ", stopped" : "",
               static_cast<unsigned>(error_)));
  write(format("shape: %u compute units x %u wavefronts, L1 %ux%u, L2 %ux%u, %u walkers, %llu MiB of video memory\n",
               config_.compute_units, config_.waves_per_cu, config_.l1_sets, config_.l1_ways, config_.l2_sets,
               config_.l2_ways, config_.walkers, static_cast<ull>(config_.vram_bytes >> 20)));
  describe_atomics(write);
  describe_ats(write);
  if (config_.fabric == TANDEM_FABRIC_NONE) write("link: none\n");
  else write(format("link: number %u, peers %#x\n", config_.fabric, memory_.peers()));
  for (const uint64_t page : poisoned_pages()) write(format("poisoned: page at %#llx of video memory\n", static_cast<ull>(page)));
  uint32_t waves = 0;
  for (const auto& unit : units_) waves += unit->resident_waves();
  write(format("now: %zu address spaces, %zu queues, %u wavefronts, %zu translations under way, %zu faults pending\n",
               spaces_.all().size(), processor_.queues().size(), waves, mmu_.walks_under_way(), faults_.pending()));
}

void Device::describe_atomics(const Write& write) const {
  const AtomicUnit& atomics = memory_.atomics();
  const bool refused = config_.atomics == TANDEM_ATOMICS_PCIE && !atomics.requester();
  write(format("atomics: %s%s, pause %u ticks, %zu words under way\n", atomics_name(config_.atomics),
               refused ? " (not enabled on the bus)" : "", config_.atomic_pause, atomics.words_under_way()));
}

void Device::describe_ats(const Write& write) const {
  if (!atc_.enabled()) return write("ats: off\n");
  write(format("ats: on, ATC %ux%u, %u of %u page requests outstanding%s\n", config_.atc_sets, config_.atc_ways,
               page_requests_.outstanding(), page_requests_.allowance(),
               page_requests_.allowance() && !page_requests_.usable() ? ", stopped by a failure" : ""));
}

void Device::describe_tlbs(const Write& write) const {
  describe_tlb("ATC", atc_.entries(), write);
  describe_tlb("L2", mmu_.l2(), write);
  for (uint32_t unit = 0; unit < config_.compute_units; ++unit)
    describe_tlb(format("L1 of compute unit %u", unit), mmu_.l1(unit), write);
  describe_tlb("L1 of queues and copies", mmu_.l1(config_.compute_units), write);
}

void Device::describe_address_spaces(const Write& write) const {
  for (const auto& [number, space] : spaces_.all()) {
    const Pasid pasid{{number}};
    const std::string process = format("process %u (%s)", space.tgid, space.name().c_str());
    if (space.translation == TANDEM_TRANSLATION_SVA)
      write(format("pasid %u: sva, PASID %#x on the bus, %zu ATS and %u page requests outstanding, %s\n", number,
                   space.bus_pasid, atc_.requests_under_way(pasid), page_requests_.outstanding(pasid), process.c_str()));
    else
      write(format("pasid %u: mirror, root %#llx, %s\n", number, static_cast<ull>(space.root.value), process.c_str()));
  }
}

void Device::describe_queues(const Write& write) const {
  for (const auto& [id, context] : processor_.queues()) {
    const UserQueue& queue = context->queue;
    write(format("queue %u: pasid %u, %s, error %u, doorbell %u, write %llu, read %llu, %zu packets under way, "
                 "%u workgroups resident, %zu suspended\n",
                 id, queue.config().pasid.value, state_name(queue.state()), static_cast<unsigned>(queue.failure()),
                 queue.config().doorbell, static_cast<ull>(queue.write_index()), static_cast<ull>(queue.read_index()),
                 context->runs.size(), context->resident_groups, context->suspended.size()));
  }
}

void Device::describe_waves(const Write& write) const {
  for (size_t unit = 0; unit < units_.size(); ++unit) {
    write(format("compute unit %zu: %u of %u wavefronts\n", unit, units_[unit]->resident_waves(), config_.waves_per_cu));
    units_[unit]->describe([&](const std::string& line) { write("  " + line + "\n"); });
  }
}

void Device::describe_faults(const Write& write) const {
  for (const FaultUnit::View& fault : faults_.view())
    write(format("fault %llu: pasid %u va %#014llx %s, %s, %zu accesses wait\n", static_cast<ull>(fault.id),
                 fault.pasid.value, static_cast<ull>(fault.page.value), access_name(fault.access),
                 reason_name(fault.reason), fault.waiters));
  for (const PageRequests::View& request : page_requests_.view())
    write(format("page request: pasid %u va %#014llx %s, %s, %zu accesses wait\n", request.pasid.value,
                 static_cast<ull>(request.page.value), access_name(request.access),
                 request.sent ? format("group %u", request.group).c_str() : "not sent yet", request.waiters));
}

void Device::describe_counters(const Write& write) const {
  for (uint32_t counter = 0; counter < TANDEM_COUNTER_COUNT; ++counter)
    write(format("%s %llu\n", counter_name(counter), static_cast<ull>(counters_.values[counter])));
}

void Device::describe_checker(const Write& write) const {
  if (!checker_) return write("checker: off\n");
  for (uint32_t counter = 0; counter < TANDEM_CHECK_COUNTER_COUNT; ++counter)
    write(format("check-%s %llu\n", check_counter_name(counter),
                 static_cast<ull>(checker_->counter(static_cast<tandem_check_counter>(counter)))));
  const ProcessTruth::Tally& tally = truth_->tally();
  const std::pair<const char*, uint64_t> truths[] = {
      {"judged", tally.judged},       {"own-section", tally.own_section}, {"windows-lost", tally.windows_lost},
      {"passing", tally.passing},     {"suspected", tally.suspected},     {"confirmed", tally.confirmed},
      {"before-flush", tally.before_flush}, {"atomics", tally.atomics},   {"dirty-pages", tally.dirty_pages},
      {"rests", tally.rests}};
  for (const auto& [name, value] : truths) write(format("check-truth-%s %llu\n", name, static_cast<ull>(value)));
  const Staleness::Tally& stale = truth_->staleness();
  const std::pair<const char*, uint64_t> spans[] = {{"translations", stale.translations},
                                                    {"unmeasured", stale.unmeasured},
                                                    {"used-longest-ns", stale.used_longest_ns},
                                                    {"alive-longest-ns", stale.alive_longest_ns},
                                                    {"alive-total-ns", stale.alive_total_ns}};
  for (const auto& [name, value] : spans) write(format("check-stale-%s %llu\n", name, static_cast<ull>(value)));
}

}  // namespace tandem
