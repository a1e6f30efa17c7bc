// SPDX-License-Identifier: GPL-2.0-or-later
/* userfaultfd: the program itself answers the GPU's page faults. */
#include <linux/userfaultfd.h>

#include "mm_test.hpp"
#include "uffd.hpp"

using namespace mm_test;
using mm_uffd::Event;
using mm_uffd::Uffd;

namespace {

class MmUffd : public MmTest {
protected:
	/* What the server gives for a page: the tally's pattern with a count of 0. */
	struct Page {
		std::uint64_t words[TALLY_PAGE_WORDS];
	};

	static Page pattern_page(std::uint64_t page)
	{
		Page result;

		result.words[0] = 0;
		for (std::uint64_t word = 1; word < TALLY_PAGE_WORDS; word++)
			result.words[word] = tally_pattern(0x7a11, page, word);
		return result;
	}
};

TEST_F(MmUffd, missing_pages_are_filled_on_demand)
{
	Mapping region(bytes);
	Uffd uffd(0);
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	uffd.serve([&](const Event &event) {
		std::uint64_t words[512] = {event.address};
		uffd.copy(event.address, words);
	});
	for (std::uint64_t page = 0; page < pages; page += 3)
		EXPECT_EQ(gpu_reads(region.words(page)), region.address() + page * page_bytes);
	EXPECT_EQ(uffd.served(), (pages + 2) / 3);
}

/* Thrown away and filled again while the GPU counts: each page begins anew with the pattern. */
TEST_F(MmUffd, missing_pages_under_fire)
{
	Mapping region(bytes);
	Uffd uffd(0);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	uffd.serve([&](const Event &event) {
		Page page = pattern_page((event.address - region.address()) / page_bytes);
		uffd.copy(event.address, &page);
	});
	for (int round = 0; round < 3; round++)
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.get(), bytes, MADV_DONTNEED)); }));
	EXPECT_GE(uffd.served(), 3 * pages);
	finish_tally();
}

TEST_F(MmUffd, zero_pages_are_written_to)
{
	Mapping region(bytes);
	Uffd uffd(0);
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	uffd.serve([&](const Event &event) { uffd.zero(event.address); });
	EXPECT_EQ(gpu_reads(region.words(5)), 0u);
	gpu_writes(region.words(5), 17);
	gpu_writes(region.words(6), 18);
	EXPECT_EQ(region.words(5)[0], 17u);
	EXPECT_EQ(region.words(6)[0], 18u);
	EXPECT_EQ(uffd.served(), 2u);
}

/* Each round takes write permission from all pages; each page's first store asks the server for it. */
TEST_F(MmUffd, write_protected_under_fire)
{
	Mapping region(bytes);
	Uffd uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	uffd.watch(region.get(), bytes, mm_uffd::write_protect);
	std::atomic<std::uint64_t> asked = 0;
	uffd.serve([&](const Event &event) {
		asked += !!(event.flags & UFFD_PAGEFAULT_FLAG_WP);
		uffd.protect(reinterpret_cast<void *>(event.address), page_bytes, false);
	});
	for (std::uint64_t round = 1; round <= 3; round++) {
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(uffd.protect(region.get(), bytes, true), 0); }));
		EXPECT_GE(asked, round * pages) << "the GPU wrote without asking";
	}
	finish_tally();
}

/* What the server sees of a protected page does not change until it gives the permission: a snapshot can be taken. */
TEST_F(MmUffd, a_protected_page_stands_still)
{
	Mapping region(bytes);
	Uffd uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	uffd.watch(region.get(), bytes, mm_uffd::write_protect);
	std::uint64_t frozen[pages];
	std::atomic<std::uint64_t> changed = 0;
	ASSERT_EQ(uffd.protect(region.get(), bytes, true), 0);
	for (std::uint64_t page = 0; page < pages; page++)
		frozen[page] = tally().count(page);
	uffd.serve([&](const Event &event) {
		std::uint64_t page = (event.address - region.address()) / page_bytes;
		changed += tally().count(page) != frozen[page];
		uffd.protect(reinterpret_cast<void *>(event.address), page_bytes, false);
	});
	ASSERT_GPU(tally(), tally().wait_round());
	EXPECT_EQ(changed, 0u);
	EXPECT_GE(uffd.served(), pages);
	finish_tally();
}

TEST_F(MmUffd, write_protected_without_a_server)
{
	ASSERT_TRUE(Uffd::has(mm_uffd::feature_wp_async)) << "the kernel is built without CONFIG_PTE_MARKER_UFFD_WP";
	Mapping region(bytes);
	Uffd uffd(mm_uffd::feature_wp_async | mm_uffd::feature_wp_unpopulated);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	uffd.watch(region.get(), bytes, mm_uffd::write_protect);
	for (int round = 0; round < 5; round++)
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(uffd.protect(region.get(), bytes, true), 0); }));
	finish_tally();
}

