// SPDX-License-Identifier: GPL-2.0-or-later
#include "device_operations.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace soak {

namespace {

constexpr std::uint64_t crowd_seed = 0xc0;

struct Part {
	char *start;
	std::uint64_t pages;
	std::uint64_t length() const { return pages * page_bytes; }
};

Part some_part(Arena &arena, char *region)
{
	std::uint64_t first = arena.below(pages), count = 1 + arena.below(pages - first);

	return {region + first * page_bytes, count};
}

/* No room is a right answer; anything else is not. */
bool accept(const tandem::Error &error, std::string &problem)
{
	if (error.status == TANDEM_ERROR_MEMORY)
		return true;
	problem = error.text;
	return false;
}

bool move(Arena &arena, std::string &problem, Part part, tandem_location location)
{
	auto moved = arena.device->prefetch(part.start, part.length(), location);

	return moved || accept(moved.error(), problem);
}

bool part_to_vram(Arena &arena, std::string &problem)
{
	return move(arena, problem, some_part(arena, arena.here), TANDEM_LOCATION_DEVICE);
}

bool all_to_vram(Arena &arena, std::string &problem)
{
	return move(arena, problem, {arena.here, pages}, TANDEM_LOCATION_DEVICE);
}

bool part_to_system(Arena &arena, std::string &problem)
{
	return move(arena, problem, some_part(arena, arena.here), TANDEM_LOCATION_SYSTEM);
}

bool all_to_system(Arena &arena, std::string &problem)
{
	return move(arena, problem, {arena.here, pages}, TANDEM_LOCATION_SYSTEM);
}

/* CPU faults bring the pages home, while the GPU counts in them. */
bool read_as_cpu(Arena &arena, std::string &problem)
{
	std::uint64_t first = arena.below(pages), step = 1 + arena.below(64);

	for (std::uint64_t page = first; page < pages; page += step)
		if (!arena.gpu.is_plausible(arena.here, page)) {
			problem = "the CPU saw a wrong page, number " + std::to_string(page);
			return false;
		}
	return true;
}

bool wish_location(Arena &arena, std::string &problem)
{
	Part part = some_part(arena, arena.here);
	auto location = static_cast<tandem_location>(arena.below(3));
	auto done = arena.device->prefer(part.start, part.length(), location);

	return done || accept(done.error(), problem);
}

bool wish_flags(Arena &arena, std::string &problem)
{
	Part part = some_part(arena, arena.here);
	auto done = arena.device->advise(part.start, part.length(), static_cast<std::uint32_t>(arena.below(8)));

	return done || accept(done.error(), problem);
}

bool ask_where(Arena &arena, std::string &problem)
{
	Part part = some_part(arena, arena.here);
	auto states = arena.device->pages(part.start, part.length());

	return states || accept(states.error(), problem);
}

bool drive_out(Arena &arena, std::string &problem)
{
	char *part = arena.crowd->part(arena.random());

	if (!move(arena, problem, {part, Crowd::part_bytes / page_bytes}, TANDEM_LOCATION_DEVICE))
		return false;
	if (arena.below(4) == 0 && !arena.crowd->is_right(part))
		problem = "a part that was driven out and in again holds wrong words";
	return problem.empty();
}

/* The child has the pages where they are, writes some and moves the rest with a GPU of its own. */
int live_with_a_gpu(const Arena &arena, std::uint64_t seed)
{
	std::uint64_t page = seed % pages;
	auto own = tandem::Device::open();

	if (!own)
		return 4;
	auto moved = own->prefetch(arena.here, bytes, TANDEM_LOCATION_DEVICE);
	if (!moved && moved.error().status != TANDEM_ERROR_MEMORY)
		return 5;
	if (!arena.gpu.is_plausible(arena.here, page))
		return 2;
	std::uint64_t frozen = arena.gpu.count(page, arena.here);
	std::memset(arena.here + (page + 1) % pages * page_bytes, 0xee, page_bytes);
	usleep(1000);
	return arena.gpu.count(page, arena.here) == frozen ? 0 : 3;
}

bool fork_with_a_gpu(Arena &arena, std::string &problem)
{
	std::uint64_t seed = arena.random();
	pid_t child = fork();

	if (child == 0)
		_exit(live_with_a_gpu(arena, seed));
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child) {
		problem = std::string("fork: ") + std::strerror(errno);
		return false;
	}
	if (status)
		problem = "a child with a GPU of its own failed, wait status " + std::to_string(status);
	return !status;
}

/* Dropped from the middle of what lies there, and written anew by the CPU and the GPU. */
bool drop_there(Arena &arena, std::string &problem)
{
	if (!arena.gpu.pause()) {
		problem = arena.gpu.complaint();
		return false;
	}
	bool good = arena.gpu.verify() && move(arena, problem, {arena.here, pages}, TANDEM_LOCATION_DEVICE);
	Part part = some_part(arena, arena.here);

	if (good && madvise(part.start, part.length(), MADV_DONTNEED)) {
		problem = std::string("MADV_DONTNEED: ") + std::strerror(errno);
		good = false;
	} else if (good) {
		arena.gpu.write_pattern();
	} else if (problem.empty()) {
		problem = arena.gpu.complaint();
	}
	arena.gpu.resume();
	return good;
}

} // namespace

Crowd::Crowd(const tandem::Device &device) : bytes_(device.query()->vram_bytes / part_bytes * part_bytes)
{
	void *memory = mmap(nullptr, bytes_ + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		throw std::bad_alloc();
	auto start = (reinterpret_cast<std::uintptr_t>(memory) + (2 << 20) - 1) & -(2ul << 20);
	start_ = reinterpret_cast<char *>(start);
	for (std::uint64_t word = 0; word < bytes_ / 8; word++)
		reinterpret_cast<std::uint64_t *>(start_)[word] = tally_pattern(crowd_seed, word / 512, word % 512);
}

Crowd::~Crowd()
{
	munmap(start_, bytes_);
}

bool Crowd::is_right(const char *part) const
{
	auto first = static_cast<std::uint64_t>(part - start_) / 8;

	for (std::uint64_t word = first; word < first + part_bytes / 8; word += 127)
		if (reinterpret_cast<volatile std::uint64_t *>(start_)[word] != tally_pattern(crowd_seed, word / 512, word % 512))
			return false;
	return true;
}

const std::vector<Operation> &device_operations()
{
	constexpr unsigned any = private_memory | shared_memory | shared_file | huge_reserve;
	static const std::vector<Operation> own = {
		{"part to VRAM", any, part_to_vram}, {"all to VRAM", any, all_to_vram}, {"part home", any, part_to_system},
		{"all home", any, all_to_system}, {"CPU reads", any, read_as_cpu}, {"prefer", any, wish_location},
		{"advise", any, wish_flags}, {"where", any, ask_where}, {"drive out", any, drive_out},
		{"fork with a GPU", private_memory, fork_with_a_gpu}, {"drop there", private_memory, drop_there},
	};
	static const std::vector<Operation> all = [] {
		std::vector<Operation> mixed = operations();

		for (std::size_t i = 0; i < operations().size(); i++)
			mixed.push_back(own[i % own.size()]);
		return mixed;
	}();

	return all;
}

} // namespace soak
