// SPDX-License-Identifier: GPL-2.0-or-later
/* Permissions change in both directions beside and under the GPU's work. */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

using MmProtect = MmTest;

constexpr int read_write = PROT_READ | PROT_WRITE;

/* The lanes stand still with write translations cached; whoever writes afterwards without asking would be seen. */
TEST_F(MmProtect, no_permission_while_the_lanes_stand_still)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 10; round++) {
		ASSERT_GPU(tally(), tally().pause());
		ASSERT_SYS(mprotect(region.get(), bytes, PROT_NONE));
		gpu_reads(region.at(round * page_bytes), TANDEM_QUEUE_PERMISSION_FAULT);
		ASSERT_SYS(mprotect(region.get(), bytes, read_write));
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
	}
	finish_tally();
}

/*
 * Splits and merges the mapping between the pages under work. A page that the GPU has used is in its table and has to be
 * taken from it; how many more invalidations there are depends on what faults nearby map again and whether pages lie in one
 * piece: a 64 KiB leaf goes whole when its first page is protected, and then there is nothing to be taken for the others.
 */
TEST_F(MmProtect, every_other_page_beside_the_work)
{
	Mapping region(2 * bytes);
	let_gpu_touch(region.get(), 2 * pages);
	tally().set_stride(2);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t seen = 0, value = 0x77;
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint64_t page = 1; page < 2 * pages; page += 2) {
			peek_arguments poke = {&value, region.words(page), 1}, peek = {region.words(page), &seen, 1};
			std::uint64_t before = invalidations(TANDEM_CAUSE_PROTECTION_VMA);
			ASSERT_OK(run("peek", {1}, {1}, &poke));
			ASSERT_SYS(mprotect(region.at(page * page_bytes), page_bytes, PROT_READ));
			ASSERT_GT(invalidations(TANDEM_CAUSE_PROTECTION_VMA), before) << page;
			before = invalidations(TANDEM_CAUSE_PROTECTION_VMA);
			ASSERT_OK(run("peek", {1}, {1}, &peek));
			ASSERT_EQ(seen, value);
			ASSERT_SYS(mprotect(region.at(page * page_bytes), page_bytes, PROT_NONE));
			ASSERT_GT(invalidations(TANDEM_CAUSE_PROTECTION_VMA), before) << page;
		}
	}));
	gpu_reads(region.at(5 * page_bytes), TANDEM_QUEUE_PERMISSION_FAULT);
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint64_t page = 1; page < 2 * pages; page += 2)
			ASSERT_SYS(mprotect(region.at(page * page_bytes), page_bytes, read_write));
	}));
	for (std::uint64_t page = 1; page < 2 * pages; page += 16)
		EXPECT_EQ(gpu_reads(region.words(page)), value);
	finish_tally();
}

TEST_F(MmProtect, read_only_and_back_under_readers)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	for (int round = 0; round < 20; round++) {
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ)); }));
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mprotect(region.get(), bytes, read_write)); }));
	}
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	finish_tally();
}

TEST_F(MmProtect, what_is_read_only_cannot_be_written_by_plain_stores_or_atomics)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().pause());
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ));
	std::uint64_t value = 5;
	peek_arguments poke = {&value, region.words(3), 1};
	count_arguments add = {region.words(4), 1};
	tandem::Queue writer = new_queue(), adder = new_queue();
	EXPECT_FALSE(writer.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
	expect_error(writer, TANDEM_QUEUE_PERMISSION_FAULT, region.words(3));
	EXPECT_FALSE(adder.run(kernel("atomic_add"), {1}, {1}, &add, 0, time_limit_ns));
	expect_error(adder, TANDEM_QUEUE_PERMISSION_FAULT, region.words(4));
	EXPECT_GPU(tally(), tally().verify());
	ASSERT_SYS(mprotect(region.get(), bytes, read_write));
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
}

TEST_F(MmProtect, half_of_a_huge_page_beside_the_work)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	char *second = region.get() + huge_bytes / 2;
	ASSERT_GPU(tally(), tally().start(second, huge_page_count / 2, TALLY_WRITE));
	for (int protection : {PROT_READ, PROT_NONE, read_write})
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mprotect(region.get(), huge_bytes / 2, protection)); }));
	EXPECT_EQ(gpu_reads(region.get()), 0x0101010101010101u);
	finish_tally();
}

/* Two threads take and give permissions of two halves, each under work of its own. */
TEST_F(MmProtect, two_threads_change_neighbouring_mappings)
{
	Mapping region(2 * bytes);
	Tally second(device(), 2);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	ASSERT_GPU(second, second.start(region.at(bytes), pages, TALLY_READ));
	auto toggle = [&](Tally &gpu, char *start) {
		bool good = true;
		for (int round = 0; round < 10 && good; round++)
			good = gpu.during([&] { good = !mprotect(start, bytes, round % 2 ? read_write : PROT_READ); }) && good;
		return good;
	};
	bool other = false;
	std::thread thread([&] { other = toggle(second, region.at(bytes)); });
	EXPECT_GPU(tally(), toggle(tally(), region.at(0)));
	thread.join();
	EXPECT_GPU(second, other && second.finish());
	finish_tally();
}

TEST_F(MmProtect, a_mapping_that_only_may_be_executed_or_written)
{
	Mapping region(2 * page_bytes);
	region.words()[0] = 17;
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_READ | PROT_EXEC));
	EXPECT_EQ(gpu_reads(region.get()), 17u);
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_NONE));
	gpu_reads(region.get(), TANDEM_QUEUE_PERMISSION_FAULT);
	EXPECT_EQ(gpu_reads(region.at(page_bytes)), 0u);
}

/* Pages that are there in spite of a guard behave as if nothing were mapped; when the guard goes they are empty. */
TEST_F(MmProtect, guard_pages_come_and_go)
{
	Mapping region(3 * bytes);
	let_gpu_touch(region.get(), 3 * pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.at(bytes), bytes, MADV_GUARD_INSTALL)); }));
	gpu_reads(region.at(bytes + 3 * page_bytes), TANDEM_QUEUE_SERVICE_FAILED);
	EXPECT_NE(gpu_reads(region.at(2 * bytes)), 0u);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.at(bytes), bytes, MADV_GUARD_REMOVE)); }));
	EXPECT_EQ(gpu_reads(region.at(bytes + 3 * page_bytes)), 0u);
	finish_tally();
}

} // namespace
