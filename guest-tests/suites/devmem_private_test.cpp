// SPDX-License-Identifier: GPL-2.0-or-later
/* Private memory: pages of a process that lie where no CPU can reach them, and come home when one tries. In pages of 4 KiB. */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

class DevmemPrivate : public PrivateTest {};

/* ---- on request ---- */

DEVMEM_TEST(DevmemPrivate, pages_go_on_request_and_the_gpu_reads_them_there)
{
	InVram region(*this);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
}

DEVMEM_TEST(DevmemPrivate, what_the_gpu_wrote_there_comes_home)
{
	InVram region(*this);
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(to_system(region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPrivate, a_request_says_how_many_pages_moved)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	std::uint64_t there = prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(there, count(region.get(), bytes, TANDEM_PAGE_DEVICE));
	EXPECT_TRUE(to_vram(region.get(), bytes));
	EXPECT_EQ(prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE), 0u) << "they are there already";
	std::uint64_t home = prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM);
	EXPECT_EQ(home, count(region.get(), bytes, TANDEM_PAGE_SYSTEM));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* The copy engine moves each byte once and the CPU none: its counter says so. */
DEVMEM_TEST(DevmemPrivate, the_copy_engine_does_the_copying)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	std::uint64_t before = counter(TANDEM_COUNTER_COPY_BYTES);
	ASSERT_TRUE(to_vram(region.get(), bytes));
	EXPECT_EQ(counter(TANDEM_COUNTER_COPY_BYTES) - before, bytes);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	EXPECT_EQ(counter(TANDEM_COUNTER_COPY_BYTES) - before, 2 * bytes);
}

DEVMEM_TEST(DevmemPrivate, the_statistics_count_the_pages)
{
	std::uint64_t to = stats().pages_to_vram, from = stats().pages_to_system;
	InVram region(*this);
	EXPECT_EQ(stats().pages_to_vram - to, pages);
	EXPECT_TRUE(to_system(region.get(), bytes));
	EXPECT_EQ(stats().pages_to_system - from, pages);
}

DEVMEM_TEST(DevmemPrivate, only_the_range_asked_for_moves)
{
	InVram region(*this);
	ASSERT_TRUE(to_system(region.at(8 * page_bytes), 16 * page_bytes));
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), pages - 16);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), pages - 16) << "a GPU access moves nothing by itself";
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* Migrated and invalidated: what the GPU had cached of the old page is gone when the call returns. */
DEVMEM_TEST(DevmemPrivate, the_gpus_old_translations_are_invalidated)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	gpu_touch(region.get(), bytes, false);
	std::uint64_t before = invalidations(TANDEM_CAUSE_MIGRATE);
	ASSERT_TRUE(to_vram(region.get(), bytes));
	EXPECT_GT(invalidations(TANDEM_CAUSE_MIGRATE), before);
	gpu_fill(region.get(), bytes, 2);
	before = invalidations(TANDEM_CAUSE_MIGRATE);
	ASSERT_TRUE(to_system(region.get(), bytes));
	EXPECT_GT(invalidations(TANDEM_CAUSE_MIGRATE), before);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPrivate, to_and_fro_under_fire)
{
	for (std::uint64_t mode : {TALLY_READ, TALLY_WRITE, TALLY_ATOMIC}) {
		Mapping region(bytes);
		Tally gpu(device(), mode);
		ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
		ASSERT_GPU(gpu, gpu.start(region.get(), pages, mode));
		for (int round = 0; round < 8; round++)
			ASSERT_GPU(gpu, gpu.during([&] {
				prefetch(region.get(), bytes, round % 2 ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE);
			}));
		EXPECT_GPU(gpu, gpu.finish());
	}
	EXPECT_GT(stats().pages_to_vram, 0u);
	EXPECT_GT(stats().pages_to_system, 0u);
}

/* ---- the CPU comes ---- */

