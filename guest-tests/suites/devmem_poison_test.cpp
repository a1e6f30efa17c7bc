// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A page of the GPU's memory is poisoned while a process owns it: the process gets a clean SIGBUS for that page, correct data from all
 * others, and never a wrong word. Of either kind of memory. Device property test-hooks=on.
 */
#include <sstream>

#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

/* Addresses of memory and devices, the innermost range behind those that hold it. */
std::vector<std::pair<std::uint64_t, std::uint64_t>> physical_ranges()
{
	std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
	std::istringstream lines(read_file("/proc/iomem"));

	for (std::string line; std::getline(lines, line);) {
		unsigned long long start, end;

		if (std::sscanf(line.c_str(), " %llx-%llx", &start, &end) == 2)
			ranges.emplace_back(start, end);
	}
	return ranges;
}

/* Of private pages by their place in the page map, of others by their frame: offset in the GPU's memory. */
std::uint64_t vram_offset_of_entry(std::uint64_t entry)
{
	constexpr unsigned swap_type_bits = 5;
	static const auto ranges = physical_ranges();
	std::uint64_t frame = entry & ((1ull << 55) - 1);
	std::uint64_t address = (entry & pagemap_present ? frame : frame >> swap_type_bits) * page_bytes;
	std::uint64_t first = 0;

	for (auto [start, end] : ranges)
		if (start <= address && address <= end)
			first = start;
	return first ? address - first : ~0ull;
}

std::uint64_t vram_offset(const void *page)
{
	return vram_offset_of_entry(pagemap(page));
}

/* The page map's entries of a whole region. */
std::vector<std::uint64_t> pagemap_of(const void *start, std::uint64_t length)
{
	std::vector<std::uint64_t> entries(length / page_bytes);
	int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	auto offset = reinterpret_cast<std::uintptr_t>(start) / page_bytes * sizeof(std::uint64_t);
	auto count = static_cast<ssize_t>(entries.size() * sizeof(std::uint64_t));

	EXPECT_EQ(pread(file, entries.data(), static_cast<std::size_t>(count), static_cast<off_t>(offset)), count);
	close(file);
	return entries;
}

void poison(const void *page)
{
	std::uint64_t offset = vram_offset(page);

	ASSERT_NE(offset, ~0ull) << "where in the GPU's memory is it?";
	write_file(ledger::debugfs(0, "test_poison"), std::to_string(offset));
}

class DevmemPoison : public DevmemTest {
protected:
	void prepare() override
	{
		expect_retired(1);
		retired_before_ = ledger::vram("retired_pages");
	}

	::testing::AssertionResult is_clean_sigbus(const ReadResult &result, const void *page)
	{
		if (result.signal != SIGBUS)
			return ::testing::AssertionFailure() << "signal " << result.signal << ", value " << std::hex << result.value;
		if (result.code != BUS_MCEERR_AR)
			return ::testing::AssertionFailure() << "si_code " << result.code;
		if (result.address / page_bytes != reinterpret_cast<std::uintptr_t>(page) / page_bytes)
			return ::testing::AssertionFailure() << "si_addr " << std::hex << result.address;
		return ::testing::AssertionSuccess();
	}

	/*
	 * The driver has heard of it, and in coherent memory, where the CPU asks nobody, Linux has told this process. That it maps the page
	 * no more says nothing: for a moment the entry is a migration entry, behind which the rescued page comes back, in one process
	 * after the other. Until then a read finds what was there.
	 */
	::testing::AssertionResult is_retired(const std::uint64_t *page)
	{
		bool is_coherent = device().query()->vram_kind == TANDEM_VRAM_COHERENT;

		if (sweeper::wait_until(
			    [&] {
				    return ledger::vram("retired_pages") > retired_before_ && (!is_coherent || try_read(page).signal);
			    },
			    {}, 10))
			return ::testing::AssertionSuccess();
		return ::testing::AssertionFailure() << "no page was retired";
	}

	/* All but one page are as they were; that one is lost and says so, or was brought to safety. */
	void expect_one_page_lost(Mapping &region, std::uint64_t lost, std::uint64_t seed)
	{
		for (std::uint64_t page = 0; page < region.bytes() / page_bytes; page++) {
			ReadResult result = try_read(&region.words(page)[9]);

			if (page == lost)
				EXPECT_TRUE(is_clean_sigbus(result, region.words(page))) << page;
			else
				EXPECT_TRUE(!result.signal && result.value == pattern(seed, page * 512 + 9))
					<< page << ": signal " << result.signal << ", value " << result.value;
		}
	}

private:
	std::uint64_t retired_before_ = 0; /* a page stays poisoned from one test to the next */
};

DEVMEM_TEST(DevmemPoison, a_cpu_read_is_a_clean_sigbus_and_the_neighbours_are_well)
{
	InVram region(*this);
	poison(region.words(5));
	EXPECT_TRUE(is_retired(region.words(5)));
	expect_one_page_lost(region, 5, 1);
	EXPECT_EQ(try_read(region.words(5)).signal, SIGBUS) << "the second time as well";
	ASSERT_SYS(madvise(region.words(5), page_bytes, MADV_DONTNEED));
	EXPECT_EQ(region.words(5)[9], 0u) << "a new page in its place";
	expect_the_gpu_works();
}

