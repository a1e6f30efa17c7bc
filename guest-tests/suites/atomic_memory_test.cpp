// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux does things to a page while four CPU threads and the GPU do atomics on it: nothing is lost, and what cannot be is said
 * clearly. Runs on each kind of GPU.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "contention.hpp"
#include "mm_test.hpp"

using namespace mm_test;
using contention::Mode;
using contention::Plan;

namespace {

class AtomicMemory : public GpuTest {
protected:
	/* Exact, while the action is taken again and again, until it has succeeded so many times. */
	void fight(const std::function<bool(void *, std::uint64_t)> &action, unsigned times = 20)
	{
		Plan plan;
		unsigned actions = 0;

		plan.meanwhile = [&](void *memory, std::uint64_t bytes) { return action(memory, bytes) && ++actions >= times; };
		contention::Outcome outcome = contention::counters(device(), plan);
		EXPECT_TRUE(outcome.good()) << outcome.text;
		EXPECT_EQ(actions, times);
	}

	contend_arguments adding(void *memory, std::uint64_t rounds, bool for_ever = false)
	{
		return {memory, 0, rounds, for_ever ? &words_[0] : &words_[1], &words_[0], &words_[64], &words_[128]};
	}

	/* Lanes add to the counters at `memory` until the queue fails. */
	void start_adding(tandem::Queue &own, void *memory, const tandem::Signal &done)
	{
		auto *counters = static_cast<contend_counters *>(memory);
		contend_arguments arguments = adding(memory, 1, true);

		ASSERT_OK(own.dispatch(kernel("contend_counters", "contend.elf"), {32}, {32}, &arguments, done.get()));
		ASSERT_TRUE(sweeper::wait_until([&] { return __atomic_load_n(&counters->wide, __ATOMIC_RELAXED) > 64; }));
	}

	tandem::Outcome add(tandem::Queue &own, void *memory, std::uint64_t rounds)
	{
		contend_arguments arguments = adding(memory, rounds);

		return own.run(kernel("contend_counters", "contend.elf"), {32}, {32}, &arguments, 0, time_limit_ns);
	}

	void expect_clear_status(void *memory, tandem_queue_error expected)
	{
		tandem::Queue own = new_queue();

		EXPECT_FALSE(add(own, memory, 1));
		expect_error(own, expected, memory);
		EXPECT_EQ(static_cast<contend_counters *>(memory)->wide, 0u);
		expect_the_gpu_works();
	}

	void expect_adds(void *memory)
	{
		tandem::Queue own = new_queue();

		EXPECT_OK(add(own, memory, 1));
		EXPECT_EQ(static_cast<contend_counters *>(memory)->wide, 32u);
	}

	Place control_{2 * page_bytes};
	std::uint64_t *words_ = control_.words(); /* 0 is 0, 1 is not; then the counter of those who began; then rounds made */

