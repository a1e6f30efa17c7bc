// SPDX-License-Identifier: GPL-2.0-or-later
/* Address spaces end: what belonged to them is let go when nobody uses it any more. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Life : public Provocation {
protected:
	/* A process that has the GPU open for a moment. */
	static void let_another_process_open()
	{
		EXPECT_TRUE(exited_well(in_child([] {
			auto own = tandem::Device::open();
			CHILD_CHECK(own);
			return 0;
		})));
	}

	static bool has_ended(pid_t child)
	{
		siginfo_t info = {};

		return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
	}
};

/* Closed while the process lives; its PASID on the bus is given to the next one. */
TEST_F(Life, a_process_closes_the_gpu)
{
	SharedWords words;
	Gate gate("unbound", nullptr);
	pid_t child = start_child([&] {
		auto own = std::make_unique<tandem::Device>(tandem::Device::open().take());
		own.reset();
		words.store(0, 1);
		return 0;
	});

	EXPECT_TRUE(gate.wait_held_or([&] { return words.load(0) > 0; }));
	let_another_process_open();
	gate.open();
	EXPECT_TRUE(exited_well(wait_status(child)));
	expect_the_gpu_works();
}

/* Linux has answered, and the device has not heard of it yet. */
TEST_F(Life, a_process_ends_with_page_requests_unanswered)
{
	Setting deadline(std::string(parameters) + "deadline_ms", "60000");
	SharedWords words;
	pid_t child = start_child([&]() -> int {
		auto own = tandem::Device::open().take();
		auto queue = own.queue().take();
		auto module = own.module("test_queue.elf").take();
		Place fresh(2 * page_bytes);
		touch_arguments touch = {reinterpret_cast<unsigned char *>(fresh.get()), 1, words.at(1), 1};
		CHILD_CHECK(queue.run(module.kernel("touch").take(), {1}, {1}, &touch, 0, time_limit_ns));
		words.store(0, 1);
		CHILD_CHECK(words.wait_at_least(2, 1));
		touch.region += page_bytes;
		CHILD_CHECK(queue.dispatch(module.kernel("touch").take(), {1}, {1}, &touch));
		CHILD_CHECK(sweeper::wait_until([&] { return page_frame(touch.region) != 0; }));
		words.store(3, 1);
		pause();
		return 0;
	});

	ASSERT_TRUE(words.wait_at_least(0, 1));
	{
		Stall stall("stall-response");
		words.store(2, 1);
		EXPECT_TRUE(words.wait_at_least(3, 1));
		kill(child, SIGKILL);
		/* A driver that does not wait for the answer is through soon; and its PASID is free a moment later. */
		sweeper::wait_until([&] { return has_ended(child); }, {}, 0.5);
		EXPECT_FALSE(has_ended(child)) << "the driver did not wait";
		for (int round = 0; has_ended(child) && round < 10; round++)
			let_another_process_open();
	}
	wait_status(child);
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
