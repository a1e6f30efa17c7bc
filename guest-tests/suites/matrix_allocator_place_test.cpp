// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where ordinary memory lies while the GPU works in it: wishes that change before each execution, prefetches, atomics in memory that
 * prefers one side, more than there is room for, and CPU threads and processes that all fetch the results home at once.
 */
#include <barrier>

#include "allocator.hpp"
#include "devmem_test.hpp"

using namespace devmem_test;
using namespace allocator;

namespace {

class MatrixPlace : public DevmemTest {
protected:
	/* Whatever policy the environment asks for, this address space has none. */
	void prepare() override { unsetenv("TANDEM_MIGRATE"); }

	static tandem_location other_side(unsigned number) { return number % 2 ? TANDEM_LOCATION_DEVICE : TANDEM_LOCATION_SYSTEM; }

	/* Each execution after something was done about the memory. */
	template <typename Action> void expect_good(const Kind &kind, const Shape &shape, Action action)
	{
		Work work(device(), kind, shape);

		for (unsigned number = 0; number < work.executions(); number++) {
			action(work.buffer(), number);
			ASSERT_EQ(work.execute(number), "") << kind.name;
		}
		EXPECT_EQ(work.verify(), "");
	}
};

const Kind kinds[] = {{"malloc", Source::Malloc}, {"malloc_freed", Source::Malloc, freed}, {"mmap", Source::Mmap}, {"thp", Source::Thp},
		      {"malloc_untouched", Source::Malloc, untouched}};

/* ---- wishes ---- */

DEVMEM_TEST(MatrixPlace, the_preferred_location_changes_before_each_execution)
{
	for (const Kind &kind : kinds)
		expect_good(kind, {"many_strided", 32, 0, far_apart}, [&](Buffer &buffer, unsigned number) {
			ASSERT_OK(device().prefer(buffer.get(), buffer.bytes(), other_side(number)));
		});
	EXPECT_GT(stats().pages_to_vram, 0u) << "nothing has moved";
}

DEVMEM_TEST(MatrixPlace, moved_memory_has_no_wishes_of_its_own)
{
	Mapping target(bytes);
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	ASSERT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	ASSERT_EQ(mremap(region.get(), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target.get()), target.get());
	EXPECT_TRUE(gpu_holds(target.get(), bytes, 1));
	EXPECT_TRUE(holds(target.get(), bytes, 1));
	gpu_touch(target.get(), bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, target.get(), bytes)) << "the wish was for the addresses";
	remap(region.get(), bytes);
	gpu_touch(region.get(), bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes)) << "and is still theirs";
}

DEVMEM_TEST(MatrixPlace, another_wish_holds_from_the_next_fault_on)
{
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	gpu_touch(region.get(), bytes, false);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
	ASSERT_TRUE(to_system(region.get(), bytes));
	gpu_touch(region.get(), bytes, false);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_TRUE(to_vram(region.get(), bytes));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(MatrixPlace, the_same_wish_again_disturbs_nothing)
{
	AtHome region;
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	gpu_touch(region.get(), bytes);
	gpu_touch(region.get(), bytes);
	tandem_ioc_stats before = stats();
	for (int round = 0; round < 8; round++) {
		ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		ASSERT_OK(device().prefer(region.at(bytes / 4), bytes / 4, TANDEM_LOCATION_DEVICE));
		gpu_touch(region.get(), bytes);
	}
	EXPECT_EQ(stats().invalidations, before.invalidations);
	EXPECT_EQ(stats().faults, before.faults);
}

/* One wish over the halves of two mappings and a hole between them. */
DEVMEM_TEST(MatrixPlace, one_wish_for_several_mappings)
{
	Mapping region(3 * bytes);
	ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
	ASSERT_SYS(munmap(region.at(bytes), bytes));
	fill(region.get(), bytes, 1);
	fill(region.at(2 * bytes), bytes, 2);
	ASSERT_OK(device().prefer(region.at(bytes / 2), 2 * bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(gpu_holds(region.at(2 * bytes), bytes, 2));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes / 2));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.at(bytes / 2), bytes / 2));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.at(2 * bytes), bytes / 2));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.at(5 * bytes / 2), bytes / 2));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.at(2 * bytes), bytes, 2));
	remap(region.at(bytes), bytes);
}

DEVMEM_TEST(MatrixPlace, a_wish_for_half_of_a_mapping_that_is_in_use)
{
	AtHome region(2 * bytes);
	gpu_touch(region.get(), 2 * bytes, false);
	ASSERT_TRUE(to_vram(region.get(), 2 * bytes));
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
	ASSERT_TRUE(to_system(region.get(), bytes));
	EXPECT_TRUE(gpu_holds(region.get(), 2 * bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.at(bytes), bytes));
	EXPECT_TRUE(holds(region.get(), 2 * bytes, 1));
}

