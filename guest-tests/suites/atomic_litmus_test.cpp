// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Litmus tests between vCPUs and wavefronts: with its ordering a test never shows the outcome that the ordering forbids. That it
 * would see it is atomic_weak_test's proof. The GPU has a store queue and late loads (test-configs.json).
 */
#include <chrono>
#include <cstdlib>

#include "gpu_test.hpp"
#include "litmus.hpp"
#include "parameter_name.hpp"

using namespace gpu_test;

namespace {

/* For the parties to meet. That takes less than a second if the host has two processors to give. */
constexpr double patience_seconds = 60;

std::uint64_t runs_wanted()
{
	const char *text = std::getenv("TANDEM_LITMUS_RUNS");

	return text ? std::strtoull(text, nullptr, 10) : 10'000;
}

class AtomicLitmus : public GpuTest, public ::testing::WithParamInterface<litmus::Named> {};

TEST_P(AtomicLitmus, order_is_kept_where_it_is_asked_for)
{
	auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_seconds * time_scale());
	std::uint64_t met = 0;

	/* Parties that never meet prove nothing: then once more, with other delays. */
	for (std::uint64_t seed = 1; met == 0 && std::chrono::steady_clock::now() < end; seed += 1'000'003) {
		litmus::Outcome outcome = litmus::run(device(), GetParam().test, litmus::Order::Kept, runs_wanted(), seed);

		ASSERT_TRUE(outcome.finished) << outcome.text;
		ASSERT_EQ(outcome.weak, 0u) << outcome.text;
		met = outcome.between;
	}
	EXPECT_GT(met, 0u) << "the parties never met";
}

INSTANTIATE_TEST_SUITE_P(Shapes, AtomicLitmus, ::testing::ValuesIn(litmus::tests), parameter_name);

} // namespace
