// SPDX-License-Identifier: GPL-2.0-or-later
/* Elements a second of the hash kernel through the whole path: packets, dispatch, translation, stores to guest memory. */
#include "bench.hpp"

#include <cstdio>

extern "C" {
#include "hash.h"
}

namespace bench {

namespace {

/* As in tools/bench/hash_user.c, so that the checksums can be compared. */
constexpr std::uint64_t elements = 1 << 20;
constexpr unsigned passes = 16;
constexpr unsigned rounds = 3;

std::uint64_t checksum(const std::uint64_t *words)
{
	std::uint64_t sum = 0;

	for (std::uint64_t i = 0; i < elements; i++)
		sum = sum * 31 + words[i];
	return sum;
}

/* All passes are in the queue at once: what is measured is the kernel, and a 16th of a launch. */
std::uint64_t run_passes(const Gpu &gpu, std::uint32_t lanes, const hash_arguments &arguments)
{
	auto done = need(tandem::Signal::create(passes));
	auto kernel = need(gpu.module.kernel("bench_hash"));

	return time_ns([&] {
		for (unsigned pass = 0; pass < passes; pass++)
			need(gpu.queue.dispatch(kernel, {lanes}, {256}, &arguments, done.get()));
		need(gpu.queue.wait(done, Gpu::time_limit_ns));
	});
}

} // namespace

void hash()
{
	Gpu gpu;
	Mapping in(elements * 8, Mapping::Pages::Huge), out(elements * 8, Mapping::Pages::Huge);
	auto *words = reinterpret_cast<std::uint64_t *>(in.at());
	hash_arguments arguments = {reinterpret_cast<unsigned long *>(in.at()), reinterpret_cast<unsigned long *>(out.at()),
				    elements};
	const std::uint32_t lanes = gpu.resident_lanes();
	Samples rates;

	for (std::uint64_t i = 0; i < elements; i++)
		words[i] = i * 0x9e3779b97f4a7c15;
	out.touch();
	for (std::uint64_t offset = 0; offset < out.bytes(); offset += page_bytes)
		*reinterpret_cast<std::uint64_t *>(out.at(offset)) = 0;
	gpu.run("bench_hash", lanes, &arguments);
	std::printf("{\"name\": \"checksum\", \"value\": \"%016llx\"}\n",
		    static_cast<unsigned long long>(checksum(reinterpret_cast<std::uint64_t *>(out.at()))));
	for (unsigned round = 0; round < rounds; round++)
		rates.push_back(1e9 * passes * elements / static_cast<double>(run_passes(gpu, lanes, arguments)));
	print("hash", "elements/s", rates);
}

} // namespace bench
