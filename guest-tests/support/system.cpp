// SPDX-License-Identifier: GPL-2.0-or-later
#include "system.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace mm_system {

namespace {

constexpr std::uint64_t page_bytes = 4096;

[[noreturn]] void stop(const std::string &what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

class File {
public:
	File(const std::string &path, int flags) : path_(path), file_(open(path.c_str(), flags | O_CLOEXEC))
	{
		if (file_ < 0)
			stop(path);
	}
	~File() { close(file_); }
	File(const File &) = delete;

	std::string read_all() const
	{
		std::string text;
		char part[4096];
		ssize_t count;

		while ((count = read(file_, part, sizeof(part))) > 0)
			text.append(part, static_cast<std::size_t>(count));
		if (count < 0)
			stop(path_);
		return text;
	}
	void write_all(const std::string &text) const
	{
		if (write(file_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
			stop(path_ + " <- " + text);
	}
	std::uint64_t word_at(std::uint64_t offset) const
	{
		std::uint64_t word;

		if (pread(file_, &word, sizeof(word), static_cast<off_t>(offset)) != sizeof(word))
			stop(path_);
		return word;
	}
	void write_at(std::uint64_t offset, const void *data, std::size_t bytes) const
	{
		if (pwrite(file_, data, bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes))
			stop(path_);
	}

private:
	std::string path_;
	int file_;
};

std::uint64_t line_of(const std::string &text, const std::string &name, const std::string &where)
{
	std::istringstream lines(text);
	std::string line;

	while (std::getline(lines, line)) {
		std::istringstream words(line);
		std::string word;
		std::uint64_t value;

		if (words >> word && (word == name || word == name + ":") && words >> value)
			return value;
	}
	throw std::runtime_error(where + " says nothing about " + name);
}

/* Of a list such as "always [madvise] never", the one that is chosen. */
std::string chosen(const std::string &text)
{
	std::size_t open_at = text.find('['), close_at = text.find(']');

	return open_at == std::string::npos ? text : text.substr(open_at + 1, close_at - open_at - 1);
}

} // namespace

std::string read_file(const std::string &path)
{
	return File(path, O_RDONLY).read_all();
}

void write_file(const std::string &path, const std::string &text)
{
	File(path, O_WRONLY).write_all(text);
}

bool exists(const std::string &path)
{
	return access(path.c_str(), F_OK) == 0;
}

std::uint64_t read_number(const std::string &path)
{
	return std::stoull(read_file(path));
}

std::uint64_t vmstat(const std::string &name)
{
	return line_of(read_file("/proc/vmstat"), name, "/proc/vmstat");
}

std::uint64_t status_kb(const std::string &name)
{
	return line_of(read_file("/proc/self/status"), name, "/proc/self/status");
}

Setting::Setting(std::string path, const std::string &value) : path_(std::move(path)), before_(chosen(read_file(path_)))
{
	write_file(path_, value);
}

Setting::~Setting()
{
	try {
		write_file(path_, before_);
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "cannot be put back: %s\n", problem.what());
	}
}

std::uint64_t pagemap(const void *address)
{
	return File("/proc/self/pagemap", O_RDONLY).word_at(reinterpret_cast<std::uintptr_t>(address) / page_bytes * 8);
}

std::uint64_t page_frame(const void *address)
{
	std::uint64_t entry = pagemap(address);

	return entry & pagemap_present ? entry & ((1ull << 55) - 1) : 0;
}

std::uint64_t count_pages(const void *address, std::uint64_t pages, std::uint64_t pagemap_bit)
{
	File file("/proc/self/pagemap", O_RDONLY);
	std::uint64_t first = reinterpret_cast<std::uintptr_t>(address) / page_bytes, count = 0;

	for (std::uint64_t page = 0; page < pages; page++)
		count += !!(file.word_at((first + page) * 8) & pagemap_bit);
	return count;
}

bool is_huge(const void *address)
{
	return smaps_kb(address, "AnonHugePages") + smaps_kb(address, "ShmemPmdMapped") > 0;
}

std::uint64_t smaps_kb(const void *address, const std::string &name)
{
	std::istringstream lines(read_file("/proc/self/smaps"));
	std::string line;
	bool inside = false;

	while (std::getline(lines, line)) {
		unsigned long long start, end;

		if (std::sscanf(line.c_str(), "%llx-%llx ", &start, &end) == 2) {
			auto wanted = reinterpret_cast<std::uintptr_t>(address);
			inside = start <= wanted && wanted < end;
		} else if (inside && line.compare(0, name.size() + 1, name + ":") == 0) {
			return line_of(line, name, "/proc/self/smaps");
		}
	}
	return 0;
}

/* Whoever asks for pages to be moved, be it none at all, has all processors' lists emptied first. */
void settle_fresh_pages()
{
	constexpr int move_own = 2;
	void *nowhere = nullptr;
	int node = 0, status;

	if (syscall(SYS_move_pages, 0, 1ul, &nowhere, &node, &status, move_own) < 0)
		stop("move_pages");
}

void page_out(void *address, std::uint64_t bytes)
{
	settle_fresh_pages();
	if (madvise(address, bytes, MADV_PAGEOUT))
		stop("MADV_PAGEOUT");
}

namespace {

const char *const zram_device = "/dev/zram0";

/* What mkswap writes: version, last page, and the signature at the end of the first page. */
void write_swap_header(std::uint64_t bytes)
{
	std::vector<char> page(page_bytes);
	std::uint32_t version = 1, last = static_cast<std::uint32_t>(bytes / page_bytes - 1);

	std::memcpy(&page[1024], &version, sizeof(version));
	std::memcpy(&page[1028], &last, sizeof(last));
	std::memcpy(&page[page_bytes - 10], "SWAPSPACE2", 10);
	File device(zram_device, O_WRONLY);
	device.write_at(0, page.data(), page.size());
}

} // namespace

Zram::Zram(std::uint64_t bytes)
{
	write_file("/sys/block/zram0/disksize", std::to_string(bytes));
	write_swap_header(bytes);
	if (swapon(zram_device, 0))
		stop("swapon");
	on_ = true;
}

void Zram::turn_off()
{
	if (on_ && swapoff(zram_device))
		stop("swapoff");
	on_ = false;
}

Zram::~Zram()
{
	try {
		turn_off();
		write_file("/sys/block/zram0/reset", "1");
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "zram: %s\n", problem.what());
	}
}

Cgroup::Cgroup(const std::string &name) : path_("/sys/fs/cgroup/" + name)
{
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(path_.c_str(), 0755) && errno != EEXIST)
		stop(path_);
}

/* A group can be removed when its last process has gone altogether. */
Cgroup::~Cgroup()
{
	for (int attempt = 0; attempt < 1000 && rmdir(path_.c_str()) && errno == EBUSY; attempt++)
		usleep(1000);
}

void Cgroup::enter() const
{
	write_file(path_ + "/cgroup.procs", "0");
}

void Cgroup::leave()
{
	write_file("/sys/fs/cgroup/cgroup.procs", "0");
}

std::uint64_t Cgroup::event(const std::string &name) const
{
	return line_of(read_file(path_ + "/memory.events"), name, path_);
}

} // namespace mm_system
