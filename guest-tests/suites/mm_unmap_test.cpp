// SPDX-License-Identifier: GPL-2.0-or-later
/* Mappings come, go, grow and shrink beside the pages that the GPU works on. */
#include <alloca.h>

#include "mm_test.hpp"
#include "uffd.hpp"

using namespace mm_test;

namespace {

using MmUnmap = MmTest;

/* Both ends of one mapping are under work, the middle goes and comes back with other contents. */
TEST_F(MmUnmap, the_middle_of_a_mapping_goes_and_comes_back)
{
	Mapping region(3 * bytes);
	Tally second(device(), 2);
	std::uint64_t unmaps = invalidations(TANDEM_CAUSE_UNMAP);

	let_gpu_touch(region.get(), 3 * pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(second, second.start(region.at(2 * bytes), pages, TALLY_ATOMIC));
	for (std::uint64_t round = 0; round < 5; round++) {
		ASSERT_GPU(second, second.during([&] {
			ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(munmap(region.at(bytes), bytes)); }));
			gpu_reads(region.at(bytes + round * page_bytes), TANDEM_QUEUE_ADDRESS_FAULT);
			remap(region.at(bytes), bytes);
			region.words(pages)[0] = round + 4711;
			EXPECT_EQ(gpu_reads(region.at(bytes)), round + 4711);
			EXPECT_EQ(gpu_reads(region.at(2 * bytes - page_bytes)), 0u);
		}));
	}
	EXPECT_GE(invalidations(TANDEM_CAUSE_UNMAP), unmaps + 5);
	finish_tally();
	EXPECT_GPU(second, second.finish());
}

TEST_F(MmUnmap, every_other_page_goes_beside_the_work)
{
	Mapping region(2 * bytes);
	let_gpu_touch(region.get(), 2 * pages);
	tally().set_stride(2);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint64_t page = 1; page < 2 * pages; page += 2)
			ASSERT_SYS(munmap(region.at(page * page_bytes), page_bytes));
	}));
	gpu_reads(region.at(7 * page_bytes), TANDEM_QUEUE_ADDRESS_FAULT);
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint64_t page = 1; page < 2 * pages; page += 2)
			remap(region.at(page * page_bytes), page_bytes);
	}));
	EXPECT_EQ(gpu_reads(region.at(7 * page_bytes)), 0u);
	finish_tally();
}

/* The GPU has one 2 MiB translation for both halves. */
TEST_F(MmUnmap, half_of_a_huge_page_goes_beside_the_work)
{
	HugeMapping region(huge_bytes);
	std::uint64_t large = stats().leaves_2m;
	std::memset(region.get(), 0xff, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get() + huge_bytes / 2, huge_page_count / 2, TALLY_WRITE));
	if (!is_sva()) {
		ASSERT_GT(stats().leaves_2m, large);
	}
	EXPECT_EQ(gpu_reads(region.get()), UINT64_MAX);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(munmap(region.get(), huge_bytes / 2)); }));
	gpu_reads(region.get() + 5 * page_bytes, TANDEM_QUEUE_ADDRESS_FAULT);
	remap(region.get(), huge_bytes / 2);
	EXPECT_EQ(gpu_reads(region.get() + 5 * page_bytes), 0u);
	finish_tally();
}

TEST_F(MmUnmap, the_same_addresses_again_and_again_while_neighbours_work)
{
	Mapping region(2 * bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(sweeping(), sweeping().start(region.at(bytes), pages, check_and_write));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			ASSERT_GPU(sweeping(), sweeping().pause());
			sweeping().begin_change();
			ASSERT_SYS(munmap(region.at(bytes), bytes));
			remap(region.at(bytes), bytes);
			sweeping().end_change();
			sweeping().resume();
			ASSERT_GPU(sweeping(), sweeping().wait_gpu_words());
		}));
	finish_sweep();
	finish_tally();
}

