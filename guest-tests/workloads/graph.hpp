// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A directed graph whose nodes and lists of edges the CPU makes with new: a few nodes have many edges, most have few, as in
 * graphs of people or pages. Each node has at least one edge out.
 */
#ifndef TANDEM_WORKLOAD_GRAPH_HPP
#define TANDEM_WORKLOAD_GRAPH_HPP

#include <cstdint>
#include <memory>
#include <vector>

#include "../kernels/arguments.h"

namespace workload {

class Graph {
public:
	Graph(std::uint64_t nodes, std::uint64_t edges, std::uint64_t seed);

	std::uint64_t size() const { return nodes_.size(); }
	graph_node &node(std::uint64_t i) { return *nodes_[i]; }
	/* All nodes, as the GPU reads them. */
	graph_node **pointers() { return pointers_.data(); }

private:
	/* One node's lists, as the edges are gathered; the node points into them. */
	struct Lists {
		std::vector<graph_node *> targets, sources;
	};

	std::vector<std::unique_ptr<graph_node>> nodes_;
	std::vector<std::unique_ptr<Lists>> lists_;
	std::vector<graph_node *> pointers_;
};

} // namespace workload

#endif