	void SetUp() override
	{
		GpuTest::SetUp();
		words_[1] = 1;
	}
};

TEST_F(AtomicMemory, mprotect_during_atomics)
{
	fight([](void *memory, std::uint64_t bytes) {
		EXPECT_EQ(mprotect(memory, bytes, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
		EXPECT_EQ(mprotect(memory, bytes, PROT_READ | PROT_WRITE), 0);
		return true;
	});
}

TEST_F(AtomicMemory, write_permission_taken_away_stops_them_at_once)
{
	Place region(page_bytes);
	tandem::Queue own = new_queue();
	auto done = tandem::Signal::create().take();
	auto *counters = reinterpret_cast<contend_counters *>(region.get());

	start_adding(own, region.get(), done);
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_READ));
	std::uint64_t sum = counters->wide;
	EXPECT_FALSE(own.wait(done, time_limit_ns));
	expect_error(own, TANDEM_QUEUE_PERMISSION_FAULT, region.get());
	EXPECT_EQ(counters->wide, sum);
	expect_the_gpu_works();
}

TEST_F(AtomicMemory, fork_during_atomics)
{
	unsigned wrong = 0;

	fight([&](void *memory, std::uint64_t) {
		auto *counters = static_cast<contend_counters *>(memory);
		int status = in_child([&] {
			std::uint64_t first = __atomic_load_n(&counters->wide, __ATOMIC_SEQ_CST);
			usleep(1000);
			/* The child's page is its own: what the parent and the GPU add is not seen, and what it adds is. */
			return __atomic_fetch_add(&counters->wide, 1, __ATOMIC_SEQ_CST) == first ? 0 : 1;
		});
		wrong += !exited_well(status);
		return true;
	});
	EXPECT_EQ(wrong, 0u);
}

TEST_F(AtomicMemory, munmap_during_atomics)
{
	Place region(page_bytes);
	tandem::Queue own = new_queue();
	auto done = tandem::Signal::create().take();

	start_adding(own, region.get(), done);
	ASSERT_SYS(munmap(region.get(), page_bytes));
	EXPECT_FALSE(own.wait(done, time_limit_ns));
	expect_error(own, TANDEM_QUEUE_ADDRESS_FAULT, region.get());
	/* Nothing of them arrives in what is mapped there next. */
	ASSERT_EQ(mmap(region.get(), page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), region.get());
	EXPECT_EQ(reinterpret_cast<contend_counters *>(region.get())->wide, 0u);
	expect_adds(region.get());
}

TEST_F(AtomicMemory, swap_out_during_atomics)
{
	Zram swap;

	fight([](void *memory, std::uint64_t bytes) {
		std::uint64_t out = vmstat("pswpout");

		page_out(memory, bytes);
		return vmstat("pswpout") > out;
	}, 3); /* Linux leaves a page where it is that it finds taken, or locked for somebody who wants it back: most of the time */
}

/* As nothing but the GPU's page table and the folio know: a CPU entry that comes back clean would lose it. */
TEST_F(AtomicMemory, what_only_atomics_wrote_comes_back_from_swap)
{
	Zram swap;
	Place region(page_bytes);
	auto *counters = reinterpret_cast<contend_counters *>(region.get());
	tandem::Queue own = new_queue();

	for (std::uint64_t round = 1; round <= 5; round++) {
		ASSERT_OK(add(own, region.get(), 7));
		ASSERT_TRUE(sweeper::wait_until([&] {
			page_out(region.get(), page_bytes);
			return count_pages(region.get(), 1, pagemap_swapped) == 1;
		}));
		ASSERT_EQ(counters->wide, round * 7 * 32);
		ASSERT_TRUE(sweeper::wait_until([&] {
			page_out(region.get(), page_bytes);
			return count_pages(region.get(), 1, pagemap_swapped) == 1;
		}));
	}
}

/* The page moves away under them, they go on in a new one; what they left in the old one is added to it. */
TEST_F(AtomicMemory, mremap_during_atomics)
{
	fight([](void *memory, std::uint64_t bytes) {
		void *away = mremap(memory, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
		EXPECT_NE(away, MAP_FAILED) << std::strerror(errno);
		auto *old = static_cast<contend_counters *>(away), *now = static_cast<contend_counters *>(memory);

		__atomic_fetch_add(&now->wide, old->wide, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&now->narrow, old->narrow, __ATOMIC_SEQ_CST);
		__atomic_store_n(&now->narrow_neighbour, old->narrow_neighbour, __ATOMIC_SEQ_CST);
		for (unsigned me = 0; me < CONTEND_PARTICIPANTS; me++) {
			std::uint64_t seen = __atomic_load_n(&now->own[me], __ATOMIC_SEQ_CST);

			while (seen < old->own[me] &&
			       !__atomic_compare_exchange_n(&now->own[me], &seen, old->own[me], false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				;
		}
		EXPECT_EQ(munmap(away, bytes), 0);
		return true;
	});
}

TEST_F(AtomicMemory, inside_a_huge_page)
{
	HugePlace region(huge_bytes);
	std::memset(region.get(), 0x33, huge_bytes);
	auto *counters = reinterpret_cast<contend_counters *>(region.words(100));
	std::memset(counters, 0, page_bytes);
	tandem::Queue own = new_queue();

	ASSERT_OK(add(own, counters, 50));
	EXPECT_EQ(counters->wide, 50u * 32);
	for (std::uint64_t page = 0; page < huge_page_count; page++)
		for (std::uint64_t word = 0; word < page_bytes / 8 && page != 100; word++)
			ASSERT_EQ(region.words(page)[word], 0x3333333333333333u) << page;
}

TEST_F(AtomicMemory, a_private_file_mapping)
{
	MemoryFile file(page_bytes);
	Place region(page_bytes, MAP_PRIVATE, file.get());

	expect_adds(region.get());
	std::uint64_t in_file = 1;
	ASSERT_EQ(pread(file.get(), &in_file, sizeof(in_file), 0), static_cast<ssize_t>(sizeof(in_file)));
	EXPECT_EQ(in_file, 0u);
}

/* Memory that others have under other addresses cannot be taken from the CPUs, and does not move. */
TEST_F(AtomicMemory, shared_memory_has_a_clear_status)
{
	Place region(page_bytes, MAP_SHARED | MAP_ANONYMOUS);

	if (contention::mode() == Mode::Pcie)
		expect_adds(region.get());
	else
		expect_clear_status(region.get(), TANDEM_QUEUE_ATOMIC_FAULT);
}

TEST_F(AtomicMemory, a_shared_file_has_a_clear_status)
{
	MemoryFile file(page_bytes);
	Place region(page_bytes, MAP_SHARED, file.get());

	if (contention::mode() == Mode::Pcie)
		expect_adds(region.get());
	else
		expect_clear_status(region.get(), TANDEM_QUEUE_ATOMIC_FAULT);
}

TEST_F(AtomicMemory, hugetlb_has_a_clear_status)
{
	Setting reserve("/proc/sys/vm/nr_hugepages", "4");
	Place region(huge_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);

	if (contention::mode() == Mode::Pcie)
		expect_adds(region.get());
	else
		expect_clear_status(region.get(), TANDEM_QUEUE_ATOMIC_FAULT);
}

TEST_F(AtomicMemory, read_only_memory_has_a_clear_status)
{
	Place region(page_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, PROT_READ);

	expect_clear_status(region.get(), TANDEM_QUEUE_PERMISSION_FAULT);
}

} // namespace
