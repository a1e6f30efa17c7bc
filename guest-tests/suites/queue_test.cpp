// SPDX-License-Identifier: GPL-2.0-or-later
/* User-mode queues: packets in order, wrap, several producers, barriers, bad packets, and kernels that never end. */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

class QueueTest : public GpuTest {
protected:
	/* A queue with a ring of 2^order packets. */
	tandem::Queue ring_of(std::uint32_t order)
	{
		tandem_queue_options options{};

		options.ring_order = order;
		return new_queue(&options);
	}

	template <typename Packet> int submit(tandem::Queue &to, const Packet &packet)
	{
		static_assert(sizeof(packet) == TANDEM_PACKET_BYTES);
		return tandem_submit(to.get(), &packet);
	}

	tandem_dispatch_packet right_packet()
	{
		tandem_dispatch_packet packet{};

		packet.header = TANDEM_PACKET_KERNEL_DISPATCH;
		packet.setup = 1;
		for (int i = 0; i < 3; i++)
			packet.workgroup_size[i] = 1, packet.grid_size[i] = 1;
		packet.kernel_object = reinterpret_cast<std::uintptr_t>(kernel("count"));
		packet.kernarg_address = reinterpret_cast<std::uintptr_t>(&count_);
		packet.completion_signal = reinterpret_cast<std::uintptr_t>(&done_);
		tandem_signal_init(&done_, 1);
		return packet;
	}

	/* Submits to a new queue, which must stop with this error; then the GPU must still work. */
	template <typename Packet> void expect_refusal(const Packet &packet, tandem_queue_error error)
	{
		tandem::Queue victim = new_queue();

		ASSERT_EQ(submit(victim, packet), 0);
		EXPECT_EQ(tandem_wait(victim.get(), &done_, time_limit_ns), TANDEM_ERROR_QUEUE) << tandem_error_text();
		expect_error(victim, error);
		EXPECT_EQ(counter_, 0u);
		expect_the_gpu_works();
	}

	std::uint64_t counter_ = 0;
	count_arguments count_ = {&counter_, 1};
	alignas(64) tandem_signal done_;
};

TEST_F(QueueTest, a_dispatch_runs_each_lane_once)
{
	ASSERT_OK(run("count", {1000}, {64}, &count_));
	EXPECT_EQ(counter_, 1000u);
}

TEST_F(QueueTest, a_hand_made_packet_runs)
{
	tandem_dispatch_packet packet = right_packet();

	ASSERT_EQ(submit(queue(), packet), 0);
	ASSERT_EQ(tandem_wait(queue().get(), &done_, time_limit_ns), 0) << tandem_error_text();
	EXPECT_EQ(counter_, 1u);
	EXPECT_EQ(tandem_signal_value(&done_), 0);
}

TEST_F(QueueTest, signals_carry_time_stamps)
{
	tandem_dispatch_packet packet = right_packet();
	std::uint64_t before = device().query()->clock_ns;

	ASSERT_EQ(submit(queue(), packet), 0);
	ASSERT_EQ(tandem_wait(queue().get(), &done_, time_limit_ns), 0) << tandem_error_text();
	EXPECT_GE(done_.start_ns, before);
	EXPECT_GE(done_.end_ns, done_.start_ns);
	EXPECT_LE(done_.end_ns, device().query()->clock_ns);
}

TEST_F(QueueTest, a_small_ring_wraps_many_times)
{
	tandem::Queue small = ring_of(1);
	auto done = tandem::Signal::create(200).take();

	for (int i = 0; i < 200; i++)
		ASSERT_OK(small.dispatch(kernel("count"), {3}, {1}, &count_, done.get()));
	ASSERT_OK(small.wait(done, time_limit_ns));
	EXPECT_EQ(counter_, 600u);
	EXPECT_EQ(tandem_queue_progress(small.get())->write_index, 200u);
	EXPECT_TRUE(sweeper::wait_until([&] {
		return __atomic_load_n(&tandem_queue_progress(small.get())->read_index, __ATOMIC_ACQUIRE) == 200;
	})) << "the device gives each slot back";
}

