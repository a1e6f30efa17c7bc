// SPDX-License-Identifier: GPL-2.0-or-later
/* userfaultfd: a program serves the page faults of its own memory, those of the GPU among them. */
#ifndef TANDEM_TEST_UFFD_HPP
#define TANDEM_TEST_UFFD_HPP

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

namespace mm_uffd {

enum mode : std::uint64_t { missing = 1, write_protect = 2, minor = 4 }; /* UFFDIO_REGISTER_MODE_* */

/* Newer than some kernels' headers. */
constexpr std::uint64_t feature_wp_unpopulated = 1 << 13;
constexpr std::uint64_t feature_poison = 1 << 14;
constexpr std::uint64_t feature_wp_async = 1 << 15;
constexpr std::uint64_t feature_move = 1 << 16;

struct Event {
	std::uint64_t address; /* of the page */
	std::uint64_t flags;   /* UFFD_PAGEFAULT_FLAG_* */
};

/* Failures throw, except where a function returns an error number. */
class Uffd {
public:
	static bool has(std::uint64_t features); /* does this kernel? */

	explicit Uffd(std::uint64_t features);
	~Uffd(); /* stops the server first */
	Uffd(const Uffd &) = delete;
	Uffd &operator=(const Uffd &) = delete;

	void watch(void *region, std::uint64_t bytes, std::uint64_t modes) const;
	void unwatch(void *region, std::uint64_t bytes) const;

	/* Calls the function for each fault, in a thread of its own. */
	void serve(const std::function<void(const Event &)> &function);
	std::uint64_t served() const { return served_; }

	/* Each wakes who waits; 0 or an error number. */
	int copy(std::uint64_t to, const void *from, bool write_protected = false) const;
	int zero(std::uint64_t to) const;
	int go_on(std::uint64_t at) const; /* a minor fault: the page of the file is good */
	int poison(std::uint64_t at) const;
	int move(std::uint64_t to, std::uint64_t from) const;
	int wake(std::uint64_t at) const; /* and nothing else */
	int protect(const void *region, std::uint64_t bytes, bool protect) const;

private:
	void run(const std::function<void(const Event &)> &function);

	int file_;
	int stop_;
	std::thread server_;
	std::atomic<std::uint64_t> served_ = 0;
};

} // namespace mm_uffd

#endif
