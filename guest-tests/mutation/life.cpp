// SPDX-License-Identifier: GPL-2.0-or-later
/* Address spaces end: what belonged to them is let go when nobody uses it any more. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Life : public Provocation {};

/* Closed while the process lives; its PASID on the bus is given to the next one. */
TEST_F(Life, a_process_closes_the_gpu_while_it_works)
{
	SharedWords words;
	Region region(1);
	Gate gate("unbound", nullptr);
	pid_t child = start_child([&] {
		words.store(0, 1);
		CHILD_CHECK(words.wait_at_least(1, 1));
		auto own = tandem::Device::open();
		CHILD_CHECK(own);
		words.store(2, 1);
		return words.wait_at_least(3, 1) ? 0 : 1;
	});
	std::atomic<bool> closed = false;

	ASSERT_TRUE(words.wait_at_least(0, 1));
	{
		auto second = std::make_unique<tandem::Device>(tandem::Device::open().take());
		auto gpu = std::make_unique<Sweeper>(*second);
		ASSERT_GPU(*gpu, gpu->start(region.get(), 1, check_and_write));
		std::thread closer([&] {
			gpu.reset();
			second.reset();
			closed = true;
		});
		EXPECT_TRUE(gate.wait_held_or([&] { return closed.load(); }));
		words.store(1, 1);
		EXPECT_TRUE(words.wait_at_least(2, 1));
		gate.open();
		closer.join();
	}
	words.store(3, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	expect_the_gpu_works();
}

TEST_F(Life, a_process_ends_with_page_requests_unanswered)
{
	for (int round = 0; round < 8; round++) {
		SharedWords words;
		pid_t child = start_child([&] {
			auto own = tandem::Device::open().take();
			auto queue = own.queue().take();
			auto module = own.module("test_queue.elf").take();
			Place region(256 * page_bytes);
			touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 256, words.at(0), 1};
			CHILD_CHECK(queue.dispatch(module.kernel("touch_for_ever").take(), {64}, {64}, &touch));
			for (;;)
				madvise(region.get(), region.bytes(), MADV_DONTNEED);
			return 0;
		});
		ASSERT_TRUE(words.wait_at_least(0, 1000));
		kill(child, SIGKILL);
		wait_status(child);
	}
	expect_the_gpu_works();
}

TEST_F(Life, a_process_opens_closes_and_ends)
{
	EXPECT_TRUE(exited_well(in_child([&] {
		{
			auto own = tandem::Device::open();
			CHILD_CHECK(own);
		}
		auto again = tandem::Device::open();
		CHILD_CHECK(again);
		return 0;
	})));
	expect_the_gpu_works();
}

TEST_F(Life, a_process_ends_while_its_fault_is_served)
{
	SharedWords words;
	Place address(page_bytes);
	Gate gate("looked", address.get());
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		auto queue = own.queue().take();
		auto module = own.module("test_queue.elf").take();
		touch_arguments touch = {reinterpret_cast<unsigned char *>(address.get()), 1, words.at(0), 1};
		CHILD_CHECK(queue.dispatch(module.kernel("touch").take(), {1}, {1}, &touch));
		words.wait_at_least(1, 1);
		return 0;
	});

	EXPECT_TRUE(gate.wait_held_or([&] { return words.load(0) > 0; }));
	kill(child, SIGKILL);
	wait_status(child);
	gate.open();
	expect_the_gpu_works();
}

} // namespace
