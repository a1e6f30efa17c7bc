// SPDX-License-Identifier: GPL-2.0-or-later
/* What a soak thread does to its region, while the GPU counts in it. Each operation leaves the contents as they must be. */
#ifndef TANDEM_SOAK_OPERATIONS_HPP
#define TANDEM_SOAK_OPERATIONS_HPP

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../support/system.hpp"
#include "../support/tally.hpp"

namespace soak {

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t pages = 512; /* one huge page can hold the region */
constexpr std::uint64_t bytes = pages * page_bytes;

/* What the region is at the moment; as bits, what an operation can be done to. */
enum Kind : unsigned {
	private_memory = 1,
	shared_memory = 2,
	shared_file = 4,
	huge_reserve = 8,
};

class Crowd; /* device_operations.hpp */

/* One thread's memory: two places of the region's size, of which one is in use, and a neighbour that comes and goes. */
struct Arena {
	char *here, *there, *neighbour;
	tally::Tally &gpu;
	std::mt19937_64 random;
	const mm_system::Cgroup &group; /* the process's */
	int file;                       /* of the region's size, for when it is a file */
	Kind kind = private_memory;
	const tandem::Device *device = nullptr;
	const Crowd *crowd = nullptr; /* with device memory */

	std::uint64_t below(std::uint64_t limit) { return random() % limit; }
};

struct Operation {
	const char *name;
	unsigned kinds;
	bool (*run)(Arena &arena, std::string &problem); /* false with a sentence if something was wrong */
};

const std::vector<Operation> &operations();

} // namespace soak

#endif
