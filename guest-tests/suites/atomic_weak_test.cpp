// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The proof that atomic_litmus_test can fail: with the ordering removed each litmus test shows its weak outcome. The GPU's store
 * queue and late loads (test-configs.json) are what makes the difference. Not for GPUs that take pages for atomics: while one waits
 * for its page the queue has time to empty.
 */
#include "gpu_test.hpp"
#include "litmus.hpp"
#include "parameter_name.hpp"

using namespace gpu_test;

namespace {

/* Less than a second usually. A host whose processors are busy with others lets the parties meet seldom. */
constexpr double patience_seconds = 90;

class AtomicWeak : public GpuTest, public ::testing::WithParamInterface<litmus::Named> {};

TEST_P(AtomicWeak, the_outcome_is_seen_without_order)
{
	litmus::Outcome outcome = litmus::seek_weak(device(), GetParam().test, patience_seconds);

	ASSERT_TRUE(outcome.finished) << outcome.text;
	EXPECT_GT(outcome.weak, 0u) << outcome.text;
	RecordProperty("outcome", outcome.text);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AtomicWeak, ::testing::ValuesIn(litmus::tests), parameter_name);

} // namespace
