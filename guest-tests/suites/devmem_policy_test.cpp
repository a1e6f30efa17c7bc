// SPDX-License-Identifier: GPL-2.0-or-later
/* Who decides where a page lies: wishes for ranges, TANDEM_INIT_MIGRATE, access counters, and the detector of ping-pong. */
#include <sys/ioctl.h>

#include <sstream>

#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

const char *const parameters = "/sys/module/tandem/parameters/";

class DevmemPolicy : public DevmemTest {
protected:
	/* The GPU with TANDEM_INIT_MIGRATE: a second address space of this process. */
	struct Mover {
		tandem::Device device;
		tandem::Queue queue;
		tandem::Module module;

		static Mover open()
		{
			tandem_open_options options = {0, nullptr, TANDEM_INIT_MIGRATE};
			auto device = tandem::Device::open(&options).take();
			auto queue = device.queue().take();
			auto module = device.module("test_queue.elf").take();
			leave_the_rest(device);
			return {std::move(device), std::move(queue), std::move(module)};
		}
		/*
		 * What is mapped already is left alone: among it are pages that this process still shares with its parent, and which
		 * would be in the GPU's memory for longer than this test.
		 */
		static void leave_the_rest(const tandem::Device &device)
		{
			std::istringstream lines(read_file("/proc/self/maps"));

			for (std::string line; std::getline(lines, line);) {
				unsigned long long start, end;

				if (std::sscanf(line.c_str(), "%llx-%llx", &start, &end) == 2 && line.find(" rw-p ") != line.npos) {
					EXPECT_OK(device.prefer(reinterpret_cast<void *>(start), end - start, TANDEM_LOCATION_SYSTEM));
				}
			}
		}
		void touch(void *start, std::uint64_t length, bool write) const
		{
			std::uint64_t done = 0;
			touch_arguments arguments = {static_cast<unsigned char *>(start), length / page_bytes, &done, write};
			ASSERT_OK(queue.run(module.kernel("touch").take(), {64}, {64}, &arguments, 0, time_limit_ns));
		}
	};

	/* Whatever policy the environment asks for, the fixture's own address space has none. */
	void prepare() override { unsetenv("TANDEM_MIGRATE"); }

	/* GPU reads of the region by a kernel, so often that the hardware counts them. */
	void read_often(const void *start, std::uint64_t length, unsigned times)
	{
		for (unsigned time = 0; time < times; time++)
			EXPECT_TRUE(gpu_holds(start, length, 1));
	}
};

/* ---- preferred location ---- */

DEVMEM_TEST(DevmemPolicy, without_a_wish_pages_are_used_where_they_lie)
{
	AtHome region;
	gpu_touch(region.get(), bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	ASSERT_TRUE(to_vram(region.get(), bytes));
	gpu_touch(region.get(), bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
}

DEVMEM_TEST(DevmemPolicy, a_gpu_fault_moves_what_prefers_the_device)
{
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes)) << "a wish alone moves nothing";
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPolicy, one_fault_moves_its_neighbours_but_not_beyond_the_range)
{
	Mapping region(4 * bytes);
	ASSERT_SYS(madvise(region.get(), 4 * bytes, MADV_NOHUGEPAGE));
	fill(region.get(), 4 * bytes, 1);
	ASSERT_OK(device().prefer(region.at(bytes), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(gpu_reads(&region.words(pages + 30)[1]), pattern(1, (pages + 30) * 512 + 1));
	EXPECT_EQ(place_of(region.words(pages + 30)), TANDEM_PAGE_DEVICE);
	EXPECT_GT(count(region.at(bytes), bytes, TANDEM_PAGE_DEVICE), 1u) << "a fault for each page?";
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
	EXPECT_EQ(count(region.at(2 * bytes), 2 * bytes, TANDEM_PAGE_DEVICE), 0u);
	EXPECT_TRUE(gpu_holds(region.get(), 4 * bytes, 1));
	EXPECT_TRUE(holds(region.get(), 4 * bytes, 1));
}

DEVMEM_TEST(DevmemPolicy, untouched_memory_begins_where_it_is_preferred)
{
	Mapping region(bytes);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	gpu_fill(region.get(), bytes, 3);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 3));
}

