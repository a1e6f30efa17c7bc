// SPDX-License-Identifier: GPL-2.0-or-later
/* Each ioctl by hand, right and wrong: what a hostile or mistaken process may say to the driver, and what it hears. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "gpu_test.hpp"
#include "tandem_pci.h"

using namespace gpu_test;

namespace {

constexpr const char *path = "/dev/tandem0";

/* 0 or the errno value. */
int call(int file, unsigned long request, void *argument)
{
	return ioctl(file, request, argument) < 0 ? errno : 0;
}

class UapiTest : public ::testing::Test {
protected:
	void SetUp() override
	{
		file_ = open(path, O_RDWR | O_CLOEXEC);
		ASSERT_GE(file_, 0) << path << ": " << std::strerror(errno);
	}
	void TearDown() override
	{
		if (file_ >= 0)
			close(file_);
	}

	int init()
	{
		tandem_ioc_init init{};

		init.translation = TANDEM_TRANSLATION_MIRROR;
		return call(file_, TANDEM_IOC_INIT, &init);
	}

	tandem_ioc_queue_create right_queue()
	{
		tandem_ioc_queue_create create{};

		create.ring = memory_.address();
		create.indices = memory_.address() + 4096;
		create.scratch = memory_.address() + 8192;
		create.ring_order = 4;
		create.scratch_lane_bytes = 256;
		create.scratch_waves = 32;
		return create;
	}

	int create_queue(tandem_ioc_queue_create &create) { return call(file_, TANDEM_IOC_QUEUE_CREATE, &create); }

	template <typename Change> int create_spoilt(Change change)
	{
		tandem_ioc_queue_create create = right_queue();

		change(create);
		return create_queue(create);
	}

	int file_ = -1;
	Mapping memory_{8192 + 32 * 32 * 256};
};

TEST_F(UapiTest, query_tells_what_the_device_is)
{
	tandem_ioc_query query{};

	ASSERT_EQ(call(file_, TANDEM_IOC_QUERY, &query), 0);
	EXPECT_EQ(query.uapi_version >> 16, TANDEM_UAPI_MAJOR);
	EXPECT_EQ(query.abi_version >> 16, static_cast<unsigned>(TANDEM_ABI_MAJOR));
	EXPECT_GE(query.compute_units, 1u);
	EXPECT_GE(query.waves_per_cu, 1u);
	EXPECT_EQ(query.wave_lanes, static_cast<unsigned>(TANDEM_WAVE_LANES));
	EXPECT_GE(query.max_queues, 1u);
	EXPECT_TRUE(query.translations & 1u << TANDEM_TRANSLATION_MIRROR);
	EXPECT_FALSE(query.translations & 1u) << "0 is no kind of translation";
}

TEST_F(UapiTest, query_clock_goes_on)
{
	tandem_ioc_query first{}, second{};

	ASSERT_EQ(call(file_, TANDEM_IOC_QUERY, &first), 0);
	ASSERT_EQ(call(file_, TANDEM_IOC_QUERY, &second), 0);
	EXPECT_GT(second.clock_ns, first.clock_ns);
}

TEST_F(UapiTest, query_refuses_reserved_fields)
{
	tandem_ioc_query query{};

	query.reserved = 1;
	EXPECT_EQ(call(file_, TANDEM_IOC_QUERY, &query), EINVAL);
}

TEST_F(UapiTest, bad_pointers_are_efault)
{
	EXPECT_EQ(call(file_, TANDEM_IOC_QUERY, nullptr), EFAULT);
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, unmapped_address()), EFAULT);
	ASSERT_EQ(init(), 0);
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_CREATE, unmapped_address()), EFAULT);
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, unmapped_address()), EFAULT);
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_STATUS, unmapped_address()), EFAULT);
	EXPECT_EQ(call(file_, TANDEM_IOC_WAIT, unmapped_address()), EFAULT);
	EXPECT_EQ(call(file_, TANDEM_IOC_STATS, reinterpret_cast<void *>(~0ull << 47)), EFAULT);
}

TEST_F(UapiTest, unknown_requests_are_enotty)
{
	char argument[256] = {};

	EXPECT_EQ(call(file_, _IOWR(TANDEM_IOC_MAGIC, 0x3f, tandem_ioc_query), argument), ENOTTY);
	EXPECT_EQ(call(file_, _IOWR(TANDEM_IOC_MAGIC, 0x48, tandem_ioc_query), argument), ENOTTY);
	EXPECT_EQ(call(file_, _IOWR('U', 0x40, tandem_ioc_query), argument), ENOTTY);
	EXPECT_EQ(call(file_, _IOC(_IOC_READ | _IOC_WRITE, TANDEM_IOC_MAGIC, 0x40, 8), argument), ENOTTY) << "of another size";
}