TEST_F(QueueTest, several_producers_lose_nothing)
{
	tandem::Queue small = ring_of(2);
	constexpr int threads = 4, each = 50;
	auto done = tandem::Signal::create(threads * each).take();
	std::vector<std::thread> pool;
	tandem::Kernel count = kernel("count");
	int failures = 0;

	for (int t = 0; t < threads; t++)
		pool.emplace_back([&] {
			for (int i = 0; i < each; i++)
				if (!small.dispatch(count, {2}, {2}, &count_, done.get()))
					__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
		});
	for (auto &thread : pool)
		thread.join();
	ASSERT_EQ(failures, 0);
	ASSERT_OK(small.wait(done, time_limit_ns));
	EXPECT_EQ(counter_, 2u * threads * each);
}

TEST_F(QueueTest, many_queues_work_at_the_same_time)
{
	std::vector<tandem::Queue> queues;
	auto done = tandem::Signal::create(8).take();

	for (int i = 0; i < 8; i++)
		queues.push_back(new_queue());
	for (auto &one : queues)
		ASSERT_OK(one.dispatch(kernel("count"), {128}, {64}, &count_, done.get()));
	ASSERT_OK(queues[0].wait(done, time_limit_ns));
	EXPECT_EQ(counter_, 8u * 128);
}

TEST_F(QueueTest, a_barrier_bit_keeps_the_order)
{
	constexpr std::uint64_t count = 8;
	std::uint64_t ticket = 0, slots[count] = {};
	order_arguments arguments[count];
	auto done = tandem::Signal::create(count).take();

	/* The earlier ones take longer: without the barrier they would draw later. */
	for (std::uint64_t i = 0; i < count; i++) {
		arguments[i] = {&ticket, &slots[i], (count - i) * 500};
		tandem_launch launch{};
		launch.kernel = kernel("draw_ticket");
		launch.arguments = &arguments[i];
		launch.barrier = true;
		launch.completion = done.get();
		ASSERT_EQ(tandem_dispatch(queue().get(), &launch), 0) << tandem_error_text();
	}
	ASSERT_OK(queue().wait(done, time_limit_ns));
	for (std::uint64_t i = 0; i < count; i++)
		EXPECT_EQ(slots[i], i + 1);
}

TEST_F(QueueTest, a_barrier_packet_waits_for_all_its_signals)
{
	auto first = tandem::Signal::create(1).take(), second = tandem::Signal::create(1).take(),
	     done = tandem::Signal::create(1).take();
	tandem_signal *both[] = {first.get(), second.get()};

	ASSERT_EQ(tandem_barrier(queue().get(), TANDEM_BARRIER_ALL, both, 2, done.get()), 0);
	__atomic_store_n(&first.get()->value, 0, __ATOMIC_RELEASE);
	/* Proof that it still waits: work on another queue comes and goes meanwhile. */
	expect_the_gpu_works();
	EXPECT_EQ(done.value(), 1);
	__atomic_store_n(&second.get()->value, 0, __ATOMIC_RELEASE);
	EXPECT_OK(queue().wait(done, time_limit_ns));
}

TEST_F(QueueTest, a_barrier_packet_waits_for_one_of_its_signals)
{
	auto first = tandem::Signal::create(1).take(), second = tandem::Signal::create(1).take(),
	     done = tandem::Signal::create(1).take();
	tandem_signal *both[] = {first.get(), second.get()};

	ASSERT_EQ(tandem_barrier(queue().get(), TANDEM_BARRIER_ANY, both, 2, done.get()), 0);
	expect_the_gpu_works();
	EXPECT_EQ(done.value(), 1);
	__atomic_store_n(&second.get()->value, 0, __ATOMIC_RELEASE);
	EXPECT_OK(queue().wait(done, time_limit_ns));
}

