// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages move to the GPU's memory and back, and nobody's data changes: the shortest way through each part of it. */
#include <cstdlib>
#include <fstream>
#include <map>

#include "mm_test.hpp"

using namespace mm_test;

namespace {

class Devmem : public MmTest {
protected:
	/* Nothing but what the test names moves. */
	const bool alone = !std::getenv("TANDEM_MIGRATE");

	void SetUp() override
	{
		MmTest::SetUp();
		if (!HasFatalFailure() && device().query().take().vram_kind == TANDEM_VRAM_NONE)
			GTEST_SKIP() << "no memory of the GPU's for processes";
	}

	/* What only pages do that the CPU cannot reach. */
	bool is_private() { return device().query().take().vram_kind == TANDEM_VRAM_PRIVATE; }

	static void fill(std::uint64_t *words, std::uint64_t count, std::uint64_t seed)
	{
		for (std::uint64_t page = 0; page < count; page++)
			for (std::uint64_t word = 0; word < page_bytes / 8; word += 64)
				words[page * 512 + word] = seed + page * 512 + word;
	}

	static std::uint64_t wrong(const std::uint64_t *words, std::uint64_t count, std::uint64_t seed)
	{
		std::uint64_t bad = 0;

		for (std::uint64_t page = 0; page < count; page++)
			for (std::uint64_t word = 0; word < page_bytes / 8; word += 64)
				bad += words[page * 512 + word] != seed + page * 512 + word;
		return bad;
	}

	std::uint64_t resident(const void *start, std::uint64_t length, tandem_page_place place)
	{
		auto pages = device().pages(start, length).take();
		std::uint64_t count = 0;

		for (auto page : pages)
			count += (page & TANDEM_PAGE_PLACE) == place;
		return count;
	}

	void to(tandem_location location, void *start, std::uint64_t length, std::uint64_t expected)
	{
		ASSERT_OK(device().prefetch(start, length, location));
		EXPECT_EQ(resident(start, length,
				   location == TANDEM_LOCATION_DEVICE ? TANDEM_PAGE_DEVICE : TANDEM_PAGE_SYSTEM),
			  expected);
	}

	static std::string debugfs(const char *name) { return std::string("/sys/kernel/debug/tandem0/") + name; }

	static std::string name_of_the_gpu()
	{
		char path[256] = {};
		static std::string name;

		if (name.empty() && readlink("/sys/class/misc/tandem0/device", path, sizeof(path) - 1) > 0)
			name = std::string(path).substr(std::string(path).rfind('/') + 1);
		return name;
	}

	static std::map<std::string, std::uint64_t> vram()
	{
		std::ifstream file("/sys/kernel/debug/tandem0/vram");
		std::map<std::string, std::uint64_t> values;
		std::string name;
		std::uint64_t value;

		while (file >> name >> value)
			values[name] = value;
		return values;
	}
};

TEST_F(Devmem, there_and_back)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	auto before = vram()["used_pages"];

	fill(region.words(), pages, 7);
	to(TANDEM_LOCATION_DEVICE, region.get(), bytes, pages);
	EXPECT_EQ(resident(region.get(), bytes, TANDEM_PAGE_DEVICE), pages);
	if (alone)
		EXPECT_EQ(vram()["used_pages"], before + pages);
	EXPECT_EQ(gpu_reads(region.words(3)), 7u + 3 * 512);
	gpu_writes(region.words(5), 55);
	to(TANDEM_LOCATION_SYSTEM, region.get(), bytes, pages);
	EXPECT_EQ(region.words(5)[0], 55u);
	region.words(5)[0] = 7 + 5 * 512;
	EXPECT_EQ(wrong(region.words(), pages, 7), 0u);
	if (alone)
		EXPECT_EQ(vram()["used_pages"], before);
}

TEST_F(Devmem, a_cpu_access_brings_the_page_home)
{
	if (!is_private())
		GTEST_SKIP() << "the CPU reaches these pages where they are";
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));

	fill(region.words(), pages, 100);
	to(TANDEM_LOCATION_DEVICE, region.get(), bytes, pages);
	gpu_writes(region.words(9), 9999);
	EXPECT_EQ(region.words(9)[0], 9999u);
	region.words(9)[0] = 100 + 9 * 512;
	EXPECT_EQ(wrong(region.words(), pages, 100), 0u);
	EXPECT_EQ(resident(region.get(), bytes, TANDEM_PAGE_SYSTEM), pages);
}

TEST_F(Devmem, what_was_never_touched_is_zero_there)
{
	Mapping region(bytes);

	to(TANDEM_LOCATION_DEVICE, region.get(), bytes, pages);
	EXPECT_EQ(gpu_reads(region.words(7)), 0u);
	gpu_writes(region.words(7), 77);
	EXPECT_EQ(region.words(7)[0], 77u);
	EXPECT_EQ(region.words(8)[0], 0u);
}

