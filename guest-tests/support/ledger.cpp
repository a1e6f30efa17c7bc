// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "system.hpp"
#include "time_scale.hpp"

namespace ledger {

namespace {

constexpr unsigned attempts = 200; /* of 20 ms */
constexpr std::uint64_t slab_bytes = 256 << 10;
constexpr std::uint64_t noise_pages = 4096; /* slabs, page tables and per-processor lists come and go */

void for_each_line(const std::string &text, const auto &use)
{
	std::istringstream lines(text);
	std::string line;

	while (std::getline(lines, line)) {
		std::istringstream words(line);
		std::string name;
		std::uint64_t value;

		if (words >> name >> value)
			use(name, value);
	}
}

std::uint64_t count_lines(const std::string &text)
{
	return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

/* Free pages that wait in the processors' own lists, and pages of compressed memory: neither has a line in /proc/meminfo. */
std::uint64_t pages_by_zone()
{
	std::uint64_t pages = 0;

	for_each_line(mm_system::read_file("/proc/zoneinfo"), [&](const std::string &name, std::uint64_t value) {
		if (name == "count:" || name == "nr_zspages")
			pages += value;
	});
	return pages;
}

/* Pages of the machine's that are neither free nor used for anything that Linux counts: a page that was lost is among them. */
std::uint64_t unaccounted_pages()
{
	std::map<std::string, std::uint64_t> kb;

	for_each_line(mm_system::read_file("/proc/meminfo"),
		      [&](const std::string &name, std::uint64_t value) { kb[name] = value; });
	std::uint64_t known = 4 * pages_by_zone();
	for (const char *name : {"MemFree:", "Cached:", "Buffers:", "AnonPages:", "Slab:", "KernelStack:", "PageTables:",
				 "SecPageTables:", "Percpu:", "SwapCached:", "VmallocUsed:", "Zswap:"})
		known += kb[name];
	/* Pages in the GPU's memory count as anonymous ones, but are no pages of the machine's; the caller allows for few only. */
	return kb["MemTotal:"] > known ? (kb["MemTotal:"] - known) / 4 : 0;
}

} // namespace

std::string debugfs(unsigned gpu, const std::string &file)
{
	return "/sys/kernel/debug/tandem" + std::to_string(gpu) + "/" + file;
}

unsigned gpus()
{
	unsigned count = 0;

	while (mm_system::exists("/dev/tandem" + std::to_string(count)))
		count++;
	return count;
}

std::string pci_address(unsigned gpu)
{
	char target[256];
	ssize_t length = readlink(("/sys/class/misc/tandem" + std::to_string(gpu) + "/device").c_str(), target, sizeof(target));
	std::string path(target, length > 0 ? static_cast<std::size_t>(length) : 0);

	return path.substr(path.rfind('/') + 1);
}

/* Linux empties them before it looks at pages that shall move to another node, be there one or not. */
void empty_page_batches()
{
	constexpr int move = 1 << 1; /* MPOL_MF_MOVE */
	int node = 0, status = 0;
	void *page = reinterpret_cast<void *>(reinterpret_cast<std::uintptr_t>(&node) & ~4095ul);

	syscall(SYS_move_pages, 0, 1ul, &page, &node, &status, move);
}

std::uint64_t vram(const std::string &name, unsigned gpu)
{
	std::uint64_t found = ~0ull;

	for_each_line(mm_system::read_file(debugfs(gpu, "vram")), [&](const std::string &line, std::uint64_t value) {
		if (line == name)
			found = value;
	});
	return found;
}

Books Books::read()
{
	Books books;

	empty_page_batches();
	mm_system::write_file("/proc/sys/vm/stat_refresh", "1");
	for (unsigned gpu = 0; gpu < gpus(); gpu++) {
		std::string own = "tandem" + std::to_string(gpu) + " ";

		for (const char *gauge : {"total_pages", "free_pages", "used_pages", "reserved_pages", "retired_pages", "huge_blocks"})
			books.entries_[own + "vram " + gauge] = {vram(gauge, gpu), 0};
		books.entries_[own + "address spaces"] = {count_lines(mm_system::read_file(debugfs(gpu, "address_spaces"))), 0};
	}
	books.entries_["references to the driver"] = {mm_system::read_number("/sys/module/tandem/refcnt"), 0};
	for (const char *exact : {"nr_isolated_anon", "nr_isolated_file", "nr_mlock", "nr_writeback"})
		books.entries_[exact] = {mm_system::vmstat(exact), 0};
	books.entries_["nr_anon_transparent_hugepages"] = {mm_system::vmstat("nr_anon_transparent_hugepages"), 0};
	books.entries_["nr_anon_pages"] = {mm_system::vmstat("nr_anon_pages"), 256};
	books.entries_["nr_shmem"] = {mm_system::vmstat("nr_shmem"), 64};
	books.entries_["pages that nobody accounts for"] = {unaccounted_pages(), noise_pages};
	return books;
}

std::string Books::difference(const Books &before) const
{
	std::string text;

	for (const auto &[name, entry] : entries_) {
		auto found = before.entries_.find(name);
		std::uint64_t was = found == before.entries_.end() ? 0 : found->second.value;
		/* A retired page is gone from the counts of what is there. */
		std::uint64_t slack = entry.slack + (name.find(" vram ") != std::string::npos ? retired_ : 0);

		if (entry.value > was + slack || (entry.slack == 0 && entry.value + slack < was))
			text += name + ": " + std::to_string(was) + " before, " + std::to_string(entry.value) + " after\n";
	}
	return text;
}

std::string difference_after_a_while(const Books &before, std::uint64_t retired)
{
	std::string text;

	for (unsigned attempt = 0; attempt < attempts * static_cast<unsigned>(time_scale()); attempt++) {
		Books now = Books::read();
		now.allow_retired(retired);
		text = now.difference(before);
		if (text.empty())
			break;
		if (attempt % 16 == 0) /* empties the processors' lists of free pages, which count as nothing */
			mm_system::write_file("/proc/sys/vm/compact_memory", "1");
		usleep(20'000);
	}
	return text;
}

namespace {

/* In bytes; with nothing kept in per-processor stocks. */
struct Charges {
	std::uint64_t memory, kernel, file, swap;

	/* File pages stay if others have them mapped as well: the program's own text. */
	bool are_settled() const { return memory <= kernel + file && kernel <= slab_bytes && swap == 0; }
	std::string text() const
	{
		return std::to_string(memory) + " bytes are still charged, " + std::to_string(kernel) + " of them for the kernel, " +
		       std::to_string(file) + " for files, and " + std::to_string(swap) + " of swap";
	}
};

Charges charges_of(const std::string &group)
{
	std::string path = "/sys/fs/cgroup/" + group + "/";
	Charges charges{};

	empty_page_batches();
	/* A limit below what is there empties the stocks, and gives back what can be had again: file pages, slabs. */
	mm_system::write_file(path + "memory.high", "0");
	for_each_line(mm_system::read_file(path + "memory.stat"), [&](const std::string &name, std::uint64_t value) {
		if (name == "kernel")
			charges.kernel = value;
		if (name == "file")
			charges.file = value;
	});
	charges.memory = mm_system::read_number(path + "memory.current");
	mm_system::write_file(path + "memory.high", "max");
	if (mm_system::exists(path + "memory.swap.current"))
		charges.swap = mm_system::read_number(path + "memory.swap.current");
	return charges;
}

} // namespace

std::string lost_charges_after_a_while(const std::string &group)
{
	Charges charges{};

	for (unsigned attempt = 0; attempt < attempts; attempt++) {
		charges = charges_of(group);
		if (charges.are_settled())
			return "";
		usleep(20'000);
	}
	return charges.text();
}

} // namespace ledger
