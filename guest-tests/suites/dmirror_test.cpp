// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The nodes hmm_dmirrorN beyond what Linux's hmm-tests look at: what they refuse, several processes, a process or a GPU that goes
 * in the middle, and what the device has while Linux changes its mind. GPUs 0 and 1 have private memory, 2 and 3 coherent.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "../support/gpu_test.hpp"
#include "../support/sweeper.hpp"
#include "../support/system.hpp"
#include "tandem_dmirror_uapi.h"

using namespace gpu_test;
using mm_system::exists;
using mm_system::write_file;

namespace {

constexpr std::uint64_t pages = 64;

std::string path_of(unsigned number)
{
	return "/dev/hmm_dmirror" + std::to_string(number);
}

/* An open node. Requests return 0 or an errno; what else they gave stays in last. */
class Node {
public:
	explicit Node(unsigned number = 0) : file_(open(path_of(number).c_str(), O_RDWR | O_CLOEXEC)) {}
	~Node() { close(file_); }
	Node(const Node &) = delete;
	Node &operator=(const Node &) = delete;

	int file() const { return file_; }
	int request(unsigned long what, const void *address, void *other, std::uint64_t count)
	{
		last = {.addr = reinterpret_cast<std::uintptr_t>(address), .ptr = reinterpret_cast<std::uintptr_t>(other),
			.npages = count, .cpages = ~0ull, .faults = ~0ull};
		return ioctl(file_, what, &last) ? errno : 0;
	}

	tandem_dmirror_request last{};

private:
	int file_;
};

class Dmirror : public ::testing::TestWithParam<unsigned> {
protected:
	void SetUp() override
	{
		for (std::uint64_t page = 0; page < pages; page++)
			*memory.words(page) = page;
	}
	/* In this order of kinds: 0 private, 2 coherent. */
	std::uint8_t local() const { return GetParam() < 2 ? TANDEM_DMIRROR_PRIVATE_LOCAL : TANDEM_DMIRROR_COHERENT_LOCAL; }
	/* What the buffer has of page n's first word. */
	std::uint64_t brought(std::uint64_t page) const { return *buffer.words(page); }
	std::uint8_t seen(std::uint64_t page) const { return static_cast<std::uint8_t *>(buffer.get())[page]; }

