// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The GPU walks no table of its own: the IOMMU translates by the process's page table, and asks Linux for pages that are not there.
 * Needs a machine with one (iommu: passthrough or on) and TANDEM_TRANSLATION=sva; 1 GiB pages need hugepagesz=1G hugepages=1.
 */
#include <csignal>
#include <algorithm>
#include <vector>

#include "mm_test.hpp"
#include "uffd.hpp"

using namespace mm_test;

namespace {

constexpr std::uint64_t giant_bytes = 1ull << 30;

tandem_open_options by(tandem_translation translation)
{
	tandem_open_options options{};

	options.translation = translation;
	return options;
}

class Sva : public MmTest {
protected:
	void SetUp() override
	{
		MmTest::SetUp();
		if (!HasFatalFailure()) {
			ASSERT_TRUE(is_sva()) << "TANDEM_TRANSLATION=sva is what these tests are about";
		}
	}

	std::uint64_t counted(tandem_counter counter) { return stats().counter[counter]; }

	/* In a child, with a device of its own: adds 64 to the counter, `rounds` times. */
	static void add_in_rounds(const tandem::Device &own, std::uint64_t *counter, std::uint64_t rounds)
	{
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		count_arguments arguments = {counter, 1};

		for (std::uint64_t round = 0; round < rounds; round++)
			CHILD_CHECK(own_queue.run(module.kernel("count").take(), {64}, {64}, &arguments, 0, time_limit_ns));
	}
};

TEST_F(Sva, the_process_has_a_pasid_and_all_its_files_have_the_same)
{
	auto second = tandem::Device::open();

	ASSERT_OK(second);
	EXPECT_EQ(tandem_bus_pasid(second->get()), tandem_bus_pasid(device().get()));
	EXPECT_NE(tandem_pasid(second->get()), tandem_pasid(device().get())) << "an address space of the GPU for each file";
	auto mirror = by(TANDEM_TRANSLATION_MIRROR);
	auto third = tandem::Device::open(&mirror);
	ASSERT_OK(third);
	EXPECT_EQ(tandem_bus_pasid(third->get()), 0u);
}

TEST_F(Sva, pages_do_not_move_to_the_gpu)
{
	Mapping region(bytes);
	auto moved = device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);

	ASSERT_FALSE(moved);
	EXPECT_EQ(moved.error().status, TANDEM_ERROR_UNSUPPORTED);
	tandem_open_options migrating = by(TANDEM_TRANSLATION_SVA);
	migrating.flags = TANDEM_INIT_MIGRATE;
	EXPECT_FALSE(tandem::Device::open(&migrating));
}

TEST_F(Sva, write)
{
	Mapping region(bytes);
	std::uint64_t asked = counted(TANDEM_COUNTER_PAGE_REQUESTS);

	let_gpu_touch(region.get(), pages);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_NE(region.words(page)[0], 0u) << page;
	EXPECT_GE(counted(TANDEM_COUNTER_PAGE_REQUESTS) - asked, pages) << "each page was asked for";
}

TEST_F(Sva, read)
{
	Mapping region(bytes);

	EXPECT_EQ(gpu_reads(region.words(3)), 0u) << "a page that nobody has touched";
	for (std::uint64_t page = 0; page < pages; page++)
		region.words(page)[7] = page * 5 + 1;
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(gpu_reads(&region.words(page)[7]), page * 5 + 1);
}

/* A page that was only read is the shared page of zeros; the store needs another one. */
TEST_F(Sva, read_then_write)
{
	Mapping region(bytes);

	EXPECT_EQ(gpu_reads(region.words(3)), 0u);
	gpu_writes(region.words(3), 77);
	EXPECT_EQ(region.words(3)[0], 77u);
	EXPECT_EQ(gpu_reads(region.words(4)), 0u);
}

TEST_F(Sva, huge_pages_take_one_translation)
{
	HugeMapping region(huge_bytes);

	std::memset(region.get(), 0, huge_bytes);
	ASSERT_TRUE(is_huge(region.get()));
	std::uint64_t asked = counted(TANDEM_COUNTER_ATS_REQUESTS);
	let_gpu_touch(region.get(), huge_page_count);
	EXPECT_LT(counted(TANDEM_COUNTER_ATS_REQUESTS) - asked, huge_page_count / 4);
}

