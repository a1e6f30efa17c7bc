// SPDX-License-Identifier: GPL-2.0-or-later
#include "graph.hpp"

#include <random>

namespace workload {

Graph::Graph(std::uint64_t nodes, std::uint64_t edges, std::uint64_t seed)
{
	std::mt19937_64 random(seed);

	for (std::uint64_t i = 0; i < nodes; i++) {
		nodes_.push_back(std::make_unique<graph_node>());
		lists_.push_back(std::make_unique<Lists>());
		pointers_.push_back(nodes_.back().get());
	}
	/* The product of two even draws favours low numbers. */
	auto popular = [&] {
		double draw = std::uniform_real_distribution<double>(0, 1)(random) * std::uniform_real_distribution<double>(0, 1)(random);
		return static_cast<std::uint64_t>(draw * static_cast<double>(nodes)) % nodes;
	};
	for (std::uint64_t edge = 0; edge < nodes + edges; edge++) {
		std::uint64_t from = edge < nodes ? edge : popular(), to = edge < nodes ? random() % nodes : popular();

		lists_[from]->targets.push_back(pointers_[to]);
		lists_[to]->sources.push_back(pointers_[from]);
	}
	for (std::uint64_t i = 0; i < nodes; i++) {
		Lists &lists = *lists_[i];

		*nodes_[i] = {lists.targets.data(), lists.sources.data(), lists.targets.size(), lists.sources.size(),
			      GRAPH_UNSEEN, {1.0 / static_cast<double>(nodes), 0}};
	}
}

} // namespace workload