/* From anonymous to shared to read-only file pages and back: nothing of the old kind may stick. */
TEST_F(MmUnmap, other_kinds_of_mapping_at_the_same_address)
{
	Mapping region(bytes);
	MemoryFile file(bytes);
	std::uint64_t in_file = 0xf11e;
	ASSERT_EQ(pwrite(file.get(), &in_file, sizeof(in_file), 0), 8);
	region.words()[0] = 1;
	for (int round = 0; round < 5; round++) {
		EXPECT_NE(gpu_reads(region.get()), 0xf11eu);
		ASSERT_EQ(mmap(region.get(), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file.get(), 0), region.get());
		EXPECT_EQ(gpu_reads(region.get()), 0xf11eu);
		std::uint64_t word = 0;
		peek_arguments poke = {&word, region.words(), 1};
		tandem::Queue victim = new_queue();
		EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
		expect_error(victim, TANDEM_QUEUE_PERMISSION_FAULT, region.get());
		remap(region.get(), bytes);
		gpu_writes(region.get(), 7);
	}
	ASSERT_EQ(pread(file.get(), &in_file, sizeof(in_file), 0), 8);
	EXPECT_EQ(in_file, 0xf11eu);
}

TEST_F(MmUnmap, the_heap_grows_and_shrinks)
{
	char *first = static_cast<char *>(sbrk(0));
	char *start = reinterpret_cast<char *>((reinterpret_cast<std::uintptr_t>(first) + page_bytes - 1) & -page_bytes);
	ASSERT_NE(sbrk(start - first + static_cast<std::intptr_t>(bytes)), reinterpret_cast<void *>(-1));
	ASSERT_GPU(tally(), tally().start(start, pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(sbrk(bytes), start + bytes); }));
	let_gpu_touch(start + bytes, pages);
	EXPECT_EQ(start[2 * bytes - page_bytes], static_cast<char>(pages));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(sbrk(-static_cast<std::intptr_t>(bytes)), start + 2 * bytes); }));
	gpu_reads(start + bytes + page_bytes, TANDEM_QUEUE_ADDRESS_FAULT);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_EQ(sbrk(bytes), start + bytes); }));
	EXPECT_EQ(gpu_reads(start + bytes + page_bytes), 0u);
	finish_tally();
	if (sbrk(0) == start + 2 * bytes) /* unless malloc took more meanwhile */
		sbrk(first - (start + 2 * bytes));
}

std::uintptr_t lowest_stack_address()
{
	std::string maps = read_file("/proc/self/maps");
	std::size_t line = maps.rfind('\n', maps.find("[stack]")) + 1;

	return std::stoull(maps.substr(line), nullptr, 16);
}

/* Writes down a deep stack, and hands over what it has at the bottom. */
__attribute__((noinline)) void use_stack(std::uint64_t depth, const std::function<void(char *, std::uint64_t)> &action)
{
	char *memory = static_cast<char *>(alloca(depth));

	for (std::uint64_t at = depth; at > 0; at -= page_bytes)
		memory[at - page_bytes] = 1; /* downwards, as a program uses its stack */
	action(memory, depth);
}

TEST_F(MmUnmap, the_stack_grows_under_the_work)
{
	use_stack(bytes + page_bytes, [&](char *memory, std::uint64_t) {
		char *start = reinterpret_cast<char *>((reinterpret_cast<std::uintptr_t>(memory) + page_bytes - 1) & -page_bytes);
		ASSERT_GPU(tally(), tally().start(start, pages, TALLY_WRITE));
		std::uintptr_t before = lowest_stack_address();
		ASSERT_GPU(tally(), tally().during([&] {
			use_stack(4 * bytes, [&](char *deep, std::uint64_t) {
				gpu_writes(deep, 99);
				EXPECT_EQ(*reinterpret_cast<volatile std::uint64_t *>(deep), 99u);
			});
		}));
		EXPECT_LT(lowest_stack_address(), before) << "the stack did not grow: nothing was tested";
		finish_tally();
	});
}

