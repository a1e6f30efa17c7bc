// SPDX-License-Identifier: GPL-2.0-or-later
/* Another process reaches into the memory that the GPU works on: reads, writes, advises, traces. */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "mm_test.hpp"

using namespace mm_test;

namespace {

/* A child with the GPU at work on a region at the address that the parent knows from before the fork. */
class MmRemote : public MmTest {
protected:
	enum word { READY, STOP };

	Place region_{2 * bytes};
	SharedWords words_;
	pid_t worker_ = 0;

	/* The second half of the region is nobody's; the worker looks at it through its GPU when told. */
	void start_worker(std::uint64_t mode, int protection = PROT_READ | PROT_WRITE)
	{
		worker_ = start_child([&] {
			auto own = tandem::Device::open().take();
			Tally mine(own, 0x7a11);
			CHILD_CHECK(mine.start(region_.get(), pages, mode));
			if (!(protection & PROT_WRITE))
				CHILD_CHECK(mprotect(region_.get(), 2 * bytes, protection) == 0);
			CHILD_CHECK(mine.wait_round());
			words_.store(READY, 1);
			while (!words_.load(STOP)) {
				CHILD_CHECK(mine.during([] {}));
				words_.store(READY, words_.load(READY) + 1);
			}
			CHILD_CHECK(mine.finish());
			return 0;
		});
		ASSERT_TRUE(wait_for_word(words_, READY, 1));
	}

	/* The worker's GPU has gone over its pages meanwhile. */
	void wait_for_the_worker() { ASSERT_TRUE(wait_for_word(words_, READY, words_.load(READY) + 2)); }

	void stop_worker()
	{
		words_.store(STOP, 1);
		EXPECT_TRUE(exited_well(wait_status(worker_)));
		worker_ = 0;
	}

	~MmRemote() override
	{
		if (worker_) {
			kill(worker_, SIGKILL);
			waitpid(worker_, nullptr, 0);
		}
	}
};

TEST_F(MmRemote, process_vm_readv_sees_what_the_gpu_writes)
{
	start_worker(TALLY_WRITE);
	std::uint64_t before = 0;
	for (int round = 0; round < 5; round++) {
		std::uint64_t now = 0;
		iovec mine = {&now, sizeof(now)}, theirs = {region_.at(5 * page_bytes), sizeof(now)};
		wait_for_the_worker();
		ASSERT_EQ(process_vm_readv(worker_, &mine, 1, &theirs, 1, 0), 8) << std::strerror(errno);
		EXPECT_GT(now, before);
		before = now;
	}
	stop_worker();
}

/* Writes what is there already into the pattern, and new words beside the pages under work. */
TEST_F(MmRemote, process_vm_writev_under_fire)
{
	start_worker(TALLY_WRITE);
	for (int round = 0; round < 5; round++) {
		for (std::uint64_t page = 0; page < pages; page++) {
			std::uint64_t word = 1 + (round * 50 + page) % 500, value = tally_pattern(0x7a11, page, word);
			iovec mine = {&value, sizeof(value)};
			iovec theirs = {region_.words(page) + word, sizeof(value)};
			ASSERT_EQ(process_vm_writev(worker_, &mine, 1, &theirs, 1, 0), 8) << std::strerror(errno);
		}
		wait_for_the_worker();
	}
	stop_worker();
}

/* The pages are the worker's alone, so whoever writes them from outside is seen by the GPU: a wrong word is an error there. */
TEST_F(MmRemote, the_gpu_sees_what_another_process_writes)
{
	std::uint64_t *word = region_.words(pages);
	*word = 0;
	pid_t child = start_child([&]() -> int {
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		*word = 0; /* a page of its own */
		words_.store(READY, 1);
		std::uint64_t seen = 0;
		peek_arguments peek = {word, &seen, 1};
		for (std::uint64_t value = 1; value < 6; value++) {
			CHILD_CHECK(wait_for_word(words_, STOP, value));
			CHILD_CHECK(own_queue.run(module.kernel("peek").take(), {1}, {1}, &peek));
			CHILD_CHECK(seen == value);
			words_.store(READY, value + 1);
		}
		return 0;
	});
	for (std::uint64_t value = 1; value < 6; value++) {
		ASSERT_TRUE(wait_for_word(words_, READY, value));
		iovec mine = {&value, sizeof(value)}, theirs = {word, sizeof(value)};
		ASSERT_EQ(process_vm_writev(child, &mine, 1, &theirs, 1, 0), 8) << std::strerror(errno);
		words_.store(STOP, value);
	}
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(*word, 0u);
}

TEST_F(MmRemote, process_madvise_under_fire)
{
	Zram swap;
	start_worker(TALLY_WRITE);
	int pidfd = static_cast<int>(syscall(SYS_pidfd_open, worker_, 0));
	ASSERT_SYS(pidfd);
	std::uint64_t out = vmstat("pswpout");
	iovec range = {region_.get(), bytes};
	for (int round = 0; round < 10; round++) {
		ASSERT_EQ(syscall(SYS_process_madvise, pidfd, &range, 1, round % 2 ? MADV_COLD : MADV_PAGEOUT, 0),
			  static_cast<long>(bytes))
			<< std::strerror(errno);
		wait_for_the_worker();
	}
	EXPECT_GT(vmstat("pswpout"), out);
	close(pidfd);
	stop_worker();
}

TEST_F(MmRemote, process_madvise_collapse)
{
	HugePlace huge(huge_bytes);
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		Tally mine(own, 5);
		CHILD_CHECK(madvise(huge.get(), huge_bytes, MADV_NOHUGEPAGE) == 0);
		CHILD_CHECK(mine.start(huge.get(), huge_page_count, TALLY_WRITE));
		CHILD_CHECK(madvise(huge.get(), huge_bytes, MADV_HUGEPAGE) == 0);
		words_.store(READY, 1);
		CHILD_CHECK(mine.until([] { usleep(1000); }, [&] { return is_huge(huge.get()); }));
		CHILD_CHECK(mine.finish());
		words_.store(STOP, 1);
		return 0;
	});
	ASSERT_TRUE(wait_for_word(words_, READY, 1));
	int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
	iovec range = {huge.get(), huge_bytes};
	EXPECT_TRUE(tally::wait_sleeping([&] {
		syscall(SYS_process_madvise, pidfd, &range, 1, MADV_COLLAPSE, 0);
		return words_.load(STOP) == 1;
	}));
	close(pidfd);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

