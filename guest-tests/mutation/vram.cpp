// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages move between memory and video memory: nobody sees them before their contents have arrived, or where they were. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Vram : public Provocation {
protected:
	std::uint64_t prefetch(const void *start, std::uint64_t length, tandem_location location)
	{
		return device().prefetch(start, length, location).take();
	}

	/* The copy is late; the GPU reads on one side, the CPU on the other. */
	void move_with_a_late_copy(Region &region, tandem_location location, const std::function<void()> &meanwhile)
	{
		Setting deadline(std::string(parameters) + "deadline_ms", "60000");
		std::atomic<bool> done = false;
		Stall stall("stall-command");
		std::thread mover([&] {
			static_cast<void>(device().prefetch(region.get(), region.bytes(), location));
			done = true;
		});

		EXPECT_TRUE(sweeper::wait_until([] { return is_pending("command"); }));
		sweeper::wait_until([&] { return done.load(); }, {}, 0.5);
		EXPECT_FALSE(done) << "the driver did not wait for the copy";
		if (done)
			meanwhile();
		write_file(debugfs("inject"), "none");
		mover.join();
	}
};

TEST_F(Vram, pages_move_there_while_the_gpu_works)
{
	Region region(some_pages);
	Gate none("none", nullptr);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, check_and_write));
	change_under_the_gpu(sweeping(), none, [&] { prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE); });
	finish_sweep();
}

TEST_F(Vram, pages_move_to_the_memory_of_one_gpu_while_another_works)
{
	Region region(some_pages);
	Gate none("none", nullptr);
	tandem_open_options options = {};
	options.path = "/dev/tandem1";
	tandem::Device second = tandem::Device::open(&options).take();
	Sweeper gpu(second);

	ASSERT_GPU(gpu, gpu.start(region.get(), some_pages, check_and_write));
	change_under_the_gpu(gpu, none, [&] { prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE); });
	EXPECT_GPU(gpu, gpu.stop());
	EXPECT_EQ(gpu.errors(), 0u) << gpu.complaint();
}

TEST_F(Vram, pages_go_there_with_a_late_copy)
{
	Region region(1), other(1), result(1);
	tandem::Queue own = new_queue();
	std::uint64_t seen = 0;

	/* Everything that the second run needs has been mapped by the first one. */
	peek_arguments warm = {other.words(), result.words(), 1}, peek = {region.words(), result.words(), 1};
	ASSERT_OK(own.run(kernel("peek"), {1}, {1}, &warm, 0, time_limit_ns));
	move_with_a_late_copy(region, TANDEM_LOCATION_DEVICE, [&] {
		EXPECT_OK(own.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
	});
	ASSERT_OK(own.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
	seen = *result.words();
	EXPECT_EQ(seen, 1u);
}

TEST_F(Vram, pages_come_home_with_a_late_copy)
{
	Region region(1);

	ASSERT_EQ(prefetch(region.get(), page_bytes, TANDEM_LOCATION_DEVICE), 1u);
	move_with_a_late_copy(region, TANDEM_LOCATION_SYSTEM, [] {});
	EXPECT_EQ(*region.words(), 1u);
}

TEST_F(Vram, copies_fail)
{
	Region region(some_pages);
	std::uint64_t wrong = 0;

	write_file(debugfs("test_copy_fail"), "100");
	static_cast<void>(device().prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	write_file(debugfs("test_copy_fail"), "0");
	for (std::uint64_t page = 0; page < some_pages; page++)
		wrong += gpu_reads(region.words(page)).value_or(0) != page + 1;
	EXPECT_EQ(wrong, 0u);
}

TEST_F(Vram, pages_that_were_never_touched_begin_there_as_zeros)
{
	Region dirty(some_pages);
	Place region(some_pages * page_bytes);
	std::uint64_t wrong = 0;

	/* So that what is given out next has somebody's data in it. */
	prefetch(dirty.get(), dirty.bytes(), TANDEM_LOCATION_DEVICE);
	ASSERT_SYS(madvise(dirty.get(), dirty.bytes(), MADV_DONTNEED));
	ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
	prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);
	for (std::uint64_t page = 0; page < some_pages; page++)
		wrong += gpu_reads(region.words(page)).value_or(1) != 0;
	EXPECT_EQ(wrong, 0u);
}

TEST_F(Vram, another_gpu_reads_pages_of_this_one)
{
	Region region(some_pages), result(1);
	Another second = Another::open("/dev/tandem1");
	std::uint64_t wrong = 0;

	prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);
	for (std::uint64_t page = 0; page < some_pages; page++) {
		peek_arguments peek = {region.words(page), result.words(), 1};
		ASSERT_OK(second.queue.run(second.module.kernel("peek").take(), {1}, {1}, &peek, 0, time_limit_ns));
		wrong += *result.words() != page + 1;
	}
	EXPECT_EQ(wrong, 0u);
}

/* Another address space of the process has mapped nothing yet, and looks at the neighbourhood of the page only. */
TEST_F(Vram, the_middle_of_a_huge_page_there_is_mapped)
{
	HugePlace region(huge_bytes);
	Region result(1);
	std::uint64_t page = huge_page_count / 2 + 5;

	for (std::uint64_t i = 0; i < huge_page_count; i++)
		*region.words(i) = i + 1;
	ASSERT_EQ(prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE), huge_page_count);
	Another second = Another::open();
	peek_arguments peek = {region.words(page), result.words(), 1};
	ASSERT_OK(second.queue.run(second.module.kernel("peek").take(), {1}, {1}, &peek, 0, time_limit_ns));
	EXPECT_EQ(*result.words(), page + 1);
}

} // namespace
