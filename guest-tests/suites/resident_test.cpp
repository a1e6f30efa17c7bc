// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues that are resident-only: the GPU finds what the process has, and makes nothing. */
#include "../kernels/shadow.h"
#include "mm_test.hpp"
#include "uffd.hpp"

using namespace gpu_test;
using namespace mm_system;

namespace {

constexpr std::uint64_t pages = 64;
constexpr std::uint64_t bytes = pages * page_bytes;

std::uint64_t resident_pages(const void *region, std::uint64_t count = pages)
{
	return count_pages(region, count, pagemap_present);
}

class Resident : public GpuTest {
protected:
	void SetUp() override
	{
		GpuTest::SetUp();
		if (!HasFatalFailure())
			resident_.emplace(new_queue(&resident_only));
	}

	tandem::Queue &resident() { return *resident_; }

	/* How many pages of the region the GPU found. */
	std::uint64_t found(const void *region, std::uint64_t count = pages)
	{
		const auto start = reinterpret_cast<std::uintptr_t>(region);

		arguments_->ranges = 1;
		arguments_->read = arguments_->tried = 0;
		arguments_->range[0] = {start, start + count * page_bytes};
		EXPECT_OK(resident().run(kernel("shadow", "shadow.elf"), {SHADOW_LANES}, {64}, arguments_, 0, time_limit_ns))
			<< resident().describe();
		EXPECT_EQ(arguments_->tried, count);
		return arguments_->read;
	}

	/* What one lane of the resident-only queue loads there; it stores to a page that is there. */
	std::uint64_t peeked(const void *address)
	{
		words_[0] = 0xaaaa;
		peek(address, words_);
		return words_[0];
	}
	void poke(void *address, std::uint64_t value)
	{
		words_[0] = value;
		peek(words_, address);
	}

	static constexpr tandem_queue_options resident_only = {.ring_order = 0, .scratch_lane_bytes = 0, .scratch_waves = 0,
							       .retry_limit = 0, .flags = TANDEM_QUEUE_RESIDENT_ONLY};

private:
	void peek(const void *from, void *to)
	{
		auto arguments = reinterpret_cast<peek_arguments *>(words_ + 1);

		*arguments = {static_cast<const std::uint64_t *>(from), static_cast<std::uint64_t *>(to), 1};
		EXPECT_OK(resident().run(kernel("peek"), {1}, {1}, arguments, 0, time_limit_ns)) << resident().describe();
	}

