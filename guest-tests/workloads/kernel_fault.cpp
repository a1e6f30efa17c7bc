// SPDX-License-Identifier: GPL-2.0-or-later
/* Good, fault, good: a kernel that stores where nothing is mapped stops its queue with a report, and nothing else. */
#include <cstring>

#include <sys/mman.h>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

std::uint64_t *unmapped_page()
{
	void *page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		workload::fail("mmap: " + std::string(std::strerror(errno)));
	munmap(page, 4096);
	return static_cast<std::uint64_t *>(page);
}

} // namespace

int main(int argc, char **argv)
{
	workload::parse_options(argc, argv, "kernel-fault: a good store, a store to nowhere, and a good store again.", {});
	workload::Session gpu("store.elf");
	auto bad_queue = workload::need(gpu.device.queue());
	std::uint64_t first = 0, second = 0;
	store_arguments good = {&first, 1}, bad = {unmapped_page(), 2}, again = {&second, 3};

	gpu.run(gpu.kernel("store"), {1}, {1}, &good);
	std::printf("kernel-fault: the good store wrote %llu\n", static_cast<unsigned long long>(first));
	auto outcome = bad_queue.run(gpu.kernel("store"), {1}, {1}, &bad, 0, workload::Session::time_limit_ns);
	bool reported = !outcome && outcome.error().status == TANDEM_ERROR_QUEUE;
	std::printf("kernel-fault: the bad store gave: %s\n", outcome ? "no error" : bad_queue.explain().c_str());
	auto status = workload::need(bad_queue.status());
	bool exact = status.error == TANDEM_QUEUE_ADDRESS_FAULT &&
		     status.va >> 12 == reinterpret_cast<std::uintptr_t>(bad.target) >> 12;
	gpu.run(gpu.kernel("store"), {1}, {1}, &again);
	return gpu.report("kernel-fault", first == 1 && second == 3 && reported && exact,
			  "a queue stopped with its report, the other went on");
}
