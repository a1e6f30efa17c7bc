// SPDX-License-Identifier: GPL-2.0-or-later
/* Things that fail on purpose, as long as an object lives: by the kernel's fault injection, and by the device's test hooks. */
#ifndef TANDEM_TEST_FAILING_HPP
#define TANDEM_TEST_FAILING_HPP

#include "ledger.hpp"
#include "system.hpp"

namespace devmem_test {

/* Linux fails the calling process's page allocations of at least that order: so many of them, each with that probability. */
class FailingAllocations {
public:
	FailingAllocations(int order, int percent, int times)
	{
		set("task-filter", "Y"), set("ignore-gfp-wait", "N"), set("ignore-gfp-highmem", "N"), set("verbose", "0");
		set("min-order", std::to_string(order)), set("interval", "1"), set("space", "0");
		set("probability", std::to_string(percent)), set("times", std::to_string(times));
		mm_system::write_file("/proc/self/make-it-fail", "1");
	}
	~FailingAllocations()
	{
		mm_system::write_file("/proc/self/make-it-fail", "0");
		set("times", "0");
	}

private:
	static void set(const std::string &name, const std::string &value)
	{
		mm_system::write_file("/sys/kernel/debug/fail_page_alloc/" + name, value);
	}
};

/* The driver's own allocations: "fail_vram" or "fail_page_table"; every interval-th of them, with that probability. */
class FailingDriver {
public:
	FailingDriver(const char *what, int percent, int times, int interval = 1) : what_(what)
	{
		set("verbose", 0), set("interval", interval), set("probability", percent), set("times", times);
	}
	~FailingDriver() { set("probability", 0), set("times", 0); }

private:
	void set(const std::string &name, int value) const
	{
		mm_system::write_file(ledger::debugfs(0, what_ + "/" + name), std::to_string(value));
	}

	std::string what_;
};

/* So many of the copies that follow fail half-way. */
inline void fail_copies(unsigned count)
{
	mm_system::write_file(ledger::debugfs(0, "test_copy_fail"), std::to_string(count));
}

} // namespace devmem_test

#endif