TEST_F(UapiTest, init_twice_is_ebusy)
{
	ASSERT_EQ(init(), 0);
	EXPECT_EQ(init(), EBUSY);
}

TEST_F(UapiTest, init_gives_a_pasid)
{
	tandem_ioc_init init{};

	init.translation = TANDEM_TRANSLATION_MIRROR;
	ASSERT_EQ(call(file_, TANDEM_IOC_INIT, &init), 0);
	EXPECT_NE(init.pasid, 0u);
}

TEST_F(UapiTest, init_refuses_bad_values_and_can_be_tried_again)
{
	tandem_ioc_init init{};

	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EINVAL) << "translation 0";
	init.translation = 4711;
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EINVAL);
	init.translation = TANDEM_TRANSLATION_MIRROR;
	init.flags = ~TANDEM_INIT_MIGRATE;
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EINVAL);
	init.flags = 0;
	init.reserved[1] = 1;
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EINVAL);
	init.reserved[1] = 0;
	init.reserved[0] = 1;
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EINVAL);
	init.reserved[0] = 0;
	EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), 0);
}

TEST_F(UapiTest, translations_that_query_does_not_list_are_refused)
{
	tandem_ioc_query query{};

	ASSERT_EQ(call(file_, TANDEM_IOC_QUERY, &query), 0);
	for (unsigned kind : {TANDEM_TRANSLATION_SVA, TANDEM_TRANSLATION_SOFTTLB}) {
		if (query.translations & 1u << kind)
			continue;
		tandem_ioc_init init{};
		init.translation = kind;
		EXPECT_EQ(call(file_, TANDEM_IOC_INIT, &init), EOPNOTSUPP) << "translation " << kind;
	}
}

TEST_F(UapiTest, everything_else_needs_init_first)
{
	tandem_ioc_queue_create create = right_queue();
	tandem_ioc_queue_destroy destroy{};
	tandem_ioc_queue_status status{};
	tandem_ioc_stats stats{};

	EXPECT_NE(create_queue(create), 0);
	EXPECT_NE(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), 0);
	EXPECT_NE(call(file_, TANDEM_IOC_QUEUE_STATUS, &status), 0);
	EXPECT_NE(call(file_, TANDEM_IOC_STATS, &stats), 0);
	void *page = mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, file_, TANDEM_MMAP_DOORBELLS);
	EXPECT_EQ(page, MAP_FAILED);
}

TEST_F(UapiTest, a_right_queue_is_made_and_destroyed_once)
{
	ASSERT_EQ(init(), 0);
	tandem_ioc_queue_create create = right_queue();
	ASSERT_EQ(create_queue(create), 0);
	EXPECT_LT(create.doorbell, static_cast<unsigned>(TANDEM_DOORBELLS_PER_PAGE));
	tandem_ioc_queue_destroy destroy{};
	destroy.queue = create.queue;
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), 0);
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), ENOENT);
}

TEST_F(UapiTest, queue_create_refuses_bad_orders_and_sizes)
{
	ASSERT_EQ(init(), 0);
	for (unsigned order : {0u, 17u, 31u, 32u, 64u, ~0u})
		EXPECT_EQ(create_spoilt([&](auto &create) { create.ring_order = order; }), EINVAL) << order;
	for (unsigned bytes : {0u, 255u, 264u, 240u, ~0u})
		EXPECT_EQ(create_spoilt([&](auto &create) { create.scratch_lane_bytes = bytes; }), EINVAL) << bytes;
	for (unsigned waves : {0u, 1u, 31u})
		EXPECT_EQ(create_spoilt([&](auto &create) { create.scratch_waves = waves; }), EINVAL) << waves;
}

TEST_F(UapiTest, queue_create_refuses_misaligned_addresses)
{
	ASSERT_EQ(init(), 0);
	EXPECT_EQ(create_spoilt([](auto &create) { create.ring += 8; }), EINVAL);
	EXPECT_EQ(create_spoilt([](auto &create) { create.indices += 32; }), EINVAL);
	EXPECT_EQ(create_spoilt([](auto &create) { create.scratch += 8; }), EINVAL);
}

TEST_F(UapiTest, queue_create_refuses_addresses_beyond_user_space)
{
	ASSERT_EQ(init(), 0);
	for (std::uint64_t address : {1ull << 47, ~0ull << 47, ~0ull & ~63ull, (1ull << 47) - 64}) {
		EXPECT_NE(create_spoilt([&](auto &create) { create.ring = address; }), 0) << std::hex << address;
		EXPECT_NE(create_spoilt([&](auto &create) { create.indices = address; }), 0) << std::hex << address;
		EXPECT_NE(create_spoilt([&](auto &create) { create.scratch = address; }), 0) << std::hex << address;
	}
}

