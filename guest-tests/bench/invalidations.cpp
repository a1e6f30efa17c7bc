// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the mirror costs the CPU when it takes memory away: munmap of a resident 2 MiB range that the GPU has mapped against one in
 * a process that never opened the GPU; and dropping one page out of 1 Ki and out of 1 Mi mirrored pages.
 */
#include "bench.hpp"

#include <cstdlib>
#include <cstring>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::uint64_t range_bytes = 2 << 20;
constexpr unsigned munmap_rounds = 60;
constexpr std::uint64_t file_bytes = 64 << 20;
constexpr std::uint64_t few_pages = 1 << 10, many_pages = 1 << 20;
constexpr unsigned page_rounds = 200;

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

} // namespace bench