DEVMEM_TEST(DevmemPrivate, a_cpu_read_brings_its_page_home)
{
	InVram region(*this);
	EXPECT_EQ(region.words(5)[9], pattern(1, 5 * 512 + 9));
	EXPECT_EQ(place_of(region.words(5)), TANDEM_PAGE_SYSTEM);
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), pages - 1);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPrivate, a_cpu_write_goes_to_the_page_that_came_home)
{
	InVram region(*this);
	gpu_fill(region.get(), bytes, 2);
	region.words(7)[3] = 77;
	EXPECT_EQ(gpu_reads(&region.words(7)[3]), 77u);
	region.words(7)[3] = pattern(2, 7 * 512 + 3);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 2));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* CPU and GPU count in the same pages, which only the policy takes away from the CPU again and again. */
DEVMEM_TEST(DevmemPrivate, cpu_and_gpu_count_in_the_same_words)
{
	constexpr std::uint64_t adds = 200;
	InVram region(*this);
	std::memset(region.get(), 0, bytes);
	for (std::uint64_t round = 0; round < adds; round++) {
		std::uint64_t *word = region.words(round % pages);
		count_arguments arguments = {word, 1};

		if (round % 16 == 0)
			prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
		auto done = tandem::Signal::create().take();
		ASSERT_OK(queue().dispatch(kernel("count"), {64}, {64}, &arguments, done.get()));
		for (int add = 0; add < 10; add++)
			__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
		ASSERT_OK(queue().wait(done, time_limit_ns));
	}
	std::uint64_t sum = 0;
	for (std::uint64_t page = 0; page < pages; page++)
		sum += region.words(page)[0];
	EXPECT_EQ(sum, adds * (64 + 10));
}

DEVMEM_TEST(DevmemPrivate, four_threads_fault_the_same_pages_home)
{
	for (int round = 0; round < 5; round++) {
		InVram region(*this, bytes, static_cast<std::uint64_t>(round));
		std::vector<std::thread> threads;
		std::atomic<int> wrong = 0;
		for (int i = 0; i < 4; i++)
			threads.emplace_back([&] { wrong += !holds(region.get(), bytes, static_cast<std::uint64_t>(round)); });
		for (std::thread &thread : threads)
			thread.join();
		EXPECT_EQ(wrong, 0);
	}
}

/* The kernel reads and writes for the process, which cannot see the difference. */
DEVMEM_TEST(DevmemPrivate, system_calls_take_private_pages)
{
	InVram region(*this);
	MemoryFile file(bytes);
	ASSERT_EQ(pwrite(file.get(), region.get(), bytes, 0), static_cast<ssize_t>(bytes)) << std::strerror(errno);
	Mapping back(bytes);
	fill(back.get(), bytes, 9);
	ASSERT_TRUE(to_vram(back.get(), bytes));
	ASSERT_EQ(pread(file.get(), back.get(), bytes, 0), static_cast<ssize_t>(bytes)) << std::strerror(errno);
	EXPECT_TRUE(holds(back.get(), bytes, 1));
	EXPECT_TRUE(gpu_holds(back.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPrivate, another_process_reads_and_writes_them)
{
	InVram region(*this);
	pid_t self = getpid();
	EXPECT_TRUE(exited_well(in_child([&] {
		std::vector<std::uint64_t> seen(bytes / 8);
		iovec mine = {seen.data(), bytes}, theirs = {region.get(), bytes};
		CHILD_CHECK(process_vm_readv(self, &mine, 1, &theirs, 1, 0) == static_cast<ssize_t>(bytes));
		CHILD_CHECK(holds(seen.data(), bytes, 1));
		fill(seen.data(), bytes, 4);
		CHILD_CHECK(process_vm_writev(self, &mine, 1, &theirs, 1, 0) == static_cast<ssize_t>(bytes));
		return 0;
	})));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 4));
	EXPECT_TRUE(holds(region.get(), bytes, 4));
}

