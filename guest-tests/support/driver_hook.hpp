// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver's hooks for tests: files test_* and inject in debugfs of a GPU with test-hooks=on (guest-driver/README.md). */
#ifndef TANDEM_TEST_DRIVER_HOOK_HPP
#define TANDEM_TEST_DRIVER_HOOK_HPP

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "ledger.hpp"
#include "tally.hpp"

namespace driver_hook {

/* One of the files. Once it is open its use maps no memory: it can be used while others of the process hold mmap_lock. */
class Hook {
public:
	explicit Hook(const std::string &name, int mode = O_WRONLY) : file_(open(ledger::debugfs(0, name).c_str(), mode | O_CLOEXEC))
	{
		if (file_ < 0)
			throw std::system_error(errno, std::generic_category(), name);
	}
	~Hook() { close(file_); }
	Hook(const Hook &) = delete;
	Hook &operator=(const Hook &) = delete;

	/* 0, or the error number that the driver answers. */
	int tell(const char *text) const { return write(file_, text, std::strlen(text)) < 0 ? errno : 0; }

	/* The number behind this word at the beginning of a line. */
	long number(const char *word) const
	{
		char text[256];
		ssize_t bytes = pread(file_, text, sizeof(text) - 1, 0);

		text[bytes > 0 ? bytes : 0] = 0;
		const char *line = std::strstr(text, word);
		return line ? std::atol(line + std::strlen(word)) : -1;
	}

private:
	int file_;
};

/* A place where the driver stands still: closed at once or later, open again at the end in any case. */
class Gate {
public:
	explicit Gate(const char *name) : name_(name), hook_("test_gates", O_RDWR) {}
	~Gate() { let_go(); }

	int shut() const { return hook_.tell(name_); }
	void let_go() const { hook_.tell("none"); }

	/* Until so many stand there. */
	bool wait_for(long count) const
	{
		return tally::wait_sleeping([&] { return hook_.number(name_) >= count; });
	}

private:
	const char *name_;
	Hook hook_;
};

} // namespace driver_hook

#endif