/* A stack grows for the CPU that runs on it, not for a device. */
TEST_F(MmUnmap, the_gpu_does_not_make_a_stack_grow)
{
	std::uintptr_t lowest = lowest_stack_address();

	gpu_reads(reinterpret_cast<void *>(lowest - 4 * page_bytes), TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_EQ(lowest_stack_address(), lowest);
	EXPECT_TRUE(gpu_reads(reinterpret_cast<void *>(lowest)));
}

TEST_F(MmUnmap, locked_pages)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t before = status_kb("VmLck");
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mlock(region.get(), bytes)); }));
		EXPECT_EQ(status_kb("VmLck"), before + bytes / 1024);
		EXPECT_EQ(madvise(region.get(), bytes, MADV_DONTNEED), -1);
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(munlock(region.get(), bytes)); }));
	}
	finish_tally();
}

TEST_F(MmUnmap, locked_pages_that_the_gpu_faults_in)
{
	Mapping region(bytes);
	ASSERT_SYS(syscall(SYS_mlock2, region.get(), bytes, 1 /* MLOCK_ONFAULT */));
	EXPECT_EQ(count_pages(region.get(), pages, pagemap_present), 0u);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	EXPECT_EQ(smaps_kb(region.get(), "Locked"), bytes / 1024);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(munlock(region.get(), bytes)); }));
	finish_tally();
}

TEST_F(MmUnmap, mlockall_while_the_gpu_works)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mlockall(MCL_CURRENT)); }));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(munlockall()); }));
	finish_tally();
}

/*
 * Nobody answers for the missing pages, so the first fault hangs in its service and all others wait in the fault buffer or
 * behind it, until the process is gone.
 */
void wait_with_faults_pending(const SharedWords &words, const std::function<void()> &end)
{
	constexpr std::uint64_t many = 1024;
	Mapping fresh(many * page_bytes);
	auto own = tandem::Device::open().take();
	auto module = own.module("test_queue.elf").take();
	auto queue = own.queue().take();
	auto second = own.queue().take();
	mm_uffd::Uffd uffd(0);
	uffd.watch(fresh.get(), fresh.bytes(), mm_uffd::missing);
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(fresh.get()), many, words.at(0), 1};

	CHILD_CHECK(queue.dispatch(module.kernel("touch").take(), {many}, {64}, &arguments));
	CHILD_CHECK(second.dispatch(module.kernel("touch_for_ever").take(), {many}, {64}, &arguments));
	CHILD_CHECK(tally::wait_sleeping([&] {
		return own.stats()->counter[TANDEM_COUNTER_FAULTS] + own.stats()->counter[TANDEM_COUNTER_FAULT_OVERFLOWS] >=
		       words.load(1) + 64;
	}));
	CHILD_CHECK(words.load(0) == 0);
	words.store(2, 1);
	end();
}

TEST_F(MmUnmap, exit_with_a_thousand_faults_pending)
{
	MIRROR_ONLY("userfaultfd holds the faults up");
	SharedWords words;

	for (int round = 0; round < 5; round++) {
		tandem_ioc_stats before = stats();
		words.store(1, before.counter[TANDEM_COUNTER_FAULTS] + before.counter[TANDEM_COUNTER_FAULT_OVERFLOWS]);
		EXPECT_TRUE(exited_well(in_child([&] {
			wait_with_faults_pending(words, [] { _exit(0); });
			return 1;
		})));
		EXPECT_EQ(words.load(0), 0u) << "the faults were served: nothing was pending";
		expect_the_gpu_works();
	}
}

TEST_F(MmUnmap, kill_with_a_thousand_faults_pending)
{
	MIRROR_ONLY("userfaultfd holds the faults up");
	SharedWords words;

	for (int round = 0; round < 5; round++) {
		tandem_ioc_stats before = stats();
		words.store(2, 0);
		words.store(1, before.counter[TANDEM_COUNTER_FAULTS] + before.counter[TANDEM_COUNTER_FAULT_OVERFLOWS]);
		pid_t child = start_child([&] {
			wait_with_faults_pending(words, [] { pause(); });
			return 1;
		});
		EXPECT_TRUE(wait_for_word(words, 2, 1));
		kill(child, SIGKILL);
		int status = wait_status(child);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
		EXPECT_EQ(words.load(0), 0u) << "the faults were served: nothing was pending";
		expect_the_gpu_works();
	}
}

} // namespace
