// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who else is in the memory that the GPU works in: the CPU in the same words, children who look at the results, the heap that gives
 * and takes all around, the stack. And what must fail: an address where nothing is, memory that is freed under the work.
 */
#include <malloc.h>

#include <thread>

#include "allocator.hpp"
#include "mm_test.hpp"
#include "parameter_name.hpp"

using namespace mm_test;
using namespace allocator;

namespace {

class MatrixRace : public GpuTest, public ::testing::WithParamInterface<Kind> {};

/* Both add to the same words, for as long as the other one does. */
TEST_P(MatrixRace, cpu_and_gpu_add_to_the_same_words)
{
	constexpr unsigned rounds = 50, lanes = 64;
	Buffer buffer(GetParam(), 16 * page_bytes);
	std::uint64_t by_cpu = 0;
	std::atomic<bool> over = false;
	auto word = [&](unsigned page) { return reinterpret_cast<std::uint64_t *>(buffer.get() + page * page_bytes); };
	std::memset(buffer.get(), 0, buffer.bytes());
	std::thread cpu([&] {
		for (unsigned page = 0; !over; page = (page + 1) % 16, by_cpu++)
			__atomic_fetch_add(word(page), 1, __ATOMIC_SEQ_CST);
	});
	for (unsigned round = 0; round < rounds; round++) {
		count_arguments add = {word(round % 16), 1ull << 32};
		EXPECT_OK(run("count", {lanes}, {lanes}, &add));
	}
	over = true;
	cpu.join();
	std::uint64_t sum = 0;
	for (unsigned page = 0; page < 16; page++)
		sum += *word(page);
	EXPECT_EQ(sum >> 32, rounds * lanes);
	EXPECT_EQ(sum & UINT32_MAX, by_cpu);
}

/* A child reads what the GPU wrote before its parent does, and the other way round. */
TEST_P(MatrixRace, a_child_reads_the_result_while_its_parent_reads)
{
	Work work(device(), GetParam(), {"many", 16, 0, far_apart});
	for (unsigned number = 0; number < work.executions(); number++) {
		ASSERT_EQ(work.execute(number), "");
		pid_t child = start_child([&] { return work.verify().empty() ? 0 : 1; });
		EXPECT_EQ(work.verify(), "");
		ASSERT_TRUE(exited_well(wait_status(child))) << "execution " << number;
	}
}

/* After each fork the parent's next write goes to a page of its own, the GPU's write as well. */
TEST_P(MatrixRace, a_child_reads_the_result_and_its_parent_after_it_is_gone)
{
	Work work(device(), GetParam(), {"many", 16});
	for (unsigned number = 0; number < work.executions(); number++) {
		ASSERT_EQ(work.execute(number), "");
		ASSERT_TRUE(exited_well(in_child([&] { return work.verify().empty() ? 0 : 1; }))) << "execution " << number;
		EXPECT_EQ(work.verify(), "");
	}
}

const Kind kinds[] = {{"malloc", Source::Malloc}, {"mmap", Source::Mmap}, {"shared", Source::Shared},
		      {"file", Source::File}, {"thp", Source::Thp}};

INSTANTIATE_TEST_SUITE_P(Memory, MatrixRace, ::testing::ValuesIn(kinds), parameter_name);

/* ---- heap and stack ---- */

class MatrixHeap : public MmTest {
protected:
	/* What malloc gives by mmap, and takes back by munmap at once. */
	static char *big_block()
	{
		mallopt(M_MMAP_THRESHOLD, 128 << 10);
		return static_cast<char *>(std::aligned_alloc(page_bytes, bytes));
	}
};

TEST_F(MatrixHeap, freed_memory_fails_the_queue_that_works_in_it)
{
	char *block = big_block();
	ASSERT_NE(block, nullptr);
	ASSERT_GPU(sweeping(), sweeping().start(block, pages, check_and_write));
	std::free(block);
	ASSERT_TRUE(sweeper::wait_until([&] { return sweeping().status().error != TANDEM_QUEUE_OK; })) << "the GPU works in freed memory";
	EXPECT_EQ(sweeping().status().error, static_cast<std::uint32_t>(TANDEM_QUEUE_ADDRESS_FAULT));
	EXPECT_EQ(sweeping().errors(), 0u) << sweeping().complaint();
	EXPECT_LT(sweeping().status().va - reinterpret_cast<std::uintptr_t>(block), bytes);
	expect_the_gpu_works();
}

/* Blocks of all sizes come and go in the same pages. */
TEST_F(MatrixHeap, the_heap_gives_and_takes_around_the_work)
{
	std::atomic<bool> over = false;
	std::thread churn([&] {
		std::vector<std::string> blocks(64);

		for (std::uint64_t round = 0; !over; round++)
			blocks[round % 64] = std::string(round * 7919 % 40000, static_cast<char>(round));
	});
	for (unsigned round = 0; round < 8; round++)
		EXPECT_EQ(Work(device(), {"malloc_freed", Source::Malloc, freed}, {"many", 16}, round).run(), "");
	over = true;
	churn.join();
}

void work_in(Record &record, const tandem::Device &device)
{
	auto module = device.module("store.elf").take();
	auto queue = device.queue().take();

	for (std::uint64_t value = 1; value <= 32; value++) {
		record.store = {&record.result, value};
		ASSERT_OK(queue.run(module.kernel("store").take(), {1}, {1}, &record.store, 0, time_limit_ns));
		ASSERT_EQ(__atomic_load_n(&record.result, __ATOMIC_RELAXED), value);
	}
}

TEST_F(MatrixHeap, the_gpu_works_in_the_stack)
{
	Record record{};
	work_in(record, device());
}

TEST_F(MatrixHeap, the_gpu_works_in_the_stacks_of_threads)
{
	std::vector<std::thread> threads;
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&] {
			Record record{};
			work_in(record, device());
		});
	for (std::thread &thread : threads)
		thread.join();
}

