// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What goes wrong on the way: no memory, a copy engine that fails, a process that is killed, a device that is reset. The
 * process sees correct data or a clean SIGBUS, and afterwards nothing is missing (the fixture keeps the books). Device
 * property test-hooks=on.
 */
#include "devmem_test.hpp"
#include "failing.hpp"

using namespace devmem_test;

namespace {

class DevmemFailure : public PrivateTest {
protected:
	static void inject(const std::string &words) { write_file(ledger::debugfs(0, "inject"), words); }
};

/* ---- no memory ---- */

DEVMEM_TEST(DevmemFailure, video_memory_runs_out_in_the_middle)
{
	for (std::uint64_t round = 0; round < 32; round++) {
		Mapping region(8 * bytes);
		ASSERT_SYS(madvise(region.get(), region.bytes(), round % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
		fill(region.get(), region.bytes(), round);
		{
			FailingDriver failing("fail_vram", 50, 1000);
			auto moved = device().prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);
			EXPECT_TRUE(moved || moved.error().status == TANDEM_ERROR_MEMORY) << moved.error().text;
			EXPECT_TRUE(gpu_holds(region.get(), bytes, round));
		}
		EXPECT_TRUE(holds(region.get(), region.bytes(), round));
	}
}

DEVMEM_TEST(DevmemFailure, the_systems_memory_runs_out_on_the_way_home)
{
	for (std::uint64_t round = 0; round < 32; round++) {
		InVram region(*this, 4 * bytes, round);
		std::uint64_t there;
		{
			FailingAllocations failing(0, 50, -1);
			static_cast<void>(device().prefetch(region.get(), region.bytes(), TANDEM_LOCATION_SYSTEM));
		}
		there = count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE);
		EXPECT_GT(there, 0u) << "no allocation failed";
		EXPECT_TRUE(gpu_holds(region.get(), bytes, round));
		EXPECT_TRUE(holds(region.get(), region.bytes(), round));
	}
}

DEVMEM_TEST(DevmemFailure, a_cpu_fault_finds_no_memory_at_first)
{
	InVram region(*this);
	for (std::uint64_t page = 0; page < pages; page++) {
		FailingAllocations failing(0, 100, 3);
		ASSERT_EQ(region.words(page)[7], pattern(1, page * 512 + 7));
	}
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemFailure, no_huge_page_at_home_so_it_comes_in_small_ones)
{
	for (std::uint64_t round = 0; round < 16; round++) {
		HugeMapping region(huge_bytes);
		fill(region.get(), huge_bytes, round);
		ASSERT_TRUE(to_vram(region.get(), huge_bytes));
		{
			FailingAllocations failing(9, 100, -1);
			if (round % 2)
				EXPECT_EQ(region.words(77)[3], pattern(round, 77 * 512 + 3));
			else
				static_cast<void>(device().prefetch(region.get(), huge_bytes, TANDEM_LOCATION_SYSTEM));
		}
		EXPECT_EQ(place_of(region.words(77)), TANDEM_PAGE_SYSTEM);
		EXPECT_FALSE(is_huge(region.get()));
		EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, round));
		EXPECT_TRUE(holds(region.get(), huge_bytes, round));
	}
}

DEVMEM_TEST(DevmemFailure, no_huge_page_there_so_it_goes_in_small_ones)
{
	std::uint64_t blocks = device().query()->vram_bytes / huge_bytes;
	Mapping sparse(device().query()->vram_bytes / 2);
	HugeMapping region(huge_bytes);
	/* Half full of single pages; what is left is evicted or cut, as the driver likes. */
	ASSERT_SYS(madvise(sparse.get(), sparse.bytes(), MADV_NOHUGEPAGE));
	fill(sparse.get(), sparse.bytes(), 1);
	prefetch(sparse.get(), sparse.bytes(), TANDEM_LOCATION_DEVICE);
	for (std::uint64_t page = 0; page < sparse.bytes() / page_bytes; page += 2)
		ASSERT_SYS(madvise(sparse.at(page * page_bytes), page_bytes, MADV_DONTNEED));
	for (std::uint64_t round = 0; round < blocks; round++) {
		fill(region.get(), huge_bytes, round);
		prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE);
		EXPECT_TRUE(gpu_holds(region.get(), 4 * page_bytes, round));
	}
	EXPECT_TRUE(holds(region.get(), huge_bytes, blocks - 1));
	for (std::uint64_t page = 1; page < sparse.bytes() / page_bytes; page += 2)
		ASSERT_EQ(sparse.words(page)[9], pattern(1, page * 512 + 9)) << page;
}

