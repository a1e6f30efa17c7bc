// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

struct Sink final : ReportSink {
  void deliver(const Report&, const std::string& text) override { texts.push_back(text); }
  std::vector<std::string> texts;
};

void violate(Reporter& reporter, const std::string& key, uint64_t site) {
  if (reporter.count(key, site)) reporter.report({.finding = {key, "something happened", {}}, .access = {}, .entry = {}, .chain = {}, .site = site});
}

TEST(Report, TheKeyComesFirstAndTheRestIsIndented) {
  const Report report{.finding = {"X2.test", "it was done", {"a detail"}}, .access = "by whom", .entry = "an entry", .chain = {"an event"}};
  EXPECT_EQ(report.text(),
            "X2.test: it was done\n  access: by whom\n  through: an entry\n  a detail\n"
            "  what happened there before, oldest first (time, moment, event):\n    an event\n");
}

TEST(Report, OneOfEachKeyAndSite) {
  Sink sink;
  Reporter reporter(sink);
  violate(reporter, "a", 1);
  violate(reporter, "a", 1);
  violate(reporter, "a", 2);
  violate(reporter, "b", 1);
  EXPECT_EQ(sink.texts.size(), 3u);
  EXPECT_EQ(reporter.reported(), 3u);
  EXPECT_EQ(reporter.violations(), 4u);
  EXPECT_EQ(reporter.unreported(), 0u);
}

TEST(Report, ThoseBeyondTheBoundAreCounted) {
  Sink sink;
  Reporter reporter(sink);
  for (uint64_t site = 0; site < Reporter::kMost + 5; ++site) violate(reporter, "a", site);
  EXPECT_EQ(sink.texts.size(), Reporter::kMost);
  EXPECT_EQ(reporter.unreported(), 5u);
}

}  // namespace
}  // namespace tandem::test
