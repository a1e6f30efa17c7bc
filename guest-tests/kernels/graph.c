/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Breadth-first search and PageRank on a graph of the CPU's own objects, following the CPU's own pointers. */
#include "tandem/device.h"

#include "arguments.h"

static void visit(const struct bfs_arguments *a, struct graph_node *node)
{
	uint64_t unseen = GRAPH_UNSEEN;

	/* Several lanes may reach the node in this round; one of them adds it to the next frontier. */
	if (__atomic_compare_exchange_n(&node->depth, &unseen, a->depth, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		a->next[__atomic_fetch_add(a->next_count, 1, __ATOMIC_RELAXED)] = node;
}

TANDEM_KERNEL void bfs_round(const struct bfs_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i >= a->count)
		return;
	const struct graph_node *node = a->frontier[i];

	for (uint64_t k = 0; k < node->target_count; k++)
		visit(a, node->targets[k]);
}

TANDEM_KERNEL void pagerank_round(const struct pagerank_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i >= a->count)
		return;
	struct graph_node *node = a->nodes[i];
	double sum = 0;

	for (uint64_t k = 0; k < node->source_count; k++) {
		const struct graph_node *source = node->sources[k];

		sum += source->rank[a->from] / (double)source->target_count;
	}
	node->rank[!a->from] = a->base + a->damping * sum;
}
