// SPDX-License-Identifier: GPL-2.0-or-later
/* The workloads as programs: each is right in several sizes, tells what it can do, and refuses wrong arguments. */
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "gpu_test.hpp"

using namespace gpu_test;

namespace {

struct Ended {
	int status;
	std::string output; /* both streams */
};

std::string directory_of_this_program()
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
	std::string text(path, length > 0 ? static_cast<std::size_t>(length) : 0);

	return text.substr(0, text.rfind('/') + 1);
}

/* "name --option 3 ...", with the output gathered. */
Ended run_program(const std::string &command)
{
	std::string whole = directory_of_this_program() + command;
	std::vector<char *> words;
	int ends[2];

	for (char *word = std::strtok(whole.data(), " "); word; word = std::strtok(nullptr, " "))
		words.push_back(word);
	words.push_back(nullptr);
	if (pipe(ends))
		return {-1, std::strerror(errno)};
	pid_t child = start_child([&] {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(words[0], words.data());
		return 127;
	});
	close(ends[1]);
	Ended ended{};
	char buffer[4096];
	for (ssize_t got; (got = read(ends[0], buffer, sizeof(buffer))) > 0;)
		ended.output.append(buffer, static_cast<std::size_t>(got));
	close(ends[0]);
	ended.status = wait_status(child);
	return ended;
}

void expect_right(const std::string &command)
{
	Ended ended = run_program(command);

	EXPECT_TRUE(exited_well(ended.status)) << command << "\n" << ended.output;
	EXPECT_NE(ended.output.find("PASSED"), std::string::npos) << command << "\n" << ended.output;
}

constexpr const char *workloads[] = {"bfs",	 "churn",  "copy",	"exchange",	 "expression", "hash-table", "histogram", "kernel-fault",
				     "mathematics", "matmul", "pagerank", "pointer-chase", "scan",       "sharing",    "sort",	  "spin-lock",
				     "vecadd"};

TEST(Workloads, bfs_on_small_and_sparse_graphs)
{
	expect_right("bfs --nodes 1 --edges 0");
	expect_right("bfs --nodes 500 --edges 0 --seed 2");
	expect_right("bfs --nodes 2000 --edges 9000 --seed 3");
}

TEST(Workloads, pagerank_for_odd_and_even_rounds)
{
	expect_right("pagerank --nodes 1 --edges 0 --rounds 1");
	expect_right("pagerank --nodes 777 --edges 3000 --rounds 7 --seed 2");
	expect_right("pagerank --nodes 300 --edges 3000 --rounds 4 --seed 3");
}

TEST(Workloads, scan_of_part_of_a_block_and_of_three_levels)
{
	expect_right("scan --count 1");
	expect_right("scan --count 256");
	expect_right("scan --count 257");
	expect_right("scan --count 70000");
}

TEST(Workloads, sort_within_a_tile_and_over_many)
{
	expect_right("sort --order 9");
	expect_right("sort --order 10");
	expect_right("sort --order 13 --seed 4");
}

TEST(Workloads, mathematics_agrees_to_the_bit)
{
	expect_right("mathematics --count 1");
	expect_right("mathematics --count 1000 --seed 2");
}

TEST(Workloads, exchange_with_one_lane_and_with_many)
{
	expect_right("exchange --requests 300 --threads 1 --lanes 1");
	expect_right("exchange --requests 3000 --threads 2 --lanes 100");
}

TEST(Workloads, hash_table_sparse_and_crowded)
{
	expect_right("hash-table --inserts 2000 --distinct 100000 --threads 1");
	expect_right("hash-table --inserts 5000 --distinct 3 --threads 2");
	expect_right("hash-table --inserts 20000 --distinct 13107 --threads 2");
}

TEST(Workloads, expression_shallow_and_deep)
{
	expect_right("expression --depth 1 --lanes 1");
	expect_right("expression --depth 30 --lanes 100 --seed 2");
	expect_right("expression --depth 1000 --lanes 64 --seed 3");
}

TEST(Workloads, spin_lock_of_one_wavefront_alone)
{
	expect_right("spin-lock --lanes 32 --rounds 20 --threads 0");
}

TEST(Workloads, spin_lock_of_lanes_and_threads)
{
	expect_right("spin-lock --lanes 96 --rounds 8 --threads 2");
}

TEST(Workloads, sharing_by_queues_and_by_processes)
{
	expect_right("sharing --processes 1 --queues 4 --words 4096 --rounds 2000");
	expect_right("sharing --processes 4 --queues 2 --words 4096 --rounds 2000");
}

TEST(Workloads, each_prints_its_help)
{
	for (const char *name : workloads) {
		Ended ended = run_program(std::string(name) + " --help");
		EXPECT_TRUE(exited_well(ended.status)) << name;
		EXPECT_EQ(ended.output.find(std::string(name) + ":"), 0u) << ended.output;
		EXPECT_NE(ended.output.find("usage: " + std::string(name)), std::string::npos) << ended.output;
	}
}

TEST(Workloads, each_refuses_arguments_it_does_not_know)
{
	for (const char *name : workloads) {
		Ended ended = run_program(std::string(name) + " --wrong 1");
		EXPECT_TRUE(WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 2) << name << "\n" << ended.output;
		EXPECT_NE(ended.output.find("unknown argument \"--wrong\""), std::string::npos) << ended.output;
	}
}

TEST(Workloads, numbers_out_of_range_are_refused)
{
	for (const char *command : {"bfs --nodes 0", "sort --order 27", "scan --count -1", "sharing --queues 9", "exchange --lanes x"}) {
		Ended ended = run_program(command);
		EXPECT_TRUE(WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 2) << command << "\n" << ended.output;
	}
}

} // namespace
