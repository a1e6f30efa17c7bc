// SPDX-License-Identifier: GPL-2.0-or-later
#include "numa.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "system.hpp"

namespace mm_numa {

namespace {

constexpr std::uint64_t page_bytes = 4096;

std::vector<void *> addresses(const void *region, std::uint64_t pages)
{
	std::vector<void *> result;

	for (std::uint64_t page = 0; page < pages; page++)
		result.push_back(static_cast<char *>(const_cast<void *>(region)) + page * page_bytes);
	return result;
}

std::string node_path(unsigned node)
{
	return "/sys/devices/system/node/node" + std::to_string(node);
}

/* "0-3,8" */
std::vector<int> numbers(const std::string &list)
{
	std::istringstream parts(list);
	std::vector<int> result;
	std::string part;

	while (std::getline(parts, part, ',')) {
		std::size_t dash = part.find('-');
		int first = std::stoi(part), last = dash == std::string::npos ? first : std::stoi(part.substr(dash + 1));

		for (int number = first; number <= last; number++)
			result.push_back(number);
	}
	return result;
}

} // namespace

unsigned node_count()
{
	unsigned count = 0;

	while (mm_system::exists(node_path(count)))
		count++;
	return count;
}

std::uint64_t count_on_node(const void *region, std::uint64_t pages, int node, pid_t process)
{
	std::vector<void *> where = addresses(region, pages);
	std::vector<int> found(pages, -1);
	std::uint64_t count = 0;

	if (syscall(SYS_move_pages, process, pages, where.data(), nullptr, found.data(), 0))
		throw std::system_error(errno, std::generic_category(), "move_pages");
	for (int one : found)
		count += one == node;
	return count;
}

int move_pages_to(const void *region, std::uint64_t pages, int node, move_flags flags)
{
	std::vector<void *> where = addresses(region, pages);
	std::vector<int> wanted(pages, node), status(pages);

	return syscall(SYS_move_pages, 0, pages, where.data(), wanted.data(), status.data(), flags) < 0 ? -1 : 0;
}

int set_policy(void *region, std::uint64_t bytes, policy mode, int node, unsigned flags)
{
	unsigned long mask = node >= 0 ? 1ul << node : mode == interleave ? (1ul << node_count()) - 1 : 0;

	return static_cast<int>(syscall(SYS_mbind, region, bytes, mode, mask ? &mask : nullptr, mask ? 8 * sizeof(mask) : 0, flags));
}

int migrate_process(pid_t process, int from, int to)
{
	unsigned long old_mask = 1ul << from, new_mask = 1ul << to;

	return static_cast<int>(syscall(SYS_migrate_pages, process, 8 * sizeof(old_mask), &old_mask, &new_mask));
}

void run_on_node(int node)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int number : numbers(mm_system::read_file(node_path(node) + "/cpulist")))
		CPU_SET(number, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
}

} // namespace mm_numa