/* While a debugger holds the process, its GPU works on; the debugger writes through read-only pages as debuggers do. */
TEST_F(MmRemote, ptrace_writes_to_read_only_pages_under_the_gpu)
{
	start_worker(TALLY_READ, PROT_READ);
	ASSERT_EQ(ptrace(PTRACE_ATTACH, worker_, nullptr, nullptr), 0) << std::strerror(errno);
	ASSERT_EQ(waitpid(worker_, nullptr, 0), worker_);
	for (std::uint64_t page = 0; page < pages; page++) {
		std::uint64_t value = tally_pattern(0x7a11, page, 77);
		ASSERT_EQ(ptrace(PTRACE_POKEDATA, worker_, region_.words(page) + 77, value), 0) << std::strerror(errno);
		EXPECT_EQ(static_cast<std::uint64_t>(ptrace(PTRACE_PEEKDATA, worker_, region_.words(page) + 77, nullptr)), value);
	}
	ASSERT_EQ(ptrace(PTRACE_DETACH, worker_, nullptr, nullptr), 0);
	wait_for_the_worker();
	stop_worker();
}

/* After fork the page is the parent's, too: a debugger's write must make a copy that the child's GPU then sees. */
TEST_F(MmRemote, ptrace_breaks_copy_on_write)
{
	std::uint64_t *word = region_.words(pages + 3);
	*word = 1;
	pid_t child = start_child([&]() -> int {
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		std::uint64_t seen = 0;
		peek_arguments peek = {word, &seen, 1};
		CHILD_CHECK(own_queue.run(module.kernel("peek").take(), {1}, {1}, &peek));
		CHILD_CHECK(seen == 1);
		words_.store(READY, 1);
		CHILD_CHECK(wait_for_word(words_, STOP, 1));
		CHILD_CHECK(own_queue.run(module.kernel("peek").take(), {1}, {1}, &peek));
		CHILD_CHECK(seen == 2);
		return 0;
	});
	ASSERT_TRUE(wait_for_word(words_, READY, 1));
	ASSERT_EQ(ptrace(PTRACE_ATTACH, child, nullptr, nullptr), 0) << std::strerror(errno);
	ASSERT_EQ(waitpid(child, nullptr, 0), child);
	ASSERT_EQ(ptrace(PTRACE_POKEDATA, child, word, 2), 0) << std::strerror(errno);
	ASSERT_EQ(ptrace(PTRACE_DETACH, child, nullptr, nullptr), 0);
	words_.store(STOP, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(*word, 1u);
}

TEST_F(MmRemote, proc_mem_under_fire)
{
	start_worker(TALLY_WRITE);
	int file = open(("/proc/" + std::to_string(worker_) + "/mem").c_str(), O_RDWR | O_CLOEXEC);
	ASSERT_SYS(file);
	for (std::uint64_t page = 0; page < pages; page++) {
		std::uint64_t value = tally_pattern(0x7a11, page, 300);
		auto at = static_cast<off_t>(region_.address() + page * page_bytes + 300 * 8);
		ASSERT_EQ(pwrite(file, &value, sizeof(value), at), 8) << std::strerror(errno);
	}
	wait_for_the_worker();
	close(file);
	stop_worker();
}

} // namespace
