// SPDX-License-Identifier: GPL-2.0-or-later
/* Exclusive prefix sums of any length: blocks in local memory, then the sums of the blocks, and so on. */
#include <algorithm>
#include <numeric>
#include <random>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

void scan_on_gpu(const workload::Session &gpu, std::vector<std::uint64_t> &data)
{
	std::uint64_t blocks = (data.size() + SCAN_BLOCK - 1) / SCAN_BLOCK;
	std::vector<std::uint64_t> totals(blocks);
	scan_arguments arguments = {data.data(), totals.data(), data.size()};
	auto grid = static_cast<std::uint32_t>(blocks * SCAN_BLOCK);

	gpu.run(gpu.kernel("scan_blocks"), {grid}, {SCAN_BLOCK}, &arguments);
	if (blocks == 1)
		return;
	scan_on_gpu(gpu, totals);
	gpu.run(gpu.kernel("scan_raise"), {grid}, {SCAN_BLOCK}, &arguments);
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t count = 100000, seed = 1;

	workload::parse_options(argc, argv, "scan: exclusive prefix sums through local memory and barriers.",
				{{"count", "numbers", &count, 1, 1ull << 28}, {"seed", "for the numbers", &seed, 0, UINT64_MAX}});
	workload::Session gpu("scan.elf");
	std::mt19937_64 random(seed);
	std::vector<std::uint64_t> data(count), expected(count);

	std::generate(data.begin(), data.end(), [&] { return random(); });
	std::exclusive_scan(data.begin(), data.end(), expected.begin(), std::uint64_t{0});
	scan_on_gpu(gpu, data);
	std::uint64_t wrong = 0;
	for (std::uint64_t i = 0; i < count; i++)
		wrong += data[i] != expected[i];
	return gpu.report("scan", wrong == 0,
			  std::to_string(count) + " numbers summed up in blocks of " + std::to_string(SCAN_BLOCK) + ", " +
				  std::to_string(wrong) + " sums wrong");
}
