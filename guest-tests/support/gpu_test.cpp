// SPDX-License-Identifier: GPL-2.0-or-later
#include "gpu_test.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include "sweeper.hpp"

namespace gpu_test {

namespace {

[[noreturn]] void stop(const char *what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

} // namespace

Mapping::Mapping(std::uint64_t bytes, int flags, int file, std::uint64_t offset, int protection)
	: memory_(mmap(nullptr, bytes, protection, flags, file, static_cast<off_t>(offset))), bytes_(bytes)
{
	if (memory_ == MAP_FAILED)
		stop("mmap");
}

Mapping::~Mapping()
{
	munmap(memory_, bytes_);
}

HugeMapping::HugeMapping(std::uint64_t bytes) : whole_(bytes + huge_bytes)
{
	std::uint64_t up = (whole_.address() + huge_bytes - 1) & ~(huge_bytes - 1);

	start_ = reinterpret_cast<char *>(up);
	if (madvise(start_, bytes, MADV_HUGEPAGE))
		stop("madvise(MADV_HUGEPAGE)");
}

MemoryFile::MemoryFile(std::uint64_t bytes) : file_(memfd_create("tandem-test", MFD_CLOEXEC))
{
	if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes)))
		stop("memfd_create");
}

MemoryFile::~MemoryFile()
{
	close(file_);
}

std::uint64_t *unmapped_address()
{
	/*
	 * Far from where Linux places anything by itself (programs and heap low, everything else from the stack downwards), so that
	 * no mapping made meanwhile can land there. A hole beside a mapping of ours would not do: the next mmap of its size fills it.
	 */
	return reinterpret_cast<std::uint64_t *>(0x10'05a5'a000);
}

pid_t start_child(const std::function<int()> &function)
{
	std::fflush(nullptr);
	pid_t child = fork();

	if (child < 0)
		stop("fork");
	if (child == 0) {
		int status = 1;
		try {
			status = function();
		} catch (const std::exception &problem) {
			std::fprintf(stderr, "in the child: %s\n", problem.what());
		}
		std::fflush(nullptr);
		_exit(status);
	}
	return child;
}

int wait_status(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			stop("waitpid");
	return status;
}

int in_child(const std::function<int()> &function)
{
	return wait_status(start_child(function));
}

::testing::AssertionResult exited_well(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ::testing::AssertionSuccess();
	if (WIFSIGNALED(status))
		return ::testing::AssertionFailure() << "the child died of signal " << WTERMSIG(status);
	return ::testing::AssertionFailure() << "the child ended with status " << WEXITSTATUS(status);
}

bool SharedWords::wait_at_least(unsigned index, std::uint64_t value) const
{
	return sweeper::wait_until([&] { return load(index) >= value; });
}

void GpuTest::SetUp()
{
	auto opened = tandem::Device::open();

	ASSERT_OK(opened);
	device_.emplace(opened.take());
	configure(*device_);
	if (HasFatalFailure())
		return;
	auto made = device_->queue();
	ASSERT_OK(made);
	queue_.emplace(made.take());
}

tandem::Kernel GpuTest::kernel(const char *name, const char *file)
{
	std::string wanted = file ? file : kernel_file_;

	for (auto &[loaded, module] : modules_)
		if (loaded == wanted)
			return module.kernel(name).take();
	modules_.emplace_back(wanted, device().module(wanted.c_str()).take());
	return modules_.back().second.kernel(name).take();
}

void GpuTest::expect_the_gpu_works()
{
	std::uint64_t counter = 0;
	count_arguments arguments = {&counter, 3};
	tandem::Queue fresh = new_queue();

	EXPECT_OK(fresh.run(kernel("count", "test_queue.elf"), {64}, {64}, &arguments, 0, time_limit_ns));
	EXPECT_EQ(counter, 192u);
}

void GpuTest::expect_error(tandem::Queue &failed, tandem_queue_error error, const void *at)
{
	auto status = failed.status();

	ASSERT_OK(status);
	EXPECT_EQ(status->error, static_cast<std::uint32_t>(error)) << failed.describe();
	EXPECT_EQ(status->state, static_cast<std::uint32_t>(TANDEM_QUEUE_FAULTED)) << failed.describe();
	if (at) {
		EXPECT_EQ(status->va / page_bytes, reinterpret_cast<std::uintptr_t>(at) / page_bytes) << failed.describe();
	}
}

} // namespace gpu_test
