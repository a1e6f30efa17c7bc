// SPDX-License-Identifier: GPL-2.0-or-later
#include "soak_operations.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "../support/uffd.hpp"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
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

bool populate(Arena &arena, std::string &problem)
{
	return advise(arena, problem, MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE");
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

bool complain(const Arena &arena, std::string &problem)
{
	problem = arena.gpu.complaint();
	return false;
}

/* A limit would slow everybody down for seconds; what matters to the GPU is that pages are taken, and that this does at once. */
bool reclaim_from_group(Arena &arena, std::string &problem)
{
	try {
		arena.group.set("memory.reclaim", std::to_string(1 + arena.below(8)) + "M");
	} catch (const std::system_error &error) {
		if (error.code().value() != EAGAIN) { /* less could be had than was asked for */
			problem = error.what();
			return false;
		}
	}
	return true;
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

/* At the same address, empty. The reserve of huge pages may be in the hands of others: then it is ordinary memory. */
bool map_as(Arena &arena, Kind kind, std::string &problem)
{
	int flags = MAP_FIXED | (kind & (shared_memory | shared_file) ? MAP_SHARED : MAP_PRIVATE);
	int file = kind == shared_file ? arena.file : -1;

	flags |= (kind == shared_file ? 0 : MAP_ANONYMOUS) | (kind == huge_reserve ? MAP_HUGETLB : 0);
	if (kind == shared_file && (ftruncate(file, 0) || ftruncate(file, bytes)))
		return fail(problem, "ftruncate");
	if (mmap(arena.here, bytes, read_write, flags, file, 0) != arena.here)
		return kind == huge_reserve ? map_as(arena, private_memory, problem) : fail(problem, "mmap");
	arena.kind = kind;
	return true;
}

/* Contents go altogether: verified, thrown away, written anew at the same addresses, in memory of any kind. */
bool replace(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		constexpr Kind kinds[] = {private_memory, private_memory, private_memory, shared_memory, shared_file, huge_reserve};

		if (!own.gpu.verify())
			return complain(own, text);
		bool gone = own.below(2) ? !madvise(own.here, bytes, MADV_DONTNEED) : !munmap(own.here, bytes);

		if (!gone)
			return fail(text, "throwing the region away");
		/* Only private memory goes to the GPU's: with that, most regions should be of this kind. */
		bool stays_private = own.crowd && own.below(4);

		if (!map_as(own, stays_private ? private_memory : kinds[own.below(std::size(kinds))], text))
			return false;
		own.gpu.write_pattern();
		return true;
	});
}

/* What the part holds is gone when the lanes go on; the rest was left alone. */
bool empty_part_of_file(Arena &arena, std::string &problem, bool (*empty)(int file, std::uint64_t first, std::uint64_t length))
{
	if (!arena.gpu.verify())
		return complain(arena, problem);
	Part part = some_part(arena, arena.here);
	std::uint64_t rest = part.start > arena.here ? arena.gpu.count(0) : 0;

	if (!empty(arena.file, static_cast<std::uint64_t>(part.start - arena.here), part.length))
		return fail(problem, "emptying a part of the file");
	for (std::uint64_t offset = 0; offset < part.length; offset += page_bytes)
		if (*reinterpret_cast<volatile std::uint64_t *>(part.start + offset + 8)) {
			problem = "what was cut out of the file is still to be seen";
			return false;
		}
	if (part.start > arena.here && arena.gpu.count(0) != rest) {
		problem = "more was cut out of the file than asked for";
		return false;
	}
	arena.gpu.write_pattern();
	return true;
}

bool punch(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		return empty_part_of_file(own, text, [](int file, std::uint64_t first, std::uint64_t length) {
			return !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
					  static_cast<off_t>(length));
		});
	});
}

bool truncate(Arena &arena, std::string &problem)
{
	return standing_still(arena, problem, [](Arena &own, std::string &text) {
		return empty_part_of_file(own, text, [](int file, std::uint64_t first, std::uint64_t) {
			return !ftruncate(file, static_cast<off_t>(first)) && !ftruncate(file, bytes);
		});
	});
}