TEST_F(Sva, giant_pages_take_one_translation)
{
	void *memory = mmap(nullptr, giant_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);

	ASSERT_NE(memory, MAP_FAILED) << "no page of 1 GiB: " << std::strerror(errno);
	static_cast<volatile char *>(memory)[0] = 1;
	std::uint64_t asked = counted(TANDEM_COUNTER_ATS_REQUESTS);
	for (std::uint64_t offset = 0; offset < giant_bytes; offset += giant_bytes / 16)
		gpu_writes(static_cast<char *>(memory) + offset, offset + 1);
	std::uint64_t for_all = counted(TANDEM_COUNTER_ATS_REQUESTS) - asked;
	for (std::uint64_t offset = 0; offset < giant_bytes; offset += giant_bytes / 16)
		EXPECT_EQ(*reinterpret_cast<std::uint64_t *>(static_cast<char *>(memory) + offset), offset + 1);
	EXPECT_LT(for_all, 16u * 4) << "besides arguments and queue there is one page";
	munmap(memory, giant_bytes);
}

TEST_F(Sva, a_store_to_a_read_only_page_is_refused)
{
	Mapping region(bytes);
	tandem::Queue victim = new_queue();

	region.words(2)[0] = 5;
	ASSERT_SYS(mprotect(region.words(2), page_bytes, PROT_READ));
	EXPECT_EQ(gpu_reads(region.words(2)), 5u);
	peek_arguments poke = {region.words(0), region.words(2), 1};
	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_PERMISSION_FAULT, region.words(2));
	EXPECT_EQ(region.words(2)[0], 5u);
	expect_the_gpu_works();
}

TEST_F(Sva, an_access_to_nothing_is_refused)
{
	gpu_reads(unmapped_address(), TANDEM_QUEUE_ADDRESS_FAULT);
	expect_the_gpu_works();
}

TEST_F(Sva, no_access_without_permission_to_read)
{
	Mapping region(bytes);

	region.words()[0] = 1;
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_NONE));
	tandem::Queue victim = new_queue();
	std::uint64_t seen = 0;
	peek_arguments peek = {region.words(), &seen, 1};
	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
	EXPECT_NE(victim.status()->error, static_cast<std::uint32_t>(TANDEM_QUEUE_OK));
	EXPECT_EQ(seen, 0u);
	expect_the_gpu_works();
}

TEST_F(Sva, the_stack)
{
	volatile std::uint64_t on_the_stack[1024] = {};

	gpu_writes(const_cast<std::uint64_t *>(&on_the_stack[1023]), 99);
	EXPECT_EQ(on_the_stack[1023], 99u);
	EXPECT_EQ(gpu_reads(const_cast<std::uint64_t *>(&on_the_stack[1023])), 99u);
}

/* A range with a hole: what lies before the hole is reached, the hole is told of, and nothing beyond is touched in its place. */
TEST_F(Sva, an_interrupted_range)
{
	Mapping region(bytes);
	tandem::Queue victim = new_queue();
	std::uint64_t done = 0;
	touch_arguments touch = {static_cast<unsigned char *>(region.get()), pages, &done, 1};

	ASSERT_SYS(munmap(region.words(20), 2 * page_bytes));
	EXPECT_FALSE(victim.run(kernel("touch"), {1}, {1}, &touch, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, region.words(20));
	EXPECT_EQ(done, 20u);
	for (std::uint64_t page = 0; page < 20; page++)
		EXPECT_NE(region.words(page)[0], 0u) << page;
	for (std::uint64_t page = 22; page < pages; page++)
		EXPECT_EQ(region.words(page)[0], 0u) << page;
	expect_the_gpu_works();
}

TEST_F(Sva, kernel_addresses_are_refused)
{
	for (std::uint64_t address : {0xffff'8880'0000'0000ull, 0xffff'ffff'8100'0000ull, 1ull << 47})
		gpu_reads(reinterpret_cast<void *>(address), TANDEM_QUEUE_ADDRESS_RANGE);
	expect_the_gpu_works();
}

TEST_F(Sva, five_hundred_rounds_of_paging_out)
{
	constexpr int rounds = 500;
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t asked = counted(TANDEM_COUNTER_PAGE_REQUESTS), out = vmstat("pswpout");

	for (int round = 0; round < rounds; round++) {
		if (round % 10) {
			ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT));
			continue;
		}
		page_out(region.get(), bytes); /* also those that the fault worker has just brought in */
		ASSERT_GPU(tally(), tally().wait_round());
	}
	EXPECT_GT(vmstat("pswpout"), out) << "nothing was paged out";
	EXPECT_GT(counted(TANDEM_COUNTER_PAGE_REQUESTS), asked) << "and so nothing asked for again";
	finish_tally();
}

