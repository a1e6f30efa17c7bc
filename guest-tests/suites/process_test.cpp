// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes: they end in every way while their kernels run, and can never reach each other's memory or doorbells. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

constexpr std::uint64_t many_pages = 16384; /* 64 MiB of faults to come */

enum word { TOUCHED, DONE, GO };

class ProcessTest : public GpuTest {
protected:
	SharedWords words_;

	/* In a child: opens the GPU and sets it to work on fresh pages, so that faults are pending; then ends as told. */
	int work_and(const std::function<void()> &end, bool for_ever = false)
	{
		auto own = tandem::Device::open();
		CHILD_CHECK(own);
		auto module = own->module("test_queue.elf").take();
		auto own_queue = own->queue().take();
		Mapping fresh(many_pages * page_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
		madvise(fresh.get(), fresh.bytes(), MADV_NOHUGEPAGE);
		touch_arguments arguments = {reinterpret_cast<unsigned char *>(fresh.get()), many_pages, words_.at(TOUCHED), 1};
		CHILD_CHECK(own_queue.dispatch(module.kernel(for_ever ? "touch_for_ever" : "touch").take(), {1024}, {64}, &arguments));
		CHILD_CHECK(words_.wait_at_least(TOUCHED, 1));
		end();
		return 0;
	}
};

TEST_F(ProcessTest, exit_with_faults_pending)
{
	for (int round = 0; round < 3; round++) {
		words_.store(TOUCHED, 0);
		EXPECT_TRUE(exited_well(in_child([&] { return work_and([] { _exit(0); }); })));
		EXPECT_LT(words_.load(TOUCHED), many_pages) << "the work was over before the exit: nothing was tested";
		std::uint64_t left_at = words_.load(TOUCHED);
		expect_the_gpu_works();
		EXPECT_EQ(words_.load(TOUCHED), left_at) << "the GPU worked on for a process that is gone";
	}
}

TEST_F(ProcessTest, sigkill_with_faults_pending)
{
	for (int round = 0; round < 3; round++) {
		words_.store(TOUCHED, 0);
		pid_t child = start_child([&] { return work_and([] { pause(); }, true); });
		EXPECT_TRUE(words_.wait_at_least(TOUCHED, 10));
		kill(child, SIGKILL);
		int status = wait_status(child);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		std::uint64_t left_at = words_.load(TOUCHED);
		expect_the_gpu_works();
		EXPECT_EQ(words_.load(TOUCHED), left_at) << "the GPU worked on for a process that is gone";
	}
}

TEST_F(ProcessTest, exec_while_kernel_runs)
{
	int status = in_child([&] {
		return work_and(
			[] { execl("/proc/self/exe", "exec-target", "--be-quiet-and-exit", static_cast<char *>(nullptr)); }, true);
	});
	EXPECT_TRUE(exited_well(status));
	std::uint64_t left_at = words_.load(TOUCHED);
	expect_the_gpu_works();
	EXPECT_EQ(words_.load(TOUCHED), left_at) << "the GPU worked on after exec";
}

TEST_F(ProcessTest, close_while_kernel_runs)
{
	int status = in_child([&] {
		work_and([] {}, true); /* its end destroys the queue and closes the device */
		std::uint64_t left_at = words_.load(TOUCHED);
		auto again = tandem::Device::open();
		CHILD_CHECK(again);
		CHILD_CHECK(words_.load(TOUCHED) == left_at);
		return 0;
	});
	EXPECT_TRUE(exited_well(status));
	expect_the_gpu_works();
}

TEST_F(ProcessTest, the_memory_can_go_before_the_queue)
{
	tandem::Queue victim = new_queue();
	auto fresh = std::make_unique<Mapping>(256 * page_bytes);
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(fresh->get()), 256, words_.at(TOUCHED), 1};

	ASSERT_OK(victim.dispatch(kernel("touch_for_ever"), {64}, {64}, &arguments));
	ASSERT_TRUE(words_.wait_at_least(TOUCHED, 1000));
	fresh.reset();
	ASSERT_TRUE(sweeper::wait_until([&] { return victim.status()->error != TANDEM_QUEUE_OK; }));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT);
	expect_the_gpu_works();
}

