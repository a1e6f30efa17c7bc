// SPDX-License-Identifier: GPL-2.0-or-later
/* The short version of the soak with device memory: a fixed seed, and so little video memory that pages are driven out. */
#include <gtest/gtest.h>

#include "../soak/soak.hpp"

namespace {

TEST(SoakDevmem, four_threads_for_a_few_seconds)
{
	soak::Result result = soak::run({.seed = 21, .seconds = 6, .threads = 4, .progress = false, .memory = soak::Memory::Device});

	EXPECT_TRUE(result.good) << result.report;
	/* Two for each thread: one operation takes a second if the machine has other things to do. */
	EXPECT_GE(result.operations, 8u);
	EXPECT_GT(result.rounds, 2u);
	EXPECT_GT(result.pages_to_vram, 0u);
	EXPECT_GT(result.pages_to_system, 0u);
	EXPECT_GT(result.pages_evicted, 0u);
}

} // namespace