	Node node{GetParam()};
	Mapping memory{pages * page_bytes};
	Mapping buffer{pages * page_bytes};
};

INSTANTIATE_TEST_SUITE_P(Kinds, Dmirror, ::testing::Values(0, 2),
			 [](const auto &kind) { return kind.param ? "coherent" : "private"; });

TEST_P(Dmirror, a_request_that_means_nothing_is_refused)
{
	char *start = memory.at(0);
	std::uint64_t address = memory.address();

	for (unsigned long what : {TANDEM_DMIRROR_READ, TANDEM_DMIRROR_WRITE, TANDEM_DMIRROR_MIGRATE_TO_DEV,
				   TANDEM_DMIRROR_MIGRATE_TO_SYS, TANDEM_DMIRROR_SNAPSHOT, TANDEM_DMIRROR_EXCLUSIVE,
				   TANDEM_DMIRROR_CHECK_EXCLUSIVE, TANDEM_DMIRROR_RELEASE, TANDEM_DMIRROR_READ_UNLOCKED}) {
		EXPECT_EQ(node.request(what, start + 8, buffer.get(), 1), EINVAL) << "not the start of a page";
		EXPECT_EQ(node.request(what, start, buffer.get(), 0), EINVAL) << "no pages";
		EXPECT_EQ(node.request(what, start, buffer.get(), -address / page_bytes + 1), EINVAL) << "beyond the end";
		EXPECT_EQ(node.request(what, start, buffer.get(), (1ull << 52) + 1), EINVAL) << "too many to be counted in bytes";
		EXPECT_EQ(ioctl(node.file(), what, unmapped_address()), -1);
		EXPECT_EQ(errno, EFAULT);
	}
	EXPECT_EQ(node.request(_IOWR('H', 0x0a, tandem_dmirror_request), start, buffer.get(), 1), EINVAL);
	EXPECT_EQ(node.request(_IOWR('I', 0x00, tandem_dmirror_request), start, buffer.get(), 1), EINVAL);
}

TEST_P(Dmirror, memory_that_is_not_there_is_neither_read_nor_written)
{
	std::uint64_t *hole = unmapped_address();
	void *kernel = reinterpret_cast<void *>(0xffff888000000000);

	for (const void *nowhere : {static_cast<const void *>(hole), static_cast<const void *>(kernel)}) {
		EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, nowhere, buffer.get(), 1), EFAULT);
		EXPECT_EQ(node.request(TANDEM_DMIRROR_WRITE, nowhere, buffer.get(), 1), EFAULT);
		EXPECT_EQ(node.request(TANDEM_DMIRROR_EXCLUSIVE, nowhere, buffer.get(), 1), EFAULT);
		EXPECT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, nowhere, buffer.get(), 1), EINVAL);
		EXPECT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_SYS, nowhere, buffer.get(), 1), EINVAL);
		EXPECT_EQ(node.request(TANDEM_DMIRROR_CHECK_EXCLUSIVE, nowhere, buffer.get(), 1), 0);
	}
	EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), hole, 1), EFAULT) << "nowhere to put it";
	EXPECT_EQ(node.request(TANDEM_DMIRROR_WRITE, memory.get(), hole, 1), EFAULT) << "nothing to write";
	EXPECT_EQ(node.request(TANDEM_DMIRROR_SNAPSHOT, memory.get(), hole, 1), EFAULT);
	EXPECT_EQ(*memory.words(3), 3u);
}

TEST_P(Dmirror, one_fault_round_serves_a_range_and_none_what_is_mapped)
{
	ASSERT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.cpages, pages);
	EXPECT_EQ(node.last.faults, 1u);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(brought(page), page);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.faults, 0u);
	*buffer.words(5) = 500;
	ASSERT_EQ(node.request(TANDEM_DMIRROR_WRITE, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(*memory.words(5), 500u);
}

TEST_P(Dmirror, permissions_are_those_of_the_mapping)
{
	mprotect(memory.at(0), page_bytes, PROT_READ);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), 1), 0);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_WRITE, memory.get(), buffer.get(), 1), EPERM);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_EXCLUSIVE, memory.get(), buffer.get(), 1), EFAULT);
	mprotect(memory.at(0), page_bytes, PROT_NONE);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), 1), EFAULT);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_WRITE, memory.get(), buffer.get(), 1), EFAULT);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.get(), buffer.get(), 1), EINVAL);
}

TEST_P(Dmirror, memory_of_several_processes_cannot_be_taken)
{
	Mapping shared(page_bytes, MAP_SHARED | MAP_ANONYMOUS);

	*shared.words() = 1;
	EXPECT_EQ(node.request(TANDEM_DMIRROR_EXCLUSIVE, shared.get(), buffer.get(), 1), EOPNOTSUPP);
}

/* A page that nobody fills: with mmap_lock held nobody could wait for it. */
TEST_P(Dmirror, a_read_that_keeps_the_lock_does_not_wait_for_userfaultfd)
{
	Mapping empty(page_bytes);
	uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
	uffdio_register area = {.range = {empty.address(), page_bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING, .ioctls = 0};
	int uffd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_REGISTER, &area), 0);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, empty.get(), buffer.get(), 1), EFAULT);
	std::thread reader([&] { EXPECT_EQ(node.request(TANDEM_DMIRROR_READ_UNLOCKED, empty.get(), buffer.get(), 1), 0); });
	uffd_msg message;
	while (read(uffd, &message, sizeof(message)) != sizeof(message))
		std::this_thread::yield();
	uffdio_copy copy = {.dst = empty.address(), .src = memory.address() + 7 * page_bytes, .len = page_bytes, .mode = 0, .copy = 0};
	EXPECT_EQ(ioctl(uffd, UFFDIO_COPY, &copy), 0);
	reader.join();
	EXPECT_EQ(brought(0), 7u);
	close(uffd);
}