/* Who holds a page (a pipe takes a reference) keeps it where it is. */
DEVMEM_TEST(DevmemPrivate, a_page_that_somebody_holds_stays)
{
	Mapping region(bytes);
	int ends[2];
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	ASSERT_SYS(pipe(ends));
	iovec part = {region.at(4 * page_bytes), page_bytes};
	ASSERT_EQ(vmsplice(ends[1], &part, 1, 0), static_cast<ssize_t>(page_bytes)) << std::strerror(errno);
	for (int attempt = 0; attempt < 5; attempt++)
		prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(place_of(region.at(4 * page_bytes)), TANDEM_PAGE_SYSTEM);
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), pages - 1);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	close(ends[0]), close(ends[1]);
	EXPECT_TRUE(to_vram(region.get(), bytes)) << "nobody holds it any more";
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* ---- pages of other kinds ---- */

DEVMEM_TEST(DevmemPrivate, pages_that_nobody_touched_are_zeros_there)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	for (std::uint64_t page = 0; page < pages; page += 7)
		EXPECT_EQ(gpu_reads(region.words(page)), 0u);
	gpu_writes(region.words(3), 33);
	for (std::uint64_t page = 0; page < pages; page++)
		for (std::uint64_t word = 0; word < 512; word++)
			ASSERT_EQ(region.words(page)[word], page == 3 && word == 0 ? 33u : 0u) << page;
}

/* What was in video memory before must not shine through. */
DEVMEM_TEST(DevmemPrivate, the_zero_page_becomes_a_page_of_zeros_there)
{
	{
		InVram dirty(*this, bytes, 77);
		gpu_fill(dirty.get(), bytes, 78);
	}
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	for (std::uint64_t page = 0; page < pages; page++)
		ASSERT_EQ(*static_cast<volatile std::uint64_t *>(region.words(page)), 0u);
	ASSERT_TRUE(to_vram(region.get(), bytes));
	Mapping copy(bytes);
	peek_arguments arguments = {region.words(), copy.words(), bytes / 8};
	ASSERT_OK(run("peek", {256}, {64}, &arguments));
	for (std::uint64_t word = 0; word < bytes / 8; word++)
		ASSERT_EQ(copy.words()[word], 0u) << word;
	for (std::uint64_t word = 0; word < bytes / 8; word++)
		ASSERT_EQ(region.words()[word], 0u) << word;
}

DEVMEM_TEST(DevmemPrivate, shared_memory_stays_and_is_used_where_it_lies)
{
	Mapping region(bytes, MAP_SHARED | MAP_ANONYMOUS);
	fill(region.get(), bytes, 1);
	prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* Pages of the file stay; a page that the process wrote is its own and may go. */
DEVMEM_TEST(DevmemPrivate, a_private_file_mapping_gives_up_only_its_own_pages)
{
	MemoryFile file(bytes);
	{
		Mapping writer(bytes, MAP_SHARED, file.get());
		fill(writer.get(), bytes, 1);
	}
	Mapping region(bytes, MAP_PRIVATE, file.get());
	for (std::uint64_t page = 0; page < pages; page += 2)
		region.words(page)[0] = pattern(1, page * 512); /* what is there already */
	prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
	for (std::uint64_t page = 1; page < pages; page += 2)
		EXPECT_NE(place_of(region.words(page)), TANDEM_PAGE_DEVICE) << page;
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
	Mapping onlooker(bytes, MAP_SHARED, file.get());
	EXPECT_TRUE(holds(onlooker.get(), bytes, 1)) << "the file itself was changed";
}

DEVMEM_TEST(DevmemPrivate, a_range_with_holes_and_other_kinds_in_it)
{
	Mapping region(4 * bytes);
	fill(region.get(), 4 * bytes, 1);
	ASSERT_SYS(munmap(region.at(bytes), bytes));
	ASSERT_SYS(mprotect(region.at(2 * bytes), bytes, PROT_READ));
	for (int attempt = 0; attempt < 5; attempt++)
		ASSERT_OK(device().prefetch(region.get(), 4 * bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), pages);
	EXPECT_EQ(count(region.at(bytes), bytes, TANDEM_PAGE_ABSENT), pages);
	EXPECT_EQ(count(region.at(3 * bytes), bytes, TANDEM_PAGE_DEVICE), pages);
	gpu_reads(region.at(bytes), TANDEM_QUEUE_ADDRESS_FAULT);
	for (std::uint64_t page = 0; page < 4 * pages; page++)
		if (page / pages != 1) {
			ASSERT_EQ(region.words(page)[11], pattern(1, page * 512 + 11)) << page;
		}
	remap(region.at(bytes), bytes);
}

DEVMEM_TEST(DevmemPrivate, swapped_out_pages_keep_their_contents)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT));
	ASSERT_GT(count_pages(region.get(), pages, pagemap_swapped), 0u);
	ASSERT_OK(device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(to_vram(region.get(), bytes));
	gpu_fill(region.get(), bytes, 2);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT)) << "pages there are nobody's to swap out";
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* ---- what Linux does to them ---- */