TEST_F(Devmem, huge_pages_go_as_one_and_return_as_one)
{
	if (!is_private())
		GTEST_SKIP() << "the CPU reaches these pages where they are";
	HugeMapping region(2 * huge_bytes);
	fill(region.words(), 2 * huge_page_count, 3);
	ASSERT_TRUE(is_huge(region.get()));
	auto before = vram();
	auto leaves = stats().leaves_2m;

	to(TANDEM_LOCATION_DEVICE, region.get(), 2 * huge_bytes, 2 * huge_page_count);
	EXPECT_EQ(stats().leaves_2m, leaves + 2);
	EXPECT_EQ(vram()["huge_blocks"], before["huge_blocks"] + 2);
	EXPECT_EQ(gpu_reads(region.words(700)), 3u + 700 * 512);
	gpu_writes(region.words(513), 1);
	EXPECT_EQ(region.words(513)[0], 1u);
	region.words(513)[0] = 3 + 513 * 512;
	EXPECT_EQ(wrong(region.words(), 2 * huge_page_count, 3), 0u);
	EXPECT_TRUE(is_huge(region.get()));
	if (alone)
		EXPECT_EQ(vram()["used_pages"], before["used_pages"]);
}

TEST_F(Devmem, parts_of_a_huge_page_go_their_own_ways)
{
	HugeMapping region(huge_bytes);
	fill(region.words(), huge_page_count, 4);
	to(TANDEM_LOCATION_DEVICE, region.get(), huge_bytes, huge_page_count);
	to(TANDEM_LOCATION_SYSTEM, region.words(100), 16 * page_bytes, 16);
	EXPECT_EQ(resident(region.get(), huge_bytes, TANDEM_PAGE_DEVICE), huge_page_count - 16);
	ASSERT_SYS(munmap(region.words(200), 8 * page_bytes));
	EXPECT_EQ(gpu_reads(region.words(300)), 4u + 300 * 512);
	EXPECT_EQ(wrong(region.words(), 200, 4), 0u);
	EXPECT_EQ(wrong(region.words(208), huge_page_count - 208, 4 + 208 * 512), 0u);
}

TEST_F(Devmem, a_child_and_its_parent_share_until_one_writes)
{
	HugeMapping region(huge_bytes);
	fill(region.words(), huge_page_count, 5);
	to(TANDEM_LOCATION_DEVICE, region.get(), huge_bytes, huge_page_count);
	pid_t child = start_child([&] { return wrong(region.words(), huge_page_count, 5) ? 1 : 0; });
	gpu_writes(region.words(40), 41);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(region.words(40)[0], 41u);
	region.words(40)[0] = 5 + 40 * 512;
	EXPECT_EQ(wrong(region.words(), huge_page_count, 5), 0u);
}

