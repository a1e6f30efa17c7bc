// SPDX-License-Identifier: GPL-2.0-or-later
/* Random mixtures of what Linux does to memory, from several threads, against a GPU that counts in it. */
#ifndef TANDEM_SOAK_HPP
#define TANDEM_SOAK_HPP

#include <cstdint>
#include <string>

namespace soak {

enum class Memory {
	System,
	Device, /* pages go to the GPU's memory as well, of which there is too little */
};

struct Options {
	std::uint64_t seed = 1;
	std::uint64_t seconds = 60;
	std::uint64_t operations = 0; /* of all threads together: end then; 0: no limit */
	std::uint64_t threads = 4;
	bool progress = true;
	Memory memory = Memory::System;
};

struct Result {
	bool good;
	std::uint64_t operations;
	std::uint64_t rounds; /* least of all threads' */
	std::string report;   /* on failure: seed, problem and the last operations of each thread */
	std::uint64_t pages_to_vram = 0, pages_to_system = 0, pages_evicted = 0;
};

/* The same seed makes each thread choose the same operations; how they interleave is the machine's business. */
Result run(const Options &options);

} // namespace soak

#endif
