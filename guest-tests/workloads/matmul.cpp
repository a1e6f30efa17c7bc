// SPDX-License-Identifier: GPL-2.0-or-later
/* Matrix product through local memory and barriers, compared with the CPU bit for bit: same operations, same order. */
#include <random>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

std::vector<float> make_matrix(std::uint64_t n, unsigned seed)
{
	std::mt19937 random(seed);
	std::uniform_real_distribution<float> values(-1, 1);
	std::vector<float> matrix(n * n);

	for (float &value : matrix)
		value = values(random);
	return matrix;
}

float dot(const std::vector<float> &a, const std::vector<float> &b, std::uint64_t n, std::uint64_t row, std::uint64_t column)
{
	float sum = 0;

	for (std::uint64_t k = 0; k < n; k++)
		sum += a[row * n + k] * b[k * n + column];
	return sum;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t tiles = 5;

	workload::parse_options(argc, argv, "matmul: multiplies two matrices of floats by tiles in local memory.",
				{{"tiles", "tiles of 16 rows and columns to a side", &tiles, 1, 64}});
	std::uint64_t n = tiles * MATMUL_TILE, wrong = 0;
	workload::Session gpu("matmul.elf");
	auto a = make_matrix(n, 1), b = make_matrix(n, 2);
	std::vector<float> product(n * n);
	matmul_arguments arguments = {a.data(), b.data(), product.data(), static_cast<std::uint32_t>(n)};
	auto side = static_cast<std::uint32_t>(n);

	gpu.run(gpu.kernel("matmul"), {side, side}, {MATMUL_TILE, MATMUL_TILE}, &arguments);
	for (std::uint64_t row = 0; row < n; row++)
		for (std::uint64_t column = 0; column < n; column++)
			wrong += product[row * n + column] != dot(a, b, n, row, column);
	return gpu.report("matmul", wrong == 0,
			  std::to_string(n) + " x " + std::to_string(n) + " matrices multiplied, " + std::to_string(wrong) +
				  " elements wrong");
}
