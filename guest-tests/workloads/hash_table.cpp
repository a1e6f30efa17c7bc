// SPDX-License-Identifier: GPL-2.0-or-later
/* GPU and CPU threads insert into one hash table at the same time, many of them the same keys. */
#include <random>
#include <thread>
#include <unordered_map>

#include "../kernels/table.h"
#include "workload.hpp"

namespace {

using Counts = std::unordered_map<std::uint64_t, std::uint64_t>;

std::vector<std::uint64_t> make_keys(std::uint64_t count, std::uint64_t distinct, std::uint64_t seed)
{
	std::mt19937_64 random(seed);
	std::vector<std::uint64_t> keys(count);

	for (auto &key : keys)
		key = 1 + random() % distinct * 0x100000001ull;
	return keys;
}

std::uint64_t slots_for(std::uint64_t keys)
{
	std::uint64_t slots = 16;

	while (slots < keys + keys / 4)
		slots *= 2;
	return slots;
}

/* Each key stands in exactly one slot, with exactly its sum. */
bool is_right(const std::vector<table_slot> &slots, Counts expected)
{
	for (const table_slot &slot : slots) {
		if (!slot.key && !slot.sum)
			continue;
		auto found = expected.find(slot.key);
		if (found == expected.end() || found->second != slot.sum)
			return false;
		expected.erase(found);
	}
	return expected.empty();
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t inserts = 50000, distinct = 4000, threads = 2, seed = 1;

	workload::parse_options(argc, argv, "hash-table: the GPU and CPU threads insert into one hash table at the same time.",
				{{"inserts", "by the GPU, and by each thread", &inserts, 1, 1ull << 28},
				 {"distinct", "different keys", &distinct, 1, 1ull << 26},
				 {"threads", "CPU threads", &threads, 0, 64},
				 {"seed", "for the keys", &seed, 0, UINT64_MAX / 2}});
	workload::Session gpu("table.elf");
	std::vector<table_slot> slots(slots_for(distinct));
	std::vector<std::vector<std::uint64_t>> keys;
	for (std::uint64_t i = 0; i <= threads; i++)
		keys.push_back(make_keys(inserts, distinct, seed + i));
	std::uint64_t started = 0, full = 0;
	table_arguments arguments = {slots.data(), slots.size() - 1, keys[0].data(), inserts, &started, &full};
	auto done = workload::need(tandem::Signal::create());

	workload::need(gpu.queue.dispatch(gpu.kernel("table_insert"), {512}, {64}, &arguments, done.get()));
	while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE) && done.value() > 0 && !workload::need(gpu.queue.status()).error)
		std::this_thread::yield();
	std::vector<std::thread> pool;
	for (std::uint64_t i = 1; i <= threads; i++)
		pool.emplace_back([&, i] {
			for (std::uint64_t key : keys[i])
				if (!table_add(slots.data(), slots.size() - 1, key, 1))
					__atomic_fetch_add(&full, 1, __ATOMIC_RELAXED);
		});
	for (auto &thread : pool)
		thread.join();
	gpu.wait(done);

	Counts expected;
	for (const auto &part : keys)
		for (std::uint64_t key : part)
			expected[key]++;
	return gpu.report("hash-table", full == 0 && is_right(slots, expected),
			  std::to_string(inserts * (threads + 1)) + " inserts of " + std::to_string(expected.size()) +
				  " different keys into " + std::to_string(slots.size()) + " slots by the GPU and " +
				  std::to_string(threads) + " CPU threads");
}
