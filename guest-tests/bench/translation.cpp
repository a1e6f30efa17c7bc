// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two ways of sharing a process's memory, side by side: a mirror that the driver keeps, and the process's own page table through
 * the IOMMU. Each sample is taken in a process of its own, which opened the GPU that way; they take turns.
 */
#include <sys/mman.h>

#include <cstdlib>

#include "arguments.h"
#include "bench.hpp"

namespace bench {

namespace {

constexpr std::uint64_t miss_pages = 16384; /* more than all TLBs and the ATC hold */
constexpr std::uint64_t some_pages = 4096;
constexpr unsigned miss_rounds = 7, page_rounds = 200;

/* The samplers' state lives as long as their process. */
struct Bound {
	explicit Bound(const char *translation)
	{
		setenv("TANDEM_TRANSLATION", translation, 1);
		gpu = std::make_unique<Gpu>();
	}
	std::unique_ptr<Gpu> gpu;
	std::uint64_t next = 0;
};

/* All pages are there and known, and none is in a TLB: nanoseconds a page. */
Peer::Sampler miss(const char *translation)
{
	auto bound = std::make_shared<Bound>(translation);
	auto region = std::make_shared<Mapping>(miss_pages * page_bytes, Mapping::Pages::Small);

	region->touch();
	bound->gpu->touch(*region, page_bytes);
	return [=] {
		return static_cast<double>(time_ns([&] { bound->gpu->touch(*region, page_bytes); })) / static_cast<double>(miss_pages);
	};
}

/* One lane and a page that nobody has touched: from dispatch to completion. */
Peer::Sampler fault(const char *translation)
{
	auto bound = std::make_shared<Bound>(translation);
	auto region = std::make_shared<Mapping>(some_pages * page_bytes, Mapping::Pages::Small);

	return [=] {
		bench_touch_arguments arguments = {region->at(bound->next++ % some_pages * page_bytes), page_bytes, 1};

		return static_cast<double>(time_ns([&] { bound->gpu->run("bench_touch", 1, &arguments); }));
	};
}

/* A page that the GPU has a translation of goes away. */
Peer::Sampler invalidate(const char *translation)
{
	auto bound = std::make_shared<Bound>(translation);
	auto region = std::make_shared<Mapping>(some_pages * page_bytes, Mapping::Pages::Small);

	return [=] {
		unsigned char *page = region->at(bound->next++ % some_pages * page_bytes);
		bench_touch_arguments arguments = {page, page_bytes, 1};

		bound->gpu->run("bench_touch", 1, &arguments);
		return static_cast<double>(time_ns([&] { madvise(page, page_bytes, MADV_DONTNEED); }));
	};
}

void in_turn(const char *name, Peer::Sampler (*start)(const char *), unsigned rounds)
{
	Peer mirror([=] { return start("mirror"); }), sva([=] { return start("sva"); });
	Samples by_mirror, by_sva;

	mirror.sample(), sva.sample(); /* the first brings code and arguments in as well */
	for (unsigned round = 0; round < rounds; round++) {
		by_mirror.push_back(mirror.sample());
		by_sva.push_back(sva.sample());
	}
	print(std::string(name) + "-mirror", "ns", by_mirror);
	print(std::string(name) + "-sva", "ns", by_sva);
}

} // namespace

void translation()
{
	in_turn("miss", miss, miss_rounds);
	in_turn("fault", fault, page_rounds);
	in_turn("invalidate", invalidate, page_rounds);
}

} // namespace bench
