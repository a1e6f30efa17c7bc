// SPDX-License-Identifier: GPL-2.0-or-later
/* Bytes a second of the copy engine between two buffers in system memory that are mapped already. */
#include "bench.hpp"

#include <cstring>

namespace bench {

namespace {

/* As in tools/bench/memcpy_host.c. */
constexpr std::uint64_t copy_bytes = 32 << 20;
constexpr unsigned rounds = 5;

std::uint64_t copy_once(const Gpu &gpu, const Mapping &to, const Mapping &from)
{
	auto done = need(tandem::Signal::create(1));

	return time_ns([&] {
		need(tandem::outcome(tandem_copy(gpu.queue.get(), to.at(), from.at(), copy_bytes, done.get())));
		need(gpu.queue.wait(done, Gpu::time_limit_ns));
	});
}

} // namespace

void copy()
{
	Gpu gpu;
	Mapping from(copy_bytes, Mapping::Pages::Huge), to(copy_bytes, Mapping::Pages::Huge);
	Samples rates;

	from.touch();
	to.touch();
	copy_once(gpu, to, from); /* maps both */
	if (std::memcmp(to.at(), from.at(), copy_bytes))
		fail("the copy is wrong");
	for (unsigned round = 0; round < rounds; round++)
		rates.push_back(1e9 * copy_bytes / static_cast<double>(copy_once(gpu, to, from)));
	print("copy", "bytes/s", rates);
}

} // namespace bench
