// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"

namespace bench {

void fail(const std::string &text)
{
	std::fflush(stdout);
	std::fprintf(stderr, "tandem-bench: %s\n", text.c_str());
	std::_Exit(1);
}

std::uint64_t now_ns()
{
	timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t time_ns(const std::function<void()> &work)
{
	std::uint64_t begin = now_ns();

	work();
	return now_ns() - begin;
}

void print(const std::string &name, const std::string &unit, const Samples &samples)
{
	std::printf("{\"name\": \"%s\", \"unit\": \"%s\", \"samples\": [", name.c_str(), unit.c_str());
	for (std::size_t i = 0; i < samples.size(); i++)
		std::printf("%s%.9g", i ? ", " : "", samples[i]);
	std::printf("]}\n");
	std::fflush(stdout);
}

namespace {

constexpr std::uint64_t huge_bytes = 2 << 20;

unsigned char *map(void *where, std::uint64_t bytes, int protection, int flags, int fd)
{
	void *start = mmap(where, bytes, protection, flags, fd, 0);

	if (start == MAP_FAILED)
		fail("mmap of " + std::to_string(bytes) + " bytes: " + std::strerror(errno));
	return static_cast<unsigned char *>(start);
}

/* Room for `bytes` at a multiple of 2 MiB. */
unsigned char *reserve(std::uint64_t bytes, unsigned char **reserved, std::uint64_t *reserved_bytes)
{
	*reserved_bytes = bytes + huge_bytes;
	*reserved = map(nullptr, *reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	auto address = reinterpret_cast<std::uintptr_t>(*reserved);
	return *reserved + (huge_bytes - address % huge_bytes) % huge_bytes;
}

} // namespace

Mapping::Mapping(std::uint64_t bytes, Pages pages) : bytes_(bytes)
{
	start_ = reserve(bytes, &reserved_, &reserved_bytes_);
	map(start_, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	if (madvise(start_, bytes, pages == Pages::Huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		fail(std::string("madvise: ") + std::strerror(errno));
}

Mapping::Mapping(int fd, std::uint64_t file_bytes, std::uint64_t bytes) : bytes_(bytes)
{
	start_ = reserve(bytes, &reserved_, &reserved_bytes_);
	for (std::uint64_t offset = 0; offset < bytes; offset += file_bytes)
		map(start_ + offset, std::min(file_bytes, bytes - offset), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd);
}

void Mapping::unmap()
{
	if (reserved_)
		munmap(reserved_, reserved_bytes_);
	reserved_ = nullptr;
}

void Mapping::touch() const
{
	for (std::uint64_t offset = 0; offset < bytes_; offset += page_bytes)
		*reinterpret_cast<volatile std::uint64_t *>(at(offset)) = offset;
}

Gpu::Gpu()
	: device(need(tandem::Device::open())), queue(need(device.queue())),
	  module(need(device.module("bench.elf")))
{
}

void Gpu::run(const char *kernel, std::uint32_t lanes, const void *arguments) const
{
	need(queue.run(need(module.kernel(kernel)), {lanes}, {256}, arguments, 0, time_limit_ns));
}

std::uint32_t Gpu::resident_lanes() const
{
	tandem_ioc_query info = need(device.query());

	return info.compute_units * info.waves_per_cu * info.wave_lanes;
}

void Gpu::touch(const Mapping &mapping, std::uint64_t stride) const
{
	bench_touch_arguments arguments = {mapping.at(), stride, mapping.bytes() / stride};

	run("bench_touch", static_cast<std::uint32_t>(arguments.count), &arguments);
}

Peer::Peer(const std::function<Sampler()> &start)
{
	int requests[2], answers[2];

	if (pipe(requests) || pipe(answers))
		fail(std::string("pipe: ") + std::strerror(errno));
	std::fflush(stdout);
	pid_ = fork();
	if (pid_ < 0)
		fail(std::string("fork: ") + std::strerror(errno));
	if (pid_ == 0) {
		close(requests[1]);
		close(answers[0]);
		serve(requests[0], answers[1], start);
	}
	close(requests[0]);
	close(answers[1]);
	requests_ = requests[1];
	answers_ = answers[0];
}

void Peer::serve(int requests, int answers, const std::function<Sampler()> &start)
{
	Sampler sampler;
	char request;

	while (read(requests, &request, 1) == 1) {
		if (!sampler)
			sampler = start();
		double sample = sampler();
		if (write(answers, &sample, sizeof(sample)) != sizeof(sample))
			break;
	}
	std::exit(0);
}

double Peer::sample() const
{
	char request = 0;
	double sample;

	if (write(requests_, &request, 1) != 1 || read(answers_, &sample, sizeof(sample)) != sizeof(sample))
		fail("a measuring process ended early");
	return sample;
}

Peer::~Peer()
{
	close(requests_);
	close(answers_);
	waitpid(pid_, nullptr, 0);
}

} // namespace bench