TEST_F(Devmem, moved_to_and_fro_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	for (int round = 0; round < 20; round++) {
		ASSERT_GPU(tally(), tally().during([&] {
			ASSERT_OK(device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		}));
		ASSERT_GPU(tally(), tally().during([&] {
			ASSERT_OK(device().prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
		}));
	}
	finish_tally();
}

TEST_F(Devmem, more_than_there_is_room_for)
{
	std::uint64_t blocks = vram()["total_pages"] / huge_page_count + 8;
	HugeMapping region(blocks * huge_bytes);

	for (std::uint64_t block = 0; block < blocks; block++)
		for (std::uint64_t page = 0; page < huge_page_count; page += 64)
			region.words(block * huge_page_count + page)[0] = block * 1000 + page;
	ASSERT_OK(device().prefetch(region.get(), blocks * huge_bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_GE(vram()["pages_evicted"], 8 * huge_page_count);
	EXPECT_EQ(gpu_reads(region.words(5 * huge_page_count)), 5000u);
	std::uint64_t bad = 0;
	for (std::uint64_t block = 0; block < blocks; block++)
		for (std::uint64_t page = 0; page < huge_page_count; page += 64)
			bad += region.words(block * huge_page_count + page)[0] != block * 1000 + page;
	EXPECT_EQ(bad, 0u);
}

TEST_F(Devmem, a_gpu_fault_moves_what_prefers_the_device)
{
	HugeMapping region(huge_bytes);
	fill(region.words(), huge_page_count, 6);
	ASSERT_OK(device().prefer(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(gpu_reads(region.words(4)), 6u + 4 * 512);
	EXPECT_EQ(resident(region.get(), huge_bytes, TANDEM_PAGE_DEVICE), huge_page_count);
	EXPECT_EQ(wrong(region.words(), huge_page_count, 6), 0u);
	to(TANDEM_LOCATION_SYSTEM, region.get(), huge_bytes, huge_page_count);
	ASSERT_OK(device().prefer(region.get(), huge_bytes, TANDEM_LOCATION_SYSTEM));
	EXPECT_EQ(gpu_reads(region.words(4)), 6u + 4 * 512);
	EXPECT_EQ(resident(region.get(), huge_bytes, TANDEM_PAGE_DEVICE), 0u);
}

TEST_F(Devmem, read_mostly_moves_at_a_write_only)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.words(), pages, 8);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().advise(region.get(), bytes, TANDEM_RANGE_READ_MOSTLY));
	EXPECT_EQ(gpu_reads(region.words(4)), 8u + 4 * 512);
	EXPECT_EQ(resident(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
	EXPECT_EQ(device().pages(region.words(4), page_bytes).take()[0] & (TANDEM_PAGE_MAPPED | TANDEM_PAGE_MAPPED_WRITE),
		  TANDEM_PAGE_MAPPED);
	gpu_writes(region.words(4), 8 + 4 * 512);
	EXPECT_EQ(resident(region.get(), bytes, TANDEM_PAGE_DEVICE), pages);
	EXPECT_EQ(wrong(region.words(), pages, 8), 0u);
}

TEST_F(Devmem, accessed_by_is_mapped_before_the_gpu_asks)
{
	Mapping region(bytes);
	fill(region.words(), pages, 9);
	ASSERT_OK(device().advise(region.get(), bytes, TANDEM_RANGE_ACCESSED_BY));
	for (auto page : device().pages(region.get(), bytes).take())
		EXPECT_EQ(page & (TANDEM_PAGE_PLACE | TANDEM_PAGE_MAPPED_WRITE), TANDEM_PAGE_SYSTEM | TANDEM_PAGE_MAPPED_WRITE);
}

TEST_F(Devmem, wishes_are_kept_by_range)
{
	char *start = reinterpret_cast<char *>(1ull << 45);
	ASSERT_OK(device().prefer(start, 64 * page_bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().advise(start + 16 * page_bytes, 16 * page_bytes, TANDEM_RANGE_READ_MOSTLY));
	auto middle = device().range(start + 20 * page_bytes).take();
	EXPECT_EQ(middle.start, (1ull << 45) + 16 * page_bytes);
	EXPECT_EQ(middle.length, 16 * page_bytes);
	EXPECT_EQ(middle.flags, TANDEM_RANGE_READ_MOSTLY);
	EXPECT_EQ(middle.preferred, TANDEM_LOCATION_DEVICE);
	ASSERT_OK(device().advise(start + 16 * page_bytes, 16 * page_bytes, 0));
	auto whole = device().range(start + 40 * page_bytes).take();
	EXPECT_EQ(whole.start, 1ull << 45);
	EXPECT_EQ(whole.length, 64 * page_bytes);
	auto none = device().range(start + 64 * page_bytes).take();
	EXPECT_EQ(none.start, (1ull << 45) + 64 * page_bytes);
	EXPECT_EQ(none.preferred, TANDEM_LOCATION_NONE);
}

TEST_F(Devmem, what_both_use_is_left_in_peace)
{
	if (!is_private())
		GTEST_SKIP() << "the CPU reaches these pages where they are";
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.words(), pages, 10);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	for (std::uint64_t round = 0; round < 40 && !stats().thrash_pins; round++) {
		gpu_writes(region.words(1), round);
		ASSERT_EQ(region.words(1)[0], round);
	}
	EXPECT_GE(stats().thrash_pins, 1u);
	gpu_writes(region.words(1), 10 + 512);
	EXPECT_EQ(device().pages(region.words(1), page_bytes).take()[0] & TANDEM_PAGE_PLACE, TANDEM_PAGE_SYSTEM);
	EXPECT_EQ(wrong(region.words(), pages, 10), 0u);
}

TEST_F(Devmem, a_copy_that_fails_once_is_made_again)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.words(), pages, 11);
	write_file(debugfs("test_copy_fail"), "1");
	to(TANDEM_LOCATION_DEVICE, region.get(), bytes, pages);
	write_file(debugfs("test_copy_fail"), "1");
	to(TANDEM_LOCATION_SYSTEM, region.get(), bytes, pages);
	EXPECT_EQ(wrong(region.words(), pages, 11), 0u);
}

TEST_F(Devmem, what_cannot_be_copied_stays)
{
	HugeMapping region(huge_bytes);
	fill(region.words(), huge_page_count, 12);
	write_file(debugfs("test_copy_fail"), "100");
	ASSERT_OK(device().prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE));
	write_file(debugfs("test_copy_fail"), "0");
	EXPECT_EQ(resident(region.get(), huge_bytes, TANDEM_PAGE_SYSTEM), huge_page_count);
	EXPECT_EQ(wrong(region.words(), huge_page_count, 12), 0u);
	to(TANDEM_LOCATION_DEVICE, region.get(), huge_bytes, huge_page_count);
	EXPECT_EQ(wrong(region.words(), huge_page_count, 12), 0u);
}

TEST_F(Devmem, unbinding_brings_every_page_home)
{
	HugeMapping region(2 * huge_bytes);
	Mapping small(bytes);
	ASSERT_SYS(madvise(small.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.words(), 2 * huge_page_count, 14);
	fill(small.words(), pages, 15);
	ASSERT_OK(device().prefetch(region.get(), 2 * huge_bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().prefetch(small.get(), bytes, TANDEM_LOCATION_DEVICE));
	write_file("/sys/bus/pci/drivers/tandem/unbind", name_of_the_gpu().c_str());
	EXPECT_EQ(wrong(region.words(), 2 * huge_page_count, 14), 0u);
	EXPECT_EQ(wrong(small.words(), pages, 15), 0u);
	write_file("/sys/bus/pci/drivers/tandem/bind", name_of_the_gpu().c_str());
}

} // namespace
