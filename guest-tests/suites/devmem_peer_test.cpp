// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two GPUs in one guest. On a link (fabric) each reads the other's private pages where they are, or moves them; without one, a
 * page comes home before the other GPU gets it. In no case does one take the other's pages for its own.
 */
#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

class TwoGpus : public PrivateTest {
protected:
	/* The second GPU, as the fixture has the first. */
	struct Other {
		tandem::Device device;
		tandem::Queue queue;
		tandem::Module module;

		static Other open()
		{
			tandem_open_options options = {0, "/dev/tandem1", 0};
			auto device = tandem::Device::open(&options).take();
			auto queue = device.queue().take();
			auto module = device.module("test_queue.elf").take();
			return {std::move(device), std::move(queue), std::move(module)};
		}
		tandem_page_place place_of(const void *page) const
		{
			return static_cast<tandem_page_place>(device.pages(page, page_bytes)->at(0) & TANDEM_PAGE_PLACE);
		}
		void copy(void *to, const void *from, std::uint64_t length) const
		{
			peek_arguments arguments = {static_cast<const std::uint64_t *>(from), static_cast<std::uint64_t *>(to), length / 8};
			ASSERT_OK(queue.run(module.kernel("peek").take(), {256}, {64}, &arguments, 0, time_limit_ns));
		}
		::testing::AssertionResult holds(const void *start, std::uint64_t length, std::uint64_t seed) const
		{
			Mapping seen(length);
			copy(seen.get(), start, length);
			return devmem_test::holds(seen.get(), length, seed);
		}
		void fill(void *start, std::uint64_t length, std::uint64_t seed) const
		{
			Mapping source(length);
			devmem_test::fill(source.get(), length, seed);
			copy(start, source.get(), length);
		}
	};

	void prepare() override { ASSERT_GE(ledger::gpus(), 2u) << "the machine needs two GPUs"; }

	bool are_linked() { return device().query()->fabric != ~0u; }
};

/* ---- with a link and without one ---- */

class DevmemPeers : public TwoGpus {};

DEVMEM_TEST(DevmemPeers, the_other_gpu_reads_private_pages)
{
	Other other = Other::open();
	InVram region(*this);
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(other.holds(region.get(), bytes, 2));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPeers, the_other_gpu_writes_private_pages)
{
	Other other = Other::open();
	InVram region(*this);
	other.fill(region.get(), bytes, 3);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 3));
	gpu_fill(region.get(), bytes, 4);
	EXPECT_TRUE(other.holds(region.get(), bytes, 4));
	EXPECT_TRUE(holds(region.get(), bytes, 4));
}

