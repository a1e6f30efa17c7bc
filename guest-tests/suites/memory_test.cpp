// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux changes its mind about pages while the GPU works on them. Each test is a race forced by progress, not by sleeping:
 * the sweeper (support/sweeper.hpp) shows that the GPU was at work on the pages before and after, read nothing stale, and
 * that its stores reach the memory that the CPU sees.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

constexpr std::uint64_t check_and_write = SWEEP_CHECK | SWEEP_WRITE;

class MemoryTest : public GpuTest {
protected:
	static constexpr std::uint64_t pages = 64;
	static constexpr std::uint64_t bytes = pages * page_bytes;

	void SetUp() override
	{
		GpuTest::SetUp();
		if (!HasFatalFailure())
			gpu_.emplace(device());
	}

	sweeper::Sweeper &gpu() { return *gpu_; }

#define ASSERT_GPU(condition) ASSERT_TRUE(condition) << gpu().complaint()

	void stop_and_expect_no_error()
	{
		EXPECT_TRUE(gpu().stop()) << gpu().complaint();
		EXPECT_EQ(gpu().errors(), 0u) << gpu().complaint();
	}

	static void remap(void *address, std::uint64_t length)
	{
		void *again = mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		ASSERT_EQ(again, address);
	}

	static volatile std::uint64_t &gpu_word(void *region, std::uint64_t page)
	{
		return reinterpret_cast<volatile std::uint64_t *>(region)[page * SWEEP_PAGE_WORDS + SWEEP_GPU_WORD];
	}

	/* The GPU works on while the queue stands; gives up when it fails, which must be with this error. */
	void expect_queue_error(tandem_queue_error error)
	{
		ASSERT_TRUE(sweeper::wait_until([&] { return gpu().status().error != TANDEM_QUEUE_OK; })) << gpu().complaint();
		EXPECT_EQ(gpu().status().error, static_cast<unsigned>(error)) << gpu().complaint();
	}

private:
	std::optional<sweeper::Sweeper> gpu_;
};

TEST_F(MemoryTest, munmap_and_remap_same_address)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 10; round++) {
		ASSERT_GPU(gpu().pause());
		gpu().begin_change();
		ASSERT_EQ(munmap(region.get(), bytes), 0);
		remap(region.get(), bytes);
		gpu().end_change();
		gpu().resume();
		ASSERT_GPU(gpu().wait_round() && gpu().wait_gpu_words());
	}
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, replace_mapping_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 20; round++)
		ASSERT_GPU(gpu().change([&] { remap(region.get(), bytes); }));
	stop_and_expect_no_error();
	EXPECT_GT(is_sva() ? stats().counter[TANDEM_COUNTER_ATC_INVALIDATES] : stats().cause[TANDEM_CAUSE_UNMAP], 0u);
}

TEST_F(MemoryTest, replace_mapping_under_atomics)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write | SWEEP_ATOMIC));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(gpu().change([&] { remap(region.get(), bytes); }));
	stop_and_expect_no_error();
}

/* The old pages live on in the file, so a store that came late would be seen in them. */
TEST_F(MemoryTest, no_store_reaches_the_old_page_after_a_remap)
{
	MemoryFile file(2 * bytes);
	Mapping view(2 * bytes, MAP_SHARED, file.get()), region(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 10; round++) {
		std::uint64_t now = (round + 1) % 2 * bytes, before = bytes - now;
		std::vector<std::uint64_t> frozen(pages);
		ASSERT_GPU(gpu().change([&] {
			ASSERT_EQ(mmap(region.get(), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(),
				       static_cast<off_t>(now)),
				  region.get());
			for (std::uint64_t page = 0; page < pages; page++)
				frozen[page] = gpu_word(view.at(before), page);
		}));
		for (std::uint64_t page = 0; page < pages; page++)
			ASSERT_EQ(gpu_word(view.at(before), page), frozen[page]) << "round " << round << ", page " << page;
	}
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, munmap_under_fire_fails_the_queue_at_the_right_page)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_EQ(munmap(region.at(16 * page_bytes), 8 * page_bytes), 0);
	expect_queue_error(TANDEM_QUEUE_ADDRESS_FAULT);
	std::uint64_t page = (gpu().status().va - region.address()) / page_bytes;
	EXPECT_GE(page, 16u);
	EXPECT_LT(page, 24u);
	EXPECT_EQ(gpu().errors(), 0u);
	expect_the_gpu_works();
}