TEST_F(UapiTest, queue_create_refuses_flags_and_reserved_fields)
{
	ASSERT_EQ(init(), 0);
	EXPECT_EQ(create_spoilt([](auto &create) { create.flags = TANDEM_QUEUE_RESIDENT_ONLY << 1; }), EINVAL);
	EXPECT_EQ(create_spoilt([](auto &create) { create.reserved0 = 1; }), EINVAL);
	EXPECT_EQ(create_spoilt([](auto &create) { create.reserved[1] = 1; }), EINVAL);
}

TEST_F(UapiTest, queue_calls_refuse_queues_that_are_not_there)
{
	ASSERT_EQ(init(), 0);
	for (unsigned queue : {0u, 1u, 4096u, 1u << 31, ~0u}) {
		tandem_ioc_queue_destroy destroy{};
		tandem_ioc_queue_status status{};
		destroy.queue = status.queue = queue;
		EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), ENOENT) << queue;
		EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_STATUS, &status), ENOENT) << queue;
	}
	tandem_ioc_queue_destroy destroy{};
	destroy.reserved0 = 1;
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), EINVAL);
}

TEST_F(UapiTest, a_queue_of_another_file_is_not_there)
{
	ASSERT_EQ(init(), 0);
	tandem_ioc_queue_create create = right_queue();
	ASSERT_EQ(create_queue(create), 0);
	auto other = tandem::Device::open();
	ASSERT_OK(other);
	tandem_ioc_queue_status status{};
	status.queue = create.queue;
	EXPECT_EQ(call(tandem_file(other->get()), TANDEM_IOC_QUEUE_STATUS, &status), ENOENT);
	tandem_ioc_queue_destroy destroy{};
	destroy.queue = create.queue;
	EXPECT_EQ(call(tandem_file(other->get()), TANDEM_IOC_QUEUE_DESTROY, &destroy), ENOENT);
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_STATUS, &status), 0);
	EXPECT_EQ(status.state, static_cast<unsigned>(TANDEM_QUEUE_ACTIVE));
}

TEST_F(UapiTest, queues_run_out_and_come_back)
{
	ASSERT_EQ(init(), 0);
	tandem_ioc_query query{};
	ASSERT_EQ(call(file_, TANDEM_IOC_QUERY, &query), 0);
	std::vector<unsigned> made;
	int error = 0;

	while (!error && made.size() <= query.max_queues) {
		tandem_ioc_queue_create create = right_queue();
		error = create_queue(create);
		if (!error)
			made.push_back(create.queue);
	}
	EXPECT_EQ(error, ENOSPC);
	EXPECT_LE(made.size(), query.max_queues);
	for (unsigned queue : made) {
		tandem_ioc_queue_destroy destroy{};
		destroy.queue = queue;
		EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy), 0);
	}
	tandem_ioc_queue_create create = right_queue();
	EXPECT_EQ(create_queue(create), 0);
}

class WaitTest : public UapiTest {
protected:
	void SetUp() override
	{
		UapiTest::SetUp();
		ASSERT_EQ(init(), 0);
		tandem_signal_init(&signal_, 5);
	}

	tandem_ioc_wait right_wait()
	{
		tandem_ioc_wait wait{};

		wait.signal = reinterpret_cast<std::uintptr_t>(&signal_);
		wait.value = 5;
		wait.condition = TANDEM_WAIT_EQ;
		wait.queue = ~0u;
		wait.timeout_ns = 1'000'000;
		return wait;
	}

	template <typename Change> int wait_spoilt(Change change)
	{
		tandem_ioc_wait wait = right_wait();

		change(wait);
		return call(file_, TANDEM_IOC_WAIT, &wait);
	}

	alignas(64) tandem_signal signal_;
};

TEST_F(WaitTest, returns_at_once_what_holds_already)
{
	tandem_ioc_wait wait = right_wait();

	EXPECT_EQ(call(file_, TANDEM_IOC_WAIT, &wait), 0);
	EXPECT_EQ(wait.observed, 5);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = TANDEM_WAIT_NE, w.value = 4; }), 0);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = TANDEM_WAIT_LT, w.value = 6; }), 0);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = TANDEM_WAIT_GTE, w.value = 5; }), 0);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = TANDEM_WAIT_GTE, w.value = -1; }), 0);
}

TEST_F(WaitTest, runs_out_of_time)
{
	EXPECT_EQ(wait_spoilt([](auto &w) { w.value = 4; }), ETIMEDOUT);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.value = 4, w.timeout_ns = 0; }), ETIMEDOUT);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = TANDEM_WAIT_LT; }), ETIMEDOUT) << "5 is not less than 5";
}

