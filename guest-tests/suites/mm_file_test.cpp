// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of files: written by system calls, truncated, punched, written back, while the GPU works on the mapping. */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

class MmFile : public MmTest {
protected:
	static void punch(int file, std::uint64_t offset, std::uint64_t length)
	{
		ASSERT_SYS(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
				     static_cast<off_t>(length)));
	}
};

/* A file in a file system, which goes with its scope. */
class TemporaryFile {
public:
	explicit TemporaryFile(std::uint64_t length) : file_(mkostemp(name_, O_CLOEXEC))
	{
		unlink(name_);
		if (file_ < 0 || ftruncate(file_, static_cast<off_t>(length)))
			throw std::system_error(errno, std::generic_category(), name_);
	}
	~TemporaryFile() { close(file_); }
	TemporaryFile(const TemporaryFile &) = delete;
	TemporaryFile &operator=(const TemporaryFile &) = delete;
	int get() const { return file_; }

private:
	char name_[32] = "/tmp/tandem-file-XXXXXX";
	int file_;
};

TEST_F(MmFile, a_hole_is_punched_under_fire)
{
	TemporaryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(sweeping(), sweeping().change([&] { punch(file.get(), 0, bytes); }));
	finish_sweep();
}

TEST_F(MmFile, a_hole_beside_the_work_reads_as_zeros)
{
	TemporaryFile file(2 * bytes);
	Mapping region(2 * bytes, MAP_SHARED, file.get());
	let_gpu_touch(region.at(bytes), pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	EXPECT_NE(gpu_reads(region.at(bytes)), 0u);
	ASSERT_GPU(tally(), tally().during([&] { punch(file.get(), bytes, bytes); }));
	EXPECT_EQ(gpu_reads(region.at(bytes)), 0u);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.at(bytes), bytes, MADV_REMOVE)); }));
	EXPECT_EQ(gpu_reads(region.at(2 * bytes - page_bytes)), 0u);
	finish_tally();
}

TEST_F(MmFile, truncated_and_grown_while_the_lanes_stand_still)
{
	TemporaryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(sweeping(), sweeping().pause());
		sweeping().begin_change();
		ASSERT_SYS(ftruncate(file.get(), bytes / 2));
		gpu_reads(region.at(bytes / 2), TANDEM_QUEUE_SERVICE_FAILED);
		ASSERT_SYS(ftruncate(file.get(), bytes));
		EXPECT_EQ(gpu_reads(region.at(bytes / 2)), 0u) << "the page that was cut off came back";
		sweeping().end_change();
		sweeping().resume();
		ASSERT_GPU(sweeping(), sweeping().wait_round() && sweeping().wait_gpu_words());
	}
	finish_sweep();
}

TEST_F(MmFile, truncated_beside_the_work)
{
	TemporaryFile file(2 * bytes);
	Mapping region(2 * bytes, MAP_SHARED, file.get());
	let_gpu_touch(region.at(bytes), pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(ftruncate(file.get(), bytes)); }));
	gpu_reads(region.at(bytes + 5 * page_bytes), TANDEM_QUEUE_SERVICE_FAILED);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(ftruncate(file.get(), 2 * bytes)); }));
	EXPECT_EQ(gpu_reads(region.at(bytes + 5 * page_bytes)), 0u);
	finish_tally();
}

/* Truncation takes the copies of private mappings as well. */
TEST_F(MmFile, truncation_takes_private_copies)
{
	TemporaryFile file(bytes);
	Mapping region(bytes, MAP_PRIVATE, file.get());
	gpu_writes(region.words(40), 5);
	EXPECT_EQ(gpu_reads(region.words(40)), 5u);
	ASSERT_SYS(ftruncate(file.get(), bytes / 2));
	gpu_reads(region.words(40), TANDEM_QUEUE_SERVICE_FAILED);
	ASSERT_SYS(ftruncate(file.get(), bytes));
	EXPECT_EQ(gpu_reads(region.words(40)), 0u);
}

TEST_F(MmFile, a_private_mapping_under_fire_leaves_the_file_alone)
{
	TemporaryFile file(bytes);
	Mapping region(bytes, MAP_PRIVATE, file.get()), view(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { std::memset(view.get(), 0x77, bytes); }));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(view.words(page)[0], 0x7777777777777777u) << page;
	ASSERT_GPU(tally(), tally().during([&] { std::memset(view.get(), 0, bytes); }));
	finish_tally();
}

/* Until it writes, the owner of a private mapping sees what happens to the file. */
TEST_F(MmFile, a_private_mapping_follows_the_file_until_it_is_written)
{
	TemporaryFile file(page_bytes);
	Mapping region(page_bytes, MAP_PRIVATE, file.get());
	for (std::uint64_t value = 1; value < 6; value++) {
		ASSERT_EQ(pwrite(file.get(), &value, sizeof(value), 0), 8);
		EXPECT_EQ(gpu_reads(region.get()), value);
	}
	gpu_writes(region.at(8), 1);
	std::uint64_t value = 99;
	ASSERT_EQ(pwrite(file.get(), &value, sizeof(value), 0), 8);
	EXPECT_EQ(gpu_reads(region.get()), 5u);
}

TEST_F(MmFile, written_by_system_calls_under_fire)
{
	TemporaryFile file(2 * bytes);
	Mapping region(2 * bytes, MAP_SHARED, file.get());
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (std::uint64_t value = 1; value < 10; value++)
		ASSERT_GPU(tally(), tally().during([&] {
			for (std::uint64_t page = pages; page < 2 * pages; page++)
				ASSERT_EQ(pwrite(file.get(), &value, sizeof(value), static_cast<off_t>(page * page_bytes)), 8);
			EXPECT_EQ(gpu_reads(region.at(bytes + value * page_bytes)), value);
		}));
	finish_tally();
}