/* By a child, which may well die of it: the kernel cannot give it the pages that its own work needs. */
DEVMEM_TEST(DevmemFailure, fork_runs_out_of_memory)
{
	InVram region(*this);
	for (int round = 0; round < 20; round++) {
		pid_t child = start_child([] {
			FailingAllocations failing(0, 10, -1);
			pid_t grandchild = fork();
			if (grandchild > 0)
				wait_status(grandchild);
			_exit(0);
			return 0;
		});
		wait_status(child);
		write_file("/sys/kernel/debug/fail_page_alloc/times", "0");
		EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	}
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemFailure, everything_fails_now_and_then_under_fire)
{
	Mapping region(8 * bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), 8 * pages, TALLY_ATOMIC));
	for (int round = 0; round < 12; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			FailingDriver no_vram("fail_vram", 30, 200);
			FailingAllocations no_pages(0, 30, 200);
			static_cast<void>(device().prefetch(region.get(), region.bytes(),
							    round % 2 ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE));
			fail_copies(static_cast<unsigned>(round % 4));
		}));
	fail_copies(0);
	finish_tally();
}

/* ---- the copy engine fails ---- */

DEVMEM_TEST(DevmemFailure, a_copy_that_fails_once_is_tried_again)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	fail_copies(1);
	EXPECT_TRUE(to_vram(region.get(), bytes));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	gpu_fill(region.get(), bytes, 2);
	fail_copies(1);
	EXPECT_EQ(region.words(3)[5], pattern(2, 3 * 512 + 5));
	EXPECT_TRUE(holds(region.get(), bytes, 2));
}

DEVMEM_TEST(DevmemFailure, while_copies_fail_pages_stay_at_home)
{
	for (bool huge : {false, true}) {
		HugeMapping region(huge_bytes);
		ASSERT_SYS(madvise(region.get(), huge_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
		fill(region.get(), huge_bytes, 1);
		fail_copies(1'000'000);
		auto moved = device().prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE);
		fail_copies(0);
		if (moved) {
			EXPECT_EQ(*moved, 0u);
		}
		EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), huge_bytes));
		EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
		EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
		EXPECT_TRUE(to_vram(region.get(), huge_bytes));
		EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
	}
}

DEVMEM_TEST(DevmemFailure, while_copies_fail_pages_stay_there_and_a_cpu_read_is_a_clean_sigbus)
{
	InVram region(*this);
	fail_copies(1'000'000);
	auto moved = device().prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM);
	ReadResult result = try_read(region.words(5));
	fail_copies(0);
	if (moved) {
		EXPECT_EQ(*moved, 0u);
	}
	EXPECT_EQ(result.signal, SIGBUS) << "read " << result.value;
	EXPECT_EQ(result.address / page_bytes, reinterpret_cast<std::uintptr_t>(region.words(5)) / page_bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1)) << "nothing was lost";
}

DEVMEM_TEST(DevmemFailure, a_gpu_fault_whose_migration_fails_is_served_in_place)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	fill(region.get(), bytes, 1);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	fail_copies(1'000'000);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	fail_copies(0);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemFailure, an_eviction_whose_copies_fail_loses_nothing)
{
	std::uint64_t room = device().query()->vram_bytes;
	Mapping first(room), second(room / 2);
	fill(first.get(), room, 1);
	prefetch(first.get(), room, TANDEM_LOCATION_DEVICE);
	fill(second.get(), second.bytes(), 2);
	fail_copies(40);
	static_cast<void>(device().prefetch(second.get(), second.bytes(), TANDEM_LOCATION_DEVICE));
	fail_copies(0);
	EXPECT_TRUE(holds(first.get(), room, 1));
	EXPECT_TRUE(holds(second.get(), second.bytes(), 2));
}

