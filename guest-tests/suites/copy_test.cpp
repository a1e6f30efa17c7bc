// SPDX-License-Identifier: GPL-2.0-or-later
/* The copy engine on virtual addresses: sizes, offsets, faults, and pages that change under it. */
#include <cstring>
#include <random>
#include <thread>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

class CopyTest : public GpuTest {
protected:
	static std::vector<unsigned char> random_bytes(std::size_t count)
	{
		std::mt19937_64 random(11);
		std::vector<unsigned char> bytes(count);
		for (auto &byte : bytes)
			byte = static_cast<unsigned char>(random());
		return bytes;
	}

	::testing::AssertionResult copy(void *destination, const void *source, std::uint64_t bytes)
	{
		auto done = tandem::Signal::create().take();
		int status = tandem_copy(queue().get(), destination, source, bytes, done.get());

		if (!status)
			status = tandem_wait(queue().get(), done.get(), time_limit_ns);
		if (status)
			return ::testing::AssertionFailure() << tandem_error_text();
		return ::testing::AssertionSuccess();
	}

	::testing::AssertionResult fill(void *destination, std::uint64_t pattern, std::uint64_t bytes)
	{
		auto done = tandem::Signal::create().take();
		int status = tandem_fill(queue().get(), destination, pattern, bytes, done.get());

		if (!status)
			status = tandem_wait(queue().get(), done.get(), time_limit_ns);
		if (status)
			return ::testing::AssertionFailure() << tandem_error_text();
		return ::testing::AssertionSuccess();
	}
};

TEST_F(CopyTest, sizes_and_offsets)
{
	auto source = random_bytes(20000);

	for (std::size_t bytes : {1, 2, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097, 12289})
		for (std::size_t from : {0, 1, 5, 4090})
			for (std::size_t to : {0, 3, 4093}) {
				std::vector<unsigned char> target(20000, 0xa5), expected(20000, 0xa5);
				std::memcpy(&expected[to], &source[from], bytes);
				ASSERT_TRUE(copy(&target[to], &source[from], bytes)) << bytes << " from " << from << " to " << to;
				ASSERT_EQ(target, expected) << bytes << " from " << from << " to " << to;
			}
}

TEST_F(CopyTest, nothing_at_all)
{
	unsigned char source = 1, target = 2;

	EXPECT_TRUE(copy(&target, &source, 0));
	EXPECT_EQ(target, 2);
}

TEST_F(CopyTest, a_large_area_into_fresh_pages)
{
	constexpr std::size_t bytes = 3 << 20;
	auto source = random_bytes(bytes);
	Mapping target(bytes + page_bytes);

	ASSERT_TRUE(copy(target.at(100), source.data(), bytes));
	EXPECT_EQ(std::memcmp(target.at(100), source.data(), bytes), 0);
	EXPECT_EQ(*target.at(99), 0);
	EXPECT_EQ(*target.at(100 + bytes), 0);
}

TEST_F(CopyTest, fills_with_a_pattern)
{
	std::vector<std::uint64_t> words(5000, 7);

	ASSERT_TRUE(fill(&words[1], 0x0102030405060708, 4998 * 8));
	EXPECT_EQ(words[0], 7u);
	for (std::size_t i = 1; i < 4999; i++)
		ASSERT_EQ(words[i], 0x0102030405060708u) << i;
	EXPECT_EQ(words[4999], 7u);
}

TEST_F(CopyTest, fills_in_order_of_submission_behind_a_barrier)
{
	std::vector<std::uint64_t> words(512), target(512);
	auto filled = tandem::Signal::create().take();

	ASSERT_EQ(tandem_fill(queue().get(), words.data(), 5, 4096, filled.get()), 0);
	ASSERT_OK(queue().wait(filled, time_limit_ns));
	ASSERT_TRUE(copy(target.data(), words.data(), 4096));
	EXPECT_EQ(target, std::vector<std::uint64_t>(512, 5));
}

TEST_F(CopyTest, stops_at_an_unmapped_page_and_reports_it)
{
	Mapping source(4 * page_bytes), target(4 * page_bytes);
	munmap(target.at(2 * page_bytes), page_bytes);
	std::memset(source.get(), 0x77, source.bytes());
	tandem::Queue victim = new_queue();
	auto done = tandem::Signal::create().take();

	ASSERT_EQ(tandem_copy(victim.get(), target.get(), source.get(), source.bytes(), done.get()), 0);
	EXPECT_EQ(tandem_wait(victim.get(), done.get(), time_limit_ns), TANDEM_ERROR_QUEUE);
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, target.at(2 * page_bytes));
	EXPECT_EQ(*target.at(3 * page_bytes), 0) << "went on behind the fault";
	expect_the_gpu_works();
}

