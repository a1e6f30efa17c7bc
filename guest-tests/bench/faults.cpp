// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults a second on memory that nobody has touched yet: by the GPU, where lanes fault together and the driver serves
 * batches, and by the CPU, in the same process. Both bring the same pages into being, one fault for each page.
 */
#include "arguments.h"
#include "bench.hpp"

namespace bench {

namespace {

constexpr std::uint64_t fault_pages = 4096;
constexpr unsigned rounds = 7;
constexpr unsigned single_faults = 200;

double rate(std::uint64_t pages, std::uint64_t ns)
{
	return 1e9 * static_cast<double>(pages) / static_cast<double>(ns);
}

} // namespace

void faults()
{
	Gpu gpu;
	Samples by_gpu, by_cpu, batch;

	for (unsigned round = 0; round <= rounds; round++) {
		Mapping for_gpu(fault_pages * page_bytes, Mapping::Pages::Small), for_cpu(fault_pages * page_bytes, Mapping::Pages::Small);
		auto before = need(gpu.device.stats());
		auto gpu_ns = time_ns([&] { gpu.touch(for_gpu, page_bytes); });
		auto after = need(gpu.device.stats());
		auto cpu_ns = time_ns([&] { for_cpu.touch(); });

		if (round == 0) /* the first brings code, arguments and signals in as well */
			continue;
		by_gpu.push_back(rate(fault_pages, gpu_ns));
		by_cpu.push_back(rate(fault_pages, cpu_ns));
		batch.push_back(static_cast<double>(after.faults - before.faults) /
				static_cast<double>(after.fault_batches - before.fault_batches));
	}
	print("gpu", "faults/s", by_gpu);
	print("cpu", "faults/s", by_cpu);
	print("batch", "faults", batch);
}

/* One lane, one page: dispatch to completion, with a fault and without. */
void fault_latency()
{
	Gpu gpu;
	Mapping region((single_faults + 1) * page_bytes, Mapping::Pages::Small);
	Samples fault, hit;

	for (unsigned page = 0; page <= single_faults; page++) {
		bench_touch_arguments arguments = {region.at(page * page_bytes), page_bytes, 1};
		auto first = time_ns([&] { gpu.run("bench_touch", 1, &arguments); });
		auto second = time_ns([&] { gpu.run("bench_touch", 1, &arguments); });

		if (page == 0)
			continue;
		fault.push_back(static_cast<double>(first));
		hit.push_back(static_cast<double>(second));
	}
	print("with-fault", "ns", fault);
	print("without", "ns", hit);
}

} // namespace bench
