// SPDX-License-Identifier: GPL-2.0-or-later
/* tandem-bench NAME: takes the samples of one benchmark in the guest. */
#include "bench.hpp"

#include <cstdio>
#include <cstring>

namespace {

struct Benchmark {
	const char *name;
	void (*run)();
};

constexpr Benchmark benchmarks[] = {
	{"hash", bench::hash},     {"faults", bench::faults}, {"fault-latency", bench::fault_latency},
	{"munmap", bench::munmap_2m}, {"pages", bench::pages},   {"busy", bench::busy},
	{"copy", bench::copy},     {"migrate", bench::migrate}, {"atomics", bench::atomics},
	{"translation", bench::translation},
};

} // namespace

int main(int argc, char **argv)
{
	for (const Benchmark &benchmark : benchmarks) {
		if (argc == 2 && std::strcmp(argv[1], benchmark.name) == 0) {
			benchmark.run();
			return 0;
		}
	}
	std::fprintf(stderr, "usage: tandem-bench NAME, where NAME is one of:");
	for (const Benchmark &benchmark : benchmarks)
		std::fprintf(stderr, " %s", benchmark.name);
	std::fprintf(stderr, "\n");
	return 2;
}
