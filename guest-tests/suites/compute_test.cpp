// SPDX-License-Identifier: GPL-2.0-or-later
/* What lanes compute, against the CPU: identity, divergence, calls, barriers, local memory, wavefront operations, numbers. */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "gpu_test.hpp"

using namespace gpu_test;

namespace {

class ComputeTest : public GpuTest {
protected:
	void SetUp() override
	{
		kernel_file_ = "test_compute.elf";
		GpuTest::SetUp();
	}

	/* One input and `outputs` results for each of n work items. */
	std::vector<std::uint64_t> compute(const char *name, const std::vector<std::uint64_t> &in, std::uint64_t outputs,
					   std::uint16_t group, std::uint32_t lds = 0, std::uint64_t extra = 0)
	{
		std::vector<std::uint64_t> out(std::max<std::uint64_t>(outputs, 1));
		compute_arguments arguments = {out.data(), in.data(), in.size(), extra};

		EXPECT_OK(run(name, {static_cast<std::uint32_t>(in.size())}, {group}, &arguments, lds));
		return out;
	}

	static std::vector<std::uint64_t> random_numbers(std::size_t count, std::uint64_t seed)
	{
		std::mt19937_64 random(seed);
		std::vector<std::uint64_t> numbers(count);
		for (auto &number : numbers)
			number = random();
		return numbers;
	}

