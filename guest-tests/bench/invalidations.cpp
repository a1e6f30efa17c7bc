// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the mirror costs the CPU when it takes memory away: munmap of a resident 2 MiB range that the GPU has mapped against one in
 * a process that never opened the GPU; dropping one page out of 1 Ki and out of 1 Mi mirrored pages; and dropping one page while
 * all of the GPU's lanes compute, against an idle GPU: the invalidation has to come between their instructions.
 */
#include "bench.hpp"

#include <cstdlib>
#include <cstring>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

extern "C" {
#include "hash.h"
}

namespace bench {

namespace {

constexpr std::uint64_t range_bytes = 2 << 20;
constexpr unsigned munmap_rounds = 60;
constexpr std::uint64_t file_bytes = 64 << 20;
constexpr std::uint64_t few_pages = 1 << 10, many_pages = 1 << 20;
constexpr unsigned page_rounds = 200;
constexpr unsigned busy_rounds = 200;
constexpr std::uint64_t busy_elements = 1 << 22; /* half a second of work in all */
constexpr unsigned busy_passes = 16;

double time_unmap(Mapping &mapping)
{
	return static_cast<double>(time_ns([&] { mapping.unmap(); }));
}

double unmap_plain(Mapping::Pages pages)
{
	Mapping mapping(range_bytes, pages);

	mapping.touch();
	return time_unmap(mapping);
}

double unmap_mirrored(const Gpu &gpu, Mapping::Pages pages)
{
	Mapping mapping(range_bytes, pages);
	auto before = gpu.pages_mirrored();

	mapping.touch();
	gpu.touch(mapping, page_bytes);
	if (gpu.pages_mirrored() < before + range_bytes / page_bytes)
		fail("the range was not mirrored");
	return time_unmap(mapping);
}

void compare_munmap(const Gpu &gpu, const Peer &plain, Mapping::Pages pages, const std::string &name)
{
	Samples mirrored, unmirrored;

	for (unsigned round = 0; round < munmap_rounds; round++) {
		unmirrored.push_back(plain.sample());
		mirrored.push_back(unmap_mirrored(gpu, pages));
	}
	print(name + "mirrored", "ns", mirrored);
	print(name + "unmirrored", "ns", unmirrored);
}

int make_file()
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, file_bytes))
		fail("no memfd of " + std::to_string(file_bytes) + " bytes");
	return fd;
}

/* Mirrors `count` pages of the file, and then drops one page after another, each sample another one. */
Peer::Sampler drop_pages(int fd, std::uint64_t count)
{
	auto gpu = std::make_shared<Gpu>();
	auto mapping = std::make_shared<Mapping>(fd, std::min(file_bytes, count * page_bytes), count * page_bytes);
	auto random = std::make_shared<std::mt19937_64>(count);
	std::uint64_t before = gpu->pages_mirrored();

	gpu->touch(*mapping, 16 * page_bytes); /* the driver maps what is present around a fault */
	if (gpu->pages_mirrored() < before + count)
		gpu->touch(*mapping, page_bytes);
	if (gpu->pages_mirrored() < before + count)
		fail("only " + std::to_string(gpu->pages_mirrored() - before) + " of " + std::to_string(count) +
		     " pages were mirrored");
	return [=] {
		unsigned char *page = mapping->at((*random)() % count * page_bytes);
		double ns = static_cast<double>(time_ns([&] { madvise(page, page_bytes, MADV_DONTNEED); }));

		*reinterpret_cast<volatile std::uint64_t *>(page) = 1;
		return ns;
	};
}

/* Each page once: it is mirrored but the first time. */
Samples drop_each_page(Mapping &mapping, unsigned first)
{
	Samples samples;

	for (unsigned page = first; page < first + busy_rounds; page++)
		samples.push_back(static_cast<double>(
			time_ns([&] { madvise(mapping.at(page * page_bytes), page_bytes, MADV_DONTNEED); })));
	return samples;
}

} // namespace

void munmap_2m()
{
	Peer small([] { return [] { return unmap_plain(Mapping::Pages::Small); }; });
	Peer huge([] { return [] { return unmap_plain(Mapping::Pages::Huge); }; });
	Gpu gpu;

	compare_munmap(gpu, small, Mapping::Pages::Small, "small-");
	compare_munmap(gpu, huge, Mapping::Pages::Huge, "huge-");
}

void pages()
{
	int fd = make_file();
	Peer few([=] { return drop_pages(fd, few_pages); });
	Peer many([=] { return drop_pages(fd, many_pages); });
	Samples of_few, of_many;

	few.sample(), many.sample();
	for (unsigned round = 0; round < page_rounds; round++) {
		of_few.push_back(few.sample());
		of_many.push_back(many.sample());
	}
	print("of-1k", "ns", of_few);
	print("of-1m", "ns", of_many);
}

void busy()
{
	Gpu gpu;
	Mapping mapping(2 * busy_rounds * page_bytes, Mapping::Pages::Small), words(busy_elements * 8, Mapping::Pages::Huge);
	std::uint64_t before = gpu.pages_mirrored();
	auto *all = reinterpret_cast<unsigned long *>(words.at());
	hash_arguments arguments = {all, all, busy_elements};
	const std::uint32_t lanes = gpu.resident_lanes();
	auto done = need(tandem::Signal::create(busy_passes));
	auto kernel = need(gpu.module.kernel("bench_hash"));

	mapping.touch(), words.touch();
	gpu.touch(mapping, page_bytes);
	if (gpu.pages_mirrored() < before + 2 * busy_rounds)
		fail("the pages were not mirrored");
	gpu.run("bench_hash", lanes, &arguments);
	print("idle", "ns", drop_each_page(mapping, 0));
	for (unsigned pass = 0; pass < busy_passes; pass++)
		need(gpu.queue.dispatch(kernel, {lanes}, {256}, &arguments, done.get()));
	Samples busy = drop_each_page(mapping, busy_rounds);
	if (done.value() == 0)
		fail("the kernel ended before the last page was dropped");
	print("busy", "ns", busy);
	need(gpu.queue.wait(done, Gpu::time_limit_ns));
}

} // namespace bench
