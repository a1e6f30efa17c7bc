// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the benchmarks in the guest share: time, samples printed for the front end (tools/frontend/bench_guest.py), the opened
 * GPU, and peers: forked processes that take their samples in turn with others, so that both sides of a comparison meet the
 * same load of the host.
 *
 * Each benchmark prints one JSON object a line: {"name": NAME, "unit": UNIT, "samples": [...]}.
 */
#ifndef TANDEM_BENCH_HPP
#define TANDEM_BENCH_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tandem/tandem.hpp"

namespace bench {

/* Ends the program with the text. */
[[noreturn]] void fail(const std::string &text);

template <typename T> T need(tandem::Result<T> result)
{
	if (!result)
		fail(result.error().text);
	return result.take();
}

/* The guest's monotonic clock; the host's time drives it. */
std::uint64_t now_ns();
std::uint64_t time_ns(const std::function<void()> &work);

using Samples = std::vector<double>;
void print(const std::string &name, const std::string &unit, const Samples &samples);

/* Anonymous memory or a view of a file, unmapped when it goes. No page of it is there yet. */
class Mapping {
public:
	enum class Pages { Small, Huge };

	Mapping(std::uint64_t bytes, Pages pages);
	/* Several views of `fd`, `file_bytes` each, one behind the other; present and writable. */
	Mapping(int fd, std::uint64_t file_bytes, std::uint64_t bytes);
	~Mapping() { unmap(); }
	Mapping(const Mapping &) = delete;
	Mapping &operator=(const Mapping &) = delete;

	unsigned char *at(std::uint64_t offset = 0) const { return start_ + offset; }
	std::uint64_t bytes() const { return bytes_; }
	void unmap();
	/* A CPU write to each page. */
	void touch() const;

private:
	unsigned char *start_;
	std::uint64_t bytes_;
	unsigned char *reserved_;
	std::uint64_t reserved_bytes_;
};

/* An address space on the GPU, a queue and the kernels. */
class Gpu {
public:
	Gpu();

	/* One lane each `stride` bytes of the mapping writes a word. */
	void touch(const Mapping &mapping, std::uint64_t stride) const;
	void run(const char *kernel, std::uint32_t lanes, const void *arguments) const;
	/* As many as it holds at once: how one sizes a grid whose lanes each walk through many elements. */
	std::uint32_t resident_lanes() const;
	std::uint64_t pages_mirrored() const { return need(device.stats()).pages_mirrored; }

	tandem::Device device;
	tandem::Queue queue;
	tandem::Module module;

	static constexpr std::int64_t time_limit_ns = 120'000'000'000;
};

/* A process of its own that takes a sample when it is asked. It is forked at once: make peers before the GPU is opened. */
class Peer {
public:
	/* start() runs in the new process and returns what takes a sample. */
	using Sampler = std::function<double()>;
	explicit Peer(const std::function<Sampler()> &start);
	~Peer();
	Peer(const Peer &) = delete;
	Peer &operator=(const Peer &) = delete;

	double sample() const;

private:
	[[noreturn]] static void serve(int requests, int answers, const std::function<Sampler()> &start);

	int requests_;
	int answers_;
	int pid_;
};

/* The benchmarks. */
void hash();
void faults();
void fault_latency();
void munmap_2m();
void pages();
void busy();
void copy();
void migrate();
void atomics();
void translation();

inline constexpr std::uint64_t page_bytes = 4096;

} // namespace bench

#endif