TEST_F(MmUffd, a_huge_page_is_write_protected)
{
	HugeMapping region(huge_bytes);
	Uffd uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	uffd.watch(region.get(), huge_bytes, mm_uffd::write_protect);
	uffd.serve([&](const Event &event) { uffd.protect(reinterpret_cast<void *>(event.address), page_bytes, false); });
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(uffd.protect(region.get(), huge_bytes, true), 0); }));
	EXPECT_GE(uffd.served(), 1u);
	finish_tally();
}

/* The page is in the file already; the program says when it may be mapped. */
TEST_F(MmUffd, minor_faults_of_shared_memory)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get()), view(bytes, MAP_SHARED, file.get());
	Uffd uffd(UFFD_FEATURE_MINOR_SHMEM);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	uffd.watch(region.get(), bytes, mm_uffd::minor);
	uffd.serve([&](const Event &event) { uffd.go_on(event.address); });
	for (int round = 0; round < 3; round++)
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.get(), bytes, MADV_DONTNEED)); }));
	EXPECT_GE(uffd.served(), 3 * pages);
	finish_tally();
	EXPECT_GPU(tally(), tally().verify_at(view.get()));
}

TEST_F(MmUffd, a_page_moves_in)
{
	Mapping region(bytes), stock(bytes);
	Uffd uffd(mm_uffd::feature_move);
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	for (std::uint64_t page = 0; page < pages; page++)
		stock.words(page)[0] = 1000 + page;
	let_gpu_touch(stock.at(page_bytes), 1); /* the GPU has a translation of the page that will go */
	stock.words(1)[0] = 1001;
	std::atomic<int> error = 0;
	uffd.serve([&](const Event &event) {
		if (int failed = uffd.move(event.address, event.address - region.address() + stock.address()))
			error = failed;
	});
	EXPECT_EQ(gpu_reads(region.words(1)), 1001u) << std::strerror(error);
	EXPECT_EQ(gpu_reads(stock.words(1)), 0u) << "the page that moved away is still seen at its old place";
	EXPECT_EQ(gpu_reads(region.words(2)), 1002u) << std::strerror(error);
}

TEST_F(MmUffd, a_poisoned_page_fails_the_queue)
{
	Mapping region(bytes);
	Uffd uffd(mm_uffd::feature_poison);
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	uffd.serve([&](const Event &event) { uffd.poison(event.address); });
	gpu_reads(region.words(3), TANDEM_QUEUE_MEMORY_ERROR);
	ASSERT_SYS(madvise(region.words(3), page_bytes, MADV_DONTNEED));
	expect_the_gpu_works();
}

/* A fault that hangs in the server's hands holds up no change of other memory and notices that the mapping went. */
TEST_F(MmUffd, unmapped_while_a_fault_waits)
{
	Mapping region(bytes), other(bytes);
	std::atomic<bool> waits = false;
	{
		Uffd uffd(0);
		uffd.watch(region.get(), bytes, mm_uffd::missing);
		uffd.serve([&](const Event &) { waits = true; });
		std::uint64_t seen = 0;
		peek_arguments peek = {region.words(), &seen, 1};
		tandem::Queue victim = new_queue();
		ASSERT_OK(victim.dispatch(kernel("peek"), {1}, {1}, &peek));
		ASSERT_TRUE(tally::wait_sleeping([&] { return waits.load(); }));
		for (int round = 0; round < 10; round++) {
			other.words()[0] = 1;
			ASSERT_SYS(mprotect(other.get(), bytes, PROT_READ));
			ASSERT_SYS(mprotect(other.get(), bytes, PROT_READ | PROT_WRITE));
			ASSERT_SYS(madvise(other.get(), bytes, MADV_DONTNEED));
		}
		ASSERT_SYS(munmap(region.get(), bytes));
		ASSERT_EQ(uffd.wake(region.address()), 0); /* munmap wakes nobody who waits, be it a thread or the GPU */
		ASSERT_TRUE(tally::wait_sleeping([&] { return victim.status()->error != TANDEM_QUEUE_OK; }));
		expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, region.get());
	}
	expect_the_gpu_works();
}

TEST_F(MmUffd, the_server_goes_away_while_a_fault_waits)
{
	Mapping region(bytes);
	std::atomic<bool> waits = false;
	std::uint64_t seen = 7;
	peek_arguments peek = {region.words(), &seen, 1};
	tandem::Signal done = tandem::Signal::create().take();
	{
		Uffd uffd(0);
		uffd.watch(region.get(), bytes, mm_uffd::missing);
		uffd.serve([&](const Event &) { waits = true; });
		ASSERT_OK(queue().dispatch(kernel("peek"), {1}, {1}, &peek, done.get()));
		ASSERT_TRUE(tally::wait_sleeping([&] { return waits.load(); }));
		EXPECT_EQ(seen, 7u);
	}
	EXPECT_OK(queue().wait(done, time_limit_ns));
	EXPECT_EQ(seen, 0u);
}

} // namespace
