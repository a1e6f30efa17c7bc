// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of their own: what is fought for, or watched, shares none with what is not. Needs no GoogleTest. */
#ifndef TANDEM_PAGES_HPP
#define TANDEM_PAGES_HPP

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

/* Anonymous memory, whole pages of zeroes, gone with its scope. Throws std::system_error when there is none. */
class Pages {
public:
	static constexpr std::uint64_t page_bytes = 4096;

	explicit Pages(std::uint64_t bytes, int flags = 0)
		: bytes_((bytes + page_bytes - 1) & -page_bytes),
		  memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0))
	{
		if (memory_ == MAP_FAILED)
			throw std::system_error(errno, std::generic_category(), "mmap");
	}
	~Pages() { munmap(memory_, bytes_); }
	Pages(const Pages &) = delete;
	Pages &operator=(const Pages &) = delete;

	template <typename T> T *as(std::uint64_t offset = 0) const { return reinterpret_cast<T *>(static_cast<char *>(memory_) + offset); }
	void *get() const { return memory_; }
	std::uint64_t bytes() const { return bytes_; }
	void clear() { std::memset(memory_, 0, bytes_); }

private:
	std::uint64_t bytes_;
	void *memory_;
};

#endif