/* 1.5 MiB begun at multiples of 2 MiB: the huge page that would fit is only partly there. */
TEST_F(MatrixHeap, sizes_that_fit_no_large_page)
{
	constexpr std::uint64_t size = 3 * huge_bytes / 4;
	std::vector<std::unique_ptr<char, decltype(&std::free)>> blocks;
	for (int i = 0; i < 9; i++) {
		blocks.emplace_back(static_cast<char *>(std::aligned_alloc(huge_bytes, size)), &std::free);
		std::memset(blocks.back().get(), 0xee, size);
		let_gpu_touch(blocks.back().get(), size / page_bytes);
	}
	for (const auto &block : blocks)
		for (std::uint64_t offset = 0; offset < size; offset++)
			ASSERT_EQ(static_cast<unsigned char>(block.get()[offset]),
				  offset % page_bytes ? 0xee : static_cast<unsigned char>(offset / page_bytes + 1));
}

/* ---- faults ---- */

/* One instruction of a wavefront finds 32 pages that are not there. */
TEST_F(MatrixHeap, one_command_faults_in_many_pages)
{
	Buffer buffer({"malloc", Source::Malloc, untouched}, huge_bytes);
	let_gpu_touch(buffer.get(), huge_page_count);
	for (std::uint64_t page = 0; page < huge_page_count; page++)
		ASSERT_EQ(static_cast<unsigned char>(buffer.get()[page * page_bytes]), static_cast<unsigned char>(page + 1));
}

TEST_F(MatrixHeap, a_bad_address_fails_its_queue_and_no_other)
{
	Work good(device(), {"malloc", Source::Malloc}, {"many_queues", many, 0, 1, 3});
	store_arguments bad = {unmapped_address(), 1};
	for (unsigned number = 0; number < 16; number++)
		ASSERT_EQ(good.execute(number), "");
	tandem::Queue victim = new_queue();
	EXPECT_FALSE(victim.run(kernel("store", "store.elf"), {1}, {1}, &bad, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	EXPECT_FALSE(victim.run(kernel("store", "store.elf"), {1}, {1}, &bad, 0, time_limit_ns)) << "a queue that has failed takes no more work";
	for (unsigned number = 16; number < 32; number++)
		ASSERT_EQ(good.execute(number), "");
	EXPECT_EQ(good.verify(), "");
}

} // namespace