/* ---- somebody is killed ---- */

DEVMEM_TEST(DevmemFailure, killed_for_want_of_memory_while_pages_move)
{
	Cgroup group("devmem-oom");
	group.set("memory.max", "24M");
	for (bool by_gpu : {false, true}) {
		pid_t child = start_child([&] {
			group.enter();
			write_file("/proc/self/oom_score_adj", "1000");
			auto own = tandem::Device::open().take();
			Mapping region(256ull << 20);
			CHILD_CHECK(own.prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
			if (by_gpu) {
				Tally mine(own, 3);
				mine.set_stride(4);
				mine.start(region.get(), region.bytes() / page_bytes / 4, TALLY_WRITE);
			} else {
				for (std::uint64_t offset = 0; offset < region.bytes(); offset += huge_bytes) {
					static_cast<void>(own.prefetch(region.at(offset), huge_bytes, TANDEM_LOCATION_DEVICE));
					std::memset(region.at(offset), 1, huge_bytes);
				}
			}
			return 0;
		});
		int status = wait_status(child);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
	}
	EXPECT_GT(group.event("oom_kill"), 0u);
	EXPECT_EQ(ledger::lost_charges_after_a_while("devmem-oom"), "");
	expect_the_gpu_works();
}

DEVMEM_TEST(DevmemFailure, killed_at_any_moment_of_a_migration)
{
	for (unsigned round = 0; round < 24; round++) {
		SharedWords words;
		pid_t child = start_child([&] {
			auto own = tandem::Device::open().take();
			HugeMapping region(4 * huge_bytes);
			CHILD_CHECK(!madvise(region.get(), 4 * huge_bytes, round % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
			fill(region.get(), 4 * huge_bytes, 1);
			for (words.store(0, 1);;) {
				static_cast<void>(own.prefetch(region.get(), 4 * huge_bytes, TANDEM_LOCATION_DEVICE));
				static_cast<void>(own.prefetch(region.get(), 4 * huge_bytes, TANDEM_LOCATION_SYSTEM));
			}
			return 0;
		});
		EXPECT_TRUE(wait_for_word(words, 0, 1));
		usleep(round * 700);
		kill(child, SIGKILL);
		EXPECT_TRUE(WIFSIGNALED(wait_status(child)));
	}
	expect_the_gpu_works();
}

/* ---- the device is reset ---- */

DEVMEM_TEST(DevmemFailure, video_memory_survives_a_reset)
{
	InVram region(*this);
	HugeMapping huge(huge_bytes);
	fill(huge.get(), huge_bytes, 2);
	ASSERT_TRUE(to_vram(huge.get(), huge_bytes));
	inject("reset");
	EXPECT_TRUE(holds(region.get(), bytes / 2, 1));
	auto fresh = tandem::Device::open();
	ASSERT_OK(fresh);
	EXPECT_GT(fresh->pages(region.at(bytes / 2), bytes / 2)->at(0) & TANDEM_PAGE_DEVICE, 0);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(huge.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemFailure, the_device_stops_answering_in_the_middle_of_a_copy)
{
	InVram region(*this);
	Mapping at_home(bytes);
	ASSERT_SYS(madvise(at_home.get(), bytes, MADV_NOHUGEPAGE));
	fill(at_home.get(), bytes, 2);
	inject("stall-command");
	std::thread helper([] {
		/* After the driver's deadline, and the reset that it leads to. */
		usleep(4'000'000);
		inject("none");
	});
	ReadResult result = try_read(region.words(5));
	static_cast<void>(device().prefetch(at_home.get(), bytes, TANDEM_LOCATION_DEVICE));
	helper.join();
	EXPECT_TRUE(result.signal == SIGBUS || result.value == pattern(1, 5 * 512)) << result.signal << " " << result.value;
	EXPECT_TRUE(sweeper::wait_until([] { return static_cast<bool>(tandem::Device::open()); }));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(at_home.get(), bytes, 2));
}

} // namespace
