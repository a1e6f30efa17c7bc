// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The locks of the QEMU device under ThreadSanitizer: vCPUs with and without the Big QEMU Lock, device thread, main loop,
 * interrupts, reset, stop and unplug at the same time. A race ends the program, and so fails the test that was running.
 */
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "glue.h"

namespace {

constexpr unsigned visitors = 4;
constexpr unsigned visits = 1500;
constexpr unsigned vectors = 2;
constexpr std::uint64_t record_bytes = 32;

class GlueLocks : public ::testing::TestWithParam<glue_mode> {
protected:
	GlueLocks() : glue_(glue_new(GetParam())) {}
	~GlueLocks() override { glue_free(glue_); }

	/* Several vCPUs, every other one with the BQL; a third of their accesses are reads. */
	void visit_from_several_threads(unsigned times = visits)
	{
		std::vector<std::thread> threads;

		for (unsigned i = 0; i < visitors; i++)
			threads.emplace_back([this, i, times] {
				for (unsigned n = 0; n < times; n++)
					if (n % 3 == 2)
						glue_read(glue_, i % 2);
					else
						glue_write(glue_, n % vectors, i % 2);
			});
		for (std::thread &thread : threads)
			thread.join();
	}
	static constexpr std::uint64_t writes_of_all(unsigned times = visits) { return visitors * (times - times / 3); }

	static ::testing::AssertionResult comes_true(const std::function<bool()> &condition)
	{
		auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);

		while (!condition()) {
			if (std::chrono::steady_clock::now() > deadline)
				return ::testing::AssertionFailure() << "not within a minute";
			std::this_thread::sleep_for(std::chrono::microseconds(100));
		}
		return ::testing::AssertionSuccess();
	}

	glue *glue_;
};

/* What only a device with a thread of its own has: somebody to ask during a slice, and to stop when the clock stands still. */
class GlueThread : public GlueLocks {};

TEST_P(GlueLocks, every_visit_counts_and_all_work_is_done)
{
	visit_from_several_threads();
	EXPECT_EQ(glue_read(glue_, false), writes_of_all());
	EXPECT_TRUE(comes_true([&] { return glue_done(glue_) == writes_of_all(); }));
}

TEST_P(GlueLocks, each_interrupt_arrives_before_the_next_is_asked_for)
{
	for (unsigned n = 0; n < 100; n++) {
		std::uint64_t before = glue_delivered(glue_, n % vectors);

		glue_write(glue_, n % vectors, n % 4 == 0);
		ASSERT_TRUE(comes_true([&] { return glue_delivered(glue_, n % vectors) > before; })) << n;
	}
}

TEST_P(GlueThread, a_model_that_never_rests_lets_visitors_in)
{
	glue_never_idle(glue_, true);
	visit_from_several_threads();
	EXPECT_EQ(glue_read(glue_, true), writes_of_all());
	glue_never_idle(glue_, false);
}

TEST_P(GlueLocks, a_model_that_waits_for_memory_is_asked_again)
{
	glue_poll(glue_, true);
	visit_from_several_threads(60);
	EXPECT_TRUE(comes_true([&] { return glue_done(glue_) == writes_of_all(60); }));
	EXPECT_TRUE(comes_true([&] { return glue_traced(glue_) == writes_of_all(60) * record_bytes; }));
}

TEST_P(GlueLocks, the_trace_of_an_idle_device_is_written)
{
	visit_from_several_threads();
	EXPECT_TRUE(comes_true([&] { return glue_traced(glue_) == writes_of_all() * record_bytes; }));
}

TEST_P(GlueLocks, nothing_raised_before_a_reset_arrives_after_it)
{
	for (unsigned n = 0; n < 100; n++) {
		glue_write(glue_, 0, false);
		glue_reset(glue_);
		std::uint64_t after = glue_delivered(glue_, 0);
		glue_wait_for_main_loop();
		ASSERT_EQ(glue_delivered(glue_, 0), after) << n;
	}
}

TEST_P(GlueLocks, reset_under_load)
{
	std::thread resetter([this] {
		for (unsigned n = 0; n < 100; n++)
			glue_reset(glue_);
	});
	visit_from_several_threads();
	resetter.join();
	EXPECT_EQ(glue_read(glue_, false), writes_of_all());
}

