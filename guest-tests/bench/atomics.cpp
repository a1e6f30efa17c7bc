// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Atomics of the GPU: how many a second while it has the page, how many it and four CPU threads make together on one word, and
 * what it costs when a page changes hands. Which kind of GPU it is (PCIe AtomicOps, exclusive pages, VRAM) is the guest's business.
 */
#include <atomic>
#include <thread>

#include "arguments.h"
#include "bench.hpp"

namespace bench {

namespace {

constexpr std::uint32_t lanes = 32;
constexpr std::uint64_t rounds_alone = 2000;
constexpr std::uint64_t rounds_together = 200;
constexpr unsigned threads = 4;
constexpr unsigned repetitions = 7;
constexpr unsigned changes = 50;
constexpr std::uint64_t longer_than_a_hold_ns = 2'000'000;

double rate(std::uint64_t operations, std::uint64_t ns)
{
	return 1e9 * static_cast<double>(operations) / static_cast<double>(ns);
}

std::uint64_t load(const Mapping &page)
{
	return __atomic_load_n(reinterpret_cast<const std::uint64_t *>(page.at()), __ATOMIC_SEQ_CST);
}

void check(const Mapping &page, std::uint64_t expected)
{
	if (load(page) != expected)
		fail("atomics were lost: " + std::to_string(load(page)) + " in place of " + std::to_string(expected));
}

std::uint64_t add(const Gpu &gpu, const Mapping &page, std::uint32_t by_lanes, std::uint64_t rounds)
{
	bench_add_arguments arguments = {reinterpret_cast<std::uint64_t *>(page.at()), rounds};

	return time_ns([&] { gpu.run("bench_add", by_lanes, &arguments); });
}

Samples alone(const Gpu &gpu)
{
	Mapping page(page_bytes, Mapping::Pages::Small);
	Samples samples;

	for (unsigned i = 0; i <= repetitions; i++) {
		auto ns = add(gpu, page, lanes, rounds_alone);

		if (i) /* the first brings the page */
			samples.push_back(rate(lanes * rounds_alone, ns));
	}
	check(page, (repetitions + 1) * lanes * rounds_alone);
	return samples;
}

/* Operations of both sides, for as long as the GPU needs for its part. */
Samples together(const Gpu &gpu)
{
	Samples samples;

	for (unsigned i = 0; i < repetitions; i++) {
		Mapping page(page_bytes, Mapping::Pages::Small);
		std::atomic<bool> over = false;
		std::atomic<std::uint64_t> by_cpu = 0;
		std::vector<std::thread> pool;
		for (unsigned t = 0; t < threads; t++)
			pool.emplace_back([&] {
				std::uint64_t mine = 0;
				for (; !over; mine++)
					__atomic_fetch_add(reinterpret_cast<std::uint64_t *>(page.at()), 1, __ATOMIC_SEQ_CST);
				by_cpu += mine;
			});
		auto ns = add(gpu, page, lanes, rounds_together);
		over = true;
		for (auto &thread : pool)
			thread.join();
		check(page, by_cpu + lanes * rounds_together);
		samples.push_back(rate(by_cpu + lanes * rounds_together, ns));
	}
	return samples;
}

void wait_out_the_hold()
{
	std::this_thread::sleep_for(std::chrono::nanoseconds(longer_than_a_hold_ns));
}

} // namespace

void atomics()
{
	Gpu gpu;
	Mapping page(page_bytes, Mapping::Pages::Small);
	Samples with_change, without, back;

	print("ops", "ops/s", alone(gpu));
	print("shared-ops", "ops/s", together(gpu));
	for (unsigned i = 0; i <= changes; i++) {
		auto first = static_cast<double>(add(gpu, page, 1, 1)), second = static_cast<double>(add(gpu, page, 1, 1));
		wait_out_the_hold();
		auto touched = static_cast<double>(time_ns([&] { __atomic_fetch_add(page.at(), 0, __ATOMIC_SEQ_CST); }));

		wait_out_the_hold();
		if (i == 0)
			continue;
		with_change.push_back(first);
		without.push_back(second);
		back.push_back(touched);
	}
	check(page, 2 * (changes + 1));
	print("with-change", "ns", with_change);
	print("without", "ns", without);
	print("back", "ns", back);
}

} // namespace bench
