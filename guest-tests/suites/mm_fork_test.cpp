// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes share pages until somebody writes, and the GPU writes for one of them. */
#include <spawn.h>

#include "mm_test.hpp"

using namespace mm_test;

extern char **environ;

namespace {

/* The words of a page that nobody writes any more. */
class MmFork : public MmTest {
protected:
	enum word { GO, READY };
	SharedWords words_;

	std::vector<std::uint64_t> counts(const Mapping &region) const
	{
		std::vector<std::uint64_t> result;

		for (std::uint64_t page = 0; page < pages; page++)
			result.push_back(tally_of().count(page, region.get()));
		return result;
	}
	const Tally &tally_of() const { return const_cast<MmFork *>(this)->tally(); }

	/* In a descendant: what it has is a whole picture of the moment of fork and stays so, whatever the GPU does. */
	int watch(const Mapping &region)
	{
		for (std::uint64_t page = 0; page < pages; page++)
			CHILD_CHECK(tally().is_plausible(region.get(), page));
		std::vector<std::uint64_t> frozen = counts(region);
		words_.store(READY, words_.load(READY) + 1);
		CHILD_CHECK(wait_for_word(words_, GO, 1));
		CHILD_CHECK(counts(region) == frozen);
		return 0;
	}
};

TEST_F(MmFork, children_keep_what_they_had_while_the_gpu_counts_on)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 3; round++) {
		words_.store(GO, 0);
		words_.store(READY, 0);
		pid_t child = 0;
		EXPECT_GPU(tally(), tally().during([&] { child = start_child([&] { return watch(region); }); }));
		EXPECT_TRUE(wait_for_word(words_, READY, 1));
		EXPECT_GPU(tally(), tally().during([] {}));
		words_.store(GO, 1);
		EXPECT_TRUE(exited_well(wait_status(child)));
	}
	finish_tally();
}

TEST_F(MmFork, grandchildren_keep_what_their_parents_had)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	pid_t child = start_child([&] {
		pid_t grandchild = start_child([&] {
			pid_t third = start_child([&] { return watch(region); });
			region.words(1)[0] = 1; /* of its own, after the youngest has its picture */
			return WEXITSTATUS(wait_status(third));
		});
		std::memset(region.get(), 0xee, bytes / 2);
		CHILD_CHECK(exited_well(wait_status(grandchild)));
		return 0;
	});
	EXPECT_TRUE(wait_for_word(words_, READY, 1));
	for (int i = 0; i < 3; i++)
		EXPECT_GPU(tally(), tally().during([] {}));
	words_.store(GO, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

/* The child scribbles over its half of the pages while the GPU counts in the parent's. */
TEST_F(MmFork, what_children_write_stays_theirs)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 3; round++) {
		pid_t child = start_child([&] {
			for (int pass = 0; pass < 20; pass++)
				std::memset(region.get(), 0xee + pass, bytes);
			return 0;
		});
		EXPECT_GPU(tally(), tally().during([] {}));
		EXPECT_TRUE(exited_well(wait_status(child)));
		EXPECT_GPU(tally(), tally().during([] {}));
	}
	finish_tally();
}

/* The page that both have is written first by the GPU of the child, then by the GPU of the parent. */
TEST_F(MmFork, each_generation_has_the_gpu_at_work_on_its_copy)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	auto descend = [&](auto &self, int generations) -> int {
		auto own = tandem::Device::open().take();
		Tally mine(own, 100 + generations);
		CHILD_CHECK(mine.start(region.get(), pages, TALLY_ATOMIC));
		pid_t next = generations > 1 ? start_child([&] { return self(self, generations - 1); }) : 0;
		for (int i = 0; i < 3; i++)
			CHILD_CHECK(mine.during([] {}));
		CHILD_CHECK(!next || exited_well(wait_status(next)));
		CHILD_CHECK(mine.finish());
		return 0;
	};
	pid_t child = start_child([&] { return descend(descend, 2); });
	for (int i = 0; i < 3; i++)
		EXPECT_GPU(tally(), tally().during([] {}));
	EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