TEST_F(Sva, fork_shares_nothing_that_is_written)
{
	Mapping region(bytes);
	SharedWords words;

	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	pid_t child = -1;
	ASSERT_GPU(tally(), tally().during([&] {
		child = start_child([&] {
			std::vector<std::uint64_t> seen(pages);
			for (std::uint64_t page = 0; page < pages; page++) {
				seen[page] = tally().count(page);
				CHILD_CHECK(tally().is_plausible(region.get(), page));
			}
			CHILD_CHECK(wait_for_word(words, 0, 1));
			for (std::uint64_t page = 0; page < pages; page++)
				CHILD_CHECK(tally().count(page) == seen[page]);
			return 0;
		});
	}));
	ASSERT_GPU(tally(), tally().wait_round());
	words.store(0, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

/* The child has the parent's open file, and may not use it; its own works beside the parent's. */
TEST_F(Sva, a_child_binds_for_itself)
{
	SharedWords words;

	EXPECT_TRUE(exited_well(in_child([&] {
		tandem_ioc_stats statistics{};
		CHILD_CHECK(tandem_get_stats(device().get(), &statistics) != 0);
		auto own = tandem::Device::open();
		CHILD_CHECK(own);
		CHILD_CHECK(tandem_bus_pasid(own->get()) && tandem_bus_pasid(own->get()) != tandem_bus_pasid(device().get()));
		add_in_rounds(*own, words.at(0), 3);
		return 0;
	})));
	EXPECT_EQ(words.load(0), 3 * 64u);
	expect_the_gpu_works();
}

TEST_F(Sva, sixty_four_processes_with_a_pasid_each)
{
	constexpr unsigned processes = 64;
	SharedWords words;
	Mapping numbers(page_bytes, MAP_SHARED | MAP_ANONYMOUS);
	std::vector<pid_t> children;

	for (unsigned i = 0; i < processes; i++)
		children.push_back(start_child([&, i] {
			auto own = tandem::Device::open();
			CHILD_CHECK(own);
			numbers.words()[i] = tandem_bus_pasid(own->get());
			__atomic_fetch_add(words.at(1), 1, __ATOMIC_SEQ_CST);
			CHILD_CHECK(wait_for_word(words, 1, processes)); /* all are bound now */
			add_in_rounds(*own, words.at(0), 2);
			return 0;
		}));
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(words.load(0), processes * 2 * 64u);
	std::vector<std::uint64_t> pasids(numbers.words(), numbers.words() + processes);
	pasids.push_back(tandem_bus_pasid(device().get()));
	std::sort(pasids.begin(), pasids.end());
	EXPECT_EQ(std::unique(pasids.begin(), pasids.end()), pasids.end()) << "a PASID was given to two of them";
	expect_the_gpu_works();
}

/* One process by its own page table, the other by a mirror, in the same memory at the same time. */
TEST_F(Sva, beside_a_mirror_in_another_process)
{
	constexpr std::uint64_t rounds = 100;
	SharedWords words;
	pid_t child = start_child([&] {
		auto mirror = by(TANDEM_TRANSLATION_MIRROR);
		auto own = tandem::Device::open(&mirror);
		CHILD_CHECK(own && tandem_bus_pasid(own->get()) == 0);
		add_in_rounds(*own, words.at(0), rounds);
		return 0;
	});
	count_arguments arguments = {words.at(0), 1};

	for (std::uint64_t round = 0; round < rounds; round++)
		ASSERT_OK(run("count", {64}, {64}, &arguments));
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(words.load(0), 2 * rounds * 64);
}

/* Both kinds in one process: a change of the page table reaches both. */
TEST_F(Sva, beside_a_mirror_in_the_same_process)
{
	auto options = by(TANDEM_TRANSLATION_MIRROR);
	auto mirror = tandem::Device::open(&options).take();
	Mapping region(bytes);
	sweeper::Sweeper other(mirror);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), pages, SWEEP_CHECK));
	ASSERT_GPU(other, other.start(region.get(), pages, SWEEP_CHECK));
	for (int round = 0; round < 20; round++) {
		/* Old pages with the old generation, where nobody may look any more. */
		other.begin_change();
		ASSERT_GPU(sweeping(), sweeping().change([&] { remap(region.get(), bytes); }));
		other.end_change();
		ASSERT_GPU(other, other.wait_round());
	}
	EXPECT_GPU(other, other.stop());
	finish_sweep();
}