TEST_F(MemoryTest, partial_unmap_beside_the_work)
{
	Mapping region(3 * bytes);
	/* The GPU has translations of all of it, and then works on the first third. */
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 3 * pages, &done, 1};
	ASSERT_OK(run("touch", {64}, {64}, &touch));
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_GPU(gpu().change([&] { munmap(region.at(bytes), bytes); }));
	/* The last third still works, the middle is gone. */
	touch.region += 2 * bytes;
	touch.pages = pages;
	EXPECT_OK(run("touch", {64}, {64}, &touch));
	touch.region -= bytes;
	tandem::Queue victim = new_queue();
	EXPECT_FALSE(victim.run(kernel("touch"), {1}, {1}, &touch, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, region.at(bytes));
	stop_and_expect_no_error();
	remap(region.at(bytes), bytes);
}

TEST_F(MemoryTest, madvise_dontneed)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 20; round++)
		ASSERT_GPU(gpu().change([&] { ASSERT_EQ(madvise(region.get(), bytes, MADV_DONTNEED), 0); }));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, madvise_dontneed_gives_zeros)
{
	Mapping region(bytes);
	std::uint64_t seen[2] = {};
	region.words(3)[0] = 77;
	peek_arguments arguments = {region.words(3), seen, 1};
	ASSERT_OK(run("peek", {1}, {1}, &arguments));
	ASSERT_EQ(seen[0], 77u);
	ASSERT_EQ(madvise(region.get(), bytes, MADV_DONTNEED), 0);
	ASSERT_OK(run("peek", {1}, {1}, &arguments));
	EXPECT_EQ(seen[0], 0u);
}

TEST_F(MemoryTest, mprotect_read_only_then_back)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 10; round++) {
		ASSERT_GPU(gpu().set_mode(SWEEP_CHECK));
		ASSERT_EQ(mprotect(region.get(), bytes, PROT_READ), 0);
		ASSERT_GPU(gpu().wait_round()) << "reading a read-only page";
		ASSERT_EQ(mprotect(region.get(), bytes, PROT_READ | PROT_WRITE), 0);
		ASSERT_GPU(gpu().set_mode(check_and_write));
		ASSERT_GPU(gpu().change([] {}));
	}
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, mprotect_read_only_stops_a_writer)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_EQ(mprotect(region.get(), bytes, PROT_READ), 0);
	/* From here on no store may arrive: the word of each page stays as it is. */
	std::uint64_t frozen[pages];
	for (std::uint64_t page = 0; page < pages; page++)
		frozen[page] = gpu_word(region.get(), page);
	expect_queue_error(TANDEM_QUEUE_PERMISSION_FAULT);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(gpu_word(region.get(), page), frozen[page]);
	expect_the_gpu_works();
}

TEST_F(MemoryTest, mprotect_none_stops_a_reader)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, SWEEP_CHECK));
	ASSERT_EQ(mprotect(region.get(), bytes, PROT_NONE), 0);
	ASSERT_TRUE(sweeper::wait_until([&] { return gpu().status().error != TANDEM_QUEUE_OK; })) << gpu().complaint();
	EXPECT_EQ(gpu().errors(), 0u);
	expect_the_gpu_works();
}

/* The child's side of fork tests: its copy was frozen by fork() and stays so while the GPU writes for the parent. */
int watch_frozen_copy(const sweeper::Sweeper &gpu, const Mapping &region, std::uint64_t pages, std::uint64_t at_fork,
		      bool write_too)
{
	auto word = [&](std::uint64_t page) {
		return *static_cast<volatile std::uint64_t *>(region.words(page) + SWEEP_GPU_WORD);
	};
	std::vector<std::uint64_t> frozen(pages);

	for (std::uint64_t page = 0; page < pages; page++) {
		frozen[page] = word(page);
		CHILD_CHECK(frozen[page] <= at_fork);
	}
	if (write_too)
		for (std::uint64_t page = 0; page < pages; page += 2)
			std::memset(region.words(page), 0xee, page_bytes);
	CHILD_CHECK(sweeper::wait_until([&] { return gpu.generation() >= at_fork + 6; }));
	for (std::uint64_t page = write_too ? 1 : 0; page < pages; page += write_too ? 2 : 1)
		CHILD_CHECK(word(page) == frozen[page]);
	for (std::uint64_t page = 0; write_too && page < pages; page += 2)
		CHILD_CHECK(word(page) == 0xeeeeeeeeeeeeeeee);
	return 0;
}