DEVMEM_TEST(DevmemPeers, neither_takes_the_others_pages_for_its_own)
{
	Other other = Other::open();
	InVram mine(*this);
	Mapping theirs(bytes);
	ASSERT_SYS(madvise(theirs.get(), bytes, MADV_NOHUGEPAGE));
	fill(theirs.get(), bytes, 2);
	ASSERT_OK(other.device.prefetch(theirs.get(), bytes, TANDEM_LOCATION_DEVICE));
	/* Seen from each side: one's own, and the other's. */
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, mine.get(), bytes));
	EXPECT_NE(other.place_of(mine.get()), TANDEM_PAGE_DEVICE);
	EXPECT_EQ(other.place_of(theirs.get()), TANDEM_PAGE_DEVICE);
	EXPECT_NE(place_of(theirs.get()), TANDEM_PAGE_DEVICE);
	/* The same offsets of both memories hold different data. */
	EXPECT_TRUE(gpu_holds(mine.get(), bytes, 1));
	EXPECT_TRUE(other.holds(theirs.get(), bytes, 2));
	EXPECT_TRUE(gpu_holds(theirs.get(), bytes, 2));
	EXPECT_TRUE(other.holds(mine.get(), bytes, 1));
	EXPECT_TRUE(holds(mine.get(), bytes, 1));
	EXPECT_TRUE(holds(theirs.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPeers, pages_move_from_one_gpu_to_the_other)
{
	Other other = Other::open();
	InVram region(*this);
	gpu_fill(region.get(), bytes, 2);
	for (int attempt = 0; attempt < 50 && other.place_of(region.at(bytes - page_bytes)) != TANDEM_PAGE_DEVICE; attempt++)
		ASSERT_OK(other.device.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(other.place_of(region.get()), TANDEM_PAGE_DEVICE);
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
	EXPECT_EQ(ledger::vram("used_pages", 0), 0u);
	EXPECT_EQ(ledger::vram("used_pages", 1), pages);
	EXPECT_TRUE(other.holds(region.get(), bytes, 2));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	EXPECT_TRUE(to_vram(region.get(), bytes));
	EXPECT_TRUE(other.holds(region.get(), bytes, 2));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPeers, huge_pages_move_from_one_gpu_to_the_other)
{
	Other other = Other::open();
	HugeMapping region(huge_bytes);
	fill(region.get(), huge_bytes, 1);
	ASSERT_TRUE(to_vram(region.get(), huge_bytes));
	EXPECT_TRUE(other.holds(region.get(), huge_bytes, 1));
	ASSERT_TRUE(to_vram(region.get(), huge_bytes));
	ASSERT_OK(other.device.prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(other.place_of(region.words(77)), TANDEM_PAGE_DEVICE);
	other.fill(region.get(), huge_bytes, 2);
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 2));
	EXPECT_TRUE(holds(region.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemPeers, both_gpus_and_the_cpu_add_to_the_same_word)
{
	Other other = Other::open();
	InVram region(*this);
	std::uint64_t *word = region.words(3);
	constexpr int dispatches = 16;
	*word = 0;
	count_arguments arguments = {word, 1};
	auto mine = tandem::Signal::create(dispatches).take(), theirs = tandem::Signal::create(dispatches).take();
	tandem::Kernel add = kernel("count"), other_add = other.module.kernel("count").take();
	for (int dispatch = 0; dispatch < dispatches; dispatch++) {
		prefetch(region.get(), bytes, dispatch % 3 ? TANDEM_LOCATION_DEVICE : TANDEM_LOCATION_SYSTEM);
		ASSERT_OK(queue().dispatch(add, {1024}, {64}, &arguments, mine.get()));
		ASSERT_OK(other.queue.dispatch(other_add, {1024}, {64}, &arguments, theirs.get()));
		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	}
	ASSERT_OK(queue().wait(mine, time_limit_ns));
	ASSERT_OK(other.queue.wait(theirs, time_limit_ns));
	EXPECT_EQ(*word, dispatches * (1024 * 2 + 1));
}

DEVMEM_TEST(DevmemPeers, each_moves_what_the_other_counts_in)
{
	tandem_open_options options = {0, "/dev/tandem1", 0};
	auto second = tandem::Device::open(&options).take();
	Tally theirs(second, 2);
	Mapping region(bytes), other_region(bytes);
	for (const Mapping *own : {&region, &other_region})
		ASSERT_SYS(madvise(own->get(), bytes, MADV_NOHUGEPAGE));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	ASSERT_GPU(theirs, theirs.start(other_region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().during([&] { static_cast<void>(second.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE)); }));
		ASSERT_GPU(theirs, theirs.during([&] { prefetch(other_region.get(), bytes, TANDEM_LOCATION_DEVICE); }));
		ASSERT_GPU(tally(), tally().during([&] { prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE); }));
		ASSERT_GPU(theirs, theirs.during([&] { static_cast<void>(second.prefetch(other_region.get(), bytes, TANDEM_LOCATION_DEVICE)); }));
	}
	finish_tally();
	EXPECT_GPU(theirs, theirs.finish());
}

/* One's crowd drives out its own pages, never the other's. */
DEVMEM_TEST(DevmemPeers, eviction_stays_on_its_own_gpu)
{
	Other other = Other::open();
	Mapping kept(bytes), crowd(device().query()->vram_bytes * 3 / 2);
	ASSERT_SYS(madvise(kept.get(), bytes, MADV_NOHUGEPAGE));
	fill(kept.get(), bytes, 1);
	ASSERT_OK(other.device.prefetch(kept.get(), bytes, TANDEM_LOCATION_DEVICE));
	std::uint64_t there = ledger::vram("used_pages", 1);
	fill(crowd.get(), crowd.bytes(), 2);
	static_cast<void>(device().prefetch(crowd.get(), crowd.bytes(), TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(ledger::vram("used_pages", 1), there);
	EXPECT_TRUE(other.holds(kept.get(), bytes, 1));
	EXPECT_TRUE(holds(crowd.get(), crowd.bytes(), 2));
	EXPECT_TRUE(holds(kept.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPeers, the_second_gpu_is_unbound_with_pages_that_the_first_has_mapped)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	std::string address;
	{
		Other other = Other::open();
		ASSERT_OK(other.device.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		EXPECT_EQ(other.place_of(region.get()), TANDEM_PAGE_DEVICE);
	}
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1)); /* through the link, or at home */
	address = ledger::pci_address(1);
	write_file("/sys/bus/pci/drivers/tandem/unbind", address);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	write_file("/sys/bus/pci/drivers/tandem/bind", address);
	Other again = Other::open();
	EXPECT_TRUE(again.holds(region.get(), bytes, 1));
}

/* ---- what only a link gives, or only its absence ---- */

class DevmemLink : public TwoGpus {
protected:
	void begin()
	{
		if (!are_linked())
			GTEST_SKIP() << "no link between the GPUs";
	}
};

DEVMEM_TEST(DevmemLink, over_it_pages_are_read_and_written_where_they_are)
{
	begin();
	if (IsSkipped())
		return;
	Other other = Other::open();
	InVram region(*this);
	EXPECT_EQ(other.place_of(region.get()), TANDEM_PAGE_PEER);
	EXPECT_TRUE(other.holds(region.get(), bytes, 1));
	other.fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes)) << "a peer access moves nothing";
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* Straight across: no page of the system's is used on the way. */
DEVMEM_TEST(DevmemLink, pages_move_straight_across)
{
	begin();
	if (IsSkipped())
		return;
	Other other = Other::open();
	InVram region(*this);
	std::uint64_t home = stats().pages_to_system;
	ASSERT_OK(other.device.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(other.place_of(region.get()), TANDEM_PAGE_DEVICE);
	EXPECT_EQ(place_of(region.get()), TANDEM_PAGE_PEER);
	EXPECT_EQ(stats().pages_to_system, home);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemLink, without_one_pages_come_home_first)
{
	if (are_linked()) {
		GTEST_SKIP() << "the GPUs are linked";
		return;
	}
	Other other = Other::open();
	InVram region(*this);
	EXPECT_TRUE(other.holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

} // namespace