/* Linux's handler of page requests does not wait for user space: the GPU gets an error, and not a page that nobody filled. */
TEST_F(Sva, userfaultfd_is_not_waited_for)
{
	Mapping region(bytes);
	mm_uffd::Uffd uffd(0);

	region.words(1)[0] = 7;
	uffd.watch(region.get(), bytes, mm_uffd::missing);
	EXPECT_EQ(gpu_reads(region.words(1)), 7u) << "a page that is there";
	gpu_reads(region.words(2), TANDEM_QUEUE_SERVICE_FAILED);
	EXPECT_EQ(pagemap(region.words(2)) & pagemap_present, 0u);
	expect_the_gpu_works();
}

/* close() with page requests under way, and the same process binds again. */
TEST_F(Sva, unbind_and_bind_with_work_in_flight)
{
	constexpr std::uint64_t many = 4096;

	for (int round = 0; round < 30; round++) {
		SharedWords words;
		Mapping fresh(many * page_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
		touch_arguments arguments = {static_cast<unsigned char *>(fresh.get()), many, words.at(0), 1};
		{
			auto own = tandem::Device::open();
			ASSERT_OK(own);
			auto module = own->module("test_queue.elf").take();
			auto own_queue = own->queue().take();
			ASSERT_OK(own_queue.dispatch(module.kernel("touch_for_ever").take(), {512}, {64}, &arguments));
			ASSERT_TRUE(words.wait_at_least(0, 1));
		}
		std::uint64_t left_at = words.load(0);
		usleep(1000);
		EXPECT_EQ(words.load(0), left_at) << "the GPU worked on for what was closed";
	}
	expect_the_gpu_works();
}

TEST_F(Sva, exit_with_page_requests_under_way)
{
	for (int round = 0; round < 10; round++) {
		SharedWords words;
		pid_t child = start_child([&]() -> int {
			auto own = tandem::Device::open().take();
			auto module = own.module("test_queue.elf").take();
			auto own_queue = own.queue().take();
			Mapping fresh(4096 * page_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
			touch_arguments arguments = {static_cast<unsigned char *>(fresh.get()), 4096, words.at(0), 1};
			CHILD_CHECK(own_queue.dispatch(module.kernel("touch_for_ever").take(), {512}, {64}, &arguments));
			CHILD_CHECK(words.wait_at_least(0, 1));
			if (round % 2)
				kill(getpid(), SIGKILL);
			_exit(0);
		});
		int status = wait_status(child);
		EXPECT_TRUE(round % 2 ? WIFSIGNALED(status) : exited_well(status));
		std::uint64_t left_at = words.load(0);
		expect_the_gpu_works();
		EXPECT_EQ(words.load(0), left_at) << "the GPU worked on for a process that is gone";
	}
}

} // namespace
