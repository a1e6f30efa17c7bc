// SPDX-License-Identifier: GPL-2.0-or-later
/* One spin lock for all lanes of several wavefronts and for CPU threads: what it guards is changed by plain loads and stores. */
#include <algorithm>
#include <array>
#include <thread>

#include "../kernels/lock.h"
#include "workload.hpp"

int main(int argc, char **argv)
{
	std::uint64_t lanes = 64, rounds = 20, threads = 2;

	workload::parse_options(argc, argv, "spin-lock: lanes of the same wavefronts and CPU threads take turns with one spin lock.",
				{{"lanes", "lanes that take the lock", &lanes, 1, 4096},
				 {"rounds", "times that each lane takes it", &rounds, 1, 1'000'000},
				 {"threads", "CPU threads that do as much as 32 lanes", &threads, 0, 64}});
	workload::Session gpu("lock.elf");
	alignas(64) std::uint64_t lock = 0;
	alignas(64) std::array<std::uint64_t, LOCK_WORDS> guarded{};
	alignas(64) std::uint64_t torn = 0;
	std::uint64_t started = 0;
	lock_arguments arguments = {&lock, guarded.data(), &torn, rounds, &started};
	auto done = workload::need(tandem::Signal::create());

	workload::need(gpu.queue.dispatch(gpu.kernel("take_lock"), {static_cast<std::uint32_t>(lanes)}, {64}, &arguments, done.get()));
	while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE) && done.value() > 0 && !workload::need(gpu.queue.status()).error)
		std::this_thread::yield();
	std::vector<std::thread> pool;
	for (std::uint64_t i = 0; i < threads; i++)
		pool.emplace_back([&] {
			for (std::uint64_t round = 0; round < 32 * rounds; round++) {
				while (!lock_try(&lock))
					std::this_thread::yield();
				torn += !lock_work(guarded.data());
				lock_release(&lock);
			}
		});
	/* A failed queue may have left the lock taken; then the threads would never end. */
	gpu.wait(done);
	for (auto &thread : pool)
		thread.join();
	std::uint64_t expected = lanes * rounds + threads * 32 * rounds;
	bool right = torn == 0 && std::all_of(guarded.begin(), guarded.end(), [&](std::uint64_t word) { return word == expected; });
	return gpu.report("spin-lock", right,
			  "the lock was taken " + std::to_string(expected) + " times by " + std::to_string(lanes) + " lanes and " +
				  std::to_string(threads) + " CPU threads; it guards " + std::to_string(guarded[0]));
}
