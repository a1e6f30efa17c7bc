// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The GPU works on a region without end while the CPU changes its mind about the pages: replaces the mapping, takes write
 * permission away and gives it back, forks, throws the contents away. After each change the GPU proves that it sees the new
 * pages and writes to them; one stale access would be counted (see kernels/sweep.c).
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "../support/sweeper.hpp"
#include "workload.hpp"

namespace {

struct Churn {
	char *region;
	std::uint64_t bytes;
	std::uint64_t pages;
	sweeper::Sweeper &gpu;
};

void check(bool held, const Churn &churn, const char *doing)
{
	if (!held)
		workload::fail(std::string(doing) + ": " + churn.gpu.complaint());
}

void check_call(int result, const char *doing)
{
	if (result)
		workload::fail(std::string(doing) + ": " + std::strerror(errno));
}

char *map_at(char *where, std::uint64_t bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0);
	void *memory = mmap(where, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (memory == MAP_FAILED)
		workload::fail(std::string("mmap: ") + std::strerror(errno));
	return static_cast<char *>(memory);
}

/* New pages at the same addresses, in one go, under fire. */
void replace_mapping(const Churn &churn)
{
	check(churn.gpu.change([&] { map_at(churn.region, churn.bytes); }), churn, "replacing the mapping");
}

/* Nothing may touch the hole in between, so the lanes stand still, with their translations cached. */
void unmap_and_map(const Churn &churn)
{
	check(churn.gpu.pause(), churn, "munmap");
	churn.gpu.begin_change();
	check_call(munmap(churn.region, churn.bytes), "munmap");
	map_at(churn.region, churn.bytes);
	churn.gpu.end_change();
	churn.gpu.resume();
	check(churn.gpu.wait_round() && churn.gpu.wait_gpu_words(), churn, "munmap and mmap");
}

void drop_contents(const Churn &churn)
{
	auto drop = [&] { check_call(madvise(churn.region, churn.bytes, MADV_DONTNEED), "madvise"); };

	check(churn.gpu.change(drop), churn, "madvise(MADV_DONTNEED)");
}

void protect_and_unprotect(const Churn &churn)
{
	check(churn.gpu.set_mode(SWEEP_CHECK), churn, "mprotect");
	check_call(mprotect(churn.region, churn.bytes, PROT_READ), "mprotect");
	check(churn.gpu.wait_round(), churn, "reading after mprotect(PROT_READ)");
	check_call(mprotect(churn.region, churn.bytes, PROT_READ | PROT_WRITE), "mprotect");
	check(churn.gpu.set_mode(SWEEP_CHECK | SWEEP_WRITE), churn, "writing after mprotect(PROT_READ | PROT_WRITE)");
	check(churn.gpu.change([] {}), churn, "mprotect");
}

std::uint64_t gpu_word(const Churn &churn, std::uint64_t page)
{
	return *reinterpret_cast<volatile std::uint64_t *>(churn.region + page * sweeper::page_bytes + 8 * SWEEP_GPU_WORD);
}

/* The child: what it has was frozen by fork(), whatever the GPU writes for the parent; and what it writes stays its own. */
int live_as_child(const Churn &churn, std::uint64_t generation)
{
	for (std::uint64_t page = 0; page < churn.pages; page++)
		if (gpu_word(churn, page) > generation)
			return 1;
	std::memset(churn.region, 0xee, churn.bytes / 2);
	if (!sweeper::wait_until([&] { return churn.gpu.generation() >= generation + 4; }))
		return 2;
	for (std::uint64_t page = churn.pages / 2; page < churn.pages; page++)
		if (gpu_word(churn, page) > generation)
			return 3;
	return 0;
}

void fork_and_write(const Churn &churn)
{
	check(churn.gpu.wait_round(), churn, "fork");
	std::uint64_t generation = churn.gpu.generation();
	pid_t child = fork();

	if (child == 0)
		_exit(live_as_child(churn, generation));
	check(churn.gpu.change([] {}) && churn.gpu.change([] {}), churn, "writing after fork");
	int status;
	check_call(waitpid(child, &status, 0) != child, "waitpid");
	if (status)
		workload::fail("fork: the child saw what the GPU wrote for its parent (wait status " + std::to_string(status) + ")");
	check(churn.gpu.errors() == 0, churn, "fork");
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t rounds = 5, pages = 64;

	workload::parse_options(argc, argv, "churn: the GPU works on memory while the CPU unmaps, protects, forks and drops it.",
				{{"rounds", "times to do all of it", &rounds, 1, 1'000'000},
				 {"pages", "of 4 KiB", &pages, 2, 65536}});
	workload::Session session("store.elf");
	sweeper::Sweeper gpu(session.device);
	Churn churn = {map_at(nullptr, pages * sweeper::page_bytes), pages * sweeper::page_bytes, pages, gpu};

	check(gpu.start(churn.region, pages, SWEEP_CHECK | SWEEP_WRITE), churn, "starting");
	for (std::uint64_t round = 0; round < rounds; round++) {
		replace_mapping(churn);
		unmap_and_map(churn);
		drop_contents(churn);
		protect_and_unprotect(churn);
		fork_and_write(churn);
	}
	std::uint64_t gpu_rounds = gpu.rounds();
	check(gpu.stop(), churn, "stopping");
	return session.report("churn", gpu.errors() == 0,
			      std::to_string(rounds) + " times replaced, unmapped, dropped, protected and forked " +
				      std::to_string(pages) + " pages while the GPU went over them " + std::to_string(gpu_rounds) +
				      " times, " + std::to_string(gpu.errors()) + " stale reads");
}