/* Atomics of both sides, wherever the words prefer to be. */
DEVMEM_TEST(MatrixPlace, atomics_in_memory_that_prefers_one_side)
{
	for (tandem_location location : {TANDEM_LOCATION_NONE, TANDEM_LOCATION_SYSTEM, TANDEM_LOCATION_DEVICE}) {
		Mapping region(bytes);
		ASSERT_OK(device().prefer(region.get(), bytes, location));
		for (std::uint64_t round = 0; round < 8; round++)
			for (std::uint64_t page = 0; page < pages; page += 8) {
				count_arguments add = {region.words(page), 1};
				ASSERT_OK(run("count", {64}, {64}, &add));
				if (round % 4 == 3)
					__atomic_fetch_add(region.words(page), 1000, __ATOMIC_SEQ_CST);
			}
		if (location == TANDEM_LOCATION_SYSTEM) {
			EXPECT_EQ(count(region.get(), bytes, TANDEM_PAGE_DEVICE), 0u);
		}
		for (std::uint64_t page = 0; page < pages; page += 8)
			EXPECT_EQ(region.words(page)[0], 8 * 64 + 2 * 1000u) << "location " << location << ", page " << page;
	}
}

/* ---- prefetch ---- */

DEVMEM_TEST(MatrixPlace, prefetched_before_each_execution)
{
	for (const Kind &kind : kinds)
		expect_good(kind, {"many_strided", 32, 0, far_apart}, [&](Buffer &buffer, unsigned number) {
			prefetch(buffer.get(), buffer.bytes(), other_side(number));
		});
	EXPECT_GT(stats().pages_to_vram, 0u) << "nothing has moved";
}

DEVMEM_TEST(MatrixPlace, wishes_change_and_pages_are_fetched_before_each_execution)
{
	expect_good(kinds[0], {"many_large", 16, huge_bytes}, [&](Buffer &buffer, unsigned number) {
		ASSERT_OK(device().prefer(buffer.get(), buffer.bytes(), other_side(number / 2)));
		prefetch(buffer.get(), buffer.bytes(), other_side(number));
	});
}

DEVMEM_TEST(MatrixPlace, memory_that_cannot_move_is_used_where_it_is)
{
	for (const Kind &kind : {Kind{"shared", Source::Shared}, Kind{"shared_locked", Source::Shared, locked}})
		expect_good(kind, {"many", 32}, [&](Buffer &buffer, unsigned) {
			prefetch(buffer.get(), buffer.bytes(), TANDEM_LOCATION_DEVICE);
			EXPECT_EQ(count(buffer.get(), buffer.bytes(), TANDEM_PAGE_DEVICE), 0u);
		});
}

/* A CPU thread writes beside the results all the time. */
DEVMEM_TEST(MatrixPlace, prefetches_race_with_the_cpu)
{
	auto buffer = std::make_shared<Buffer>(kinds[0], 32 * far_apart * sizeof(Record));
	Work work(device(), kinds[0], {"many_strided", 32, 0, far_apart}, 1, buffer);
	std::atomic<bool> over = false;
	std::uint64_t rounds = 0;
	std::thread cpu([&] {
		for (; !over; rounds++)
			for (std::uint64_t record = 0; record < 32; record++)
				__atomic_store_n(&buffer->record(record * far_apart).by_cpu, rounds, __ATOMIC_RELAXED);
	});
	for (unsigned number = 0; number < work.executions(); number++) {
		prefetch(buffer->get(), buffer->bytes(), TANDEM_LOCATION_DEVICE);
		EXPECT_EQ(work.execute(number), "");
	}
	over = true;
	cpu.join();
	EXPECT_EQ(work.verify(), "");
	for (std::uint64_t record = 0; record < 32; record++)
		EXPECT_EQ(buffer->record(record * far_apart).by_cpu, rounds - 1);
}

/* ---- more than there is ---- */

constexpr std::uint64_t block_bytes = 4 * huge_bytes;

/* Blocks from malloc, an eighth more than there is room for; the CPU has seen the results of each, and it is the GPU's again. */
void work_in_too_much(const tandem::Device &device, std::uint64_t share)
{
	std::vector<std::unique_ptr<Work>> all;
	Shape each = {"sparse", 8, block_bytes, block_bytes / 8 / sizeof(Record)};

	for (std::uint64_t used = 0; used < share + share / 8; used += block_bytes) {
		all.push_back(std::make_unique<Work>(device, Kind{"malloc", Source::Malloc}, each, used));
		if (!device.prefer(all.back()->buffer().get(), block_bytes, TANDEM_LOCATION_DEVICE))
			throw std::runtime_error("no wish");
		if (std::string problem = all.back()->run(); !problem.empty())
			throw std::runtime_error(problem);
		auto moved = device.prefetch(all.back()->buffer().get(), block_bytes, TANDEM_LOCATION_DEVICE);
		if (!moved && moved.error().status != TANDEM_ERROR_MEMORY)
			throw std::runtime_error(moved.error().text);
	}
	for (const auto &work : all)
		if (std::string problem = work->verify(); !problem.empty())
			throw std::runtime_error(problem);
}

