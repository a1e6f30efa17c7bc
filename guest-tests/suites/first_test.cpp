// SPDX-License-Identifier: GPL-2.0-or-later
/* The README's first own kernel and the workloads' manners: run as a user runs them. */
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

struct Ending {
	int status = -1;
	std::string output;
};

std::string own_directory()
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
	std::string whole(path, length > 0 ? static_cast<std::size_t>(length) : 0);

	return whole.substr(0, whole.rfind('/'));
}

std::vector<std::string> words_of(const std::string &command)
{
	std::istringstream stream(command);

	return {std::istream_iterator<std::string>(stream), {}};
}

[[noreturn]] void become(const std::string &command, int output)
{
	std::vector<std::string> words = words_of(command);
	std::vector<char *> arguments;

	for (auto &word : words)
		arguments.push_back(word.data());
	arguments.push_back(nullptr);
	dup2(output, 1);
	dup2(output, 2);
	execv((own_directory() + "/" + words[0]).c_str(), arguments.data());
	_exit(127);
}

/* Runs a program that lies beside this one, without a shell; output and errors together. */
Ending run(const std::string &command)
{
	std::array<char, 512> part;
	Ending result;
	int ends[2], status;

	if (pipe(ends))
		return result;
	pid_t child = fork();
	if (child == 0)
		become(command, ends[1]);
	close(ends[1]);
	for (ssize_t count; (count = read(ends[0], part.data(), part.size())) > 0;)
		result.output.append(part.data(), static_cast<std::size_t>(count));
	close(ends[0]);
	if (waitpid(child, &status, 0) == child)
		result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return result;
}

void expect_passed(const std::string &command)
{
	Ending result = run(command);

	EXPECT_EQ(result.status, 0) << result.output;
	EXPECT_NE(result.output.find("PASSED"), std::string::npos) << result.output;
}

TEST(First, the_example_of_the_readme)
{
	Ending result = run("first");

	EXPECT_EQ(result.status, 0) << result.output;
	EXPECT_NE(result.output.find("63 * 0.5 = 31.5"), std::string::npos) << result.output;
}

TEST(Workload, vecadd)
{
	expect_passed("vecadd --elements 10000");
}

TEST(Workload, pointer_chase)
{
	expect_passed("pointer-chase --nodes 2000");
}

TEST(Workload, histogram)
{
	expect_passed("histogram --bytes 20000");
}

TEST(Workload, churn)
{
	expect_passed("churn --rounds 1 --pages 16");
}

TEST(Workload, matmul)
{
	expect_passed("matmul --tiles 2");
}

TEST(Workload, copy)
{
	expect_passed("copy --bytes 100000");
}

TEST(Workload, kernel_fault_shows_the_report)
{
	Ending result = run("kernel-fault");

	EXPECT_EQ(result.status, 0) << result.output;
	EXPECT_NE(result.output.find("address fault"), std::string::npos) << result.output;
	EXPECT_NE(result.output.find("store+0x"), std::string::npos) << result.output;
}

TEST(Workload, wrong_arguments_are_refused_with_words)
{
	for (const char *command : {"vecadd --elements 0", "vecadd --elements x", "vecadd --elements", "vecadd --nothing 1",
				    "churn --pages 1", "copy 5"}) {
		Ending result = run(command);
		EXPECT_EQ(result.status, 2) << command << ": " << result.output;
		EXPECT_NE(result.output.find("--help"), std::string::npos) << command << ": " << result.output;
	}
}

TEST(Workload, help_ends_well)
{
	Ending result = run("vecadd --help");

	EXPECT_EQ(result.status, 0);
	EXPECT_NE(result.output.find("--elements"), std::string::npos) << result.output;
}

TEST(Workload, a_device_that_is_not_there_is_an_error_with_its_name)
{
	setenv("TANDEM_DEVICE", "/dev/nothing", 1);
	Ending result = run("vecadd");
	unsetenv("TANDEM_DEVICE");

	EXPECT_EQ(result.status, 1);
	EXPECT_NE(result.output.find("/dev/nothing"), std::string::npos) << result.output;
}

} // namespace