TEST_F(MmFile, read_back_by_system_calls_under_fire)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	std::uint64_t before = 0, now = 0;
	for (int round = 0; round < 10; round++) {
		ASSERT_GPU(tally(), tally().wait_round());
		ASSERT_EQ(pread(file.get(), &now, sizeof(now), 7 * page_bytes), 8);
		EXPECT_GT(now, before);
		before = now;
	}
	finish_tally();
}

/* Two address spaces of two processes, one file: both GPUs' atomics count in the same words. */
TEST_F(MmFile, two_processes_count_in_one_file)
{
	MemoryFile file(page_bytes);
	Mapping region(page_bytes, MAP_SHARED, file.get());
	count_arguments arguments = {region.words(), 1};
	pid_t child = start_child([&] {
		Mapping mine(page_bytes, MAP_SHARED, file.get());
		count_arguments own_arguments = {mine.words(), 1};
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		for (int round = 0; round < 20; round++)
			CHILD_CHECK(own_queue.run(module.kernel("count").take(), {64}, {64}, &own_arguments));
		return 0;
	});
	for (int round = 0; round < 20; round++)
		ASSERT_OK(run("count", {64}, {64}, &arguments));
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_EQ(region.words()[0], 2u * 20 * 64);
}

/* A sealed file cannot be mapped for writing, and the GPU cannot write to what is mapped. */
TEST_F(MmFile, a_sealed_memfd)
{
	int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_SYS(file);
	std::uint64_t word = 31337;
	ASSERT_EQ(pwrite(file, &word, sizeof(word), 0), 8);
	ASSERT_SYS(ftruncate(file, page_bytes));
	ASSERT_SYS(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
	Mapping region(page_bytes, MAP_SHARED, file, 0, PROT_READ);
	EXPECT_EQ(gpu_reads(region.get()), 31337u);
	peek_arguments poke = {&word, region.words(), 1};
	tandem::Queue victim = new_queue();
	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_PERMISSION_FAULT, region.get());
	close(file);
}

TEST_F(MmFile, secret_memory_is_out_of_reach)
{
	int file = static_cast<int>(syscall(SYS_memfd_secret, O_CLOEXEC));
	ASSERT_SYS(file);
	ASSERT_SYS(ftruncate(file, page_bytes));
	Mapping region(page_bytes, MAP_SHARED, file);
	region.words()[0] = 4711;
	std::uint64_t seen = 0;
	peek_arguments peek = {region.words(), &seen, 1};
	tandem::Queue own = new_queue();
	own.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns); /* HMM may or may not show it; it must not hurt */
	EXPECT_TRUE(seen == 0 || seen == 4711) << seen;
	expect_the_gpu_works();
	close(file);
}

/* The program's own code, from the host's file system. */
TEST_F(MmFile, a_file_of_the_host)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ASSERT_SYS(file);
	Mapping region(bytes, MAP_PRIVATE, file, 0, PROT_READ);
	std::uint64_t words[8] = {};
	ASSERT_EQ(pread(file, words, sizeof(words), 0), static_cast<ssize_t>(sizeof(words)));
	for (std::uint64_t word = 0; word < 8; word++)
		EXPECT_EQ(gpu_reads(region.words() + word), words[word]);
	close(file);
}

/*
 * A block device has a page cache with real write-back: what the GPU wrote must reach the device, though no CPU ever dirtied
 * the page, and while the page is being cleaned the GPU goes on writing.
 */
TEST_F(MmFile, what_the_gpu_writes_is_written_back)
{
	/* As much as one request holds: of larger ones this device keeps the first 128 KiB only, whoever wrote the pages. */
	constexpr std::uint64_t pages = 32, bytes = pages * page_bytes;
	write_file("/sys/block/zram0/disksize", std::to_string(16 << 20));
	{
		int file = open("/dev/zram0", O_RDWR | O_CLOEXEC), direct = open("/dev/zram0", O_RDONLY | O_DIRECT | O_CLOEXEC);
		ASSERT_SYS(file);
		ASSERT_SYS(direct);
		Mapping region(bytes, MAP_SHARED, file), buffer(page_bytes);
		ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
		for (int round = 0; round < 5; round++) {
			std::uint64_t least[pages];
			ASSERT_GPU(tally(), tally().wait_round());
			for (std::uint64_t page = 0; page < pages; page++)
				least[page] = tally().count(page);
			ASSERT_SYS(fsync(file));
			for (std::uint64_t page = 0; page < pages; page += 7) {
				ASSERT_EQ(pread(direct, buffer.get(), page_bytes, static_cast<off_t>(page * page_bytes)), 4096)
					<< std::strerror(errno);
				EXPECT_GE(buffer.words()[0], least[page]) << "page " << page << " was not written back";
			}
		}
		EXPECT_GPU(tally(), tally().finish());
		ASSERT_SYS(fsync(file));
		for (std::uint64_t page = 0; page < pages; page++) {
			ASSERT_EQ(pread(direct, buffer.get(), page_bytes, static_cast<off_t>(page * page_bytes)), 4096);
			EXPECT_EQ(std::memcmp(buffer.get(), region.words(page), page_bytes), 0) << page;
		}
		close(file);
		close(direct);
	}
	write_file("/sys/block/zram0/reset", "1");
}

} // namespace