TEST_P(Dmirror, pages_go_and_come_and_are_counted)
{
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.cpages, pages);
	EXPECT_EQ(brought(9), 9u);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_SNAPSHOT, memory.get(), buffer.get(), pages), 0);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(seen(page), local() | TANDEM_DMIRROR_PAGE_WRITE);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_SYS, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.cpages, pages);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_SYS, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.cpages, 0u) << "at home already";
	EXPECT_EQ(*memory.words(9), 9u);
}

TEST_P(Dmirror, a_huge_page_that_comes_home_as_one_counts_as_one)
{
	constexpr std::uint64_t small = huge_bytes / page_bytes;
	HugeMapping huge(huge_bytes);
	Mapping there(huge_bytes);
	bool moves_whole = GetParam() < 2; /* coherent memory moves in 4 KiB */

	*huge.words(100) = 100;
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, huge.get(), there.get(), small), 0);
	EXPECT_EQ(node.last.cpages, small);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_SYS, huge.get(), there.get(), small), 0);
	EXPECT_EQ(node.last.cpages, moves_whole ? 1u : small);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, huge.get(), there.get(), small), 0);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_FLAGS, huge.get(), nullptr, TANDEM_DMIRROR_FAIL_ALLOC), 0);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_SYS, huge.get(), there.get(), small), 0);
	EXPECT_EQ(node.last.cpages, small) << "the huge page at home was denied";
	EXPECT_EQ(*huge.words(100), 100u);
}

TEST_P(Dmirror, release_brings_the_pages_of_everybody_home)
{
	Node other(GetParam());
	Mapping theirs(pages * page_bytes);

	*theirs.words(1) = 11;
	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.get(), buffer.get(), pages), 0);
	ASSERT_EQ(other.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, theirs.get(), buffer.get(), 2), 0);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_RELEASE, memory.get(), buffer.get(), 1), 0);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_SNAPSHOT, memory.get(), buffer.get(), pages), 0);
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(seen(page), TANDEM_DMIRROR_PAGE_WRITE);
	ASSERT_EQ(other.request(TANDEM_DMIRROR_SNAPSHOT, theirs.get(), buffer.get(), 2), 0);
	EXPECT_EQ(seen(1), TANDEM_DMIRROR_PAGE_WRITE);
	EXPECT_EQ(*theirs.words(1), 11u);
}

