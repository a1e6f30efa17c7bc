// SPDX-License-Identifier: GPL-2.0-or-later
// Step "translator (ATS)" of the journey: the address translation cache (ATC) of address spaces whose page table the IOMMU walks.
//
//   miss in the L2 -> ATC -> ATS request, one for each (address space, page, write) -> answer -> entry -> L2, L1
//
// It holds what the IOMMU answered, until the IOMMU takes it back (PCI Express, chapter 10). An answer that was under way when
// its page was invalidated is dropped, and the MMU asks anew; of one for a larger block only so much is believed as no
// invalidation has touched in the meantime. Stores are permitted only by answers to requests that asked for it: nothing else marks
// the process's page dirty.
#pragma once

#include <map>
#include <optional>

#include "base/counters.h"
#include "base/host.h"
#include "mem/memory_port.h"
#include "mmu/address_spaces.h"
#include "mmu/tlb.h"
#include "trace/trace.h"

namespace tandem {

class Atc {
 public:
  Atc(uint32_t sets, uint32_t ways, const AddressSpaces& spaces, const MemoryPort& memory, Counters& counters,
      const Trace& trace, const Host& host, uint32_t mutation = 0);

  // Whether the bus lets the device ask. Off: nothing is under way any more, and no entry is left.
  void set_enabled(bool enabled);
  bool enabled() const { return enabled_; }

  // Entries of it are judged when they are filled into a TLB.
  const TlbEntry* lookup(Pasid pasid, Gva va, Access access) { return entries_.lookup(pasid, va, access); }
  // Sends an ATS request, unless one for the same is under way. Only while enabled.
  void ask(const TranslationRequest& request);

  // What an answer means to those who asked for (pasid, page, write).
  struct Reply {
    enum class Kind : uint8_t {
      Entry,     // entry: what it permits is to be seen
      Nothing,   // nothing is mapped
      NoMemory,  // mapped, but there is no memory
      Stale,     // ask again
    } kind;
    Pasid pasid;
    Gva page;
    bool write;
    TlbEntry entry;
  };
  // Nothing: nobody asked, or nobody does any more.
  std::optional<Reply> answer(uint64_t id, const tandem_ats_answer& answer);

  struct Killed {
    uint32_t entries = 0;
    uint32_t requests = 0;  // whose answers will be dropped
  };
  Killed kill(Pasid pasid, Gva start, Gva end) { return enabled_ ? kill_range(pasid, start, end) : Killed{}; }
  // Nothing of the address space is left; answers will be ignored.
  uint32_t remove(Pasid pasid);
  // The host's memory map changed: entries hold host pointers.
  void drop_entries() { entries_.kill_all(); }
  void reset();

  size_t requests_under_way(Pasid pasid) const;
  const Tlb& entries() const { return entries_; }

 private:
  struct Key {
    uint32_t pasid;
    uint64_t page;
    bool write;
    auto operator<=>(const Key&) const = default;
  };
  struct UnderWay {
    TranslationRequest first;  // who asked
    uint64_t asked_ns = 0;
    uint64_t began = 0;        // the checker's moment
    uint64_t sound_bytes = 0;  // the block around the page of which no byte was invalidated since; 0: the page was
  };

  static bool writes(const TranslationRequest& request) {
    return request.access == Access::Write || request.access == Access::Atomic;
  }
  Killed kill_range(Pasid pasid, Gva start, Gva end);
  static Key key_of(const TranslationRequest& request);
  static bool well_formed(const tandem_ats_answer& answer);
  tandem_ats_answer believed(const tandem_ats_answer& answer, const UnderWay& asked) const;
  bool build_entry(const tandem_ats_answer& answer, const UnderWay& asked, TlbEntry& entry) const;
  void trace_request(const TranslationRequest& request) const;
  void trace_answer(const UnderWay& asked, const tandem_ats_answer& answer) const;
  uint32_t bus_pasid(Pasid pasid) const;

  const AddressSpaces& spaces_;
  const MemoryPort& memory_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;
  const uint32_t mutation_;  // a test's (tandem_mutation)

  Tlb entries_;
  std::map<Key, uint64_t> ids_;
  std::map<uint64_t, UnderWay> under_way_;  // by id
  uint64_t last_id_ = 0;                    // goes on over resets: a late answer fits nothing
  bool enabled_ = false;
};

}  // namespace tandem
