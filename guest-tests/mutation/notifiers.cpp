// SPDX-License-Identifier: GPL-2.0-or-later
/* Linux changes memory that the GPU is working on: what the device had is gone before Linux goes on. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Notifiers : public Provocation {
protected:
	void drop_while_the_gpu_reads(const std::string &place)
	{
		Region region(some_pages);
		Gate gate(place, region.get());

		ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, SWEEP_CHECK));
		sweeping().begin_change();
		change_under_the_gpu(sweeping(), gate, [&] { madvise(region.get(), region.bytes(), MADV_DONTNEED); });
		sweeping().end_change();
		finish_sweep();
	}

	/* A child shares the memory while it lives. */
	void fork_while(const std::function<void()> &action)
	{
		SharedWords words;
		pid_t child = start_child([&] {
			words.store(0, 1);
			return words.wait_at_least(1, 1) ? 0 : 1;
		});

		EXPECT_TRUE(words.wait_at_least(0, 1));
		action();
		words.store(1, 1);
		EXPECT_TRUE(exited_well(wait_status(child)));
	}
};

TEST_F(Notifiers, pages_are_dropped)
{
	drop_while_the_gpu_reads("none");
}

TEST_F(Notifiers, pages_are_dropped_and_the_flush_comes_late)
{
	drop_while_the_gpu_reads("flush");
}

TEST_F(Notifiers, pages_are_dropped_and_the_gpu_reads_between_flush_and_clear)
{
	drop_while_the_gpu_reads("flushed");
}

TEST_F(Notifiers, pages_are_unmapped)
{
	Region region(some_pages);
	Gate none("none", nullptr);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, check_and_write));
	sweeping().begin_change();
	change_under_the_gpu(sweeping(), none, [&] { remap(region.get(), region.bytes()); });
	sweeping().end_change();
	finish_sweep();
}

/* Beyond the first half of what one notifier watches. */
TEST_F(Notifiers, pages_far_behind_in_the_watched_range_are_dropped)
{
	constexpr std::uint64_t chunk = 64ull << 20;
	Place whole(2 * chunk);
	char *far = reinterpret_cast<char *>(((whole.address() + chunk - 1) & -chunk) + chunk / 4 * 3);
	Gate none("none", nullptr);

	ASSERT_SYS(madvise(far, bytes, MADV_NOHUGEPAGE));
	ASSERT_GPU(sweeping(), sweeping().start(far, pages, SWEEP_CHECK));
	sweeping().begin_change();
	change_under_the_gpu(sweeping(), none, [&] { madvise(far, bytes, MADV_DONTNEED); });
	sweeping().end_change();
	finish_sweep();
}

TEST_F(Notifiers, part_of_a_huge_page_is_dropped)
{
	HugePlace region(huge_bytes);
	Gate none("none", nullptr);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), huge_page_count, SWEEP_CHECK));
	ASSERT_TRUE(is_huge(region.get()));
	sweeping().begin_change();
	change_under_the_gpu(sweeping(), none, [&] { madvise(region.get(), huge_bytes / 4, MADV_DONTNEED); });
	sweeping().end_change();
	finish_sweep();
}

TEST_F(Notifiers, pages_become_read_only)
{
	Region region(1);
	tandem::Queue own = new_queue();

	ASSERT_OK(gpu_touches(region.get(), true, own));
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_READ));
	EXPECT_FALSE(gpu_touches(region.get(), true, own)) << "the GPU wrote where the process may only read";
	expect_error(own, TANDEM_QUEUE_PERMISSION_FAULT, region.get());
}

TEST_F(Notifiers, pages_are_shared_by_a_fork)
{
	Region region(some_pages);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, check_and_write));
	fork_while([&] { EXPECT_GPU(sweeping(), sweeping().wait_round()); });
	finish_sweep();
}

TEST_F(Notifiers, pages_that_a_fork_has_shared_are_read_and_then_written)
{
	Region region(1);
	tandem::Queue own = new_queue();

	fork_while([&] {
		EXPECT_OK(gpu_touches(region.get(), false, own));
		EXPECT_OK(gpu_touches(region.get(), true, own));
	});
}

/* The acknowledgement is late, and Linux waits for it. */
TEST_F(Notifiers, pages_are_dropped_and_the_acknowledgement_is_late)
{
	Setting deadline(std::string(parameters) + "deadline_ms", "60000");
	Region region(some_pages);
	std::atomic<bool> done = false;

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, SWEEP_CHECK));
	sweeping().begin_change();
	{
		Stall stall("stall-invalidate");
		std::thread changer([&] {
			madvise(region.get(), region.bytes(), MADV_DONTNEED);
			done = true;
		});
		EXPECT_TRUE(sweeper::wait_until([] { return is_pending("invalidate"); }));
		/* A driver that does not wait is through by now, or soon; the others cannot be. */
		sweeper::wait_until([&] { return done.load(); }, {}, 0.5);
		EXPECT_FALSE(done) << "the driver did not wait";
		EXPECT_GPU(sweeping(), sweeping().wait_round());
		write_file(debugfs("inject"), "none");
		changer.join();
	}
	sweeping().end_change();
	finish_sweep();
}

TEST_F(Notifiers, pages_of_another_address_space_are_dropped)
{
	Another second = Another::open(); /* the address space with the next number */
	Region region(some_pages);
	Gate none("none", nullptr);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, SWEEP_CHECK));
	sweeping().begin_change();
	change_under_the_gpu(sweeping(), none, [&] { madvise(region.get(), region.bytes(), MADV_DONTNEED); });
	sweeping().end_change();
	finish_sweep();
}

TEST_F(Notifiers, pages_that_the_gpu_has_written_are_paged_out)
{
	Zram swap;
	Region region(some_pages);
	tandem::Queue own = new_queue();

	let_gpu_touch(region.get(), some_pages);
	settle_fresh_pages();
	page_out(region.get(), region.bytes());
	for (std::uint64_t page = 0; page < some_pages; page++)
		EXPECT_EQ(*reinterpret_cast<unsigned char *>(region.words(page)), static_cast<unsigned char>(page + 1));
}

} // namespace
