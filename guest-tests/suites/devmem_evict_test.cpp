// SPDX-License-Identifier: GPL-2.0-or-later
/* Working sets larger than the GPU's memory: what was used longest ago makes room, with the GPU at work, and nothing is lost. */
#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

class DevmemEvict : public DevmemTest {
protected:
	std::uint64_t vram_bytes() { return device().query()->vram_bytes; }

	/* Half as much again as there is. */
	std::uint64_t too_much() { return vram_bytes() * 3 / 2; }

	static void use_pages(Mapping &region, bool huge)
	{
		ASSERT_SYS(madvise(region.get(), region.bytes(), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	}

	/* Touched by the GPU, so that it is what was used last. */
	void use(void *start, std::uint64_t length) { gpu_touch(start, length, false); }
};

DEVMEM_TEST(DevmemEvict, more_than_there_is_goes_through_it_in_small_pages)
{
	Mapping region(too_much());
	use_pages(region, false);
	fill(region.get(), region.bytes(), 1);
	ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	for (int round = 0; round < 2; round++)
		gpu_touch(region.get(), region.bytes(), false);
	EXPECT_GT(stats().pages_evicted, 0u);
	EXPECT_GT(count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE), 0u);
	EXPECT_GT(count(region.get(), region.bytes(), TANDEM_PAGE_SYSTEM), 0u);
	prefetch(region.get(), region.bytes(), TANDEM_LOCATION_SYSTEM); /* quicker than by faults, a page each */
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

DEVMEM_TEST(DevmemEvict, more_than_there_is_goes_through_it_in_huge_pages)
{
	Mapping region(too_much());
	use_pages(region, true);
	fill(region.get(), region.bytes(), 1);
	ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	for (int round = 0; round < 3; round++)
		gpu_touch(region.get(), region.bytes(), false);
	EXPECT_GT(stats().pages_evicted, 0u);
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

/* The GPU writes all of it, so each page that made room had to take the write along. */
DEVMEM_TEST(DevmemEvict, what_the_gpu_wrote_survives_being_evicted)
{
	Mapping region(too_much());
	use_pages(region, true);
	ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	constexpr std::uint64_t part = 8 * huge_bytes;
	for (std::uint64_t offset = 0; offset < region.bytes(); offset += part)
		gpu_fill(region.at(offset), std::min(part, region.bytes() - offset), offset);
	EXPECT_GT(stats().pages_evicted, 0u);
	for (std::uint64_t offset = 0; offset < region.bytes(); offset += part)
		EXPECT_TRUE(holds(region.at(offset), std::min(part, region.bytes() - offset), offset)) << offset;
}

DEVMEM_TEST(DevmemEvict, a_request_for_more_than_there_is_leaves_the_rest_outside)
{
	Mapping region(too_much());
	use_pages(region, true);
	fill(region.get(), region.bytes(), 1);
	auto moved = device().prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);
	if (!moved) {
		EXPECT_EQ(moved.error().status, TANDEM_ERROR_MEMORY) << moved.error().text;
	}
	std::uint64_t there = count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE);
	EXPECT_GT(there, vram_bytes() / page_bytes / 2);
	EXPECT_LE(there, vram_bytes() / page_bytes);
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

/* Of three parts, of which two fit, the one that was used longest ago makes room. */
DEVMEM_TEST(DevmemEvict, what_was_used_longest_ago_makes_room)
{
	std::uint64_t part = vram_bytes() / 4 & -huge_bytes;
	Mapping region(5 * part);
	use_pages(region, true);
	fill(region.get(), region.bytes(), 1);
	for (std::uint64_t i = 0; i < 3; i++)
		ASSERT_TRUE(to_vram(region.at(i * part), part));
	/* 0, 1, 2 lie there; 1 is the one that nobody uses. */
	use(region.at(2 * part), part), use(region.at(0), part);
	ASSERT_SYS(madvise(region.at(4 * part), part, MADV_DONTNEED));
	ASSERT_TRUE(to_vram(region.at(3 * part), part));
	use(region.at(0), part), use(region.at(2 * part), part), use(region.at(3 * part), part);
	std::uint64_t evicted = stats().pages_evicted;
	prefetch(region.at(4 * part), part, TANDEM_LOCATION_DEVICE);
	gpu_touch(region.at(4 * part), part);
	EXPECT_GT(stats().pages_evicted, evicted);
	std::uint64_t whole = part / page_bytes;
	EXPECT_LT(count(region.at(part), part, TANDEM_PAGE_DEVICE), whole / 2) << "the one that nobody used is still there";
	for (std::uint64_t i : {0, 2, 3})
		EXPECT_GT(count(region.at(i * part), part, TANDEM_PAGE_DEVICE), whole / 2) << "part " << i << " was in use";
	EXPECT_TRUE(holds(region.get(), 4 * part, 1));
}

DEVMEM_TEST(DevmemEvict, the_gpu_counts_while_its_pages_are_evicted)
{
	std::uint64_t room = vram_bytes();
	Mapping region(huge_bytes), crowd(room);
	use_pages(crowd, true);
	fill(crowd.get(), room, 1);
	ASSERT_OK(device().prefer(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_ATOMIC));
	for (int round = 0; round < 4; round++) {
		ASSERT_GPU(tally(), tally().during([&] { static_cast<void>(device().prefetch(crowd.get(), room, TANDEM_LOCATION_DEVICE)); }));
		ASSERT_GPU(tally(), tally().during([&] { prefetch(crowd.get(), room, TANDEM_LOCATION_SYSTEM); }));
	}
	EXPECT_GT(stats().pages_evicted, 0u);
	finish_tally();
	EXPECT_TRUE(holds(crowd.get(), room, 1));
}

/* The GPU itself counts in more than there is: each round drives out what the next one needs. */
DEVMEM_TEST(DevmemEvict, the_gpu_counts_in_more_than_there_is)
{
	Mapping region(too_much());
	use_pages(region, true);
	ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	tally().set_stride(16);
	ASSERT_GPU(tally(), tally().start(region.get(), region.bytes() / page_bytes / 16, TALLY_WRITE));
	for (int round = 0; round < 3; round++)
		ASSERT_GPU(tally(), tally().during([] {}));
	EXPECT_GT(stats().pages_evicted, 0u);
	finish_tally();
}

DEVMEM_TEST(DevmemEvict, processes_drive_out_each_others_pages)
{
	std::uint64_t part = vram_bytes() / 2;
	std::vector<pid_t> children;
	SharedWords words;
	for (std::uint64_t process = 0; process < 3; process++)
		children.push_back(start_child([&, process] {
			auto own = tandem::Device::open().take();
			Tally mine(own, process);
			Mapping region(huge_bytes), crowd(part);
			fill(crowd.get(), part, process);
			CHILD_CHECK(own.prefer(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE));
			CHILD_CHECK(mine.start(region.get(), huge_page_count, TALLY_WRITE));
			for (int round = 0; round < 3; round++) {
				auto moved = own.prefetch(crowd.get(), part, TANDEM_LOCATION_DEVICE);
				CHILD_CHECK(moved || moved.error().status == TANDEM_ERROR_MEMORY);
				CHILD_CHECK(mine.during([] {}));
				CHILD_CHECK(holds(crowd.get(), part, process));
			}
			__atomic_fetch_add(words.at(0), own.stats()->pages_evicted, __ATOMIC_SEQ_CST);
			CHILD_CHECK(mine.finish());
			return 0;
		}));
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_GT(words.load(0), 0u);
}

/* Pages there are charged like any other, but cannot be reclaimed: what is driven out can. */
DEVMEM_TEST(DevmemEvict, under_a_memory_limit_what_was_driven_out_goes_on_to_swap)
{
	constexpr const char *limit = "/sys/fs/cgroup/devmem/memory.high";
	Zram swap;
	std::uint64_t room = vram_bytes(), part = room / 4;
	Mapping region(2 * room);
	use_pages(region, false);
	write_file(limit, std::to_string(room + (32ull << 20)));
	for (std::uint64_t offset = 0; offset < region.bytes(); offset += part) {
		fill(region.at(offset), part, offset);
		auto moved = device().prefetch(region.at(offset), part, TANDEM_LOCATION_DEVICE);
		EXPECT_TRUE(moved || moved.error().status == TANDEM_ERROR_MEMORY) << moved.error().text;
	}
	EXPECT_GT(count_pages(region.get(), region.bytes() / page_bytes, pagemap_swapped),
		  count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE))
		<< "nothing was swapped out";
	for (std::uint64_t offset = 0; offset < region.bytes(); offset += part)
		EXPECT_TRUE(holds(region.at(offset), part, offset)) << offset;
	write_file(limit, "max");
}

/* From four threads, with the GPU in all of it: what one drives out another brings back. */
DEVMEM_TEST(DevmemEvict, four_threads_move_more_than_there_is)
{
	std::uint64_t part = vram_bytes() / 4 + 4 * huge_bytes;
	Mapping region(4 * part);
	std::vector<std::thread> threads;
	std::atomic<int> wrong = 0;
	use_pages(region, true);
	fill(region.get(), region.bytes(), 1);
	for (std::uint64_t i = 0; i < 4; i++)
		threads.emplace_back([&, i] {
			for (int round = 0; round < 4; round++) {
				auto moved = device().prefetch(region.at(i * part), part,
							       round % 2 ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE);
				wrong += !moved && moved.error().status != TANDEM_ERROR_MEMORY;
				for (std::uint64_t word = 0; word < part / 8; word += 509)
					wrong += reinterpret_cast<volatile std::uint64_t *>(region.at(i * part))[word] !=
						 pattern(1, i * part / 8 + word);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(wrong, 0);
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

} // namespace
