// SPDX-License-Identifier: GPL-2.0-or-later
// Names of the performance counters, in the order of enum tandem_counter.
#include "base/counters.h"

namespace tandem {

namespace {
constexpr const char* kNames[] = {
    "instructions", "lane-instructions", "waves",           "lanes",         "workgroups",
    "packets",      "l1-hits",           "l1-misses",       "l2-hits",       "l2-misses",
    "walks",        "walk-restarts",     "faults",          "fault-overflows", "replays",
    "cancels",      "invalidates",       "entries-killed",  "stores-drained", "atomics",
    "loads",        "stores",            "copy-bytes",      "commands",      "suspends",
    "access-events", "poison-hits",      "ats-requests",    "ats-stale",     "page-requests",
    "atc-invalidates", "skipped",
};
static_assert(sizeof(kNames) / sizeof(kNames[0]) == TANDEM_COUNTER_COUNT, "each counter has a name");
}  // namespace

const char* counter_name(uint32_t counter) { return counter < TANDEM_COUNTER_COUNT ? kNames[counter] : nullptr; }

}  // namespace tandem