TEST_F(WaitTest, refuses_bad_values)
{
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = 0; }), EINVAL);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.condition = 5; }), EINVAL);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.signal += 8; }), EINVAL);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.reserved = 1; }), EINVAL);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.queue = 17, w.value = 4; }), ENOENT) << "a queue that is not there";
	EXPECT_EQ(wait_spoilt([](auto &w) { w.signal = reinterpret_cast<std::uintptr_t>(unmapped_address()); }), EFAULT);
	EXPECT_EQ(wait_spoilt([](auto &w) { w.signal = ~63ull; }), EFAULT);
	signal_.event_id = 0;
	EXPECT_EQ(wait_spoilt([](auto &w) { w.value = 4; }), EINVAL) << "nobody would wake a sleeper";
}

TEST_F(UapiTest, stats_starts_at_zero)
{
	ASSERT_EQ(init(), 0);
	tandem_ioc_stats stats{};

	ASSERT_EQ(call(file_, TANDEM_IOC_STATS, &stats), 0);
	EXPECT_EQ(stats.faults, 0u);
	EXPECT_EQ(stats.pages_mirrored, 0u);
}

TEST_F(UapiTest, only_the_doorbell_page_can_be_mapped)
{
	ASSERT_EQ(init(), 0);
	auto try_map = [&](std::uint64_t bytes, int protection, int flags, off_t offset) {
		void *page = mmap(nullptr, bytes, protection, flags, file_, offset);
		if (page == MAP_FAILED)
			return false;
		munmap(page, bytes);
		return true;
	};

	EXPECT_TRUE(try_map(4096, PROT_WRITE, MAP_SHARED, 0));
	EXPECT_FALSE(try_map(8192, PROT_WRITE, MAP_SHARED, 0)) << "two pages: the second is another process's";
	EXPECT_FALSE(try_map(4096, PROT_WRITE, MAP_SHARED, 4096)) << "another offset";
	EXPECT_FALSE(try_map(4096, PROT_WRITE, MAP_PRIVATE, 0)) << "private";
}

TEST_F(UapiTest, a_child_gets_eperm)
{
	ASSERT_EQ(init(), 0);
	tandem_ioc_queue_create create = right_queue();
	ASSERT_EQ(create_queue(create), 0);
	int status = in_child([&] {
		tandem_ioc_stats stats{};
		tandem_ioc_queue_status queue_status{};
		tandem_ioc_queue_create another = right_queue();
		tandem_ioc_queue_destroy destroy{};

		queue_status.queue = destroy.queue = create.queue;
		CHILD_CHECK(call(file_, TANDEM_IOC_STATS, &stats) == EPERM);
		CHILD_CHECK(call(file_, TANDEM_IOC_QUEUE_STATUS, &queue_status) == EPERM);
		CHILD_CHECK(call(file_, TANDEM_IOC_QUEUE_CREATE, &another) == EPERM);
		CHILD_CHECK(call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy) == EPERM);
		CHILD_CHECK(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, file_, 0) == MAP_FAILED);
		return 0;
	});
	EXPECT_TRUE(exited_well(status));
	tandem_ioc_queue_status queue_status{};
	queue_status.queue = create.queue;
	EXPECT_EQ(call(file_, TANDEM_IOC_QUEUE_STATUS, &queue_status), 0) << "the parent goes on";
}

TEST_F(UapiTest, the_doorbell_page_is_not_inherited)
{
	ASSERT_EQ(init(), 0);
	void *page = mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, file_, TANDEM_MMAP_DOORBELLS);
	ASSERT_NE(page, MAP_FAILED);
	int status = in_child([&] {
		*static_cast<volatile std::uint64_t *>(page) = 1;
		return 0;
	});
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	munmap(page, 4096);
}

TEST_F(UapiTest, address_spaces_come_and_go)
{
	for (int round = 0; round < 100; round++) {
		auto device = tandem::Device::open();
		ASSERT_OK(device) << "round " << round;
	}
}

TEST_F(UapiTest, calls_from_several_threads_at_once_are_safe)
{
	ASSERT_EQ(init(), 0);
	std::vector<std::thread> threads;
	std::uint64_t failures = 0;

	for (int i = 0; i < 4; i++)
		threads.emplace_back([&] {
			for (int round = 0; round < 20; round++) {
				tandem_ioc_queue_create create = right_queue();
				tandem_ioc_queue_destroy destroy{};
				tandem_ioc_stats stats{};
				bool good = !create_queue(create) && !call(file_, TANDEM_IOC_STATS, &stats);
				destroy.queue = create.queue;
				good = good && !call(file_, TANDEM_IOC_QUEUE_DESTROY, &destroy);
				__atomic_fetch_add(&failures, !good, __ATOMIC_RELAXED);
			}
		});
	for (auto &thread : threads)
		thread.join();
	EXPECT_EQ(failures, 0u);
}

} // namespace
