// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Four CPU threads and the GPU fight for one structure, and what is found in it at the end is exact. Runs on each kind of GPU:
 * with PCIe AtomicOps, with pages taken from the CPUs, with pages moved to VRAM (test-configs.json).
 */
#include "contention.hpp"
#include "gpu_test.hpp"

using namespace gpu_test;
using contention::Mode;
using contention::Plan;

namespace {

class AtomicShared : public GpuTest {
protected:
	void expect_exact(contention::Outcome (*contest)(const tandem::Device &, const Plan &), const Plan &plan = {})
	{
		auto before = stats();
		contention::Outcome outcome = contest(device(), plan);
		auto after = stats();

		EXPECT_TRUE(outcome.good()) << outcome.text;
		EXPECT_GT(outcome.by_gpu, 0u);
		EXPECT_GT(outcome.by_cpu, 0u);
		/* They did not just come one after the other: the page went to and fro. */
		if (contention::mode() == Mode::Exclusive) {
			EXPECT_GT(after.exclusive_taken - before.exclusive_taken, 2u);
			EXPECT_GT(after.exclusive_returned - before.exclusive_returned, 1u);
		}
		if (contention::mode() == Mode::Vram) {
			EXPECT_GT(after.pages_to_vram - before.pages_to_vram, 2u);
			EXPECT_GT(after.pages_to_system - before.pages_to_system, 1u);
		}
		RecordProperty("outcome", outcome.text);
	}
};

TEST_F(AtomicShared, counters_and_what_lies_beside_them)
{
	expect_exact(contention::counters);
}

TEST_F(AtomicShared, counters_by_two_wavefronts)
{
	Plan plan;

	plan.lanes = 64;
	expect_exact(contention::counters, plan);
}

TEST_F(AtomicShared, ticket_lock)
{
	expect_exact(contention::ticket_lock);
}

TEST_F(AtomicShared, mcs_lock)
{
	expect_exact(contention::mcs_lock);
}

TEST_F(AtomicShared, queue_of_many_producers_and_consumers)
{
	expect_exact(contention::queue);
}

TEST_F(AtomicShared, hash_table)
{
	expect_exact(contention::hash_table);
}

TEST_F(AtomicShared, every_64_bit_operation)
{
	expect_exact(contention::operations64);
}

TEST_F(AtomicShared, every_32_bit_operation)
{
	expect_exact(contention::operations32);
}

} // namespace