TEST_F(MmFork, shared_memory_stays_shared)
{
	Mapping region(bytes, MAP_SHARED | MAP_ANONYMOUS);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	pid_t child = start_child([&] {
		std::vector<std::uint64_t> before = counts(region);
		CHILD_CHECK(tally::wait_sleeping([&] {
			std::vector<std::uint64_t> now = counts(region);
			for (std::uint64_t page = 0; page < pages; page++)
				if (now[page] <= before[page])
					return false;
			return true;
		}));
		return 0;
	});
	EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

TEST_F(MmFork, dontfork_and_wipeonfork)
{
	Mapping region(2 * bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_DONTFORK));
	ASSERT_SYS(madvise(region.at(bytes), bytes, MADV_WIPEONFORK));
	Tally second(device(), 2);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(second, second.start(region.at(bytes), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++)
		EXPECT_TRUE(exited_well(in_child([&] {
			for (std::uint64_t page = 0; page < pages; page++)
				CHILD_CHECK(region.words(pages + page)[0] == 0 && region.words(pages + page)[9] == 0);
			unsigned char resident;
			CHILD_CHECK(mincore(region.get(), page_bytes, &resident) == -1 && errno == ENOMEM);
			return 0;
		})));
	ASSERT_GPU(second, second.during([] {}));
	finish_tally();
	EXPECT_GPU(second, second.finish());
}

TEST_F(MmFork, vfork_and_exec_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			pid_t child = vfork();
			ASSERT_GE(child, 0);
			if (child == 0) {
				execl("/proc/self/exe", "exec-target", "--be-quiet-and-exit", static_cast<char *>(nullptr));
				_exit(127);
			}
			EXPECT_TRUE(exited_well(wait_status(child)));
		}));
	finish_tally();
}

/* With vfork the child runs in its parent's memory, so it also writes there. */
TEST_F(MmFork, what_a_vfork_child_writes_the_gpu_reads)
{
	static std::uint64_t *word;
	Mapping region(bytes);
	word = region.words();
	EXPECT_EQ(gpu_reads(word), 0u);
	pid_t child = vfork();
	ASSERT_GE(child, 0);
	if (child == 0) {
		*static_cast<volatile std::uint64_t *>(word) = 0xfeed;
		_exit(0);
	}
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(gpu_reads(word), 0xfeedu);
}

TEST_F(MmFork, posix_spawn_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	for (int round = 0; round < 5; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			char name[] = "exec-target", option[] = "--be-quiet-and-exit";
			char *arguments[] = {name, option, nullptr};
			pid_t child;
			ASSERT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ), 0);
			EXPECT_TRUE(exited_well(wait_status(child)));
		}));
	finish_tally();
}

/* Parent and child fork and exit in a crowd while the GPU never stops. */
TEST_F(MmFork, many_children_at_once)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::vector<pid_t> children;
	for (int i = 0; i < 8; i++)
		EXPECT_GPU(tally(), tally().during([&] { children.push_back(start_child([&] { return watch(region); })); }));
	words_.store(GO, 1);
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
	finish_tally();
}

TEST_F(MmFork, huge_pages_after_fork_belong_to_both)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	for (int round = 0; round < 2; round++) {
		words_.store(GO, 0);
		words_.store(READY, 0);
		pid_t child = 0;
		EXPECT_GPU(tally(), tally().during([&] {
			child = start_child([&] {
				CHILD_CHECK(tally().is_plausible(region.get(), 100));
				std::uint64_t frozen = tally().count(100, region.get());
				words_.store(READY, 1);
				CHILD_CHECK(wait_for_word(words_, GO, 1));
				CHILD_CHECK(tally().count(100, region.get()) == frozen);
				return 0;
			});
		}));
		EXPECT_TRUE(wait_for_word(words_, READY, 1));
		EXPECT_GPU(tally(), tally().during([] {}));
		words_.store(GO, 1);
		EXPECT_TRUE(exited_well(wait_status(child)));
	}
	finish_tally();
}

} // namespace