TEST_F(CopyTest, does_not_write_to_a_read_only_page)
{
	Mapping target(page_bytes);
	*target.at(0) = 1;
	ASSERT_EQ(mprotect(target.get(), page_bytes, PROT_READ), 0);
	char source[16] = "abcdefgh";
	tandem::Queue victim = new_queue();
	auto done = tandem::Signal::create().take();

	ASSERT_EQ(tandem_copy(victim.get(), target.get(), source, 16, done.get()), 0);
	EXPECT_EQ(tandem_wait(victim.get(), done.get(), time_limit_ns), TANDEM_ERROR_QUEUE);
	expect_error(victim, TANDEM_QUEUE_PERMISSION_FAULT, target.get());
	EXPECT_EQ(*target.at(0), 1);
}

/* Pages of the destination are replaced again and again while copies run; each copy must end up in the pages of its end. */
TEST_F(CopyTest, remap_of_the_destination_between_copies)
{
	constexpr std::uint64_t bytes = 32 * page_bytes;
	auto source = random_bytes(bytes);
	Mapping target(bytes);

	for (int round = 0; round < 20; round++) {
		ASSERT_TRUE(copy(target.get(), source.data(), bytes)) << round;
		ASSERT_EQ(std::memcmp(target.get(), source.data(), bytes), 0) << round;
		ASSERT_EQ(mmap(target.get(), bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			  target.get());
		source[static_cast<std::size_t>(round)] ^= 0xff;
	}
}

/* The old pages stay visible through the file: after the remap not a byte of a copy in flight may reach them. */
TEST_F(CopyTest, remap_of_the_destination_during_a_copy)
{
	constexpr std::uint64_t bytes = 4 << 20;
	MemoryFile file(2 * bytes);
	Mapping view(2 * bytes, MAP_SHARED, file.get()), target(bytes, MAP_SHARED, file.get());
	auto source = random_bytes(bytes);

	for (int round = 0; round < 4; round++) {
		std::uint64_t now = (round + 1) % 2 * bytes, before = bytes - now;
		auto done = tandem::Signal::create().take();
		std::memset(view.get(), 0, 2 * bytes);
		source[0] = static_cast<unsigned char>(round + 1);
		ASSERT_EQ(tandem_copy(queue().get(), target.get(), source.data(), bytes, done.get()), 0);
		ASSERT_TRUE(sweeper::wait_until([&] { return static_cast<volatile char *>(target.at(0))[0] != 0; }));
		ASSERT_EQ(mmap(target.get(), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(),
			       static_cast<off_t>(now)),
			  target.get());
		std::vector<char> frozen(view.at(before), view.at(before + bytes));
		ASSERT_OK(queue().wait(done, time_limit_ns));
		ASSERT_EQ(std::memcmp(frozen.data(), view.at(before), bytes), 0) << "written after munmap, round " << round;
		/* Each byte of the source arrived in one of the two. */
		for (std::uint64_t i = 0; i < bytes; i++)
			ASSERT_EQ(static_cast<unsigned char>(frozen[i] | *view.at(now + i)), source[i]) << i;
	}
}

TEST_F(CopyTest, copies_while_kernels_work_on_other_memory)
{
	Mapping region(16 * page_bytes);
	sweeper::Sweeper gpu(device());
	ASSERT_TRUE(gpu.start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << gpu.complaint();
	auto source = random_bytes(1 << 20);
	std::vector<unsigned char> target(1 << 20);

	ASSERT_TRUE(copy(target.data(), source.data(), source.size()));
	EXPECT_EQ(target, source);
	EXPECT_TRUE(gpu.change([] {})) << gpu.complaint();
	EXPECT_TRUE(gpu.stop()) << gpu.complaint();
}

TEST_F(CopyTest, overlapping_areas_are_refused)
{
	std::vector<unsigned char> memory(64);

	EXPECT_EQ(tandem_copy(queue().get(), &memory[1], &memory[0], 32, nullptr), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_fill(queue().get(), memory.data(), 0, 31, nullptr), TANDEM_ERROR_INVALID);
}

} // namespace