/* Under the work, by system calls: what is there already, and a longer file that has a hole beyond the mapping. */
bool write_file(Arena &arena, std::string &problem)
{
	std::uint64_t page = arena.below(pages), offset = page * page_bytes + 8;
	std::uint64_t words[page_bytes / 8];
	constexpr std::size_t length = page_bytes - 8;

	arena.gpu.fill_page(page, words);
	if (pwrite(arena.file, &words[1], length, static_cast<off_t>(offset)) != static_cast<ssize_t>(length) ||
	    ftruncate(arena.file, 2 * bytes) || pwrite(arena.file, words, page_bytes, bytes + bytes / 2) != page_bytes ||
	    fallocate(arena.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, bytes, bytes) || ftruncate(arena.file, bytes))
		return fail(problem, "writing the file");
	return true;
}

/* All pages go, and a server gives each back when the GPU asks for it. */
bool serve_missing(Arena &arena, std::string &problem)
{
	mm_uffd::Uffd uffd(0);

	if (!arena.gpu.pause() || !arena.gpu.verify())
		return complain(arena, problem);
	uffd.watch(arena.here, bytes, mm_uffd::missing);
	if (madvise(arena.here, bytes, MADV_DONTNEED))
		return fail(problem, "MADV_DONTNEED");
	arena.gpu.forget_counts();
	uffd.serve([&](const mm_uffd::Event &event) {
		std::uint64_t words[page_bytes / 8];
		auto page = (event.address - reinterpret_cast<std::uintptr_t>(arena.here)) / page_bytes;

		arena.gpu.fill_page(page, words);
		while (uffd.copy(event.address, words) == EAGAIN)
			;
	});
	arena.gpu.resume();
	if (!arena.gpu.wait_round())
		return complain(arena, problem);
	uffd.unwatch(arena.here, bytes);
	return true;
}

/* The GPU has to ask a server before it writes to a page again. */
bool serve_writes(Arena &arena, std::string &problem)
{
	mm_uffd::Uffd uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	uffd.watch(arena.here, bytes, mm_uffd::write_protect);
	uffd.serve([&](const mm_uffd::Event &event) {
		while (uffd.protect(reinterpret_cast<void *>(event.address), page_bytes, false) == EAGAIN)
			;
	});
	if (uffd.protect(arena.here, bytes, true)) {
		problem = "UFFDIO_WRITEPROTECT failed";
		return false;
	}
	if (!arena.gpu.wait_round())
		return complain(arena, problem);
	uffd.unwatch(arena.here, bytes);
	return true;
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
	constexpr unsigned small = private_memory | shared_memory | shared_file, any = small | huge_reserve;
	static const std::vector<Operation> all = [] {
		std::vector<Operation> chosen = {
			{"pageout", small, page_out}, {"cold", small, make_cold}, {"populate", small, populate},
			{"mlock", small, lock_pages}, {"hugepage", small, allow_huge}, {"nohugepage", small, forbid_huge},
			{"collapse", any, collapse}, {"mergeable", private_memory, merge}, {"unmergeable", private_memory, unmerge},
			{"clear_refs", any, clear_soft_dirty}, {"compact", any, compact}, {"fork", private_memory, fork_and_write},
			{"vfork", any, vfork_and_exec}, {"neighbour", any, change_neighbour}, {"mprotect", small, protect},
			{"mremap", small, move}, {"replace", any, replace}, {"verify", any, verify}, {"mode", any, change_mode},
			{"vm_writev", any, write_as_another_process}, {"reclaim", any, reclaim_from_group},
			{"punch", shared_file, punch}, {"truncate", shared_file, truncate}, {"write", shared_file, write_file},
		};
		const char *translation = std::getenv("TANDEM_TRANSLATION");

		/* The IOMMU's page requests do not wait for user space. */
		if (!translation || std::strcmp(translation, "sva") != 0) {
			chosen.push_back({"uffd-missing", private_memory, serve_missing});
			chosen.push_back({"uffd-wp", private_memory, serve_writes});
		}
		return chosen;
	}();

	return all;
}

} // namespace soak