TEST_F(MemoryTest, fork_cow_write_parent)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 3; round++) {
		ASSERT_GPU(gpu().wait_round());
		std::uint64_t at_fork = gpu().generation();
		pid_t child = start_child([&] { return watch_frozen_copy(gpu(), region, pages, at_fork, false); });
		for (int i = 0; i < 3; i++)
			EXPECT_TRUE(gpu().change([] {})) << gpu().complaint();
		EXPECT_TRUE(exited_well(wait_status(child)));
	}
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, fork_cow_write_both_sides)
{
	Mapping region(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 3; round++) {
		ASSERT_GPU(gpu().wait_round());
		std::uint64_t at_fork = gpu().generation();
		pid_t child = start_child([&] { return watch_frozen_copy(gpu(), region, pages, at_fork, true); });
		for (int i = 0; i < 3; i++)
			EXPECT_TRUE(gpu().change([] {})) << gpu().complaint();
		EXPECT_TRUE(exited_well(wait_status(child)));
	}
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, fork_then_the_child_uses_the_gpu_on_its_copy)
{
	Mapping region(page_bytes);
	region.words()[0] = 100;
	count_arguments arguments = {region.words(), 1};
	ASSERT_OK(run("atomic_add", {1}, {1}, &arguments));
	int status = in_child([&] {
		auto own = tandem::Device::open();
		CHILD_CHECK(own);
		auto own_queue = own->queue().take();
		auto module = own->module("test_queue.elf").take();
		CHILD_CHECK(own_queue.run(module.kernel("atomic_add").take(), {1}, {1}, &arguments));
		CHILD_CHECK(region.words()[0] == 102);
		return 0;
	});
	EXPECT_TRUE(exited_well(status));
	EXPECT_EQ(region.words()[0], 101u) << "the child's GPU wrote to its parent's page";
	ASSERT_OK(run("atomic_add", {1}, {1}, &arguments));
	EXPECT_EQ(region.words()[0], 102u);
}

