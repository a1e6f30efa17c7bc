// SPDX-License-Identifier: GPL-2.0-or-later
/* Runs the litmus tests of kernels/litmus.h between CPU threads and wavefronts, and counts the outcomes that order forbids. */
#ifndef TANDEM_TEST_LITMUS_HPP
#define TANDEM_TEST_LITMUS_HPP

#include <cstdint>
#include <string>

#include "../kernels/litmus.h"
#include "tandem/tandem.hpp"

namespace litmus {

enum class Order { Kept, Removed };

struct Outcome {
	bool finished = true;
	std::uint64_t runs = 0;
	std::uint64_t weak = 0;    /* outcomes that the order forbids */
	std::uint64_t between = 0; /* outcomes that show that the parties met: neither all before nor all after */
	std::string text;
};

Outcome run(const tandem::Device &device, litmus_test test, Order order, std::uint64_t runs, std::uint64_t seed = 1);

/* Without the order: until a weak outcome is seen, or so much time has passed (of the default kernel; see time_scale.hpp). */
Outcome seek_weak(const tandem::Device &device, litmus_test test, double seconds, std::uint64_t seed = 1);

/* With a text that says what was seen, unless it has one that says what went wrong. */
Outcome described(Outcome outcome);

struct Named {
	const char *name;
	litmus_test test;
};

inline constexpr Named tests[] = {
	{"mp-gpu-writes", LITMUS_MP_GPU_WRITES}, {"mp-cpu-writes", LITMUS_MP_CPU_WRITES}, {"mp-atomic-flag", LITMUS_MP_ATOMIC_FLAG},
	{"sb", LITMUS_SB}, {"lb", LITMUS_LB}, {"iriw-cpu-writes", LITMUS_IRIW_CPU_WRITES}, {"iriw-cpu-reads", LITMUS_IRIW_CPU_READS},
	{"coherence", LITMUS_COHERENCE},
};

} // namespace litmus

#endif
