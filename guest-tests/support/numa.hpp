// SPDX-License-Identifier: GPL-2.0-or-later
/* Which node of the machine a page lies on, and Linux's ways of having it elsewhere. Failures throw, except where -1 is returned. */
#ifndef TANDEM_TEST_NUMA_HPP
#define TANDEM_TEST_NUMA_HPP

#include <sys/types.h>

#include <cstdint>

namespace mm_numa {

/* <linux/mempolicy.h>, which user space may lack. */
enum policy { by_default = 0, preferred = 1, bind = 2, interleave = 3 };
enum move_flags : unsigned { strict = 1, move_own = 2, move_all = 4 };

unsigned node_count();

/* Number of pages on the node, of those that are there; of this process or of another. */
std::uint64_t count_on_node(const void *region, std::uint64_t pages, int node, pid_t process = 0);

/* Asks once for each page to be moved; pages in use at that moment stay. 0 or -1. */
int move_pages_to(const void *region, std::uint64_t pages, int node, move_flags flags = move_own);

int set_policy(void *region, std::uint64_t bytes, policy mode, int node = -1, unsigned flags = 0); /* 0 or -1 */
int migrate_process(pid_t process, int from, int to);                                               /* 0, or pages left; -1 */

/* The calling thread runs on that node's processors from now on. */
void run_on_node(int node);

} // namespace mm_numa

#endif