TEST_F(MemoryTest, huge_pages_are_mapped_whole)
{
	MIRROR_ONLY("it counts leaves of the device's page table");
	constexpr std::uint64_t huge_pages = huge_bytes / page_bytes;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	tandem_ioc_stats before = stats();
	ASSERT_GPU(gpu().start(region.get(), huge_pages, check_and_write));
	EXPECT_GT(stats().leaves_2m, before.leaves_2m);
	ASSERT_GPU(gpu().change([] {}));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, huge_page_split_by_mprotect)
{
	constexpr std::uint64_t huge_pages = huge_bytes / page_bytes;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(gpu().start(region.get(), huge_pages, check_and_write));
	ASSERT_GPU(gpu().set_mode(SWEEP_CHECK));
	ASSERT_EQ(mprotect(region.get() + 100 * page_bytes, page_bytes, PROT_READ), 0);
	ASSERT_GPU(gpu().wait_round());
	ASSERT_EQ(mprotect(region.get() + 100 * page_bytes, page_bytes, PROT_READ | PROT_WRITE), 0);
	ASSERT_GPU(gpu().set_mode(check_and_write));
	ASSERT_GPU(gpu().change([] {}));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, huge_page_split_by_dontneed)
{
	constexpr std::uint64_t huge_pages = huge_bytes / page_bytes;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(gpu().start(region.get(), huge_pages, check_and_write));
	for (std::uint64_t page : {0ull, 100ull, 511ull})
		ASSERT_GPU(gpu().change(
			[&] { ASSERT_EQ(madvise(region.get() + page * page_bytes, page_bytes, MADV_DONTNEED), 0); }));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, huge_page_replaced_in_the_middle)
{
	constexpr std::uint64_t huge_pages = huge_bytes / page_bytes;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(gpu().start(region.get(), huge_pages, check_and_write));
	ASSERT_GPU(gpu().change([&] { remap(region.get() + 200 * page_bytes, 3 * page_bytes); }));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, huge_page_cow_after_fork)
{
	constexpr std::uint64_t huge_pages = huge_bytes / page_bytes;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(gpu().start(region.get(), huge_pages, check_and_write));
	std::uint64_t at_fork = gpu().generation();
	pid_t child = start_child([&] {
		CHILD_CHECK(sweeper::wait_until([&] { return gpu().generation() >= at_fork + 4; }));
		for (std::uint64_t page = 0; page < huge_pages; page++)
			CHILD_CHECK(gpu_word(region.get(), page) <= at_fork);
		return 0;
	});
	EXPECT_TRUE(gpu().change([] {})) << gpu().complaint();
	EXPECT_TRUE(gpu().change([] {})) << gpu().complaint();
	EXPECT_TRUE(exited_well(wait_status(child)));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, stack_memory)
{
	constexpr std::uint64_t own_pages = 4;
	alignas(4096) std::uint64_t on_stack[own_pages * SWEEP_PAGE_WORDS];

	ASSERT_GPU(gpu().start(on_stack, own_pages, check_and_write));
	for (int round = 0; round < 5; round++)
		ASSERT_GPU(gpu().change([] {}));
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, shared_memory_file_seen_through_two_mappings)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get()), view(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_GPU(gpu().change([] {}));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(gpu_word(view.get(), page), gpu().generation()) << page;
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, shared_memory_file_read_back_by_system_call)
{
	MemoryFile file(page_bytes);
	Mapping region(page_bytes, MAP_SHARED, file.get());
	std::uint64_t word = 0, sent = 0x1122334455667788;
	peek_arguments arguments = {&sent, region.words(), 1};

	ASSERT_OK(run("peek", {1}, {1}, &arguments));
	ASSERT_EQ(pread(file.get(), &word, sizeof(word), 0), 8);
	EXPECT_EQ(word, sent);
	word = 99;
	ASSERT_EQ(pwrite(file.get(), &word, sizeof(word), 0), 8);
	arguments = {region.words(), &sent, 1};
	ASSERT_OK(run("peek", {1}, {1}, &arguments));
	EXPECT_EQ(sent, 99u);
}

TEST_F(MemoryTest, truncated_file_fails_the_queue)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_EQ(ftruncate(file.get(), bytes / 2), 0);
	ASSERT_TRUE(sweeper::wait_until([&] { return gpu().status().error != TANDEM_QUEUE_OK; })) << gpu().complaint();
	EXPECT_EQ(gpu().errors(), 0u);
	expect_the_gpu_works();
}

TEST_F(MemoryTest, a_read_only_mapping_of_a_file_can_be_read_and_not_written)
{
	MemoryFile file(page_bytes);
	std::uint64_t word = 4711, other = 1;
	ASSERT_EQ(pwrite(file.get(), &word, sizeof(word), 0), 8);
	Mapping region(page_bytes, MAP_SHARED, file.get(), 0, PROT_READ);
	peek_arguments read = {region.words(), &other, 1}, write = {&other, region.words(), 1};

	ASSERT_OK(run("peek", {1}, {1}, &read));
	EXPECT_EQ(other, 4711u);
	other = 1;
	tandem::Queue victim = new_queue();
	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &write, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_PERMISSION_FAULT, region.get());
	ASSERT_EQ(pread(file.get(), &word, sizeof(word), 0), 8);
	EXPECT_EQ(word, 4711u);
}

TEST_F(MemoryTest, a_private_mapping_of_a_file_is_copied_when_the_gpu_writes)
{
	MemoryFile file(page_bytes);
	std::uint64_t word = 4711, other = 5;
	ASSERT_EQ(pwrite(file.get(), &word, sizeof(word), 0), 8);
	Mapping region(page_bytes, MAP_PRIVATE, file.get());
	std::uint64_t seen = 0;
	peek_arguments read = {region.words(), &seen, 1}, write = {&other, region.words(), 1};

	ASSERT_OK(run("peek", {1}, {1}, &read));
	EXPECT_EQ(seen, 4711u);
	ASSERT_OK(run("peek", {1}, {1}, &write));
	EXPECT_EQ(region.words()[0], 5u);
	ASSERT_EQ(pread(file.get(), &word, sizeof(word), 0), 8);
	EXPECT_EQ(word, 4711u) << "the GPU wrote to the file behind a private mapping";
}