	std::optional<tandem::Queue> resident_;
	Mapping own_{2 * page_bytes};
	shadow_arguments *arguments_ = new (own_.get()) shadow_arguments{};
	std::uint64_t *words_ = own_.words(1);
};

TEST_F(Resident, what_is_there_is_read)
{
	Mapping region(bytes);

	for (std::uint64_t page = 0; page < pages; page += 2)
		*region.words(page) = page + 1;
	EXPECT_EQ(found(region.get()), pages / 2);
	EXPECT_EQ(peeked(region.words(6)), 7u);
	EXPECT_EQ(peeked(region.words(7)), 0u);
}

TEST_F(Resident, nothing_becomes_resident)
{
	Mapping region(bytes);

	/* What the GPU itself needs is there after this. */
	found(region.get());
	poke(region.words(3), 1);
	const std::uint64_t before = status_kb("RssAnon");
	EXPECT_EQ(found(region.get()), 0u);
	poke(region.words(3), 1);
	EXPECT_EQ(resident_pages(region.get()), 0u);
	EXPECT_EQ(status_kb("RssAnon"), before);
}

TEST_F(Resident, holes_and_what_may_not_be_read_are_skipped_and_good_work_goes_on)
{
	mm_test::Place region(bytes);

	std::memset(region.get(), 1, bytes);
	ASSERT_EQ(mprotect(region.at(8 * page_bytes), 8 * page_bytes, PROT_NONE), 0);
	ASSERT_EQ(munmap(region.at(32 * page_bytes), 8 * page_bytes), 0);
	EXPECT_EQ(found(region.get()), pages - 16);
	EXPECT_EQ(peeked(unmapped_address()), 0u);
	poke(unmapped_address(), 1);
	EXPECT_EQ(found(region.get()), pages - 16);
	expect_the_gpu_works();
	ASSERT_EQ(mprotect(region.at(8 * page_bytes), 8 * page_bytes, PROT_READ), 0);
	EXPECT_EQ(found(region.get()), pages - 8);
}

TEST_F(Resident, a_store_that_would_need_a_copy_is_dropped)
{
	Mapping region(bytes);

	*region.words(0) = 5;
	const std::uint64_t frame = page_frame(region.get());
	SharedWords words;
	pid_t child = start_child([&] {
		words.store(0, 1);
		return words.wait_at_least(1, 1) && *region.words(0) == 5 ? 0 : 1;
	});
	ASSERT_TRUE(words.wait_at_least(0, 1));
	EXPECT_EQ(peeked(region.words(0)), 5u);
	poke(region.words(0), 9);
	EXPECT_EQ(*region.words(0), 5u);
	EXPECT_EQ(page_frame(region.get()), frame);
	words.store(1, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

TEST_F(Resident, a_store_to_a_page_that_is_writable_arrives)
{
	Mapping region(page_bytes);

	*region.words(0) = 5;
	poke(region.words(0), 9);
	EXPECT_EQ(*region.words(0), 9u);
}

TEST_F(Resident, a_swapped_page_stays_out)
{
	Zram swap;
	Mapping region(bytes);

	std::memset(region.get(), 3, bytes);
	page_out(region.get(), bytes);
	const std::uint64_t out = count_pages(region.get(), pages, pagemap_swapped);
	ASSERT_GT(out, 0u);
	EXPECT_EQ(found(region.get()), pages - out);
	EXPECT_EQ(count_pages(region.get(), pages, pagemap_swapped), out);
}

TEST_F(Resident, a_hole_that_userfaultfd_watches_raises_no_event)
{
	Mapping region(bytes);
	mm_uffd::Uffd uffd(0);

	*region.words(0) = 1;
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	uffd.serve([&](const mm_uffd::Event &event) { uffd.zero(event.address); });
	EXPECT_EQ(found(region.get()), 1u);
	EXPECT_EQ(uffd.served(), 0u);
	EXPECT_EQ(*reinterpret_cast<volatile std::uint64_t *>(region.words(1)), 0u);
	EXPECT_EQ(uffd.served(), 1u);
	EXPECT_EQ(found(region.get()), 2u);
}

TEST_F(Resident, merged_pages_stay_merged)
{
	const std::string ksm = "/sys/kernel/mm/ksm/";
	Setting sleep(ksm + "sleep_millisecs", "5"), much(ksm + "pages_to_scan", "1000"), run(ksm + "run", "1");
	Mapping region(bytes);

	std::memset(region.get(), 0x5a, bytes);
	ASSERT_EQ(madvise(region.get(), bytes, MADV_MERGEABLE), 0) << std::strerror(errno);
	ASSERT_TRUE(sweeper::wait_until([&] { return page_frame(region.get()) == page_frame(region.words(pages - 1)); }));
	const std::uint64_t frame = page_frame(region.get());
	EXPECT_EQ(found(region.get()), pages);
	poke(region.words(0), 1);
	EXPECT_EQ(page_frame(region.get()), frame);
	EXPECT_EQ(page_frame(region.words(pages - 1)), frame);
	EXPECT_EQ(*region.words(0), 0x5a5a5a5a5a5a5a5au);
	write_file(ksm + "run", "2");
}

TEST_F(Resident, a_huge_page_is_read_whole_and_stays_whole)
{
	HugeMapping region(huge_bytes);
	constexpr std::uint64_t count = huge_bytes / page_bytes;

	std::memset(region.get(), 1, huge_bytes);
	ASSERT_TRUE(is_huge(region.get()));
	EXPECT_EQ(found(region.get(), count), count);
	EXPECT_TRUE(is_huge(region.get()));
}

TEST_F(Resident, faults_that_were_skipped_are_counted)
{
	Mapping region(bytes);
	tandem_ioc_stats before = stats();

	found(region.get());
	tandem_ioc_stats after = stats();
	EXPECT_EQ(after.counter[TANDEM_COUNTER_SKIPPED] - before.counter[TANDEM_COUNTER_SKIPPED], pages);
	EXPECT_EQ(after.faults_cancelled, before.faults_cancelled);
	if (!is_sva()) {
		EXPECT_GE(after.faults_skipped - before.faults_skipped, pages);
	}
}

/* The ordinary queue asks for the very pages that the other one skips. */
TEST_F(Resident, an_ordinary_queue_of_the_process_has_its_pages_made)
{
	Mapping region(bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {static_cast<unsigned char *>(region.get()), pages, &done, 1};
	tandem::Signal signal = tandem::Signal::create().take();

	ASSERT_OK(queue().dispatch(kernel("touch"), {64}, {64}, &touch, signal.get()));
	for (int round = 0; round < 8; round++)
		EXPECT_LE(found(region.get()), pages);
	ASSERT_OK(queue().wait(signal, time_limit_ns));
	EXPECT_EQ(done, pages);
	EXPECT_EQ(resident_pages(region.get()), pages);
	EXPECT_EQ(found(region.get()), pages);
}

TEST_F(Resident, a_copy_packet_stops_the_queue)
{
	Mapping region(2 * page_bytes);

	ASSERT_EQ(tandem_copy(resident().get(), region.at(page_bytes), region.get(), 64, nullptr), 0);
	ASSERT_TRUE(sweeper::wait_until([&] { return resident().status()->state == TANDEM_QUEUE_FAULTED; }));
	expect_error(resident(), TANDEM_QUEUE_BAD_PACKET);
	expect_the_gpu_works();
}

TEST_F(Resident, flags_that_nobody_knows_are_refused)
{
	tandem_queue_options options = resident_only;

	options.flags = TANDEM_QUEUE_RESIDENT_ONLY << 1;
	auto made = device().queue(&options);
	ASSERT_FALSE(made);
	EXPECT_EQ(made.error().status, TANDEM_ERROR_INVALID);
}

} // namespace
