// SPDX-License-Identifier: GPL-2.0-or-later
/* The short version of the soak (soak/soak.hpp): a fixed seed for comparison. The long one is a workload. */
#include <gtest/gtest.h>

#include "../soak/soak.hpp"

namespace {

TEST(Soak, four_threads_for_a_few_seconds)
{
	soak::Result result = soak::run({.seed = 20, .seconds = 4, .threads = 4, .progress = false});

	EXPECT_TRUE(result.good) << result.report;
	/* Two for each thread: one operation takes a second if the machine has other things to do. */
	EXPECT_GE(result.operations, 8u);
	EXPECT_GT(result.rounds, 2u);
}

} // namespace
