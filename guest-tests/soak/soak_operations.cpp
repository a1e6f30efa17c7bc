// SPDX-License-Identifier: GPL-2.0-or-later
#include "soak_operations.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace soak {

namespace {

constexpr int read_write = PROT_READ | PROT_WRITE;

struct Part {
	char *start;
	std::uint64_t length;
};

Part some_part(Arena &arena, char *region)
{
	std::uint64_t first = arena.below(pages), count = 1 + arena.below(pages - first);

	return {region + first * page_bytes, count * page_bytes};
}

bool fail(std::string &problem, const std::string &what)
{
	problem = what + ": " + std::strerror(errno);
	return false;
}

bool advise(Arena &arena, std::string &problem, int advice, const char *name, bool may_fail = false)
{
	Part part = some_part(arena, arena.here);

	return !madvise(part.start, part.length, advice) || may_fail || fail(problem, name);
}

bool page_out(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_PAGEOUT, "MADV_PAGEOUT");
}

bool make_cold(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_COLD, "MADV_COLD");
}

bool lock_pages(Arena &arena, std::string &problem)
{
	Part part = some_part(arena, arena.here);

	return (!mlock(part.start, part.length) && !munlock(arena.here, bytes)) || fail(problem, "mlock");
}

bool allow_huge(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_HUGEPAGE, "MADV_HUGEPAGE");
}

bool forbid_huge(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
}

/* Memory may be too scattered, or the pages busy: then nothing changes, which is right as well. */
bool collapse(Arena &arena, std::string &)
{
	madvise(arena.here, bytes, MADV_COLLAPSE);
	return true;
}

bool merge(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_MERGEABLE, "MADV_MERGEABLE");
}

bool unmerge(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_UNMERGEABLE, "MADV_UNMERGEABLE", true);
}

bool write_text(const char *path, const char *text, std::string &problem)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool good = file >= 0 && write(file, text, std::strlen(text)) >= 0;

	if (!good)
		fail(problem, path);
	close(file);
	return good;
}

bool clear_soft_dirty(Arena &, std::string &problem)
{
	return write_text("/proc/self/clear_refs", "4", problem);
}

bool compact(Arena &, std::string &problem)
{
	return write_text("/proc/sys/vm/compact_memory", "1", problem);
}

/* What the child has stands still, whatever the GPU writes for its parent; and what the child writes stays its own. */
int live_as_child(const Arena &arena, std::uint64_t seed)
{
	std::uint64_t page = seed % pages;

	if (!arena.gpu.is_plausible(arena.here, page))
		return 2;
	std::uint64_t frozen = arena.gpu.count(page, arena.here);
	for (std::uint64_t other = page + 1; other < pages; other += 5)
		std::memset(arena.here + other * page_bytes, 0xee, page_bytes);
	usleep(1000);
	return arena.gpu.count(page, arena.here) == frozen ? 0 : 3;
}

bool fork_and_write(Arena &arena, std::string &problem)
{
	std::uint64_t seed = arena.random();
	pid_t child = fork();

	if (child == 0)
		_exit(live_as_child(arena, seed));
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child)
		return fail(problem, "fork");
	if (status)
		problem = "a child saw other contents than at its fork, wait status " + std::to_string(status);
	return !status;
}

bool vfork_and_exec(Arena &, std::string &problem)
{
	pid_t child = vfork();

	if (child == 0) {
		execl("/proc/self/exe", "exec-target", "--be-quiet-and-exit", static_cast<char *>(nullptr));
		_exit(127);
	}
	int status = 0;
	return (child > 0 && waitpid(child, &status, 0) == child && !status) || fail(problem, "vfork and exec");
}

/* Another mapping beside the region, under no work: it must never hurt the neighbour. */
bool change_neighbour(Arena &arena, std::string &problem)
{
	Part part = some_part(arena, arena.neighbour);

	std::memset(part.start, 1, part.length);
	if (mprotect(part.start, part.length, PROT_READ) || madvise(arena.neighbour, bytes, MADV_DONTNEED) ||
	    munmap(part.start, part.length))
		return fail(problem, "changing the neighbour");
	void *again = mmap(arena.neighbour, bytes, read_write, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return again == arena.neighbour || fail(problem, "mmap of the neighbour");
}

/* The rest needs the lanes to stand still, with their translations cached. */
bool standing_still(Arena &arena, std::string &problem, bool (*action)(Arena &, std::string &))
{
	if (!arena.gpu.pause()) {
		problem = arena.gpu.complaint();
		return false;
	}
	bool good = action(arena, problem);
	arena.gpu.resume();
	return good;
}

bool protect(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		Part part = some_part(own, own.here);
		int protection = own.below(2) ? PROT_READ : PROT_NONE;

		return (!mprotect(part.start, part.length, protection) && !mprotect(part.start, part.length, read_write)) ||
		       fail(text, "mprotect");
	});
}

bool move(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		int keep = own.below(2) ? MREMAP_DONTUNMAP : 0;

		/* One mapping again, or older kernels refuse. */
		madvise(own.here, bytes, MADV_UNMERGEABLE);
		madvise(own.here, bytes, MADV_HUGEPAGE);

		if (mremap(own.here, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | keep, own.there) != own.there)
			return fail(text, "mremap");
		if (mmap(own.here, bytes, read_write, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != own.here)
			return fail(text, "mmap");
		std::swap(own.here, own.there);
		own.gpu.move_to(own.here);
		return true;
	});
}

/* Contents go altogether: verified, thrown away, written anew at the same addresses. */
bool replace(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		if (!own.gpu.verify()) {
			text = own.gpu.complaint();
			return false;
		}
		bool gone = own.below(2) ? !madvise(own.here, bytes, MADV_DONTNEED) : !munmap(own.here, bytes);
		int kind = own.below(3) ? MAP_PRIVATE : MAP_SHARED;

		if (!gone || mmap(own.here, bytes, read_write, kind | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != own.here)
			return fail(text, "mmap");
		own.gpu.write_pattern();
		return true;
	});
}

bool verify(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		bool good = own.gpu.verify();

		if (!good)
			text = own.gpu.complaint();
		return good;
	});
}

bool change_mode(Arena &arena, std::string &problem)
{
	bool good = arena.gpu.set_mode(arena.below(3));

	if (!good)
		problem = arena.gpu.complaint();
	return good;
}

/* From outside, the kernel writes what is there already. */
bool write_as_another_process(Arena &arena, std::string &problem)
{
	std::uint64_t word;
	char *at = arena.here + arena.below(pages) * page_bytes + 8 * (1 + arena.below(500));
	iovec mine = {&word, sizeof(word)}, theirs = {at, sizeof(word)};

	std::memcpy(&word, at, sizeof(word));
	return process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0) == sizeof(word) || fail(problem, "process_vm_writev");
}

} // namespace

const std::vector<Operation> &operations()
{
	static const std::vector<Operation> all = {
		{"pageout", page_out}, {"cold", make_cold}, {"mlock", lock_pages}, {"hugepage", allow_huge},
		{"nohugepage", forbid_huge}, {"collapse", collapse}, {"mergeable", merge}, {"unmergeable", unmerge},
		{"clear_refs", clear_soft_dirty}, {"compact", compact}, {"fork", fork_and_write}, {"vfork", vfork_and_exec},
		{"neighbour", change_neighbour}, {"mprotect", protect}, {"mremap", move}, {"replace", replace},
		{"verify", verify}, {"mode", change_mode}, {"vm_writev", write_as_another_process},
	};

	return all;
}

} // namespace soak