	void expect_ids(tandem::Grid grid, tandem::Group group)
	{
		std::uint64_t items = std::uint64_t{grid.x} * grid.y * grid.z;
		std::vector<std::uint64_t> out(items * 8);
		compute_arguments arguments = {out.data(), nullptr, items, 0};
		auto pack = [](std::uint64_t x, std::uint64_t y, std::uint64_t z) { return x | y << 16 | z << 32; };

		ASSERT_OK(run("who_am_i", grid, group, &arguments));
		for (std::uint64_t i = 0; i < items; i++) {
			std::uint64_t x = i % grid.x, y = i / grid.x % grid.y, z = i / grid.x / grid.y;
			const std::uint64_t *one = &out[i * 8];
			ASSERT_EQ(one[0], 1u) << "work item " << i << " ran that many times";
			ASSERT_EQ(one[1], pack(x, y, z)) << i;
			ASSERT_EQ(one[2], pack(x % group.x, y % group.y, z % group.z)) << i;
			ASSERT_EQ(one[3], pack(x / group.x, y / group.y, z / group.z)) << i;
			ASSERT_EQ(one[4], pack(group.x, group.y, group.z)) << i;
			ASSERT_LT(one[5], 32u) << i;
		}
	}
};

TEST_F(ComputeTest, ids_in_one_dimension)
{
	expect_ids({256}, {64});
}

TEST_F(ComputeTest, ids_in_two_dimensions)
{
	expect_ids({24, 12}, {8, 4});
}

TEST_F(ComputeTest, ids_in_three_dimensions)
{
	expect_ids({8, 6, 4}, {4, 3, 2});
}

TEST_F(ComputeTest, partial_workgroups)
{
	expect_ids({100}, {64});
	expect_ids({1}, {32});
	expect_ids({33}, {32});
	expect_ids({7, 5, 3}, {4, 4, 2});
}

TEST_F(ComputeTest, groups_of_one_and_of_the_greatest_size)
{
	expect_ids({37}, {1});
	expect_ids({2048}, {1024});
}

TEST_F(ComputeTest, wave_and_lane_numbers_fill_up)
{
	std::vector<std::uint64_t> out(128 * 8);
	compute_arguments arguments = {out.data(), nullptr, 128, 0};

	ASSERT_OK(run("who_am_i", {128}, {128}, &arguments));
	for (std::uint64_t i = 0; i < 128; i++) {
		EXPECT_EQ(out[i * 8 + 5], i % 32) << i;
		EXPECT_EQ(out[i * 8 + 6], i / 32) << i;
	}
}

TEST_F(ComputeTest, lanes_that_loop_for_different_times)
{
	std::vector<std::uint64_t> in(256);
	for (std::uint64_t i = 0; i < in.size(); i++)
		in[i] = i + 1;
	auto out = compute("diverge", in, in.size(), 64);
	for (std::uint64_t i = 0; i < in.size(); i++) {
		std::uint64_t steps = 0;
		for (std::uint64_t n = in[i]; n != 1; steps++)
			n = n & 1 ? 3 * n + 1 : n / 2;
		EXPECT_EQ(out[i], steps) << in[i];
	}
}

TEST_F(ComputeTest, recursion)
{
	auto out = compute("recurse", std::vector<std::uint64_t>(64), 64, 64);
	for (std::uint64_t i = 0; i < 64; i++)
		EXPECT_EQ(out[i], 2 * (i % 8) + 3) << i;
}

TEST_F(ComputeTest, function_pointers)
{
	auto in = random_numbers(128, 1);
	auto out = compute("call_pointers", in, in.size(), 64);
	for (std::size_t i = 0; i < in.size(); i++) {
		std::uint64_t x = in[i];
		std::uint64_t expected[] = {x * 2, x * x, -x, x << 13 | x >> 51};
		EXPECT_EQ(out[i], expected[x & 3]) << i;
	}
}

TEST_F(ComputeTest, barrier_and_local_memory)
{
	auto in = random_numbers(512, 2);
	auto out = compute("reverse_in_group", in, in.size(), 128, 128 * 8);
	for (std::size_t i = 0; i < in.size(); i++)
		ASSERT_EQ(out[i], in[i / 128 * 128 + 127 - i % 128]) << i;
}

TEST_F(ComputeTest, barriers_in_a_loop)
{
	auto in = random_numbers(1024, 3);
	auto out = compute("reduce", in, 4, 256, 256 * 8);
	for (std::size_t group = 0; group < 4; group++) {
		std::uint64_t sum = 0;
		for (std::size_t i = 0; i < 256; i++)
			sum += in[group * 256 + i];
		EXPECT_EQ(out[group], sum) << group;
	}
}

TEST_F(ComputeTest, local_memory_of_many_groups_is_kept_apart)
{
	auto in = random_numbers(64 * 64, 4);
	auto out = compute("reverse_in_group", in, in.size(), 64, 64 * 8);
	for (std::size_t i = 0; i < in.size(); i++)
		ASSERT_EQ(out[i], in[i / 64 * 64 + 63 - i % 64]) << i;
}

TEST_F(ComputeTest, ballot_and_shuffle)
{
	auto in = random_numbers(64, 5);
	auto out = compute("exchange_lanes", in, in.size() * 3, 64);
	for (std::size_t i = 0; i < in.size(); i++) {
		std::size_t wave = i / 32 * 32, lane = i % 32;
		std::uint32_t odd = 0;
		for (std::size_t n = 0; n < 32; n++)
			odd |= static_cast<std::uint32_t>(in[wave + n] & 1) << n;
		EXPECT_EQ(out[i * 3], odd) << i;
		EXPECT_EQ(out[i * 3 + 1], in[wave + (lane ^ 1)]) << i;
		EXPECT_EQ(out[i * 3 + 2], in[wave + (lane + 33) % 32]) << i;
	}
}

TEST_F(ComputeTest, lanes_of_one_wavefront_take_turns_at_a_lock)
{
	auto out = compute("take_turns", std::vector<std::uint64_t>(32), 2, 32, 0, 10);

	EXPECT_EQ(out[0], 0u) << "the lock is free";
	EXPECT_EQ(out[1], 320u) << "two lanes were in at the same time";
}

TEST_F(ComputeTest, lanes_of_many_wavefronts_take_turns_at_a_lock)
{
	auto out = compute("take_turns", std::vector<std::uint64_t>(128), 2, 64, 0, 3);

	EXPECT_EQ(out[1], 384u);
}

TEST_F(ComputeTest, each_lane_waits_for_the_next_of_its_wavefront)
{
	auto out = compute("chain", std::vector<std::uint64_t>(32), 32, 32);
	for (std::uint64_t i = 0; i < 32; i++)
		EXPECT_EQ(out[i], 32 - i);
}

TEST_F(ComputeTest, lanes_that_end_early_do_not_hold_the_barrier)
{
	auto out = compute("leave_early", std::vector<std::uint64_t>(128), 128, 64, 64 * 8);
	for (std::uint64_t i = 0; i < 128; i++) {
		std::uint64_t local = i % 64, other = 63 - local;
		EXPECT_EQ(out[i], local % 3 == 0 ? 0 : other % 3 ? other + 1 : 1) << i;
	}
}

TEST_F(ComputeTest, large_objects_on_a_lanes_own_stack)
{
	auto in = random_numbers(128, 6);
	auto out = compute("copy_structures", in, in.size(), 64);
	for (std::size_t i = 0; i < in.size(); i++) {
		std::uint64_t k = in[i] & 7;
		EXPECT_EQ(out[i], (in[i] + k) * (k + 1)) << i;
	}
}

TEST_F(ComputeTest, a_queue_with_too_small_stacks_refuses_the_kernel)
{
	tandem_queue_options options{};
	options.scratch_lane_bytes = 256;
	tandem::Queue small = new_queue(&options);
	auto outcome = small.run(kernel("recurse"), {1}, {1}, nullptr, 0, time_limit_ns);

	ASSERT_FALSE(outcome);
	EXPECT_EQ(outcome.error().status, TANDEM_ERROR_INVALID) << outcome.error().text;
}

TEST_F(ComputeTest, a_tile_product_like_the_cpus)
{
	constexpr std::uint32_t n = 32;
	std::vector<float> a(n * n), b(n * n), product(n * n);
	for (std::uint32_t i = 0; i < n * n; i++)
		a[i] = static_cast<float>(i % 17) / 7, b[i] = static_cast<float>(i % 23) / 3;
	matmul_arguments arguments = {a.data(), b.data(), product.data(), n};

	ASSERT_OK(queue().run(kernel("matmul", "matmul.elf"), {n, n}, {16, 16}, &arguments, 0, time_limit_ns));
	for (std::uint32_t row = 0; row < n; row++)
		for (std::uint32_t column = 0; column < n; column++) {
			float sum = 0;
			for (std::uint32_t k = 0; k < n; k++)
				sum += a[row * n + k] * b[k * n + column];
			ASSERT_EQ(product[row * n + column], sum) << row << ", " << column;
		}
}

/* Bit for bit: no result below may differ in rounding. NaNs are compared as NaNs. */
template <typename T> bool same(T a, T b)
{
	return std::memcmp(&a, &b, sizeof(a)) == 0 || (std::isnan(a) && std::isnan(b));
}

class MathTest : public ComputeTest {
protected:
	void SetUp() override
	{
		ComputeTest::SetUp();
		std::mt19937_64 random(7);
		std::uniform_real_distribution<double> numbers(-1000, 1000);
		for (auto &value : x_)
			value = numbers(random);
		for (auto &value : y_)
			value = numbers(random);
		x_[0] = 0.0, y_[0] = 1.0;
		x_[1] = -0.0, y_[1] = 3.0;
		x_[2] = 1e-300, y_[2] = 1e-10;
		math_arguments arguments = {x_.data(), y_.data(), doubles_.data(), floats_.data(), integers_.data(), count};
		ASSERT_OK(run("mathematics", {count}, {64}, &arguments));
	}