TEST_P(Dmirror, an_exclusive_page_is_the_devices_until_a_cpu_wants_it)
{
	ASSERT_EQ(node.request(TANDEM_DMIRROR_EXCLUSIVE, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(node.last.cpages, pages);
	EXPECT_EQ(brought(20), 20u) << "the atomic left the word as it was";
	EXPECT_EQ(node.request(TANDEM_DMIRROR_CHECK_EXCLUSIVE, memory.get(), nullptr, pages), EPERM);
	ASSERT_EQ(node.request(TANDEM_DMIRROR_SNAPSHOT, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(seen(20), TANDEM_DMIRROR_NONE) << "to Linux it is nowhere";
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ((*memory.words(page))++, page);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_CHECK_EXCLUSIVE, memory.get(), nullptr, pages), 0);
}

/* Its snapshots compare what the device has with what the process has, while that changes all the time. */
TEST_P(Dmirror, the_device_never_has_more_than_the_process)
{
	std::atomic<bool> done = false;
	std::thread changes([&] {
		for (unsigned round = 0; round < 60; round++) {
			mprotect(memory.at(0), 8 * page_bytes, round % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
			madvise(memory.at(8 * page_bytes), 8 * page_bytes, MADV_DONTNEED);
			mmap(memory.at(16 * page_bytes), 8 * page_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			Node(GetParam()).request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.at(24 * page_bytes), buffer.get(), 8);
			*memory.words(32 + round % 8) = round;
		}
		done = true;
	});
	std::thread faults([&] {
		Mapping there(pages * page_bytes);
		Node same(GetParam());

		while (!done) {
			node.request(TANDEM_DMIRROR_EXCLUSIVE, memory.at(32 * page_bytes), there.get(), 8);
			node.request(TANDEM_DMIRROR_WRITE, memory.at(8 * page_bytes), there.get(), 24);
			node.request(TANDEM_DMIRROR_READ, memory.get(), there.get(), pages);
		}
	});
	std::uint8_t what[pages];
	unsigned looks = 0;
	for (; !done; looks++) {
		tandem_dmirror_request look = {memory.address(), reinterpret_cast<std::uintptr_t>(what), pages, 0, 0};
		ASSERT_EQ(ioctl(node.file(), TANDEM_DMIRROR_SNAPSHOT, &look), 0) << std::strerror(errno);
	}
	changes.join();
	faults.join();
	EXPECT_GT(looks, 0u);
}

TEST_P(Dmirror, a_file_serves_the_memory_of_the_process_that_opened_it)
{
	EXPECT_TRUE(exited_well(in_child([&] {
		CHILD_CHECK(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), 1) == EPERM);
		Node own(GetParam());
		*memory.words(2) = 77;
		CHILD_CHECK(own.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages) == 0);
		CHILD_CHECK(brought(2) == 77 && brought(3) == 3);
		return 0;
	})));
	ASSERT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(brought(2), 2u) << "the child's copy";
}

TEST_P(Dmirror, a_process_that_ends_in_the_middle_leaves_the_node_to_others)
{
	for (unsigned round = 0; round < 10; round++) {
		SharedWords words;
		pid_t child = start_child([&] {
			Node own(GetParam());

			for (std::uint64_t turn = 1;; turn++) {
				CHILD_CHECK(own.request(TANDEM_DMIRROR_WRITE, memory.get(), buffer.get(), pages) == 0);
				own.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.get(), buffer.get(), pages);
				own.request(TANDEM_DMIRROR_EXCLUSIVE, memory.at(0), buffer.get(), 4);
				words.store(0, turn);
			}
			return 0;
		});
		ASSERT_TRUE(words.wait_at_least(0, 1 + round % 3));
		kill(child, SIGKILL);
		EXPECT_TRUE(WIFSIGNALED(wait_status(child)));
		ASSERT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages), 0);
		EXPECT_EQ(brought(30), 30u);
	}
}

TEST_P(Dmirror, an_open_node_keeps_the_module_and_not_the_gpu)
{
	std::string name = "hmm_dmirror" + std::to_string(GetParam());
	std::string address = std::filesystem::canonical("/sys/class/misc/" + name + "/device").filename();
	const std::string driver = "/sys/bus/pci/drivers/tandem/";

	ASSERT_EQ(node.request(TANDEM_DMIRROR_MIGRATE_TO_DEV, memory.get(), buffer.get(), pages), 0);
	EXPECT_NE(syscall(SYS_delete_module, "tandem", O_NONBLOCK), 0);
	EXPECT_EQ(errno, EWOULDBLOCK);
	write_file(driver + "unbind", address);
	EXPECT_FALSE(exists("/dev/" + name));
	EXPECT_EQ(node.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), 1), ENODEV);
	EXPECT_EQ(node.request(TANDEM_DMIRROR_RELEASE, memory.get(), buffer.get(), 1), ENODEV);
	EXPECT_EQ(*memory.words(40), 40u) << "the pages came home";
	write_file(driver + "bind", address);
	ASSERT_TRUE(sweeper::wait_until([&] { return exists("/dev/" + name); }));
	Node again(GetParam());
	EXPECT_EQ(again.request(TANDEM_DMIRROR_READ, memory.get(), buffer.get(), pages), 0);
	EXPECT_EQ(brought(40), 40u);
}

} // namespace
