// SPDX-License-Identifier: GPL-2.0-or-later
/* soak-devmem --seed N --seconds S --operations N --threads T */
#include <cstdio>
#include <cstring>
#include <exception>

#include "../workloads/workload.hpp"
#include "soak.hpp"

int main(int argc, char **argv)
{
	if (argc == 2 && std::strcmp(argv[1], "--be-quiet-and-exit") == 0) /* what a child of the soak runs */
		return 0;
	soak::Options options;
	options.memory = soak::Memory::Device;
	workload::parse_options(argc, argv,
				"soak-devmem: pages move between the system's memory and the GPU's, at random, against a GPU that counts in "
				"them.",
				{{"seed", "of the random choices", &options.seed, 0, UINT32_MAX},
				 {"seconds", "to go on", &options.seconds, 1, 1'000'000},
				 {"operations", "after which it ends, too; 0: no limit", &options.operations, 0, 1ull << 40},
				 {"threads", "each with a region and a queue of its own", &options.threads, 1, 16}});
	try {
		soak::Result result = soak::run(options);

		std::fputs(result.report.c_str(), stderr);
		std::printf("soak-devmem: %s, seed %lu, %lu operations, each region gone over %lu times by the GPU; %lu pages went to the "
			    "GPU's memory, %lu came home, %lu of them evicted\n",
			    result.good ? "ok" : "FAILED", options.seed, result.operations, result.rounds, result.pages_to_vram,
			    result.pages_to_system, result.pages_evicted);
		return result.good ? 0 : 1;
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "soak-devmem: %s\n", problem.what());
		return 1;
	}
}
