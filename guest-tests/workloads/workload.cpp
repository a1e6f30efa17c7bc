// SPDX-License-Identifier: GPL-2.0-or-later
#include "workload.hpp"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace workload {

namespace {

void print_help(const char *program, const char *description, const std::vector<Option> &options)
{
	std::printf("%s\n\nusage: %s [OPTION...]\n", description, program);
	for (const Option &option : options)
		std::printf("  %-16s %s (default %" PRIu64 ", %" PRIu64 " to %" PRIu64 ")\n",
			    (std::string("--") + option.name + " N").c_str(), option.help, *option.value, option.least,
			    option.most);
	std::printf("  %-16s this text\n", "--help");
}

[[noreturn]] void wrong_usage(const char *program, const std::string &what)
{
	std::fprintf(stderr, "%s: %s; --help says what there is\n", program, what.c_str());
	std::exit(2);
}

const char *last_part(const char *path)
{
	const char *slash = std::strrchr(path, '/');

	return slash ? slash + 1 : path;
}

std::uint64_t parse_number(const char *program, const Option &option, const char *text)
{
	char *end;

	errno = 0;
	std::uint64_t value = std::strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-')
		wrong_usage(program, "\"" + std::string(text) + "\" is no number for --" + option.name);
	if (value < option.least || value > option.most)
		wrong_usage(program, std::string("--") + option.name + " is " + text + "; it can be " +
					     std::to_string(option.least) + " to " + std::to_string(option.most));
	return value;
}

/* What ./tandem run --seed says is the default of every --seed; all seeds are good ones. */
void take_seed_of_the_run(const char *program, const std::vector<Option> &options)
{
	const char *text = std::getenv("TANDEM_SEED");

	for (const Option &option : options)
		if (text && !std::strcmp(option.name, "seed"))
			*option.value = parse_number(program, {"seed", "", nullptr, 0, UINT64_MAX}, text) & option.most;
}

} // namespace

void parse_options(int argc, char **argv, const char *description, const std::vector<Option> &options)
{
	const char *program = last_part(argv[0]);

	setvbuf(stdout, nullptr, _IOLBF, 0);
	take_seed_of_the_run(program, options);
	for (int i = 1; i < argc; i++) {
		std::string argument = argv[i];
		if (argument == "--help" || argument == "-h") {
			print_help(program, description, options);
			std::exit(0);
		}
		auto option = std::find_if(options.begin(), options.end(),
					   [&](const Option &one) { return argument == std::string("--") + one.name; });
		if (option == options.end())
			wrong_usage(program, "unknown argument \"" + argument + "\"");
		if (++i == argc)
			wrong_usage(program, argument + " needs a number");
		*option->value = parse_number(program, *option, argv[i]);
	}
}

void fail(const tandem::Error &error)
{
	fail(std::string(tandem_strerror(error.status)) + ": " + error.text);
}

void fail(const std::string &text)
{
	std::fflush(stdout);
	std::fprintf(stderr, "FAILED: %s\n", text.c_str());
	std::exit(1);
}

Session::Session(const char *kernel_file)
	: device(need(tandem::Device::open())), queue(need(device.queue())), module(need(device.module(kernel_file))),
	  before_(need(device.stats())), begin_(std::chrono::steady_clock::now())
{
}

void Session::run(tandem::Kernel kernel, tandem::Grid grid, tandem::Group group, const void *arguments) const
{
	need(queue.run(kernel, grid, group, arguments, 0, time_limit_ns));
}

namespace {

struct Cause {
	unsigned number;
	const char *name;
};

/* The names of enum tandem_cause as people know them. */
constexpr Cause causes[] = {
	{TANDEM_CAUSE_UNMAP, "unmap"},
	{TANDEM_CAUSE_CLEAR, "clear"},
	{TANDEM_CAUSE_PROTECTION_VMA, "mprotect"},
	{TANDEM_CAUSE_PROTECTION_PAGE, "write-protect"},
	{TANDEM_CAUSE_SOFT_DIRTY, "soft-dirty"},
	{TANDEM_CAUSE_RELEASE, "exit"},
	{TANDEM_CAUSE_MIGRATE, "migrate"},
	{TANDEM_CAUSE_EXCLUSIVE, "exclusive"},
	{TANDEM_STATS_CAUSES - 1, "driver"},
};

std::string invalidations_by_cause(const tandem_ioc_stats &before, const tandem_ioc_stats &after)
{
	std::string text;

	for (const Cause &cause : causes) {
		std::uint64_t count = after.cause[cause.number] - before.cause[cause.number];
		if (count)
			text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + cause.name;
	}
	return text.empty() ? "" : " (" + text + ")";
}

/* A line of the report: what it is about, then numbers and words. */
template <typename... Parts> void line(const char *about, const Parts &...parts)
{
	std::ostringstream text;

	(text << ... << parts);
	std::printf("  %-16s %s\n", about, text.str().c_str());
}

std::uint64_t counted(const tandem_ioc_stats &before, const tandem_ioc_stats &after, tandem_counter counter)
{
	return after.counter[counter] - before.counter[counter];
}

} // namespace

int Session::report(const char *name, bool right, const std::string &what) const
{
	double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
	tandem_ioc_stats now = need(device.stats());

	std::printf("%s: %s\n", name, what.c_str());
	line("lanes run", counted(before_, now, TANDEM_COUNTER_LANES), " in ", counted(before_, now, TANDEM_COUNTER_WAVES),
	     " wavefronts, ", counted(before_, now, TANDEM_COUNTER_LANE_INSTRUCTIONS), " lane instructions");
	line("pages mirrored", now.pages_mapped - before_.pages_mapped, " mapped (", now.leaves_2m - before_.leaves_2m,
	     " leaves of 2 MiB), ", now.pages_mirrored, " still mapped");
	line("faults", now.faults - before_.faults, " in ", now.fault_batches - before_.fault_batches, " batches, ",
	     now.faults_cancelled - before_.faults_cancelled, " cancelled");
	line("invalidations", now.invalidations - before_.invalidations, invalidations_by_cause(before_, now));
	std::printf("  time             %.3f s in the guest\n", seconds);
	std::printf("%s: %s\n", name, right ? "PASSED" : "FAILED: the data are wrong");
	return right ? 0 : 1;
}

} // namespace workload