DEVMEM_TEST(DevmemPrivate, munmap_gives_the_memory_back_at_once)
{
	std::uint64_t before = ledger::vram("used_pages");
	InVram region(*this);
	EXPECT_EQ(ledger::vram("used_pages") - before, pages);
	gpu_touch(region.get(), bytes);
	ASSERT_SYS(munmap(region.at(bytes / 2), bytes / 2));
	EXPECT_EQ(ledger::vram("used_pages") - before, pages / 2);
	gpu_reads(region.at(bytes / 2), TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_TRUE(exited_well(in_child([&] { return 0; })));
	ASSERT_SYS(madvise(region.get(), bytes / 2, MADV_DONTNEED));
	EXPECT_EQ(ledger::vram("used_pages"), before);
	EXPECT_EQ(gpu_reads(region.get()), 0u);
	remap(region.at(bytes / 2), bytes / 2);
}

DEVMEM_TEST(DevmemPrivate, protection_holds_there_as_well)
{
	InVram region(*this);
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	std::uint64_t value = 1;
	peek_arguments poke = {&value, region.words(4), 1};
	tandem::Queue own = new_queue();
	EXPECT_FALSE(own.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
	expect_error(own, TANDEM_QUEUE_PERMISSION_FAULT, region.words(4));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_NONE));
	gpu_reads(region.get(), TANDEM_QUEUE_PERMISSION_FAULT);
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ | PROT_WRITE));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemPrivate, mremap_takes_them_along)
{
	InVram region(*this);
	Mapping there(bytes);
	ASSERT_EQ(mremap(region.get(), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, there.get()), there.get());
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, there.get(), bytes));
	EXPECT_TRUE(gpu_holds(there.get(), bytes, 1));
	gpu_reads(region.get(), TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_TRUE(holds(there.get(), bytes, 1));
	remap(region.get(), bytes);
}

DEVMEM_TEST(DevmemPrivate, pages_marked_as_free_keep_what_the_gpu_wrote_later)
{
	InVram region(*this);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_FREE));
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* Marked in RAM, written by the GPU in video memory, reclaimed in RAM: the write must have made it dirty. */
DEVMEM_TEST(DevmemPrivate, what_was_written_there_outlives_reclaim_at_home)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_FREE));
	ASSERT_TRUE(to_vram(region.get(), bytes));
	gpu_fill(region.get(), bytes, 2);
	ASSERT_TRUE(to_system(region.get(), bytes));
	ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

/* ---- fork and exit ---- */