TEST_F(QueueTest, a_barrier_packet_orders_two_queues)
{
	tandem::Queue other = new_queue();
	SharedWords words;
	spin_arguments spin = {words.at(0), words.at(1), words.at(2)};
	auto spun = tandem::Signal::create(1).take(), done = tandem::Signal::create(1).take();
	tandem_signal *dependency = spun.get();
	tandem_launch launch{};

	ASSERT_OK(other.dispatch(kernel("spin"), {32}, {32}, &spin, spun.get()));
	ASSERT_EQ(tandem_barrier(queue().get(), TANDEM_BARRIER_ALL, &dependency, 1, nullptr), 0);
	launch.kernel = kernel("count");
	launch.arguments = &count_;
	launch.barrier = true;
	launch.completion = done.get();
	ASSERT_EQ(tandem_dispatch(queue().get(), &launch), 0);
	ASSERT_TRUE(words.wait_at_least(0, 32));
	expect_the_gpu_works();
	EXPECT_EQ(__atomic_load_n(&counter_, __ATOMIC_SEQ_CST), 0u) << "ran before what it depends on";
	words.store(1, 1);
	ASSERT_OK(queue().wait(done, time_limit_ns));
	EXPECT_EQ(words.load(2), 32u);
	EXPECT_EQ(counter_, 1u);
}

TEST_F(QueueTest, a_packet_of_unknown_type_stops_its_queue_only)
{
	tandem_dispatch_packet packet = right_packet();

	packet.header = 77;
	expect_refusal(packet, TANDEM_QUEUE_BAD_PACKET);
}

TEST_F(QueueTest, an_agent_dispatch_stops_its_queue_only)
{
	tandem_dispatch_packet packet = right_packet();

	packet.header = TANDEM_PACKET_AGENT_DISPATCH;
	expect_refusal(packet, TANDEM_QUEUE_BAD_PACKET);
}

TEST_F(QueueTest, impossible_sizes_stop_the_queue)
{
	const std::function<void(tandem_dispatch_packet &)> spoilers[] = {
		[](auto &packet) { packet.setup = 0; },
		[](auto &packet) { packet.workgroup_size[0] = 0; },
		[](auto &packet) { packet.workgroup_size[0] = 1025; },
		[](auto &packet) { packet.setup = 3, packet.workgroup_size[0] = packet.workgroup_size[2] = 0xffff; },
		[](auto &packet) { packet.grid_size[0] = 0; },
		[](auto &packet) { packet.private_bytes = 1u << 30; },
		[](auto &packet) { packet.group_bytes = ~0u; },
	};

	for (const auto &spoil : spoilers) {
		tandem_dispatch_packet packet = right_packet();
		tandem::Queue victim = new_queue();
		spoil(packet);
		ASSERT_EQ(submit(victim, packet), 0);
		EXPECT_EQ(tandem_wait(victim.get(), &done_, time_limit_ns), TANDEM_ERROR_QUEUE)
			<< "case " << &spoil - spoilers << ": " << tandem_error_text();
	}
	EXPECT_EQ(counter_, 0u);
	expect_the_gpu_works();
}

TEST_F(QueueTest, an_unknown_copy_operation_stops_the_queue)
{
	tandem_copy_packet packet{};

	packet.header = TANDEM_PACKET_VENDOR;
	packet.operation = 99;
	packet.completion_signal = reinterpret_cast<std::uintptr_t>(&done_);
	tandem_signal_init(&done_, 1);
	expect_refusal(packet, TANDEM_QUEUE_BAD_PACKET);
}

TEST_F(QueueTest, a_descriptor_without_its_magic_stops_the_queue)
{
	alignas(64) tandem_kernel_descriptor bad = *kernel("count");
	tandem_dispatch_packet packet = right_packet();

	bad.magic ^= 1;
	packet.kernel_object = reinterpret_cast<std::uintptr_t>(&bad);
	expect_refusal(packet, TANDEM_QUEUE_BAD_KERNEL);
}