	static constexpr std::uint32_t count = 200;
	std::vector<double> x_ = std::vector<double>(count), y_ = std::vector<double>(count),
			    doubles_ = std::vector<double>(count * MATH_RESULTS);
	std::vector<float> floats_ = std::vector<float>(count * MATH_RESULTS);
	std::vector<std::int64_t> integers_ = std::vector<std::int64_t>(count * MATH_RESULTS);
};

TEST_F(MathTest, doubles_as_on_the_cpu)
{
	for (std::uint32_t i = 0; i < count; i++) {
		double x = x_[i], y = y_[i];
		double expected[] = {x + y, x - y, x * y, x / y, std::sqrt(x < 0 ? -x : x), std::fma(x, y, x), x < y ? x : y,
				     static_cast<double>(static_cast<float>(x))};
		for (unsigned k = 0; k < MATH_RESULTS; k++)
			ASSERT_TRUE(same(doubles_[i * MATH_RESULTS + k], expected[k]))
				<< "result " << k << " of " << x << " and " << y << ": " << doubles_[i * MATH_RESULTS + k]
				<< " in place of " << expected[k];
	}
}

TEST_F(MathTest, floats_as_on_the_cpu)
{
	for (std::uint32_t i = 0; i < count; i++) {
		float x = static_cast<float>(x_[i]), y = static_cast<float>(y_[i]);
		float expected[] = {x + y, x - y, x * y, x / y, std::sqrt(x < 0 ? -x : x), std::fma(x, y, x), x > y ? x : y,
				    static_cast<float>(static_cast<std::int32_t>(x * 1000))};
		for (unsigned k = 0; k < MATH_RESULTS; k++)
			ASSERT_TRUE(same(floats_[i * MATH_RESULTS + k], expected[k]))
				<< "result " << k << " of " << x << " and " << y << ": " << floats_[i * MATH_RESULTS + k]
				<< " in place of " << expected[k];
	}
}

TEST_F(MathTest, integers_as_on_the_cpu)
{
	for (std::uint32_t i = 0; i < count; i++) {
		auto x = static_cast<std::int64_t>(x_[i] * 1e12), y = static_cast<std::int64_t>(y_[i] * 1000) | 1;
		std::int64_t expected[] = {x + y,
					   static_cast<std::int64_t>(static_cast<std::uint64_t>(x) * static_cast<std::uint64_t>(y)),
					   x / y,
					   x % y,
					   static_cast<std::int64_t>(static_cast<std::uint64_t>(x) >> (y & 63)),
					   x >> (y & 63),
					   static_cast<std::int64_t>(static_cast<__int128>(x) * y >> 64),
					   static_cast<std::int32_t>(static_cast<std::uint32_t>(x) * static_cast<std::uint32_t>(y))};
		for (unsigned k = 0; k < MATH_RESULTS; k++)
			ASSERT_EQ(integers_[i * MATH_RESULTS + k], expected[k]) << "result " << k << " of " << x << " and " << y;
	}
}

} // namespace