DEVMEM_TEST(MatrixPlace, more_than_there_is_from_malloc)
{
	work_in_too_much(device(), device().query()->vram_bytes);
	EXPECT_GT(stats().pages_evicted, 0u);
}

DEVMEM_TEST(MatrixPlace, processes_take_more_than_there_is_from_malloc)
{
	constexpr unsigned processes = 3;
	std::uint64_t share = device().query()->vram_bytes / processes;
	SharedWords words;
	std::vector<pid_t> children;
	for (unsigned i = 0; i < processes; i++)
		children.push_back(start_child([&] {
			auto own = tandem::Device::open().take();

			__atomic_fetch_add(words.at(0), 1, __ATOMIC_SEQ_CST);
			CHILD_CHECK(words.wait_at_least(0, processes));
			work_in_too_much(own, share);
			__atomic_fetch_add(words.at(1), own.stats()->pages_evicted, __ATOMIC_SEQ_CST);
			return 0;
		}));
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_GT(words.load(1), 0u);
}

/* ---- everybody reads the results at once ---- */

constexpr unsigned readers = 8;

enum class Way { Parts, SamePages };

/* One of the readers: every eighth page, or each page together with all others. */
bool reads_well(const void *region, std::uint64_t length, unsigned reader, Way way, const std::function<void()> &together)
{
	auto *words = static_cast<const volatile std::uint64_t *>(region);

	for (std::uint64_t page = way == Way::Parts ? reader : 0; page < length / page_bytes; page += way == Way::Parts ? readers : 1) {
		if (way == Way::SamePages)
			together();
		if (words[page * 512 + reader] != pattern(7, page * 512 + reader))
			return false;
	}
	return true;
}

class MatrixReaders : public MatrixPlace {
protected:
	void written_by_the_gpu(Mapping &region)
	{
		ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
		ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
		gpu_fill(region.get(), region.bytes(), 7);
		ASSERT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), region.bytes()));
	}

	void threads_read(Way way)
	{
		Mapping region(2 * bytes);
		std::vector<std::thread> threads;
		std::barrier barrier(readers);
		std::atomic<unsigned> good = 0;

		ASSERT_NO_FATAL_FAILURE(written_by_the_gpu(region));
		for (unsigned reader = 0; reader < readers; reader++)
			threads.emplace_back([&, reader] {
				/* A reader that saw something wrong leaves the others waiting: the barrier must not count it any more. */
				if (reads_well(region.get(), region.bytes(), reader, way, [&] { barrier.arrive_and_wait(); }))
					good++;
				else
					barrier.arrive_and_drop();
			});
		for (std::thread &thread : threads)
			thread.join();
		EXPECT_EQ(good, readers);
		EXPECT_TRUE(gpu_holds(region.get(), region.bytes(), 7));
		EXPECT_TRUE(holds(region.get(), region.bytes(), 7));
	}

	void processes_read(Way way)
	{
		Mapping region(2 * bytes);
		SharedWords words;
		std::vector<pid_t> children;

		ASSERT_NO_FATAL_FAILURE(written_by_the_gpu(region));
		for (unsigned reader = 0; reader < readers; reader++)
			children.push_back(start_child([&, reader] {
				std::uint64_t arrived = 0;
				auto together = [&] {
					__atomic_fetch_add(words.at(0), 1, __ATOMIC_SEQ_CST);
					words.wait_at_least(0, (arrived += readers));
				};

				together();
				CHILD_CHECK(reads_well(region.get(), region.bytes(), reader, way, together));
				return 0;
			}));
		for (pid_t child : children)
			EXPECT_TRUE(exited_well(wait_status(child)));
		EXPECT_TRUE(gpu_holds(region.get(), region.bytes(), 7));
		EXPECT_TRUE(holds(region.get(), region.bytes(), 7));
	}
};

DEVMEM_TEST(MatrixReaders, threads_read_parts_of_what_the_gpu_wrote) { threads_read(Way::Parts); }
DEVMEM_TEST(MatrixReaders, threads_read_the_same_pages_at_once) { threads_read(Way::SamePages); }
DEVMEM_TEST(MatrixReaders, processes_read_parts_of_what_the_gpu_wrote) { processes_read(Way::Parts); }
DEVMEM_TEST(MatrixReaders, processes_read_the_same_pages_at_once) { processes_read(Way::SamePages); }

} // namespace
