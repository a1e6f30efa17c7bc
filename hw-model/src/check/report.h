// SPDX-License-Identifier: GPL-2.0-or-later
// What the checker says: a report for a person, kept once for each key and site, and only so many of them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "check/truth.h"

namespace tandem {

struct Report {
  Finding finding;
  std::string access;              // who did it: process, queue, unit, lane, instruction, address
  std::string entry;               // through what; empty: no entry is concerned
  std::vector<std::string> chain;  // what should have prevented it, oldest first
  uint64_t site = 0;               // reports of one key and one site are one

  // The key and the sentence, then indented lines, the last one with its newline.
  std::string text() const;
};

// Takes the text of a report.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void deliver(const Report& report, const std::string& text) = 0;
};

class Reporter {
 public:
  static constexpr size_t kMost = 64;

  explicit Reporter(ReportSink& sink) : sink_(sink) {}
  // Counts a violation. True: a report of it is worth being put together.
  bool count(const std::string& key, uint64_t site);
  void report(const Report& report);

  uint64_t violations() const { return violations_; }  // all, whether reported or not
  uint64_t reported() const { return seen_.size(); }
  uint64_t unreported() const { return unreported_; }  // for want of room

 private:
  ReportSink& sink_;
  std::set<std::pair<std::string, uint64_t>> seen_;
  uint64_t violations_ = 0;
  uint64_t unreported_ = 0;
};

// ---- words that reports share ----

std::string text_of_range(Gva start, uint64_t bytes);

}  // namespace tandem
