// SPDX-License-Identifier: GPL-2.0-or-later
/* Plain malloc memory, handed to the GPU as it is. */
#include <cstdlib>
#include <memory>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

struct Free {
	void operator()(float *memory) const { std::free(memory); }
};

using Vector = std::unique_ptr<float[], Free>;

Vector make_vector(std::uint64_t count)
{
	Vector vector(static_cast<float *>(std::malloc(count * sizeof(float))));

	if (!vector)
		workload::fail("no memory for a vector of " + std::to_string(count) + " elements");
	return vector;
}

std::uint64_t count_wrong(const float *sum, std::uint64_t count)
{
	std::uint64_t wrong = 0;

	for (std::uint64_t i = 0; i < count; i++)
		wrong += sum[i] != static_cast<float>(i % 1000) + static_cast<float>(i % 77) * 0.5f;
	return wrong;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t elements = 262144;

	workload::parse_options(argc, argv, "vecadd: adds two vectors of floats that lie in malloc memory, on the GPU.",
				{{"elements", "floats in each vector", &elements, 1, 1ull << 28}});
	workload::Session gpu("vecadd.elf");
	Vector a = make_vector(elements), b = make_vector(elements), sum = make_vector(elements);

	for (std::uint64_t i = 0; i < elements; i++) {
		a[i] = static_cast<float>(i % 1000);
		b[i] = static_cast<float>(i % 77) * 0.5f;
	}
	vecadd_arguments arguments = {a.get(), b.get(), sum.get(), elements};
	gpu.run(gpu.kernel("vecadd"), {static_cast<std::uint32_t>(elements)}, {256}, &arguments);
	std::uint64_t wrong = count_wrong(sum.get(), elements);
	return gpu.report("vecadd", wrong == 0,
			  std::to_string(elements) + " elements added in malloc memory, " + std::to_string(wrong) + " wrong");
}
