// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report.h"

#include "base/text.h"

namespace tandem {

std::string Report::text() const {
  std::string text = finding.key + ": " + finding.what + "\n";
  const auto line = [&](const char* head, const std::string& rest) {
    if (!rest.empty()) text += std::string("  ") + head + rest + "\n";
  };
  line("access: ", access);
  line("through: ", entry);
  for (const std::string& detail : finding.details) line("", detail);
  if (!chain.empty()) line("", "what happened there before, oldest first (time, moment, event):");
  for (const std::string& event : chain) line("  ", event);
  return text;
}

bool Reporter::count(const std::string& key, uint64_t site) {
  ++violations_;
  if (seen_.contains({key, site})) return false;
  if (seen_.size() < kMost) return true;
  ++unreported_;
  return false;
}

void Reporter::report(const Report& report) {
  seen_.insert({report.finding.key, report.site});
  sink_.deliver(report, report.text());
}

std::string text_of_range(Gva start, uint64_t bytes) {
  if (bytes == 0 || (start.value == 0 && bytes >= TANDEM_VA_LIMIT)) return "the whole address space";
  return format("[%#llx, %#llx)", static_cast<unsigned long long>(start.value),
                static_cast<unsigned long long>(start.value + bytes));
}

}  // namespace tandem