DEVMEM_TEST(DevmemPrivate, a_child_has_what_its_parent_had_there)
{
	InVram region(*this);
	EXPECT_TRUE(exited_well(in_child([&] {
		CHILD_CHECK(holds(region.get(), bytes, 1));
		fill(region.get(), bytes, 5);
		CHILD_CHECK(holds(region.get(), bytes, 5));
		return 0;
	})));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPrivate, what_the_gpu_writes_after_a_fork_is_the_parents)
{
	InVram region(*this);
	SharedWords words;
	pid_t child = start_child([&] {
		CHILD_CHECK(wait_for_word(words, 0, 1));
		CHILD_CHECK(holds(region.get(), bytes, 1));
		return 0;
	});
	gpu_fill(region.get(), bytes, 2);
	EXPECT_TRUE(to_vram(region.get(), bytes));
	gpu_fill(region.get(), bytes, 3);
	words.store(0, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(holds(region.get(), bytes, 3));
}

/* Both have a GPU at work, and both move the pages that they share until one writes. */
DEVMEM_TEST(DevmemPrivate, parent_and_child_move_the_same_pages)
{
	InVram region(*this);
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		for (int round = 0; round < 10; round++) {
			CHILD_CHECK(own.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
			CHILD_CHECK(holds(region.get(), bytes, 1));
		}
		return 0;
	});
	for (int round = 0; round < 10; round++) {
		prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE);
		EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
		EXPECT_TRUE(holds(region.get(), bytes, 1));
	}
	EXPECT_TRUE(exited_well(wait_status(child)));
}

DEVMEM_TEST(DevmemPrivate, forks_under_fire)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 6; round++) {
		ASSERT_TRUE(device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		ASSERT_GPU(tally(), tally().during([&] {
			EXPECT_TRUE(exited_well(in_child([&] {
				for (std::uint64_t page = 0; page < pages; page += 3)
					CHILD_CHECK(tally().is_plausible(region.get(), page));
				std::memset(region.get(), 0xee, bytes);
				return 0;
			})));
		}));
	}
	finish_tally();
}

DEVMEM_TEST(DevmemPrivate, exit_and_kill_give_everything_back)
{
	std::uint64_t before = ledger::vram("used_pages");
	for (bool by_signal : {false, true}) {
		SharedWords words;
		pid_t child = start_child([&] {
			auto own = tandem::Device::open().take();
			Tally mine(own, 5);
			Mapping region(bytes);
			CHILD_CHECK(mine.start(region.get(), pages, TALLY_WRITE));
			CHILD_CHECK(own.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
			CHILD_CHECK(ledger::vram("used_pages") > before);
			words.store(0, 1);
			if (by_signal)
				pause();
			return 0;
		});
		EXPECT_TRUE(wait_for_word(words, 0, 1));
		if (by_signal)
			kill(child, SIGKILL);
		int status = wait_status(child);
		EXPECT_TRUE(by_signal ? WIFSIGNALED(status) : WEXITSTATUS(status) == 0);
		EXPECT_TRUE(tally::wait_sleeping([&] { return ledger::vram("used_pages") == before; })) << ledger::vram("used_pages");
	}
	expect_the_gpu_works();
}

/* The pages are the process's and not the open file's. */
DEVMEM_TEST(DevmemPrivate, closing_the_gpu_loses_nothing)
{
	Mapping region(bytes);
	fill(region.get(), bytes, 1);
	{
		auto own = tandem::Device::open().take();
		ASSERT_OK(own.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		EXPECT_GT(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
	}
	EXPECT_GT(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u) << "they are where they were, for the other address space too";
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemPrivate, exec_forgets_them)
{
	std::uint64_t before = ledger::vram("used_pages");
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		Mapping region(bytes);
		fill(region.get(), bytes, 1);
		CHILD_CHECK(own.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		execl("/proc/self/exe", "exec-target", "--be-quiet-and-exit", static_cast<char *>(nullptr));
		return 127;
	});
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(tally::wait_sleeping([&] { return ledger::vram("used_pages") == before; })) << ledger::vram("used_pages");
}

} // namespace