TEST_F(MemoryTest, the_zero_page_is_not_written_to)
{
	Mapping region(2 * page_bytes);
	std::uint64_t sum = *static_cast<volatile std::uint64_t *>(region.words()) +
			    *static_cast<volatile std::uint64_t *>(region.words(1)); /* both are the zero page now */
	std::uint64_t word = 123, seen = 7;
	peek_arguments read = {region.words(), &seen, 1}, write = {&word, region.words(), 1};

	EXPECT_EQ(sum, 0u);
	ASSERT_OK(run("peek", {1}, {1}, &read));
	EXPECT_EQ(seen, 0u);
	ASSERT_OK(run("peek", {1}, {1}, &write));
	EXPECT_EQ(region.words()[0], 123u);
	EXPECT_EQ(region.words(1)[0], 0u);
	Mapping fresh(page_bytes);
	EXPECT_EQ(*static_cast<volatile std::uint64_t *>(fresh.words()), 0u);
}

TEST_F(MemoryTest, what_the_gpu_wrote_survives_madvise_pageout)
{
	Mapping region(bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), pages, &done, 1};

	ASSERT_OK(run("touch", {64}, {64}, &touch));
	madvise(region.get(), bytes, MADV_PAGEOUT); /* without swap it keeps the pages: right in either case */
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(static_cast<unsigned char>(*region.at(page * page_bytes)), static_cast<unsigned char>(page + 1)) << page;
}

TEST_F(MemoryTest, what_the_gpu_wrote_to_a_lazily_freed_page_survives)
{
	Mapping region(bytes);
	std::memset(region.get(), 0x55, bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), pages, &done, 1};

	ASSERT_EQ(madvise(region.get(), bytes, MADV_FREE), 0);
	ASSERT_OK(run("touch", {64}, {64}, &touch));
	madvise(region.get(), bytes, MADV_PAGEOUT); /* reclaims clean lazily freed pages */
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(static_cast<unsigned char>(*region.at(page * page_bytes)), static_cast<unsigned char>(page + 1)) << page;
}

TEST_F(MemoryTest, mremap_moves_what_the_gpu_wrote)
{
	Mapping region(bytes), target(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	ASSERT_GPU(gpu().pause());
	std::uint64_t generation = gpu().generation();
	ASSERT_EQ(mremap(region.get(), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target.get()), target.get());
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(gpu_word(target.get(), page), generation) << page;
	gpu().begin_change();
	remap(region.get(), bytes);
	gpu().end_change();
	gpu().resume();
	ASSERT_GPU(gpu().wait_gpu_words());
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(gpu_word(target.get(), page), generation) << "written through the old translation, page " << page;
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, changes_from_several_threads_at_once)
{
	Mapping region(bytes), noise(bytes);
	ASSERT_GPU(gpu().start(region.get(), pages, check_and_write));
	std::uint64_t over = 0;
	std::thread other([&] {
		while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
			std::memset(noise.get(), 1, bytes);
			madvise(noise.get(), bytes, MADV_DONTNEED);
			mprotect(noise.get(), bytes / 2, PROT_READ);
			mprotect(noise.get(), bytes / 2, PROT_READ | PROT_WRITE);
		}
	});
	bool good = true;
	for (int round = 0; round < 20 && good; round++)
		good = gpu().change([&] { madvise(region.get(), bytes, MADV_DONTNEED); });
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	other.join();
	ASSERT_GPU(good);
	stop_and_expect_no_error();
}

TEST_F(MemoryTest, statistics_count_what_is_mirrored)
{
	MIRROR_ONLY("it counts mirrored pages");
	Mapping region(bytes);
	std::uint64_t done = 0;
	touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), pages, &done, 1};
	std::uint64_t before = stats().pages_mirrored;

	ASSERT_OK(run("touch", {64}, {64}, &touch));
	std::uint64_t during = stats().pages_mirrored;
	EXPECT_GE(during, before + pages);
	ASSERT_EQ(madvise(region.get(), bytes, MADV_DONTNEED), 0);
	EXPECT_LE(stats().pages_mirrored, during - pages);
}

} // namespace