DEVMEM_TEST(DevmemPoison, a_gpu_access_stops_its_queue_with_a_memory_error)
{
	InVram region(*this);
	gpu_touch(region.get(), bytes, false);
	poison(region.words(5));
	EXPECT_TRUE(is_retired(region.words(5)));
	gpu_reads(region.words(5), TANDEM_QUEUE_MEMORY_ERROR);
	EXPECT_EQ(gpu_reads(&region.words(6)[9]), pattern(1, 6 * 512 + 9));
	expect_one_page_lost(region, 5, 1);
	expect_the_gpu_works();
}

DEVMEM_TEST(DevmemPoison, a_huge_page_loses_no_more_than_it_must_and_never_silently)
{
	HugeMapping region(huge_bytes);
	fill(region.get(), huge_bytes, 1);
	ASSERT_TRUE(to_vram(region.get(), huge_bytes));
	poison(region.words(200));
	EXPECT_TRUE(is_retired(region.words(200)));
	std::uint64_t lost = 0;
	for (std::uint64_t page = 0; page < huge_page_count; page++) {
		ReadResult result = try_read(&region.words(page)[9]);

		if (result.signal) {
			EXPECT_TRUE(is_clean_sigbus(result, region.words(page))) << page;
			lost++;
		} else {
			EXPECT_EQ(result.value, pattern(1, page * 512 + 9)) << page;
			EXPECT_NE(page, 200u);
		}
	}
	EXPECT_GE(lost, 1u);
	expect_the_gpu_works();
}

DEVMEM_TEST(DevmemPoison, the_rest_comes_home_on_request)
{
	InVram region(*this);
	poison(region.words(5));
	EXPECT_TRUE(is_retired(region.words(5)));
	EXPECT_TRUE(sweeper::wait_until(
		[&] {
			static_cast<void>(device().prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
			return count(region.get(), bytes, TANDEM_PAGE_SYSTEM) >= pages - 1;
		},
		{}, 10));
	expect_one_page_lost(region, 5, 1);
}

DEVMEM_TEST(DevmemPoison, parent_and_child_both_hear_of_it)
{
	InVram region(*this);
	SharedWords words;
	pid_t child = start_child([&] {
		CHILD_CHECK(wait_for_word(words, 0, 1));
		CHILD_CHECK(is_retired(region.words(5)));
		CHILD_CHECK(try_read(region.words(5)).signal == SIGBUS);
		CHILD_CHECK(region.words(6)[9] == pattern(1, 6 * 512 + 9));
		return 0;
	});
	poison(region.words(5));
	EXPECT_TRUE(is_retired(region.words(5)));
	words.store(0, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	expect_one_page_lost(region, 5, 1);
}

DEVMEM_TEST(DevmemPoison, a_process_that_never_looks_is_not_disturbed)
{
	InVram region(*this);
	poison(region.words(5));
	usleep(200'000);
	for (std::uint64_t page = 6; page < pages; page++)
		ASSERT_EQ(region.words(page)[9], pattern(1, page * 512 + 9));
}

/* The memory that nobody uses is retired in silence and is never given out again. */
DEVMEM_TEST(DevmemPoison, a_poisoned_page_is_never_given_out_again)
{
	std::uint64_t offset, room = device().query()->vram_bytes;
	{
		Mapping region(page_bytes);
		region.words()[0] = 1;
		ASSERT_TRUE(to_vram(region.get(), page_bytes));
		offset = vram_offset(region.get());
		poison(region.get());
		EXPECT_TRUE(is_retired(region.words()));
	}
	Mapping region(room);
	ASSERT_SYS(madvise(region.get(), room, MADV_NOHUGEPAGE));
	fill(region.get(), room, 3);
	static_cast<void>(device().prefetch(region.get(), room, TANDEM_LOCATION_DEVICE));
	std::vector<std::uint8_t> states = device().pages(region.get(), room).take();
	std::vector<std::uint64_t> entries = pagemap_of(region.get(), room);
	std::uint64_t there = 0;
	for (std::uint64_t page = 0; page < room / page_bytes; page++)
		if ((states[page] & TANDEM_PAGE_PLACE) == TANDEM_PAGE_DEVICE) {
			there++;
			ASSERT_NE(vram_offset_of_entry(entries[page]), offset) << page;
		}
	EXPECT_GT(there, room / page_bytes / 2);
	prefetch(region.get(), room, TANDEM_LOCATION_SYSTEM); /* quicker than by faults */
	EXPECT_TRUE(holds(region.get(), room, 3));
}

DEVMEM_TEST(DevmemPoison, poison_under_a_gpu_at_work)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_TRUE(to_vram(region.get(), bytes));
	ASSERT_GPU(tally(), tally().wait_round());
	poison(region.words(9));
	EXPECT_TRUE(sweeper::wait_until([&] { return tally().status().error == TANDEM_QUEUE_MEMORY_ERROR; }, {}, 20)) << tally().complaint();
	for (std::uint64_t page = 0; page < pages; page++)
		if (page != 9) {
			EXPECT_TRUE(tally().is_plausible(region.get(), page)) << page;
		}
	EXPECT_TRUE(is_retired(region.words(9)));
	EXPECT_TRUE(is_clean_sigbus(try_read(region.words(9)), region.words(9)));
	EXPECT_EQ(tally().errors(), 0u);
	expect_the_gpu_works();
}

} // namespace