TEST_P(GlueThread, no_slice_runs_while_the_machine_is_stopped)
{
	std::thread load([this] { visit_from_several_threads(); });
	for (unsigned n = 0; n < 20; n++) {
		glue_set_running(glue_, false);
		std::uint64_t slices = glue_slices_while_stopped(glue_);
		glue_wait_for_main_loop();
		EXPECT_EQ(glue_slices_while_stopped(glue_), slices);
		glue_set_running(glue_, true);
	}
	load.join();
	EXPECT_TRUE(comes_true([&] { return glue_done(glue_) == writes_of_all(); }));
}

TEST_P(GlueLocks, unplug_while_vcpus_are_on_their_way_in)
{
	std::thread load([this] { visit_from_several_threads(); });
	glue_wait_for_main_loop();
	glue_unplug(glue_);
	EXPECT_EQ(glue_read(glue_, false), 0u);
	load.join();
}

/* Several GPUs on one link. */
class GlueLink : public GlueLocks {
protected:
	void SetUp() override
	{
		glue_free(glue_);
		glue_ = glue_new_linked(GetParam(), 0);
	}
};

TEST_P(GlueLink, peers_come_and_go_while_stores_reach_them)
{
	std::thread load([this] { visit_from_several_threads(); });
	for (unsigned n = 0; n < 20; n++) {
		glue *peer = glue_new_linked(GetParam(), 1 + n % 3);
		glue *other = glue_new_linked(GetParam(), 7);

		glue_write(peer, 0, n % 2);
		EXPECT_TRUE(comes_true([&] { return glue_stored_by_peers(other) > 0; })) << n;
		glue_free(other);
		glue_write(peer, 0, n % 2);
		EXPECT_TRUE(comes_true([&] { return glue_done(peer) == 2; })) << n;
		glue_free(peer);
	}
	load.join();
	EXPECT_TRUE(comes_true([&] { return glue_done(glue_) == writes_of_all(); }));
	EXPECT_GE(glue_stored_by_peers(glue_), 20u);
}

TEST_P(GlueLink, news_of_poison_reach_all_peers)
{
	constexpr unsigned pages = 100;
	glue *peer = glue_new_linked(GetParam(), 1), *other = glue_new_linked(GetParam(), 2);
	std::vector<std::thread> threads;

	for (glue *finder : {glue_, peer, other})
		threads.emplace_back([finder] {
			for (unsigned n = 0; n < pages; n++)
				glue_poison(finder, n % 2);
		});
	visit_from_several_threads(300);
	for (std::thread &thread : threads)
		thread.join();
	for (glue *told : {glue_, peer, other})
		EXPECT_TRUE(comes_true([&] { return glue_peers_poison(told) == 2 * pages; }));
	glue_free(other);
	EXPECT_EQ(glue_peers_poison(glue_), pages);
	glue_free(peer);
}

TEST_P(GlueLink, unplug_while_poison_is_being_found)
{
	for (unsigned n = 0; n < 20; n++) {
		glue *peer = glue_new_linked(GetParam(), 1);
		std::thread finder([peer] {
			for (unsigned page = 0; page < 50; page++)
				glue_poison(peer, page % 2);
		});

		glue_unplug(peer);
		finder.join();
		glue_free(peer);
	}
	EXPECT_EQ(glue_peers_poison(glue_), 0u);
}

std::string mode_name(const ::testing::TestParamInfo<glue_mode> &info)
{
	return info.param == GLUE_PARALLEL ? "parallel" : "deterministic";
}

INSTANTIATE_TEST_SUITE_P(Execution, GlueLocks, ::testing::Values(GLUE_PARALLEL, GLUE_DETERMINISTIC), mode_name);
INSTANTIATE_TEST_SUITE_P(Execution, GlueLink, ::testing::Values(GLUE_PARALLEL, GLUE_DETERMINISTIC), mode_name);
INSTANTIATE_TEST_SUITE_P(Execution, GlueThread, ::testing::Values(GLUE_PARALLEL), mode_name);

} // namespace
