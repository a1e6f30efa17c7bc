// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine of two nodes: pages go from one to the other, on demand and by themselves, while the GPU counts in them. */
#include <thread>

#include "mm_test.hpp"
#include "numa.hpp"

using namespace mm_test;
using namespace mm_numa;

namespace {

class MmNuma : public MmTest {
protected:
	void SetUp() override
	{
		ASSERT_EQ(node_count(), 2u) << "this needs a guest with two nodes, which test-configs.json asks for";
		MmTest::SetUp();
	}

	/* The whole region is on that node. */
	static bool is_on(const void *region, std::uint64_t count, int node)
	{
		return count_on_node(region, count, node) == count;
	}

	static std::vector<std::uint64_t> frames(const Mapping &region)
	{
		std::vector<std::uint64_t> result;

		for (std::uint64_t page = 0; page < pages; page++)
			result.push_back(page_frame(region.words(page)));
		return result;
	}

	/* The mapping begins with all of its pages there, on node 0. */
	static void fill_on_node_0(void *region, std::uint64_t length)
	{
		ASSERT_SYS(set_policy(region, length, bind, 0));
		std::memset(region, 1, length);
		ASSERT_SYS(set_policy(region, length, by_default));
		ASSERT_TRUE(is_on(region, length / page_bytes, 0));
	}

	void go_back_and_forth(const std::function<void(int)> &move, void *region, std::uint64_t count)
	{
		std::uint64_t cleared = invalidations(TANDEM_CAUSE_CLEAR);

		for (int round = 1; round <= 6; round++)
			ASSERT_GPU(tally(), tally().until([&] { move(round % 2); }, [&] { return is_on(region, count, round % 2); }));
		/* They may have been on node 1 to begin with. */
		EXPECT_GE(invalidations(TANDEM_CAUSE_CLEAR), cleared + 5) << "pages moved without the GPU being told";
	}
};

TEST_F(MmNuma, move_pages_under_fire)
{
	Mapping region(bytes);
	fill_on_node_0(region.get(), bytes);
	std::vector<std::uint64_t> before = frames(region);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().until([&] { ASSERT_SYS(move_pages_to(region.get(), pages, 1)); },
					  [&] { return is_on(region.get(), pages, 1); }));
	std::vector<std::uint64_t> after = frames(region);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_NE(before[page], after[page]) << page;
	go_back_and_forth([&](int node) { move_pages_to(region.get(), pages, node); }, region.get(), pages);
	finish_tally();
}

TEST_F(MmNuma, move_pages_under_atomics)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	go_back_and_forth([&](int node) { ASSERT_SYS(move_pages_to(region.get(), pages, node)); }, region.get(), pages);
	finish_tally();
}

/* The lanes stand still with translations cached: afterwards they must use the pages' new places. */
TEST_F(MmNuma, move_pages_while_the_lanes_stand_still)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 6; round++) {
		ASSERT_GPU(tally(), tally().pause());
		ASSERT_TRUE(tally::wait_sleeping([&] {
			move_pages_to(region.get(), pages, round % 2);
			return is_on(region.get(), pages, round % 2);
		}));
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
		EXPECT_TRUE(is_on(region.get(), pages, round % 2));
	}
	finish_tally();
}

