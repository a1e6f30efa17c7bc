// SPDX-License-Identifier: GPL-2.0-or-later
/* Linked lists whose nodes the CPU made with new, in random order among ballast: the GPU follows the CPU's own pointers. */
#include <algorithm>
#include <memory>
#include <random>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

/* Owns the nodes and the memory in between, which spreads them over many pages. */
struct Forest {
	std::vector<std::unique_ptr<chase_node>> nodes;
	std::vector<std::unique_ptr<char[]>> ballast;
	std::vector<chase_node *> heads;
	std::vector<std::uint64_t> sums;
	std::vector<std::uint64_t> lengths;
};

void make_nodes(Forest &forest, std::uint64_t count, std::mt19937_64 &random)
{
	for (std::uint64_t i = 0; i < count; i++) {
		forest.nodes.push_back(std::make_unique<chase_node>(chase_node{nullptr, random() >> 20, 0}));
		forest.ballast.push_back(std::make_unique<char[]>(64 + random() % 512));
	}
	std::shuffle(forest.nodes.begin(), forest.nodes.end(), random);
}

Forest plant(std::uint64_t count, std::uint64_t lists, std::uint64_t seed)
{
	std::mt19937_64 random(seed);
	Forest forest;

	make_nodes(forest, count, random);
	forest.heads.resize(lists);
	forest.sums.resize(lists);
	forest.lengths.resize(lists);
	for (auto &node : forest.nodes) {
		std::uint64_t list = random() % lists;

		node->next = forest.heads[list];
		forest.heads[list] = node.get();
		forest.sums[list] += node->value;
		forest.lengths[list]++;
	}
	return forest;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t nodes = 20000, lists = 256, seed = 1;

	workload::parse_options(argc, argv, "pointer-chase: the GPU follows linked lists that the CPU built with new.",
				{{"nodes", "nodes in all lists together", &nodes, 1, 10'000'000},
				 {"lists", "lists, one for each lane", &lists, 1, 65536},
				 {"seed", "for where the nodes lie", &seed, 0, UINT64_MAX}});
	workload::Session gpu("pointer_chase.elf");
	Forest forest = plant(nodes, lists, seed);
	std::vector<std::uint64_t> sums(lists), lengths(lists);
	chase_arguments arguments = {forest.heads.data(), sums.data(), lengths.data(), lists};

	gpu.run(gpu.kernel("pointer_chase"), {static_cast<std::uint32_t>(lists)}, {64}, &arguments);
	std::uint64_t visited_once = 0;
	for (const auto &node : forest.nodes)
		visited_once += node->seen == 1;
	bool right = sums == forest.sums && lengths == forest.lengths && visited_once == nodes;
	return gpu.report("pointer-chase", right,
			  std::to_string(nodes) + " nodes in " + std::to_string(lists) + " lists followed, " +
				  std::to_string(visited_once) + " visited exactly once");
}