DEVMEM_TEST(DevmemPolicy, the_whole_address_space_can_prefer_the_device)
{
	Mover mover = Mover::open();
	AtHome region;
	mover.touch(region.get(), bytes, false);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPolicy, what_prefers_the_system_stays_whatever_the_address_space_wants)
{
	Mover mover = Mover::open();
	AtHome region;
	ASSERT_OK(mover.device.prefer(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
	mover.touch(region.get(), bytes, false);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	ASSERT_OK(mover.device.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	mover.touch(region.get(), bytes, false);
	EXPECT_GT(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u) << "who asks gets it";
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* ---- accessed by ---- */

DEVMEM_TEST(DevmemPolicy, accessed_by_is_mapped_at_once_and_never_moved)
{
	AtHome region, another;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().advise(region.get(), bytes, TANDEM_RANGE_ACCESSED_BY));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_TRUE(page_state(region.words(page)) & TANDEM_PAGE_MAPPED) << page;
	gpu_touch(another.get(), bytes); /* code, stack and arguments are mapped now */
	std::uint64_t faults = stats().faults;
	gpu_touch(region.get(), bytes, false);
	EXPECT_LT(stats().faults - faults, pages / 4) << "it faults like any other";
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* ---- read mostly ---- */

DEVMEM_TEST(DevmemPolicy, read_mostly_is_read_in_place_and_moved_by_a_write)
{
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().advise(region.get(), bytes, TANDEM_RANGE_READ_MOSTLY));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_FALSE(page_state(region.words(page)) & TANDEM_PAGE_MAPPED_WRITE) << page;
	EXPECT_TRUE(holds(region.get(), bytes, 1)) << "both read at the same time";
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPolicy, read_mostly_without_another_wish_is_written_in_place)
{
	AtHome region;
	ASSERT_OK(device().advise(region.get(), bytes, TANDEM_RANGE_READ_MOSTLY));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* ---- access counters ---- */

DEVMEM_TEST(DevmemPolicy, a_region_that_is_used_much_moves_and_one_that_is_not_stays)
{
	AtHome hot(16 * page_bytes), cold(16 * page_bytes);
	for (const AtHome *region : {&hot, &cold})
		ASSERT_OK(device().advise(region->get(), region->bytes(), TANDEM_RANGE_COUNTED));
	EXPECT_EQ(gpu_reads(cold.words()), pattern(1, 0));
	EXPECT_TRUE(sweeper::wait_until([&] {
		read_often(hot.get(), hot.bytes(), 20);
		return count(hot.get(), hot.bytes(), TANDEM_PAGE_DEVICE) == hot.bytes() / page_bytes;
	})) << count(hot.get(), hot.bytes(), TANDEM_PAGE_DEVICE) << " pages moved, " << counter(TANDEM_COUNTER_ACCESS_EVENTS) << " events";
	EXPECT_EQ(count(cold.get(), cold.bytes(), TANDEM_PAGE_DEVICE), 0u);
	EXPECT_TRUE(gpu_holds(hot.get(), hot.bytes(), 1));
	EXPECT_TRUE(holds(hot.get(), hot.bytes(), 1));
	EXPECT_TRUE(holds(cold.get(), cold.bytes(), 1));
}

DEVMEM_TEST(DevmemPolicy, what_is_not_counted_stays_however_much_it_is_used)
{
	AtHome region(16 * page_bytes);
	read_often(region.get(), region.bytes(), 200);
	EXPECT_EQ(count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE), 0u);
}

/* ---- ping-pong ---- */

/* In coherent memory nothing goes to and fro: the CPU reaches it where it is. */
class DevmemThrash : public DevmemPolicy {
protected:
	bool is_private() { return device().query()->vram_kind == TANDEM_VRAM_PRIVATE; }

	void set(const char *name, unsigned value)
	{
		settings_.push_back(std::make_unique<Setting>(std::string(parameters) + name, std::to_string(value)));
	}
	void TearDown() override { settings_.clear(); }

	/* CPU and GPU take turns; returns how often the page went to the GPU's memory. */
	unsigned ping_pong(AtHome &region, unsigned rounds)
	{
		unsigned moves = 0;

		for (unsigned round = 0; round < rounds; round++) {
			std::uint64_t value = region.words()[0] + 1; /* the CPU brings it home */

			region.words()[0] = value;
			EXPECT_EQ(gpu_reads(region.words()), value);
			gpu_writes(region.words(), value);
			moves += place_of(region.get()) == TANDEM_PAGE_DEVICE;
		}
		return moves;
	}

private:
	std::vector<std::unique_ptr<Setting>> settings_;
};

DEVMEM_TEST(DevmemThrash, a_page_that_goes_to_and_fro_is_left_at_home)
{
	if (!is_private())
		GTEST_SKIP() << "the CPU moves nothing";
	set("thrash_limit", 3), set("thrash_ms", 60'000), set("thrash_pin_ms", 60'000);
	AtHome region;
	std::uint64_t before = stats().thrash_pins;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_LE(ping_pong(region, 12), 5u);
	EXPECT_GT(stats().thrash_pins, before);
	EXPECT_EQ(place_of(region.get()), TANDEM_PAGE_SYSTEM);
	ASSERT_TRUE(to_vram(region.get(), bytes)) << "who asks gets it";
	TearDown();
}

DEVMEM_TEST(DevmemThrash, and_goes_again_when_its_time_is_over)
{
	if (!is_private())
		GTEST_SKIP() << "the CPU moves nothing";
	set("thrash_limit", 2), set("thrash_ms", 60'000), set("thrash_pin_ms", 300);
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ping_pong(region, 6);
	EXPECT_TRUE(sweeper::wait_until([&] {
		usleep(100'000);
		*static_cast<volatile std::uint64_t *>(region.words());
		/* The GPU's translation must go, or nothing asks again. */
		madvise(region.get(), bytes, MADV_DONTNEED);
		gpu_touch(region.get(), page_bytes);
		return place_of(region.get()) == TANDEM_PAGE_DEVICE;
	}));
	TearDown();
}

/* ---- questions ---- */

DEVMEM_TEST(DevmemPolicy, wishes_are_kept_by_range)
{
	Mapping region(4 * bytes);
	auto expect = [&](std::uint64_t offset, std::uint64_t first, std::uint64_t last, std::uint32_t preferred, std::uint32_t flags) {
		tandem_ioc_range range = device().range(region.at(offset)).take();
		EXPECT_EQ(range.start, region.address() + first) << offset;
		EXPECT_EQ(range.start + range.length, region.address() + last) << offset;
		EXPECT_EQ(range.preferred, preferred) << offset;
		EXPECT_EQ(range.flags, flags) << offset;
	};
	ASSERT_OK(device().prefer(region.get(), 4 * bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().advise(region.at(bytes), bytes, TANDEM_RANGE_READ_MOSTLY));
	expect(0, 0, bytes, TANDEM_LOCATION_DEVICE, 0);
	expect(bytes + 5 * page_bytes, bytes, 2 * bytes, TANDEM_LOCATION_DEVICE, TANDEM_RANGE_READ_MOSTLY);
	expect(3 * bytes, 2 * bytes, 4 * bytes, TANDEM_LOCATION_DEVICE, 0);
	ASSERT_OK(device().prefer(region.at(bytes / 2), bytes, TANDEM_LOCATION_SYSTEM));
	expect(bytes / 2, bytes / 2, bytes, TANDEM_LOCATION_SYSTEM, 0);
	expect(bytes, bytes, bytes * 3 / 2, TANDEM_LOCATION_SYSTEM, TANDEM_RANGE_READ_MOSTLY);
	expect(bytes * 3 / 2, bytes * 3 / 2, 2 * bytes, TANDEM_LOCATION_DEVICE, TANDEM_RANGE_READ_MOSTLY);
	ASSERT_SYS(munmap(region.at(2 * bytes), bytes));
	remap(region.at(2 * bytes), bytes);
	expect(2 * bytes, 2 * bytes, 4 * bytes, TANDEM_LOCATION_DEVICE, 0);
	ASSERT_OK(device().prefer(region.get(), 4 * bytes, TANDEM_LOCATION_NONE));
	ASSERT_OK(device().advise(region.get(), 4 * bytes, 0));
	tandem_ioc_range range = device().range(region.get()).take();
	EXPECT_EQ(range.preferred, 0u);
	EXPECT_EQ(range.flags, 0u);
}

DEVMEM_TEST(DevmemPolicy, each_address_space_has_its_own_wishes)
{
	AtHome region;
	auto other = tandem::Device::open().take();
	ASSERT_OK(other.prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(device().range(region.get())->preferred, 0u);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
}

DEVMEM_TEST(DevmemPolicy, where_pages_are)
{
	Mapping region(4 * page_bytes);
	ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
	EXPECT_EQ(page_state(region.words(0)) & TANDEM_PAGE_PLACE, TANDEM_PAGE_ABSENT);
	region.words(1)[0] = 1;
	EXPECT_EQ(page_state(region.words(1)), TANDEM_PAGE_SYSTEM | TANDEM_PAGE_WRITE);
	gpu_writes(region.words(1), 2);
	EXPECT_EQ(page_state(region.words(1)), TANDEM_PAGE_SYSTEM | TANDEM_PAGE_WRITE | TANDEM_PAGE_MAPPED | TANDEM_PAGE_MAPPED_WRITE);
	region.words(2)[0] = 1;
	ASSERT_TRUE(to_vram(region.words(2), page_bytes));
	gpu_writes(region.words(2), 2);
	EXPECT_EQ(page_state(region.words(2)), TANDEM_PAGE_DEVICE | TANDEM_PAGE_WRITE | TANDEM_PAGE_MAPPED | TANDEM_PAGE_MAPPED_WRITE);
	ASSERT_SYS(mprotect(region.words(2), page_bytes, PROT_READ));
	EXPECT_FALSE(page_state(region.words(2)) & (TANDEM_PAGE_WRITE | TANDEM_PAGE_MAPPED_WRITE));
	HugeMapping huge(huge_bytes);
	std::memset(huge.get(), 1, huge_bytes);
	EXPECT_TRUE(page_state(huge.words(77)) & TANDEM_PAGE_HUGE);
	EXPECT_EQ(*device().pages(region.words(3), page_bytes), std::vector<std::uint8_t>{TANDEM_PAGE_ABSENT});
	EXPECT_EQ(count(unmapped_address(), bytes, TANDEM_PAGE_ABSENT), pages);
}

/* ---- what a hostile or mistaken program asks ---- */

DEVMEM_TEST(DevmemPolicy, bad_requests_are_refused)
{
	AtHome region;
	std::uint64_t base = region.address();
	auto prefetched = [&](tandem_ioc_prefetch request) {
		return ioctl(tandem_file(device().get()), TANDEM_IOC_PREFETCH, &request) ? errno : 0;
	};
	auto ranged = [&](tandem_ioc_range request, unsigned long number = TANDEM_IOC_RANGE_SET) {
		return ioctl(tandem_file(device().get()), number, &request) ? errno : 0;
	};
	auto asked = [&](tandem_ioc_pages request) {
		return ioctl(tandem_file(device().get()), TANDEM_IOC_PAGES, &request) ? errno : 0;
	};
	std::vector<std::uint8_t> states(pages);
	std::uint64_t to = reinterpret_cast<std::uintptr_t>(states.data());
	constexpr std::uint32_t there = TANDEM_LOCATION_DEVICE;

	EXPECT_EQ(prefetched({base, bytes, there, 0, 0, 0, {}}), 0);
	EXPECT_EQ(prefetched({base + 8, bytes, there, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, bytes + 8, there, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, ~0ull << 12, there, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({~0ull << 12, bytes, there, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, bytes, TANDEM_LOCATION_NONE, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, bytes, 3, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, bytes, there, 1, 0, 0, {}}), EINVAL);
	EXPECT_EQ(prefetched({base, bytes, there, 0, 0, 0, {0, 1}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_PREFERRED, there, 0, 0, {}}), 0);
	EXPECT_EQ(ranged({base + 1, bytes, TANDEM_RANGE_PREFERRED, there, 0, 0, {}}), EINVAL);
	EXPECT_EQ(ranged({base, 0 - base, TANDEM_RANGE_PREFERRED, there, 0, 0, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, 8, 0, 0, 0, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_PREFERRED, 3, 0, 0, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_FLAGS, 0, 8, 0, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_GRANULARITY, 0, 0, TANDEM_GRANULARITY_MIN - 1, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_GRANULARITY, 0, 0, TANDEM_GRANULARITY_MAX + 1, {}}), EINVAL);
	EXPECT_EQ(ranged({base, bytes, TANDEM_RANGE_FLAGS, 0, 0, 1, {}}), EINVAL);
	EXPECT_EQ(ranged({base, 0, 0, 0, 0, 0, {1, 0}}, TANDEM_IOC_RANGE_GET), EINVAL);
	EXPECT_EQ(ranged({base, 0, 0, 0, 0, TANDEM_GRANULARITY_MIN, {}}, TANDEM_IOC_RANGE_GET), EINVAL);
	EXPECT_EQ(asked({base, bytes, to, {}}), 0);
	EXPECT_EQ(asked({base, bytes, 8, {}}), EFAULT);
	EXPECT_EQ(asked({base, (1ull << 30) + page_bytes, to, {}}), EINVAL);
	EXPECT_EQ(asked({base + 1, bytes, to, {}}), EINVAL);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPolicy, a_child_may_not_move_its_parents_pages)
{
	AtHome region;
	EXPECT_TRUE(exited_well(in_child([&] {
		CHILD_CHECK(tandem_prefetch(device().get(), region.get(), bytes, TANDEM_LOCATION_DEVICE, nullptr) == TANDEM_ERROR_ACCESS);
		return 0;
	})));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
}

/* Thousands of wishes, and none is left behind. */
DEVMEM_TEST(DevmemPolicy, many_wishes_one_beside_the_other)
{
	constexpr std::uint64_t many = 4096;
	Mapping region(many * page_bytes);
	for (std::uint64_t page = 0; page < many; page++)
		ASSERT_OK(device().prefer(region.words(page), page_bytes, page % 2 ? TANDEM_LOCATION_DEVICE : TANDEM_LOCATION_SYSTEM));
	for (std::uint64_t page = 0; page < many; page += 513)
		EXPECT_EQ(device().range(region.words(page))->preferred, page % 2 ? TANDEM_LOCATION_DEVICE : TANDEM_LOCATION_SYSTEM);
	gpu_touch(region.get(), 64 * page_bytes);
	for (std::uint64_t page = 0; page < 64; page++)
		EXPECT_EQ(place_of(region.words(page)), page % 2 ? TANDEM_PAGE_DEVICE : TANDEM_PAGE_SYSTEM) << page;
}

} // namespace