/* The child has a page at an address where the parent has none. */
TEST_F(ProcessTest, another_process_memory_is_out_of_reach)
{
	std::uint64_t *secret = unmapped_address();
	pid_t child = start_child([&]() -> int {
		CHILD_CHECK(mmap(secret, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == secret);
		*secret = 0x5ec3e7;
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		count_arguments arguments = {secret, 1};
		CHILD_CHECK(own_queue.run(module.kernel("count").take(), {1}, {1}, &arguments));
		CHILD_CHECK(*secret == 0x5ec3e8);
		words_.store(DONE, 1);
		CHILD_CHECK(words_.wait_at_least(GO, 1));
		CHILD_CHECK(*secret == 0x5ec3e8);
		return 0;
	});
	EXPECT_TRUE(words_.wait_at_least(DONE, 1));
	std::uint64_t word = 7;
	peek_arguments peek = {secret, &word, 1};
	count_arguments count = {secret, 1};
	tandem::Queue first = new_queue(), second = new_queue();
	EXPECT_FALSE(first.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
	expect_error(first, TANDEM_QUEUE_ADDRESS_FAULT, secret);
	EXPECT_EQ(word, 7u);
	EXPECT_FALSE(second.run(kernel("count"), {1}, {1}, &count, 0, time_limit_ns));
	expect_error(second, TANDEM_QUEUE_ADDRESS_FAULT, secret);
	words_.store(GO, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

TEST_F(ProcessTest, the_same_address_is_another_page_in_each_process)
{
	Mapping region(16 * page_bytes);
	sweeper::Sweeper mine(device());
	ASSERT_TRUE(mine.start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << mine.complaint();
	pid_t child = start_child([&]() -> int {
		auto own = tandem::Device::open().take();
		sweeper::Sweeper other(own);
		CHILD_CHECK(other.start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE | SWEEP_ATOMIC));
		for (int i = 0; i < 10; i++)
			CHILD_CHECK(other.change([] {}));
		CHILD_CHECK(other.stop() && other.errors() == 0);
		return 0;
	});
	for (int i = 0; i < 10; i++)
		EXPECT_TRUE(mine.change([] {})) << mine.complaint();
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(mine.stop()) << mine.complaint();
	EXPECT_EQ(mine.errors(), 0u) << mine.complaint();
}

TEST_F(ProcessTest, each_process_has_an_address_space_of_its_own)
{
	std::uint32_t mine = tandem_pasid(device().get());
	int status = in_child([&] {
		auto own = tandem::Device::open();
		CHILD_CHECK(own);
		CHILD_CHECK(tandem_pasid(own->get()) != mine);
		return 0;
	});
	EXPECT_TRUE(exited_well(status));
}

TEST_F(ProcessTest, two_address_spaces_of_one_process_do_not_disturb_each_other)
{
	auto second = tandem::Device::open();
	ASSERT_OK(second);
	std::uint64_t counter = 0;
	count_arguments arguments = {&counter, 1};
	auto other_queue = second->queue().take();
	auto other_module = second->module("test_queue.elf").take();

	ASSERT_OK(run("count", {64}, {64}, &arguments));
	ASSERT_OK(other_queue.run(other_module.kernel("count").take(), {64}, {64}, &arguments, 0, time_limit_ns));
	EXPECT_EQ(counter, 128u);
	EXPECT_NE(tandem_pasid(second->get()), tandem_pasid(device().get()));
}

TEST_F(ProcessTest, four_processes_at_once)
{
	std::vector<pid_t> children;

	for (int i = 0; i < 4; i++)
		children.push_back(start_child([&]() -> int {
			auto own = tandem::Device::open().take();
			Mapping region(32 * page_bytes);
			sweeper::Sweeper gpu(own);
			CHILD_CHECK(gpu.start(region.get(), 32, SWEEP_CHECK | SWEEP_WRITE));
			for (int round = 0; round < 5; round++)
				CHILD_CHECK(gpu.change([&] { madvise(region.get(), region.bytes(), MADV_DONTNEED); }));
			CHILD_CHECK(gpu.stop() && gpu.errors() == 0);
			return 0;
		}));
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
	expect_the_gpu_works();
}

} // namespace
