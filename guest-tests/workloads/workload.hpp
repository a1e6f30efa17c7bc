// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all workloads share: options from the command line, the opened GPU, and the report at the end, which says what the
 * work cost in faults, mirrored pages and invalidations. A workload ends with status 0 only if the data were right; 1 if they
 * were wrong or the GPU failed; 2 if it was called wrongly.
 */
#ifndef TANDEM_WORKLOAD_HPP
#define TANDEM_WORKLOAD_HPP

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/tandem.hpp"
#include "../support/time_scale.hpp"

namespace workload {

/* One option "--name N". */
struct Option {
	const char *name;
	const char *help;
	std::uint64_t *value; /* holds the default before */
	std::uint64_t least;
	std::uint64_t most;
};

/* Parses, or prints what is wrong (or the help) and ends the program. */
void parse_options(int argc, char **argv, const char *description, const std::vector<Option> &options);

/* Ends the program with the error's text. */
[[noreturn]] void fail(const tandem::Error &error);
[[noreturn]] void fail(const std::string &text);

template <typename T> T need(tandem::Result<T> result)
{
	if (!result)
		fail(result.error());
	return result.take();
}

/* The GPU as a workload uses it, and the statistics of the time between begin and report. */
class Session {
public:
	explicit Session(const char *kernel_file);

	tandem::Device device;
	tandem::Queue queue;
	tandem::Module module;

	tandem::Kernel kernel(const char *name) const { return need(module.kernel(name)); }

	/* Dispatches and waits; ends the program if the GPU fails. */
	void run(tandem::Kernel kernel, tandem::Grid grid, tandem::Group group, const void *arguments) const;
	void wait(const tandem::Signal &signal) const { need(queue.wait(signal, time_limit_ns)); }

	/* Prints what this address space has cost since begin, and returns main()'s status. */
	int report(const char *name, bool right, const std::string &what) const;

	static inline const std::int64_t time_limit_ns = 120'000'000'000 * time_scale();

private:
	tandem_ioc_stats before_;
	std::chrono::steady_clock::time_point begin_;
};

} // namespace workload

#endif
