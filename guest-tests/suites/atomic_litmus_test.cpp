// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Litmus tests between vCPUs and wavefronts. With its ordering a test never shows the outcome that the ordering forbids; with
 * the ordering removed it does, or else the test could not have seen it. The GPU's store queue and late loads
 * (test-configs.json) are what makes the difference.
 */
#include <cstdlib>

#include "gpu_test.hpp"
#include "litmus.hpp"

using namespace gpu_test;

namespace {

std::uint64_t runs_wanted()
{
	const char *text = std::getenv("TANDEM_LITMUS_RUNS");

	return text ? std::strtoull(text, nullptr, 10) : 10'000;
}

class AtomicLitmus : public GpuTest, public ::testing::WithParamInterface<litmus::Named> {};

TEST_P(AtomicLitmus, order_is_kept_where_it_is_asked_for)
{
	std::uint64_t met = 0;

	/* Parties that never meet prove nothing: then once more, with other delays. */
	for (std::uint64_t attempt = 0; attempt < 20 && met == 0; attempt++) {
		litmus::Outcome outcome =
			litmus::run(device(), GetParam().test, litmus::Order::Kept, runs_wanted(), false, 1 + attempt * 1'000'003);

		ASSERT_TRUE(outcome.finished) << outcome.text;
		ASSERT_EQ(outcome.weak, 0u) << outcome.text;
		met = outcome.between;
	}
	EXPECT_GT(met, 0u) << "the parties never met";
}

TEST_P(AtomicLitmus, the_weak_outcome_is_seen_where_it_is_not)
{
	if (GetParam().test == LITMUS_IRIW)
		GTEST_SKIP() << "four parties on two vCPUs meet too seldom; the model's own litmus_test shows it";
	litmus::Outcome outcome = litmus::run(device(), GetParam().test, litmus::Order::Removed, 1'000'000, true);

	ASSERT_TRUE(outcome.finished) << outcome.text;
	EXPECT_GT(outcome.weak, 0u) << outcome.text;
}

INSTANTIATE_TEST_SUITE_P(Shapes, AtomicLitmus, ::testing::ValuesIn(litmus::tests), [](const auto &info) {
	std::string name = info.param.name;

	for (char &c : name)
		if (c == '-')
			c = '_';
	return name;
});

} // namespace