TEST_F(MmNuma, mbind_moves_what_is_there)
{
	Mapping region(bytes);
	fill_on_node_0(region.get(), bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	go_back_and_forth([&](int node) { ASSERT_SYS(set_policy(region.get(), bytes, bind, node, move_own)); }, region.get(),
			  pages);
	finish_tally();
}

/* What the GPU faults in goes where the mapping's policy says. */
TEST_F(MmNuma, pages_of_the_gpu_obey_the_policy)
{
	Mapping bound(bytes), spread(bytes);
	ASSERT_SYS(set_policy(bound.get(), bytes, bind, 1));
	ASSERT_SYS(set_policy(spread.get(), bytes, interleave));
	let_gpu_touch(bound.get(), pages);
	let_gpu_touch(spread.get(), pages);
	EXPECT_TRUE(is_on(bound.get(), pages, 1));
	EXPECT_EQ(count_on_node(spread.get(), pages, 0), pages / 2);
	EXPECT_EQ(count_on_node(spread.get(), pages, 1), pages / 2);
}

TEST_F(MmNuma, a_huge_page_moves_whole)
{
	HugeMapping region(huge_bytes);
	fill_on_node_0(region.get(), huge_bytes);
	ASSERT_TRUE(is_huge(region.get()));
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	std::uint64_t large = stats().leaves_2m;
	go_back_and_forth([&](int node) { ASSERT_SYS(move_pages_to(region.get(), 1, node)); }, region.get(), huge_page_count);
	EXPECT_TRUE(is_huge(region.get())) << "it was split on the way";
	if (!is_sva()) {
		EXPECT_GE(stats().leaves_2m, large + 6);
	}
	finish_tally();
}

TEST_F(MmNuma, a_page_of_the_huge_reserve_moves_whole)
{
	Setting reserve("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8"); /* four on each node */
	Mapping region(huge_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	go_back_and_forth([&](int node) { ASSERT_SYS(move_pages_to(region.get(), 1, node)); }, region.get(), 1);
	finish_tally();
}

TEST_F(MmNuma, shared_memory_moves_in_all_its_views)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get()), view(bytes, MAP_SHARED, file.get());
	let_gpu_touch(view.get(), pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	go_back_and_forth([&](int node) { ASSERT_SYS(move_pages_to(view.get(), pages, node, move_all)); }, region.get(), pages);
	finish_tally();
	EXPECT_GPU(tally(), tally().verify_at(view.get()));
}

/* Everything that a process has, its queues and its code too, moves by order of another one. */
TEST_F(MmNuma, a_process_moves_with_its_gpu_at_work)
{
	enum word { READY, STOP };
	Mapping region(bytes);
	SharedWords words;
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		Tally mine(own, 7);
		CHILD_CHECK(mine.start(region.get(), pages, TALLY_WRITE));
		for (std::uint64_t round = 1; !words.load(STOP); round++) {
			CHILD_CHECK(mine.during([] {}));
			words.store(READY, round);
		}
		CHILD_CHECK(mine.finish());
		return 0;
	});
	for (int round = 0; round < 4; round++) {
		int to = round % 2;
		EXPECT_TRUE(wait_for_word(words, READY, words.load(READY) + 2));
		EXPECT_TRUE(tally::wait_sleeping([&] {
			EXPECT_GE(migrate_process(child, 1 - to, to), 0) << std::strerror(errno);
			return count_on_node(region.get(), pages, to, child) == pages;
		}));
	}
	words.store(STOP, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

/* Automatic balancing: Linux takes pages away for a moment to see who asks for them, and moves them to whom it finds. */
class MmNumaBalancing : public MmNuma {
protected:
	Setting on_{"/proc/sys/kernel/numa_balancing", "1"};
	Setting longest_{std::string(scan) + "scan_period_max_ms", "100"};
	Setting shortest_{std::string(scan) + "scan_period_min_ms", "20"};
	Setting delay_{std::string(scan) + "scan_delay_ms", "20"};

	static constexpr const char *scan = "/sys/kernel/debug/sched/numa_balancing/";

	/* A thread of that node uses the pages until the condition holds. Linux looks at threads that take processor time. */
	bool use_from_node(int node, const Mapping &region, const std::function<bool()> &condition)
	{
		bool held = false;

		std::thread user([&] {
			run_on_node(node);
			held = tally::wait_sleeping([&] {
				for (unsigned pass = 0; pass < 2000; pass++)
					for (std::uint64_t page = 0; page < pages; page++)
						(void)*static_cast<volatile std::uint64_t *>(region.words(page) + 8);
				settle_fresh_pages(); /* what has just moved cannot move again before that */
				return condition();
			});
		});
		user.join();
		return held;
	}
};

TEST_F(MmNumaBalancing, pages_follow_the_cpu_that_uses_them)
{
	Mapping region(bytes);
	fill_on_node_0(region.get(), bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t moved = vmstat("numa_pages_migrated");
	for (int round = 1; round <= 3; round++) {
		ASSERT_GPU(tally(), tally().pause());
		EXPECT_TRUE(use_from_node(round % 2, region, [&] { return is_on(region.get(), pages, round % 2); }))
			<< count_on_node(region.get(), pages, round % 2) << " pages followed";
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
	}
	EXPECT_GE(vmstat("numa_pages_migrated"), moved + 3 * pages);
	finish_tally();
}

/* CPU and GPU both want the pages, which go to and fro between the nodes under them. */
TEST_F(MmNumaBalancing, under_fire)
{
	Mapping region(bytes);
	fill_on_node_0(region.get(), bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t hints = vmstat("numa_hint_faults"), moved = vmstat("numa_pages_migrated");
	std::uint64_t protections = invalidations(TANDEM_CAUSE_PROTECTION_VMA);
	ASSERT_GPU(tally(), tally().until(
				    [&] {
					    int away = is_on(region.get(), pages, 0) ? 1 : 0;
					    std::uint64_t scanned = vmstat("numa_pte_updates");
					    use_from_node(away, region, [&] { return vmstat("numa_pte_updates") > scanned; });
				    },
				    [&] { return vmstat("numa_pages_migrated") >= moved + 2 * pages; }));
	EXPECT_GT(vmstat("numa_hint_faults"), hints);
	EXPECT_GT(invalidations(TANDEM_CAUSE_PROTECTION_VMA), protections) << "the GPU never lost a page to the scanner";
	finish_tally();
}

} // namespace
