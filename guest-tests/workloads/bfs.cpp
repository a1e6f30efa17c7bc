// SPDX-License-Identifier: GPL-2.0-or-later
/* Breadth-first search, a dispatch for each round: the depth of every node must be what the CPU finds. */
#include "graph.hpp"
#include "workload.hpp"

#include <queue>
#include <unordered_map>

namespace {

std::uint32_t whole_groups(std::uint64_t items)
{
	return static_cast<std::uint32_t>((items + 63) / 64 * 64);
}

/* Returns the rounds it took. */
std::uint64_t search_on_gpu(const workload::Session &gpu, workload::Graph &graph)
{
	std::vector<graph_node *> frontier(graph.size()), next(graph.size());
	std::uint64_t count = 1, rounds = 0;

	frontier[0] = &graph.node(0);
	graph.node(0).depth = 0;
	while (count) {
		std::uint64_t found = 0;
		bfs_arguments arguments = {frontier.data(), count, next.data(), &found, ++rounds};

		gpu.run(gpu.kernel("bfs_round"), {whole_groups(count)}, {64}, &arguments);
		std::swap(frontier, next);
		count = found;
	}
	return rounds;
}

std::unordered_map<const graph_node *, std::uint64_t> search_on_cpu(workload::Graph &graph)
{
	std::unordered_map<const graph_node *, std::uint64_t> depths = {{&graph.node(0), 0}};
	std::queue<const graph_node *> open;

	for (open.push(&graph.node(0)); !open.empty(); open.pop()) {
		const graph_node *node = open.front();
		for (std::uint64_t k = 0; k < node->target_count; k++)
			if (depths.emplace(node->targets[k], depths[node] + 1).second)
				open.push(node->targets[k]);
	}
	return depths;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t nodes = 10000, edges = 40000, seed = 1;

	workload::parse_options(argc, argv, "bfs: breadth-first search over a graph that the CPU built with new.",
				{{"nodes", "nodes of the graph", &nodes, 1, 10'000'000},
				 {"edges", "edges, beyond one for each node", &edges, 0, 100'000'000},
				 {"seed", "for the edges", &seed, 0, UINT64_MAX}});
	workload::Session gpu("graph.elf");
	workload::Graph graph(nodes, edges, seed);
	std::uint64_t rounds = search_on_gpu(gpu, graph), wrong = 0;
	auto expected = search_on_cpu(graph);

	for (std::uint64_t i = 0; i < nodes; i++) {
		auto found = expected.find(&graph.node(i));
		wrong += graph.node(i).depth != (found == expected.end() ? GRAPH_UNSEEN : found->second);
	}
	return gpu.report("bfs", wrong == 0,
			  std::to_string(expected.size()) + " of " + std::to_string(nodes) + " nodes reached in " +
				  std::to_string(rounds) + " rounds, " + std::to_string(wrong) + " depths wrong");
}
