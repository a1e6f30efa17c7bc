// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device that stops answering (device property test-hooks=on; words written to the driver's debugfs file
 * `inject` set the hooks): munmap returns all the same, old address spaces hear EIO, and a new one works.
 */
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

constexpr const char *inject_path = "/sys/kernel/debug/tandem0/inject";

class ResetTest : public GpuTest {
protected:
	void SetUp() override
	{
		GpuTest::SetUp();
		if (HasFatalFailure())
			return;
		ASSERT_TRUE(device().query()->features & TANDEM_FEATURE_TEST_HOOKS) << "the device needs test-hooks=on";
		inject("none");
	}
	void TearDown() override { inject("none"); }

	static void inject(const std::string &text)
	{
		int file = open(inject_path, O_WRONLY | O_CLOEXEC);

		ASSERT_GE(file, 0) << inject_path << ": " << std::strerror(errno);
		EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size())) << std::strerror(errno);
		close(file);
	}

	/* Statistics can still be read, and the old queue says what became of it. */
	void expect_error_of_the_old_queue()
	{
		EXPECT_OK(device().stats());
		/* The driver marks the queues after the reset, so it may take a moment. */
		EXPECT_TRUE(sweeper::wait_until([&] { return queue().status()->error == TANDEM_QUEUE_LOST; })) << queue().describe();
	}

	/* The old address space is lost, and a new one works. */
	void expect_lost_and_new()
	{
		std::uint64_t counter = 0;
		count_arguments arguments = {&counter, 1};
		auto lost = device().queue();

		ASSERT_FALSE(lost);
		EXPECT_EQ(lost.error().status, TANDEM_ERROR_LOST) << lost.error().text;
		expect_error_of_the_old_queue();
		auto fresh = tandem::Device::open();
		ASSERT_OK(fresh);
		auto fresh_queue = fresh->queue().take();
		auto module = fresh->module("test_queue.elf").take();
		ASSERT_OK(fresh_queue.run(module.kernel("count").take(), {64}, {64}, &arguments, 0, time_limit_ns));
		EXPECT_EQ(counter, 64u);
	}
};

TEST_F(ResetTest, munmap_returns_when_the_device_does_not_acknowledge)
{
	Mapping region(16 * page_bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 16, &done, 1};
	ASSERT_OK(run("touch", {16}, {16}, &touch));

	inject("stall-invalidate");
	auto began = std::chrono::steady_clock::now();
	ASSERT_EQ(munmap(region.get(), region.bytes()), 0);
	double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
	EXPECT_LT(seconds, 30.0 * time_scale());
	inject("none");
	expect_lost_and_new();
}

TEST_F(ResetTest, a_waiter_hears_that_the_device_was_reset)
{
	Mapping region(16 * page_bytes);
	auto gpu = std::make_unique<sweeper::Sweeper>(device());
	ASSERT_TRUE(gpu->start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << gpu->complaint();
	auto never = tandem::Signal::create().take();
	int heard = 0;
	std::uint64_t waiting = 0;
	std::thread waiter([&] {
		__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
		heard = tandem_wait(queue().get(), never.get(), time_limit_ns);
	});

	sweeper::wait_until([&] { return __atomic_load_n(&waiting, __ATOMIC_SEQ_CST) == 1; });
	inject("stall-invalidate");
	EXPECT_EQ(madvise(region.get(), region.bytes(), MADV_DONTNEED), 0);
	waiter.join();
	EXPECT_EQ(heard, TANDEM_ERROR_LOST) << tandem_strerror(heard);
	inject("none");
	gpu.reset();
	expect_lost_and_new();
}

TEST_F(ResetTest, after_munmap_returned_nothing_writes_to_the_old_page)
{
	constexpr std::uint64_t pages = 16;
	MemoryFile file(pages * page_bytes);
	Mapping view(pages * page_bytes, MAP_SHARED, file.get());
	void *region = mmap(nullptr, pages * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
	ASSERT_NE(region, MAP_FAILED);
	auto gpu = std::make_unique<sweeper::Sweeper>(device());
	ASSERT_TRUE(gpu->start(region, pages, SWEEP_CHECK | SWEEP_WRITE)) << gpu->complaint();

	inject("stall-invalidate");
	ASSERT_EQ(munmap(region, pages * page_bytes), 0);
	std::memset(view.get(), 0x3c, view.bytes());
	inject("none");
	expect_lost_and_new();
	for (std::uint64_t i = 0; i < view.bytes(); i++)
		ASSERT_EQ(*view.at(i), 0x3c) << "written after munmap had returned, byte " << i;
}

TEST_F(ResetTest, a_stalled_command_does_not_hang_the_caller)
{
	inject("stall-command");
	auto stalled = device().queue();
	inject("none");
	EXPECT_FALSE(stalled);
	expect_lost_and_new();
}

TEST_F(ResetTest, held_back_faults_go_on_when_the_hook_is_taken_away)
{
	Mapping region(16 * page_bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 16, &done, 1};
	auto signal = tandem::Signal::create().take();

	tandem::Kernel kernel_touch = kernel("touch");
	inject("stall-fault");
	ASSERT_OK(queue().dispatch(kernel_touch, {16}, {16}, &touch, signal.get()));
	EXPECT_EQ(tandem_wait(queue().get(), signal.get(), 50'000'000), TANDEM_ERROR_TIMEOUT);
	inject("none");
	ASSERT_OK(queue().wait(signal, time_limit_ns));
	EXPECT_EQ(done, 16u);
}

TEST_F(ResetTest, a_reset_that_was_asked_for)
{
	Mapping region(16 * page_bytes);
	auto gpu = std::make_unique<sweeper::Sweeper>(device());
	ASSERT_TRUE(gpu->start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << gpu->complaint();
	inject("reset");
	gpu.reset();
	expect_lost_and_new();
}

TEST_F(ResetTest, three_resets_in_a_row)
{
	for (int round = 0; round < 3; round++) {
		auto own = tandem::Device::open();
		ASSERT_OK(own) << round;
		auto own_queue = own->queue().take();
		auto module = own->module("test_queue.elf").take();
		Mapping region(page_bytes);
		count_arguments arguments = {region.words(), 1};
		ASSERT_OK(own_queue.run(module.kernel("count").take(), {1}, {1}, &arguments, 0, time_limit_ns)) << round;
		inject("stall-invalidate");
		ASSERT_EQ(madvise(region.get(), page_bytes, MADV_DONTNEED), 0);
		inject("none");
		EXPECT_FALSE(own->queue()) << round;
	}
	expect_lost_and_new();
}

} // namespace
