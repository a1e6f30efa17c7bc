// SPDX-License-Identifier: GPL-2.0-or-later
/* Bitonic sort. All steps are submitted at once: the barrier bit of each packet makes it wait for the one before. */
#include <algorithm>
#include <random>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

struct Step {
	const char *kernel;
	sort_arguments arguments;
};

std::vector<Step> plan(std::vector<std::uint64_t> &keys)
{
	std::vector<Step> steps = {{"sort_tiles", {keys.data(), 0, 0}}};

	for (std::uint64_t block = 2 * SORT_TILE; block <= keys.size(); block *= 2) {
		for (std::uint64_t distance = block / 2; distance >= SORT_TILE; distance /= 2)
			steps.push_back({"merge_far", {keys.data(), block, distance}});
		steps.push_back({"merge_tiles", {keys.data(), block, 0}});
	}
	return steps;
}

void submit(const workload::Session &gpu, const Step &step, std::uint64_t keys, tandem_signal *completion)
{
	tandem_launch launch{};

	launch.kernel = gpu.kernel(step.kernel);
	launch.grid[0] = static_cast<std::uint32_t>(keys / 2);
	launch.group[0] = SORT_TILE / 2;
	launch.barrier = true;
	launch.arguments = &step.arguments;
	launch.completion = completion;
	workload::need(tandem::outcome(tandem_dispatch(gpu.queue.get(), &launch)));
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t order = 14, seed = 1;

	workload::parse_options(argc, argv, "sort: sorts keys with local memory, barriers and packets that wait for each other.",
				{{"order", "log2 of the number of keys", &order, 9, 26},
				 {"seed", "for the keys", &seed, 0, UINT64_MAX}});
	static_assert(SORT_TILE == 1 << 9);
	workload::Session gpu("sort.elf");
	std::mt19937_64 random(seed);
	std::vector<std::uint64_t> keys(1ull << order);

	/* Some keys stand there several times. */
	std::generate(keys.begin(), keys.end(), [&] { return random() % (keys.size() * 4); });
	std::vector<std::uint64_t> expected = keys;
	std::vector<Step> steps = plan(keys);
	auto done = workload::need(tandem::Signal::create());

	for (const Step &step : steps)
		submit(gpu, step, keys.size(), &step == &steps.back() ? done.get() : nullptr);
	gpu.wait(done);
	std::sort(expected.begin(), expected.end());
	return gpu.report("sort", keys == expected,
			  std::to_string(keys.size()) + " keys sorted in " + std::to_string(steps.size()) +
				  " dispatches behind each other");
}
