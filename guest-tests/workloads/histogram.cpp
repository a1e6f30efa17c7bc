// SPDX-License-Identifier: GPL-2.0-or-later
/* CPU threads and the GPU count into the same bins at the same time: a lost update would show in the sums. */
#include <array>
#include <random>
#include <thread>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

using Bins = std::array<std::uint64_t, 256>;

std::vector<std::uint8_t> make_data(std::uint64_t count)
{
	std::mt19937_64 random(7);
	std::vector<std::uint8_t> data(count);

	/* Few distinct values, so that both sides fight for the same bins. */
	for (auto &byte : data)
		byte = static_cast<std::uint8_t>(random() & random());
	return data;
}

void count_on_cpu(const std::uint8_t *data, std::uint64_t count, Bins &bins)
{
	for (std::uint64_t i = 0; i < count; i++)
		__atomic_fetch_add(&bins[data[i]], 1, __ATOMIC_RELAXED);
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t bytes = 200000, threads = 2;

	workload::parse_options(argc, argv,
				"histogram: the GPU and CPU threads count bytes into the same bins with atomics, at the same time.",
				{{"bytes", "for the GPU, and for each thread", &bytes, 1, 1ull << 28},
				 {"threads", "CPU threads", &threads, 0, 64}});
	workload::Session gpu("histogram.elf");
	auto data = make_data(bytes);
	alignas(64) Bins bins{};
	std::uint64_t started = 0;
	histogram_arguments arguments = {data.data(), bytes, bins.data(), &started};
	auto done = workload::need(tandem::Signal::create());

	workload::need(gpu.queue.dispatch(gpu.kernel("histogram"), {512}, {64}, &arguments, done.get()));
	while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE) && done.value() > 0 && !workload::need(gpu.queue.status()).error)
		std::this_thread::yield();
	std::vector<std::thread> pool;
	for (std::uint64_t i = 0; i < threads; i++)
		pool.emplace_back([&] { count_on_cpu(data.data(), bytes, bins); });
	for (auto &thread : pool)
		thread.join();
	gpu.wait(done);

	Bins expected{};
	for (std::uint8_t byte : data)
		expected[byte] += threads + 1;
	return gpu.report("histogram", bins == expected,
			  std::to_string(bytes * (threads + 1)) + " bytes counted by the GPU and " + std::to_string(threads) +
				  " CPU threads into 256 shared bins");
}
