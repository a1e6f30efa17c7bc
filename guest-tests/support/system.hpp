// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux's memory management as a test sees and steers it: settings under /proc and /sys, what a page is at the moment, swap in
 * compressed memory, memory control groups. Whatever is changed is put back by the destructor. Failures throw.
 */
#ifndef TANDEM_TEST_SYSTEM_HPP
#define TANDEM_TEST_SYSTEM_HPP

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace mm_system {

std::string read_file(const std::string &path);
void write_file(const std::string &path, const std::string &text);
bool exists(const std::string &path);
std::uint64_t read_number(const std::string &path);
std::uint64_t vmstat(const std::string &name); /* a line of /proc/vmstat */
std::uint64_t status_kb(const std::string &name); /* a line of /proc/self/status */

/* A setting with another value for a while. */
class Setting {
public:
	Setting(std::string path, const std::string &value);
	~Setting();
	Setting(const Setting &) = delete;
	Setting &operator=(const Setting &) = delete;

private:
	std::string path_;
	std::string before_;
};

/* /proc/self/pagemap and /proc/kpageflags */
constexpr std::uint64_t pagemap_soft_dirty = 1ull << 55;
constexpr std::uint64_t pagemap_swapped = 1ull << 62;
constexpr std::uint64_t pagemap_present = 1ull << 63;
std::uint64_t pagemap(const void *address);
std::uint64_t page_frame(const void *address); /* 0 if it is not present */
std::uint64_t count_pages(const void *address, std::uint64_t pages, std::uint64_t pagemap_bit);
bool is_huge(const void *address); /* its page frame is part of a transparent huge page of 2 MiB that is mapped as a whole */
std::uint64_t smaps_kb(const void *address, const std::string &name); /* of the mapping that holds the address */

/*
 * A page that has just come into memory waits on a list of the processor that fetched it (for the GPU's faults, any of them),
 * where reclaim and idle tracking do not see it, until enough others have joined it. This empties the lists.
 */
void settle_fresh_pages();

/* Asks for the pages to be written to swap. Those that somebody uses at the moment stay. */
void page_out(void *address, std::uint64_t bytes);

/* Swap space in compressed memory; pages can be paged out while it lives. */
class Zram {
public:
	explicit Zram(std::uint64_t bytes = 256ull << 20);
	~Zram();
	Zram(const Zram &) = delete;
	Zram &operator=(const Zram &) = delete;

	void turn_off(); /* brings all pages back */

private:
	bool on_ = false;
};

/* A memory control group below the root's. */
class Cgroup {
public:
	explicit Cgroup(const std::string &name);
	~Cgroup();
	Cgroup(const Cgroup &) = delete;
	Cgroup &operator=(const Cgroup &) = delete;

	void enter() const; /* the calling process */
	static void leave(); /* back into the root's */
	void set(const std::string &file, const std::string &value) const { write_file(path_ + "/" + file, value); }
	std::uint64_t number(const std::string &file) const { return read_number(path_ + "/" + file); }
	std::uint64_t event(const std::string &name) const; /* a line of memory.events */

private:
	std::string path_;
};

} // namespace mm_system

#endif
