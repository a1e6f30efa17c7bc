// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two GPUs that both need a page for themselves fight for it, and for the CPUs' share. Each must take the other's call as an
 * invalidation like any other: a driver that looked away because the call came from itself would leave two owners.
 */
#include <atomic>
#include <thread>

#include "contention.hpp"
#include "mm_test.hpp"

using namespace mm_test;

namespace {

class AtomicTwoGpus : public GpuTest {
protected:
	static constexpr std::uint32_t lanes = 32;
	static constexpr std::uint64_t rounds = 100;

	void SetUp() override
	{
		GpuTest::SetUp();
		tandem_open_options options = {};
		options.path = "/dev/tandem1";
		auto opened = tandem::Device::open(&options);
		ASSERT_OK(opened);
		second_.emplace(opened.take());
		module_.emplace(second_->module("contend.elf").take());
		second_queue_.emplace(second_->queue().take());
		control_.words()[1] = 1;
	}

	/* Both GPUs and so many threads add to the counters; returns what the threads added. */
	std::uint64_t fight(unsigned threads)
	{
		std::uint64_t *words = control_.words();
		contend_arguments first = {region_.get(), 0, rounds, &words[1], &words[0], &words[64], &words[128]};
		contend_arguments second = {region_.get(), lanes, rounds, &words[1], &words[0], &words[64], &words[128]};
		auto done = tandem::Signal::create().take(), done_too = tandem::Signal::create().take();
		std::atomic<bool> over = false;
		std::atomic<std::uint64_t> by_cpu = 0;
		std::vector<std::thread> pool;

		for (unsigned t = 0; t < threads; t++)
			pool.emplace_back([&, t] {
				std::uint64_t n = 0;
				for (; !over; n++)
					contend_count(counters(), 2 * lanes + t, n);
				by_cpu += n;
			});
		EXPECT_OK(queue().dispatch(kernel("contend_counters", "contend.elf"), {lanes}, {lanes}, &first, done.get()));
		EXPECT_OK(second_queue_->dispatch(module_->kernel("contend_counters").take(), {lanes}, {lanes}, &second, done_too.get()));
		EXPECT_OK(queue().wait(done, time_limit_ns));
		EXPECT_OK(second_queue_->wait(done_too, time_limit_ns));
		over = true;
		for (auto &thread : pool)
			thread.join();
		return by_cpu;
	}

	contend_counters *counters() const { return reinterpret_cast<contend_counters *>(region_.get()); }

	std::optional<tandem::Device> second_;
	std::optional<tandem::Module> module_;
	std::optional<tandem::Queue> second_queue_;
	Place region_{page_bytes};
	Place control_{2 * page_bytes};
};

TEST_F(AtomicTwoGpus, fight_for_one_page)
{
	auto before = stats();
	auto before_too = second_->stats().take();

	fight(0);
	EXPECT_EQ(counters()->wide, 2 * lanes * rounds);
	EXPECT_EQ(counters()->narrow, 2 * lanes * rounds);
	if (contention::mode() == contention::Mode::Exclusive) {
		EXPECT_GT(stats().exclusive_taken - before.exclusive_taken, 2u);
		EXPECT_GT(second_->stats().take().exclusive_taken - before_too.exclusive_taken, 2u);
	}
}

TEST_F(AtomicTwoGpus, and_four_threads_fight_for_one_page)
{
	std::uint64_t by_cpu = fight(4);

	EXPECT_GT(by_cpu, 0u);
	EXPECT_EQ(counters()->wide, 2 * lanes * rounds + by_cpu);
	EXPECT_EQ(counters()->narrow, static_cast<std::uint32_t>(2 * lanes * rounds + by_cpu));
	EXPECT_EQ(counters()->narrow_neighbour, 0u);
}

} // namespace
