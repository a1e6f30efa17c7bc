// SPDX-License-Identifier: GPL-2.0-or-later
// An IOMMU for the fake host: walks the processes' page tables, answers ATS requests when it is told to and not before, serves page
// requests by a function of the test's. It holds the device to the rules of the bus in every test: request ids are never used
// again, no more page requests than allowed, group numbers free before they are used, a group ends with its flagged request.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "test_driver.h"

namespace tandem::test {

class FakeIommu {
 public:
  using Group = std::vector<tandem_page_request>;

  explicit FakeIommu(TestDriver& driver, uint32_t allowance = 16) : driver_(driver) {
    driver.host.on_ats_request = [this](const tandem_ats_request& request) { take(request); };
    driver.host.on_page_request = [this](const tandem_page_request& request) { take(request); };
    allow(true, allowance);
  }
  void allow(bool ats, uint32_t page_requests) {
    ats_ = ats;
    allowance_ = ats ? page_requests : 0;
    if (!ats) asked.clear();
    if (!allowance_) forget_groups();
    tandem_model_set_ats(driver_.model(), ats, page_requests);
  }
  // The device was reset: it has forgotten what it asked for.
  void forget() {
    asked.clear();
    forget_groups();
  }
  void attach(uint32_t bus_pasid, PageTableBuilder& table) { tables_[bus_pasid] = &table; }

  // ---- the process's page table ----
  // What the table says now. Marks the page as an IOMMU does: dirty if the request is for writing and permitted.
  tandem_ats_answer translate(const tandem_ats_request& request) {
    if (request.pasid == TANDEM_NO_PASID) return bus(request);
    const auto table = tables_.find(request.pasid);
    if (table == tables_.end()) return {};
    uint64_t entry_at = table->second->root();
    for (int level = TANDEM_PT_LEVELS - 1; level >= 0; --level) {
      uint64_t& entry = driver_.host.at<uint64_t>(entry_at + TANDEM_LEVEL_INDEX(request.address, level) * sizeof(uint64_t));
      if (!(entry & TANDEM_PTE_VALID)) return {};
      if (entry & TANDEM_PTE_LEAF) return grant(entry, request, 1ULL << TANDEM_LEVEL_SHIFT(level));
      entry_at = entry & TANDEM_PTE_ADDRESS;
    }
    return {};
  }

  // ---- ATS ----
  void answer(tandem_ats_request request, const tandem_ats_answer& answer) {
    std::erase_if(asked, [&](const tandem_ats_request& other) { return other.id == request.id; });
    tandem_model_ats_answer(driver_.model(), request.id, &answer);
  }
  void answer(tandem_ats_request request) { answer(request, translate(request)); }
  void answer_all() {
    while (!asked.empty()) answer(asked.front());
  }
  // The request for a page that is under way, or nothing.
  const tandem_ats_request* asked_for(uint64_t va) const {
    for (const tandem_ats_request& request : asked)
      if (request.address == (va & ~(TANDEM_PAGE_BYTES - 1))) return &request;
    return nullptr;
  }

  // ---- page requests ----
  bool respond(uint32_t pasid, uint32_t group, uint32_t code) {
    groups.erase(group);
    return tandem_model_page_response(driver_.model(), pasid, group, code);
  }
  bool respond(const Group& group, uint32_t code) { return respond(group[0].pasid, group[0].group, code); }
  uint32_t outstanding() const {
    size_t requests = 0;
    for (const auto& [number, group] : groups) requests += group.size();
    return static_cast<uint32_t>(requests);
  }
  // Serves all that are outstanding, the oldest group first. False if there are none.
  bool serve() {
    if (groups.empty()) return false;
    const std::map<uint32_t, Group> now = groups;
    for (const auto& [number, group] : now) respond(group, service(group));
    return true;
  }

  // ---- invalidations ----
  void invalidate(uint32_t bus_pasid, uint64_t address, uint64_t bytes, bool global = false) {
    const tandem_atc_invalidation invalidation{
        .address = address, .bytes = bytes, .pasid = bus_pasid, .global = global, .waited_ns = 0};
    tandem_model_atc_invalidate(driver_.model(), &invalidation);
  }

  // Answers and serves until nothing goes on any more.
  void settle(int rounds = 2000) {
    for (; rounds; --rounds) {
      driver_.settle();
      if (asked.empty() && groups.empty()) return;
      answer_all();
      driver_.settle();
      if (asked.empty()) serve();
    }
    ADD_FAILURE() << "it never comes to rest";
  }
  // The same until done(), and no further.
  template <typename Done>
  bool settle_until(Done done, int rounds = 2000) {
    for (; rounds && !done(); --rounds) {
      driver_.run(1);
      if (done()) break;
      answer_all();
      serve();
    }
    return done();
  }

  std::deque<tandem_ats_request> asked;  // not answered yet
  std::map<uint32_t, Group> groups;      // outstanding, by number
  std::vector<tandem_page_request> page_requests;  // all there ever were
  std::vector<tandem_ats_request> ats_requests;
  // Where the device's own addresses lead.
  std::function<tandem_ats_answer(const tandem_ats_request&)> bus = [](const tandem_ats_request&) { return tandem_ats_answer{}; };
  std::function<uint32_t(const Group&)> service = [](const Group&) { return TANDEM_PAGE_RESPONSE_INVALID; };

 private:
  tandem_ats_answer grant(uint64_t& entry, const tandem_ats_request& request, uint64_t bytes) {
    const bool write = entry & TANDEM_PTE_WRITE;
    entry |= TANDEM_PTE_ACCESSED | (request.write && write ? TANDEM_PTE_DIRTY : 0);
    return {.translated = entry & TANDEM_PTE_ADDRESS, .bytes = bytes, .read = true, .write = write};
  }

  void take(const tandem_ats_request& request) {
    EXPECT_TRUE(ats_) << "an ATS request though ATS is off";
    EXPECT_TRUE(ids_.insert(request.id).second) << "a request id is used again";
    EXPECT_EQ(request.address % TANDEM_PAGE_BYTES, 0u);
    for (const tandem_ats_request& other : asked)
      EXPECT_FALSE(other.address == request.address && other.pasid == request.pasid && other.write == request.write)
          << "asked twice at a time";
    asked.push_back(request);
    ats_requests.push_back(request);
  }

  void take(const tandem_page_request& request) {
    Group& group = groups[request.group];
    EXPECT_LT(request.group, 512u);
    EXPECT_TRUE(group.empty() || (open_ && *open_ == request.group)) << "a group's number before its response";
    EXPECT_EQ(open_.value_or(request.group), request.group) << "groups are mixed";
    EXPECT_TRUE(group.empty() || group[0].pasid == request.pasid);
    open_.reset();
    if (!request.last) open_ = request.group;
    group.push_back(request);
    page_requests.push_back(request);
    EXPECT_LE(outstanding(), allowance_) << "more page requests than allowed";
  }
  void forget_groups() {
    groups.clear();
    open_.reset();
  }

  TestDriver& driver_;
  std::map<uint32_t, PageTableBuilder*> tables_;
  std::set<uint64_t> ids_;
  std::optional<uint32_t> open_;  // group whose last request has not come
  bool ats_ = false;
  uint32_t allowance_ = 0;
};

}  // namespace tandem::test
