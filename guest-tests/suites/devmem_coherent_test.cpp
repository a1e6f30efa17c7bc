// SPDX-License-Identifier: GPL-2.0-or-later
/* Coherent memory: the GPU's, behind a BAR that the CPU loads from and stores to. Device property vram-bar=on. */
#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

class DevmemCoherent : public DevmemTest {
protected:
	bool is_right_kind(tandem_vram_kind kind) const override { return kind == TANDEM_VRAM_COHERENT; }
};

DEVMEM_TEST(DevmemCoherent, the_cpu_reads_and_writes_pages_where_they_are)
{
	InVram region(*this);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes)) << "a CPU access moves nothing";
	EXPECT_EQ(count_pages(region.get(), pages, pagemap_present), pages);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	gpu_fill(region.get(), bytes, 3);
	EXPECT_TRUE(holds(region.get(), bytes, 3));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
}

DEVMEM_TEST(DevmemCoherent, home_on_request)
{
	InVram region(*this);
	gpu_fill(region.get(), bytes, 2);
	ASSERT_TRUE(to_system(region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	ASSERT_TRUE(to_vram(region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemCoherent, the_copy_engine_does_the_copying)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	std::uint64_t before = counter(TANDEM_COUNTER_COPY_BYTES);
	ASSERT_TRUE(to_vram(region.get(), bytes));
	ASSERT_TRUE(to_system(region.get(), bytes));
	EXPECT_EQ(counter(TANDEM_COUNTER_COPY_BYTES) - before, 2 * bytes);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* Each addition counts, whoever makes it. */
DEVMEM_TEST(DevmemCoherent, cpu_and_gpu_add_to_the_same_word_there)
{
	constexpr std::uint64_t adds = 100'000;
	InVram region(*this);
	std::uint64_t *word = region.words(3);
	*word = 0;
	count_arguments arguments = {word, 1};
	auto done = tandem::Signal::create(16).take();
	for (int dispatch = 0; dispatch < 16; dispatch++)
		ASSERT_OK(queue().dispatch(kernel("count"), {4096}, {64}, &arguments, done.get()));
	for (std::uint64_t add = 0; add < adds; add++)
		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	ASSERT_OK(queue().wait(done, time_limit_ns));
	EXPECT_EQ(*word, 16 * 4096 + adds);
	EXPECT_EQ(place_of(word), TANDEM_PAGE_DEVICE);
}

DEVMEM_TEST(DevmemCoherent, to_and_fro_under_fire_of_both)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	std::atomic<bool> over = false;
	std::atomic<int> wrong = 0;
	std::thread onlooker([&] {
		for (std::uint64_t page = 0; !over; page = (page + 1) % pages)
			wrong += !tally().is_plausible(region.get(), page);
	});
	for (int round = 0; round < 10; round++)
		EXPECT_GPU(tally(), tally().during([&] {
			prefetch(region.get(), bytes, round % 2 ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE);
		}));
	over = true;
	onlooker.join();
	EXPECT_EQ(wrong, 0);
	finish_tally();
}

/* Code in a page there would run; so do a program's strings and system calls. */
DEVMEM_TEST(DevmemCoherent, system_calls_take_pages_there)
{
	InVram region(*this);
	MemoryFile file(bytes);
	ASSERT_EQ(pwrite(file.get(), region.get(), bytes, 0), static_cast<ssize_t>(bytes)) << std::strerror(errno);
	InVram back(*this, bytes, 9);
	ASSERT_EQ(pread(file.get(), back.get(), bytes, 0), static_cast<ssize_t>(bytes)) << std::strerror(errno);
	EXPECT_TRUE(holds(back.get(), bytes, 1));
	EXPECT_TRUE(gpu_holds(back.get(), bytes, 1));
}

/* Linux takes a huge page apart before it goes: on this kernel none of 2 MiB can come home. */
DEVMEM_TEST(DevmemCoherent, a_huge_page_goes_in_small_ones)
{
	HugeMapping region(huge_bytes);
	fill(region.get(), huge_bytes, 1);
	ASSERT_TRUE(to_vram(region.get(), huge_bytes));
	EXPECT_FALSE(page_state(region.words(9)) & TANDEM_PAGE_HUGE);
	EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
	gpu_fill(region.get(), huge_bytes, 2);
	ASSERT_TRUE(to_system(region.get(), huge_bytes));
	EXPECT_TRUE(holds(region.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemCoherent, pages_that_nobody_touched_are_zeros_there)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	{
		InVram dirty(*this, bytes, 7);
	}
	prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	gpu_writes(region.words(3), 33);
	for (std::uint64_t word = 0; word < bytes / 8; word++)
		ASSERT_EQ(region.words()[word], word == 3 * 512 ? 33u : 0u) << word;
}

DEVMEM_TEST(DevmemCoherent, a_child_has_what_its_parent_had_there)
{
	InVram region(*this);
	SharedWords words;
	pid_t child = start_child([&] {
		CHILD_CHECK(wait_for_word(words, 0, 1));
		CHILD_CHECK(holds(region.get(), bytes, 1));
		fill(region.get(), bytes, 5);
		CHILD_CHECK(holds(region.get(), bytes, 5));
		return 0;
	});
	gpu_fill(region.get(), bytes, 2);
	words.store(0, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemCoherent, munmap_and_protection)
{
	std::uint64_t before = ledger::vram("used_pages");
	InVram region(*this);
	EXPECT_EQ(ledger::vram("used_pages") - before, pages);
	ASSERT_SYS(mprotect(region.get(), bytes / 2, PROT_READ));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	ASSERT_SYS(madvise(region.at(bytes / 2), bytes / 2, MADV_DONTNEED));
	EXPECT_EQ(ledger::vram("used_pages") - before, pages / 2);
	EXPECT_EQ(gpu_reads(region.at(bytes / 2)), 0u);
	EXPECT_EQ(region.words(pages / 2)[0], 0u);
}

DEVMEM_TEST(DevmemCoherent, more_than_there_is_goes_through_it)
{
	std::uint64_t length = device().query()->vram_bytes * 3 / 2;
	Mapping region(length);
	fill(region.get(), length, 1);
	ASSERT_OK(device().prefer(region.get(), length, TANDEM_LOCATION_DEVICE));
	for (int round = 0; round < 2; round++)
		gpu_touch(region.get(), length, false);
	EXPECT_GT(stats().pages_evicted, 0u);
	EXPECT_TRUE(holds(region.get(), length, 1));
}

DEVMEM_TEST(DevmemCoherent, a_gpu_fault_moves_what_prefers_the_device)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemCoherent, long_term_pins_bring_pages_home_first)
{
	InVram region(*this);
	MemoryFile file(bytes);
	/* A pin of O_DIRECT's kind is short and may take the page there; what it reads must be right either way. */
	int ends[2];
	ASSERT_SYS(pipe(ends));
	iovec part = {region.at(4 * page_bytes), page_bytes};
	ASSERT_EQ(vmsplice(ends[1], &part, 1, 0), static_cast<ssize_t>(page_bytes)) << std::strerror(errno);
	std::vector<std::uint64_t> seen(512);
	ASSERT_EQ(read(ends[0], seen.data(), page_bytes), static_cast<ssize_t>(page_bytes));
	for (std::uint64_t word = 0; word < 512; word++)
		ASSERT_EQ(seen[word], pattern(1, 4 * 512 + word));
	close(ends[0]), close(ends[1]);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

} // namespace