TEST_F(QueueTest, a_descriptor_that_is_not_there_stops_the_queue)
{
	tandem_dispatch_packet packet = right_packet();

	packet.kernel_object = reinterpret_cast<std::uintptr_t>(unmapped_address());
	expect_refusal(packet, TANDEM_QUEUE_ADDRESS_FAULT);
}

TEST_F(QueueTest, a_doorbell_that_runs_ahead_stops_the_queue)
{
	Mapping memory(8192 + 32 * 32 * 256);
	tandem_ioc_queue_create create{};

	create.ring = memory.address();
	create.indices = memory.address() + 4096;
	create.scratch = memory.address() + 8192;
	create.ring_order = 1;
	create.scratch_lane_bytes = 256;
	create.scratch_waves = 32;
	int file = tandem_file(device().get());
	ASSERT_EQ(ioctl(file, TANDEM_IOC_QUEUE_CREATE, &create), 0);
	void *doorbells = mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, file, TANDEM_MMAP_DOORBELLS);
	ASSERT_NE(doorbells, MAP_FAILED);
	static_cast<volatile std::uint64_t *>(doorbells)[create.doorbell] = 1000;
	tandem_ioc_queue_status status{};
	status.queue = create.queue;
	EXPECT_TRUE(sweeper::wait_until([&] {
		return ioctl(file, TANDEM_IOC_QUEUE_STATUS, &status) == 0 && status.error == TANDEM_QUEUE_BAD_INDEX;
	})) << "error " << status.error;
	munmap(doorbells, 4096);
	tandem_ioc_queue_destroy destroy{};
	destroy.queue = create.queue;
	EXPECT_EQ(ioctl(file, TANDEM_IOC_QUEUE_DESTROY, &destroy), 0);
	expect_the_gpu_works();
}

TEST_F(QueueTest, ringing_doorbells_that_nobody_has_does_nothing)
{
	void *doorbells = mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, tandem_file(device().get()), TANDEM_MMAP_DOORBELLS);
	ASSERT_NE(doorbells, MAP_FAILED);
	for (unsigned i = 8; i < 512; i++)
		static_cast<volatile std::uint64_t *>(doorbells)[i] = ~0ull;
	munmap(doorbells, 4096);
	expect_the_gpu_works();
}

TEST_F(QueueTest, submitting_to_a_failed_queue_with_a_full_ring_gives_its_error)
{
	tandem::Queue small = ring_of(1);
	tandem_dispatch_packet packet = right_packet();

	packet.header = 77;
	ASSERT_EQ(submit(small, packet), 0);
	ASSERT_EQ(tandem_wait(small.get(), &done_, time_limit_ns), TANDEM_ERROR_QUEUE);
	int status = 0;
	for (int i = 0; i < 4 && !status; i++)
		status = submit(small, packet);
	EXPECT_EQ(status, TANDEM_ERROR_QUEUE) << tandem_error_text();
}

TEST_F(QueueTest, a_kernel_that_never_ends_is_ended_by_destroying_its_queue)
{
	SharedWords words;
	spin_arguments arguments = {words.at(0), words.at(1), words.at(2)};

	{
		tandem::Queue wild = new_queue();
		ASSERT_OK(wild.dispatch(kernel("run_wild"), {256}, {64}, &arguments));
		ASSERT_TRUE(words.wait_at_least(0, 64));
	}
	expect_the_gpu_works();
}

TEST_F(QueueTest, a_kernel_that_never_ends_does_not_keep_others_from_working)
{
	SharedWords words;
	spin_arguments arguments = {words.at(0), words.at(1), words.at(2)};
	tandem::Queue wild = new_queue();

	ASSERT_OK(wild.dispatch(kernel("run_wild"), {16384}, {256}, &arguments));
	ASSERT_TRUE(words.wait_at_least(0, 256));
	expect_the_gpu_works();
}

