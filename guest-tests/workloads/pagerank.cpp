// SPDX-License-Identifier: GPL-2.0-or-later
/* PageRank in doubles: the CPU adds in the same order, so each rank must be the same to the bit. */
#include "graph.hpp"
#include "workload.hpp"

#include <unordered_map>

namespace {

constexpr double damping = 0.85;

using Ranks = std::unordered_map<const graph_node *, double>;

Ranks rank_on_cpu(workload::Graph &graph, std::uint64_t rounds, double base)
{
	Ranks ranks;

	for (std::uint64_t i = 0; i < graph.size(); i++)
		ranks[&graph.node(i)] = 1.0 / static_cast<double>(graph.size());
	for (std::uint64_t round = 0; round < rounds; round++) {
		Ranks next;
		for (std::uint64_t i = 0; i < graph.size(); i++) {
			const graph_node &node = graph.node(i);
			double sum = 0;
			for (std::uint64_t k = 0; k < node.source_count; k++)
				sum += ranks[node.sources[k]] / static_cast<double>(node.sources[k]->target_count);
			next[&node] = base + damping * sum;
		}
		ranks = std::move(next);
	}
	return ranks;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t nodes = 4000, edges = 20000, rounds = 10, seed = 1;

	workload::parse_options(argc, argv, "pagerank: ranks the nodes of a graph that the CPU built with new.",
				{{"nodes", "nodes of the graph", &nodes, 1, 10'000'000},
				 {"edges", "edges, beyond one for each node", &edges, 0, 100'000'000},
				 {"rounds", "of the iteration", &rounds, 1, 10'000},
				 {"seed", "for the edges", &seed, 0, UINT64_MAX}});
	workload::Session gpu("graph.elf");
	workload::Graph graph(nodes, edges, seed);
	double base = (1 - damping) / static_cast<double>(nodes), total = 0;
	auto grid = static_cast<std::uint32_t>((nodes + 63) / 64 * 64);
	std::uint64_t wrong = 0;

	for (std::uint64_t round = 0; round < rounds; round++) {
		pagerank_arguments arguments = {graph.pointers(), nodes, round & 1, base, damping};
		gpu.run(gpu.kernel("pagerank_round"), {grid}, {64}, &arguments);
	}
	for (const auto &[node, rank] : rank_on_cpu(graph, rounds, base)) {
		wrong += node->rank[rounds & 1] != rank;
		total += node->rank[rounds & 1];
	}
	/* Every node has an edge out, so no rank leaks away. */
	bool whole = total > 0.999999 && total < 1.000001;
	return gpu.report("pagerank", wrong == 0 && whole,
			  std::to_string(rounds) + " rounds over " + std::to_string(nodes) + " nodes and " +
				  std::to_string(nodes + edges) + " edges, ranks add up to " + std::to_string(total) + ", " +
				  std::to_string(wrong) + " ranks wrong");
}
