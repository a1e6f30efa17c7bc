// SPDX-License-Identifier: GPL-2.0-or-later
/* The copy engine on virtual addresses: copies and fills malloc memory at odd offsets, and faults like a wavefront. */
#include <cstring>
#include <random>

#include "workload.hpp"

namespace {

std::vector<unsigned char> make_bytes(std::uint64_t bytes)
{
	std::mt19937_64 random(3);
	std::vector<unsigned char> data(bytes);

	for (auto &byte : data)
		byte = static_cast<unsigned char>(random());
	return data;
}

bool all_are(const std::vector<std::uint64_t> &words, std::uint64_t pattern)
{
	for (std::uint64_t word : words)
		if (word != pattern)
			return false;
	return true;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t bytes = 4 << 20;
	constexpr std::uint64_t margin = 3, pattern = 0x0123456789abcdef;

	workload::parse_options(argc, argv, "copy: copies and fills memory with the copy engine.",
				{{"bytes", "to copy and to fill", &bytes, 8, 1ull << 30}});
	bytes &= ~7ull;
	workload::Session gpu("store.elf");
	auto source = make_bytes(bytes);
	std::vector<unsigned char> target(bytes + 2 * margin, 0x5a);
	std::vector<std::uint64_t> filled(bytes / 8);
	auto done = workload::need(tandem::Signal::create(2));

	workload::need(tandem::outcome(tandem_copy(gpu.queue.get(), target.data() + margin, source.data(), bytes, done.get())));
	workload::need(tandem::outcome(tandem_fill(gpu.queue.get(), filled.data(), pattern, bytes, done.get())));
	gpu.wait(done);
	bool copied = std::memcmp(target.data() + margin, source.data(), bytes) == 0;
	bool kept = target[margin - 1] == 0x5a && target[margin + bytes] == 0x5a;
	return gpu.report("copy", copied && kept && all_are(filled, pattern),
			  std::to_string(bytes) + " bytes copied to an odd address, as many filled");
}
