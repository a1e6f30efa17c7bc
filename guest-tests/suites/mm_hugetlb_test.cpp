// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of 2 MiB from the reserve (hugetlbfs): the GPU maps each whole. */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

class MmHugetlb : public MmTest {
protected:
	static constexpr std::uint64_t count = 2;
	static constexpr std::uint64_t length = count * huge_bytes;
	static constexpr int flags = MAP_ANONYMOUS | MAP_HUGETLB;

	Setting reserve_{"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "12"};

	void SetUp() override
	{
		MmTest::SetUp();
		ASSERT_EQ(read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"), 12u) << "memory is too scattered";
	}

	/* One page in eight is enough: there are a thousand. */
	void start(void *region, std::uint64_t mode = TALLY_WRITE)
	{
		tally().set_stride(8);
		ASSERT_GPU(tally(), tally().start(region, count * huge_page_count / 8, mode));
	}
};

TEST_F(MmHugetlb, mapped_whole_and_counted_in)
{
	std::uint64_t large = stats().leaves_2m;
	Mapping region(length, MAP_PRIVATE | flags);
	start(region.get());
	if (!is_sva()) {
		EXPECT_GE(stats().leaves_2m, large + count);
	}
	ASSERT_GPU(tally(), tally().during([] {}));
	finish_tally();
}

TEST_F(MmHugetlb, the_gpu_faults_the_pages_in)
{
	std::uint64_t free_before = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	Mapping region(length, MAP_PRIVATE | flags);
	let_gpu_touch(region.get(), count * huge_page_count);
	EXPECT_EQ(read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"), free_before - count);
	EXPECT_EQ(region.words(1023)[0], 1024u % 256);
}

TEST_F(MmHugetlb, dontneed_under_fire)
{
	Mapping region(length, MAP_PRIVATE | flags);
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), count * huge_page_count, check_and_write));
	for (int round = 0; round < 4; round++)
		ASSERT_GPU(sweeping(), sweeping().change([&] { ASSERT_SYS(madvise(region.get(), length, MADV_DONTNEED)); }));
	finish_sweep();
}

TEST_F(MmHugetlb, remapped_at_the_same_address)
{
	Mapping region(length, MAP_PRIVATE | flags);
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), count * huge_page_count, check_and_write));
	for (int round = 0; round < 4; round++) {
		int kind = round % 2 ? flags : MAP_ANONYMOUS; /* huge and ordinary by turns */
		ASSERT_GPU(sweeping(), sweeping().change([&] {
			ASSERT_EQ(mmap(region.get(), length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | kind, -1, 0),
				  region.get());
		}));
	}
	finish_sweep();
}

TEST_F(MmHugetlb, protected_and_unprotected)
{
	Mapping region(length, MAP_PRIVATE | flags);
	start(region.get(), TALLY_READ);
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mprotect(region.get(), length, PROT_READ)); }));
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mprotect(region.get(), length, PROT_READ | PROT_WRITE)); }));
	}
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	finish_tally();
}

TEST_F(MmHugetlb, copied_on_write_after_fork)
{
	Mapping region(length, MAP_PRIVATE | flags);
	SharedWords words;
	start(region.get());
	pid_t child = 0;
	ASSERT_GPU(tally(), tally().during([&] {
		child = start_child([&] {
			std::uint64_t frozen = tally().count(9, region.get());
			CHILD_CHECK(tally().is_plausible(region.get(), 9));
			words.store(0, 1);
			CHILD_CHECK(wait_for_word(words, 1, 1));
			CHILD_CHECK(tally().count(9, region.get()) == frozen);
			return 0;
		});
	}));
	EXPECT_TRUE(wait_for_word(words, 0, 1));
	EXPECT_GPU(tally(), tally().during([] {}));
	words.store(1, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

TEST_F(MmHugetlb, moved_by_mremap)
{
	Mapping region(length, MAP_PRIVATE | flags), target(length, MAP_PRIVATE | flags);
	start(region.get());
	ASSERT_GPU(tally(), tally().pause());
	ASSERT_EQ(mremap(region.get(), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target.get()), target.get())
		<< std::strerror(errno);
	gpu_reads(region.get(), TANDEM_QUEUE_ADDRESS_FAULT);
	tally().move_to(target.get());
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
}

TEST_F(MmHugetlb, shared_file_with_a_hole)
{
	int file = memfd_create("huge", MFD_HUGETLB);
	ASSERT_SYS(file);
	ASSERT_SYS(ftruncate(file, 2 * length));
	Mapping region(2 * length, MAP_SHARED, file);
	start(region.get());
	let_gpu_touch(region.at(length), huge_page_count);
	ASSERT_GPU(tally(), tally().during([&] {
		ASSERT_SYS(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, length, length));
	}));
	EXPECT_EQ(gpu_reads(region.at(length + 3 * page_bytes)), 0u);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(ftruncate(file, length)); }));
	gpu_reads(region.at(length), TANDEM_QUEUE_SERVICE_FAILED);
	finish_tally();
	close(file);
}

/* With an empty reserve a fault cannot be served: the queue fails, everything else lives. */
TEST_F(MmHugetlb, an_empty_reserve_fails_the_queue)
{
	Mapping taken(10 * huge_bytes, MAP_PRIVATE | flags);
	Mapping region(4 * huge_bytes, MAP_PRIVATE | MAP_NORESERVE | flags);
	std::memset(taken.get(), 1, taken.bytes());
	ASSERT_GPU(tally(), tally().start(taken.get(), pages, TALLY_WRITE));
	EXPECT_TRUE(gpu_reads(region.at(0)));
	EXPECT_TRUE(gpu_reads(region.at(huge_bytes)));
	gpu_reads(region.at(2 * huge_bytes), TANDEM_QUEUE_SERVICE_FAILED);
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
	expect_the_gpu_works();
}

} // namespace
