// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Float and double mathematics: CPU and GPU compile one source (kernels/numbers.h) and must agree to the bit. Exponential and
 * sine are also held against the C library's, so that both cannot be wrong alike.
 */
#include <cmath>
#include <cstring>
#include <random>

#include "../kernels/arguments.h"
#include "../kernels/numbers.h"
#include "workload.hpp"

namespace {

/* Of both signs and of many magnitudes, and the special ones that IEEE 754 keeps for the end. */
std::vector<double> make_numbers(std::uint64_t count, std::uint64_t seed)
{
	std::mt19937_64 random(seed);
	std::uniform_real_distribution<double> mantissa(-1, 1);
	std::vector<double> numbers = {0.0, -0.0, 1.0, -1.0, 0.5, 4.9e-324, -2.2250738585072014e-308, 1e-40, 1e-45, 600, -600};

	while (numbers.size() < count)
		numbers.push_back(std::ldexp(mantissa(random), static_cast<int>(random() % 40) - 30));
	numbers.resize(count);
	return numbers;
}

template <typename T> std::uint64_t differences(const std::vector<T> &left, const std::vector<T> &right)
{
	std::uint64_t count = 0;

	for (std::size_t i = 0; i < left.size(); i++)
		if (!(std::isnan(left[i]) && std::isnan(right[i])))
			count += std::memcmp(&left[i], &right[i], sizeof(T)) != 0;
	return count;
}

/* How far the series are from the C library, relative to the result, at the worst. */
double greatest_error(const std::vector<double> &x, const std::vector<double> &results)
{
	double greatest = 0;

	for (std::size_t i = 0; i < x.size(); i++) {
		double exponential = std::exp(x[i]);
		greatest = std::max(greatest, std::fabs(results[i * NUMBERS_RESULTS] - exponential) / exponential);
		greatest = std::max(greatest, std::fabs(results[i * NUMBERS_RESULTS + 1] - std::sin(x[i])));
	}
	return greatest;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t count = 4096, seed = 1;

	workload::parse_options(argc, argv, "mathematics: float and double mathematics, compared with the CPU to the bit.",
				{{"count", "numbers", &count, 1, 1ull << 24}, {"seed", "for the numbers", &seed, 0, UINT64_MAX}});
	workload::Session gpu("mathematics.elf");
	auto x = make_numbers(count, seed);
	std::vector<double> doubles(count * NUMBERS_RESULTS), expected_doubles(count * NUMBERS_RESULTS);
	std::vector<float> floats(count * NUMBERS_RESULTS), expected_floats(count * NUMBERS_RESULTS);
	numbers_arguments arguments = {x.data(), doubles.data(), floats.data(), count};

	gpu.run(gpu.kernel("numbers"), {static_cast<std::uint32_t>((count + 63) / 64 * 64)}, {64}, &arguments);
	for (std::uint64_t i = 0; i < count; i++) {
		numbers_doubles(&expected_doubles[i * NUMBERS_RESULTS], x[i]);
		numbers_floats(&expected_floats[i * NUMBERS_RESULTS], static_cast<float>(x[i]));
	}
	std::uint64_t wrong = differences(doubles, expected_doubles) + differences(floats, expected_floats);
	double error = greatest_error(x, doubles);
	char text[128];

	std::snprintf(text, sizeof(text), ", %llu differ; exp and sin are within %.1e of the C library's",
		      static_cast<unsigned long long>(wrong), error);
	return gpu.report("mathematics", wrong == 0 && error < 1e-13,
			  std::to_string(2 * count * NUMBERS_RESULTS) + " floats and doubles computed" + text);
}
