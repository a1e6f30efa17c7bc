// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * selftest [--shadow] PROGRAM: runs one of the kernel's own mm selftests in what it wants to find: a folder of its own that it may
 * write to and in which it finds itself, and swap. With --shadow the GPU reads along, and a last line tells how much.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "../support/system.hpp"
#include "report.h"

namespace {

const std::string folder = "/tmp/selftest";
const std::string report_path = folder + "/shadow-report";
const char *const library = "/tandem/lib/libtandem-shadow.so";

[[noreturn]] void stop(const std::string &what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

/* As empty as the program before found it. */
class Folder {
public:
	Folder() { std::filesystem::create_directories(folder); }
	~Folder() { std::filesystem::remove_all(folder); }
	Folder(const Folder &) = delete;
	Folder &operator=(const Folder &) = delete;
};

/* What the shadows add to. */
class Report {
public:
	Report()
	{
		std::ofstream(report_path, std::ios::binary) << std::string(sizeof(shadow_report), '\0');
	}
	void print() const
	{
		const std::string bytes = mm_system::read_file(report_path);
		shadow_report report;

		std::memcpy(&report, bytes.data(), sizeof(report));
		std::printf("# shadow: %lu processes, %lu rounds, %lu pages read, %lu tried, %lu failures\n", report.processes,
			    report.rounds, report.read, report.tried, report.failures);
	}
};

[[noreturn]] void become(const std::string &name, bool shadow)
{
	if (shadow) {
		setenv("LD_PRELOAD", library, 1);
		setenv("TANDEM_SHADOW_REPORT", report_path.c_str(), 1);
	}
	if (chdir(folder.c_str()) == 0)
		execl(name.c_str(), name.c_str(), nullptr);
	std::perror(name.c_str());
	_exit(127);
}

int run(const std::string &program, bool shadow)
{
	const std::string name = "./" + std::filesystem::path(program).filename().string();

	std::filesystem::create_symlink(program, folder + "/" + name);
	std::fflush(nullptr);
	pid_t child = fork();

	if (child < 0)
		stop("fork");
	if (child == 0)
		become(name, shadow);
	int status;

	if (waitpid(child, &status, 0) < 0)
		stop("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* KSM looks at pages fast enough that nobody waits for minutes; and merges zeros as it did for the program before. */
struct KsmSettings {
	mm_system::Setting many{"/sys/kernel/mm/ksm/pages_to_scan", "2000"};
	mm_system::Setting zeros{"/sys/kernel/mm/ksm/use_zero_pages", "0"};
};

int run_in_its_world(const std::string &program, bool shadow)
{
	Folder own;
	Report report;
	mm_system::Zram swap;
	KsmSettings ksm;
	const int status = run(program, shadow);

	if (shadow)
		report.print();
	return status;
}

} // namespace

int main(int count, char **words)
{
	const bool shadow = count == 3 && std::strcmp(words[1], "--shadow") == 0;

	if (count != 2 + shadow) {
		std::fprintf(stderr, "usage: selftest [--shadow] PROGRAM\n");
		return 2;
	}
	try {
		return run_in_its_world(words[1 + shadow], shadow);
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "selftest: %s\n", problem.what());
		return 2;
	}
}