TEST_F(QueueTest, a_kernel_that_never_ends_dies_with_its_process)
{
	SharedWords words;
	pid_t child = start_child([&]() -> int {
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto wild = own.queue().take();
		spin_arguments arguments = {words.at(0), words.at(1), words.at(2)};
		CHILD_CHECK(wild.dispatch(module.kernel("run_wild").take(), {256}, {64}, &arguments));
		pause();
		return 0;
	});
	bool started = words.wait_at_least(0, 64);
	kill(child, SIGKILL);
	int status = wait_status(child);
	EXPECT_TRUE(started);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_the_gpu_works();
}

TEST_F(QueueTest, waiting_runs_out_of_time_and_can_go_on)
{
	SharedWords words;
	spin_arguments arguments = {words.at(0), words.at(1), words.at(2)};
	auto done = tandem::Signal::create().take();

	ASSERT_OK(queue().dispatch(kernel("spin"), {32}, {32}, &arguments, done.get()));
	ASSERT_TRUE(words.wait_at_least(0, 32));
	EXPECT_EQ(tandem_wait(queue().get(), done.get(), 20'000'000), TANDEM_ERROR_TIMEOUT);
	words.store(1, 1);
	EXPECT_OK(queue().wait(done, time_limit_ns));
	EXPECT_EQ(words.load(2), 32u);
}

TEST_F(QueueTest, a_sleeping_waiter_is_woken)
{
	SharedWords words;
	spin_arguments arguments = {words.at(0), words.at(1), words.at(2)};
	auto done = tandem::Signal::create().take();
	std::uint64_t waiting = 0;
	bool woken = false;

	ASSERT_OK(queue().dispatch(kernel("spin"), {32}, {32}, &arguments, done.get()));
	ASSERT_TRUE(words.wait_at_least(0, 32));
	std::thread waiter([&] {
		__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
		woken = static_cast<bool>(queue().wait(done, time_limit_ns));
	});
	sweeper::wait_until([&] { return __atomic_load_n(&waiting, __ATOMIC_SEQ_CST) == 1; });
	expect_the_gpu_works(); /* long enough for it to fall asleep; right in either case */
	words.store(1, 1);
	waiter.join();
	EXPECT_TRUE(woken);
}

TEST_F(QueueTest, a_waiter_is_woken_when_the_queue_fails)
{
	store_arguments bad = {unmapped_address(), 1};
	auto never = tandem::Signal::create().take();

	ASSERT_OK(queue().dispatch(kernel("store", "store.elf"), {1}, {1}, &bad, never.get()));
	EXPECT_EQ(tandem_wait(queue().get(), never.get(), time_limit_ns), TANDEM_ERROR_QUEUE);
	EXPECT_EQ(never.value(), 1);
}

TEST_F(QueueTest, options_out_of_range_are_refused_with_words)
{
	tandem_queue *made = nullptr;
	tandem_queue_options options{};

	options.ring_order = 17;
	EXPECT_EQ(tandem_queue_create(device().get(), &options, &made), TANDEM_ERROR_INVALID);
	EXPECT_NE(std::strstr(tandem_error_text(), "ring_order"), nullptr);
	options = {};
	options.scratch_lane_bytes = 100;
	EXPECT_EQ(tandem_queue_create(device().get(), &options, &made), TANDEM_ERROR_INVALID);
	options = {};
	options.scratch_waves = 31;
	EXPECT_EQ(tandem_queue_create(device().get(), &options, &made), TANDEM_ERROR_INVALID);
	EXPECT_EQ(made, nullptr);
}

TEST_F(QueueTest, create_and_destroy_many_times)
{
	for (int i = 0; i < 50; i++) {
		auto one = device().queue();
		ASSERT_OK(one) << i;
		ASSERT_OK(one->run(kernel("count"), {1}, {1}, &count_, 0, time_limit_ns));
	}
	EXPECT_EQ(counter_, 50u);
}

} // namespace
