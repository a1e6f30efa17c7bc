// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendors' matrix: the retry mode (AMD calls it XNACK) of an address space, and what it means for an access that finds no
 * translation. The suites beside this one run in both modes.
 */
#include <sys/ioctl.h>

#include "svm_test.hpp"

using namespace svm_test;

namespace {

class MatrixRetry : public PrivateTest {
protected:
	/* An address space without retries that has been granted everything but what a test denies. */
	struct Strict {
		tandem::Device device = tandem::Device::open().take();
		std::optional<tandem::Queue> queue;
		std::optional<tandem::Module> module;

		explicit Strict(const Mapping &denied)
		{
			forbid_retries(device);
			deny(denied.get(), denied.bytes());
			queue.emplace(device.queue().take());
			module.emplace(device.module("test_queue.elf").take());
		}
		void deny(const void *start, std::uint64_t length) const { EXPECT_OK(device.advise(start, length, 0)); }
		void grant(const void *start, std::uint64_t length) const
		{
			EXPECT_OK(device.advise(start, length, TANDEM_RANGE_ACCESSED_BY));
		}
		tandem::Outcome read(const void *from, std::uint64_t &seen) const
		{
			peek_arguments arguments = {static_cast<const std::uint64_t *>(from), &seen, 1};

			return queue->run(module->kernel("peek").take(), {1}, {1}, &arguments, 0, time_limit_ns);
		}
		std::uint8_t state(const void *page) const { return device.pages(page, page_bytes)->at(0); }
	};

	void expect_refused(Strict &strict, const void *at, tandem_queue_error error = TANDEM_QUEUE_PERMISSION_FAULT)
	{
		std::uint64_t seen = 7;

		EXPECT_FALSE(strict.read(at, seen));
		EXPECT_EQ(seen, 7u);
		expect_error(*strict.queue, error, at);
		strict.queue.emplace(strict.device.queue().take());
	}
};

DEVMEM_TEST(MatrixRetry, the_mode_is_set_both_ways_and_read_back)
{
	auto own = tandem::Device::open().take();
	EXPECT_EQ(own.retry().take(), TANDEM_RETRY_ON) << "as it is opened";
	for (tandem_retry_mode mode : {TANDEM_RETRY_OFF, TANDEM_RETRY_OFF, TANDEM_RETRY_ON}) {
		ASSERT_OK(own.set_retry(mode));
		EXPECT_EQ(own.retry().take(), mode);
	}
	EXPECT_EQ(device().retry().take(), TANDEM_RETRY_ON) << "each address space has its own";
	auto asked = [&](tandem_ioc_retry request) { return ioctl(tandem_file(own.get()), TANDEM_IOC_RETRY, &request) ? errno : 0; };
	EXPECT_EQ(asked({0, 0}), 0);
	EXPECT_EQ(asked({3, 0}), EINVAL);
	EXPECT_EQ(asked({TANDEM_RETRY_OFF, 1}), EINVAL);
	EXPECT_EQ(own.retry().take(), TANDEM_RETRY_ON);
}

DEVMEM_TEST(MatrixRetry, the_mode_stays_while_there_are_queues)
{
	auto own = tandem::Device::open().take();
	for (tandem_retry_mode mode : {TANDEM_RETRY_OFF, TANDEM_RETRY_ON}) {
		{
			auto queue = own.queue().take();
			auto refused = own.set_retry(mode);
			ASSERT_FALSE(refused);
			EXPECT_EQ(refused.error().status, TANDEM_ERROR_BUSY) << refused.error().text;
			EXPECT_NE(own.retry().take(), mode);
		}
		ASSERT_OK(own.set_retry(mode));
	}
}

DEVMEM_TEST(MatrixRetry, off_the_gpu_reaches_what_was_granted_and_nothing_else)
{
	AtHome granted, denied;
	Strict strict(denied);
	std::uint64_t seen = 0, faults = strict.device.stats()->faults;
	ASSERT_OK(strict.read(granted.words(3), seen));
	EXPECT_EQ(seen, pattern(1, 3 * 512));
	EXPECT_TRUE(strict.state(granted.words(3)) & TANDEM_PAGE_MAPPED);
	EXPECT_FALSE(strict.state(denied.words(3)) & TANDEM_PAGE_MAPPED);
	expect_refused(strict, denied.words(3));
	expect_refused(strict, unmapped_address(), TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_GT(strict.device.stats()->faults, faults);
	EXPECT_EQ(strict.device.stats()->faults_cancelled, 2u);
	EXPECT_TRUE(gpu_holds(denied.get(), bytes, 1)) << "with retries it is anybody's";
}

DEVMEM_TEST(MatrixRetry, off_a_prefetch_moves_but_grants_nothing)
{
	AtHome region;
	Strict strict(region);
	ASSERT_OK(strict.device.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_FALSE(strict.state(region.words(page)) & TANDEM_PAGE_MAPPED) << page;
	expect_refused(strict, region.words(1));
	strict.grant(region.get(), bytes);
	EXPECT_TRUE(strict.state(region.words(1)) & TANDEM_PAGE_MAPPED) << "at once";
	std::uint64_t seen = 0;
	ASSERT_OK(strict.read(region.words(1), seen));
	EXPECT_EQ(seen, pattern(1, 512));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), bytes));
}

/* Linux takes granted pages away, in every way that it has; the GPU never notices. */
DEVMEM_TEST(MatrixRetry, off_what_linux_takes_away_for_a_moment_comes_back)
{
	AtHome denied, region;
	Strict strict(denied);
	Tally reader(strict.device, 5);
	ASSERT_GPU(reader, reader.start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 4; round++) {
		ASSERT_GPU(reader, reader.during([&] { prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE); }));
		ASSERT_GPU(reader, reader.during([&] { prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM); }));
		ASSERT_GPU(reader, reader.during([&] { EXPECT_TRUE(exited_well(in_child([] { return 0; }))); }));
	}
	EXPECT_GPU(reader, reader.finish());
	EXPECT_EQ(strict.device.stats()->faults_cancelled, 0u);
}

/* Lanes are at work on all of it; then a part is theirs no more. */
DEVMEM_TEST(MatrixRetry, off_a_grant_that_is_taken_back_takes_the_translation_along)
{
	AtHome denied, region;
	Strict strict(denied);
	std::uint64_t done = 0;
	touch_arguments touch = {static_cast<unsigned char *>(region.get()), pages, &done, true};
	ASSERT_OK(strict.queue->dispatch(strict.module->kernel("touch_for_ever").take(), {64}, {64}, &touch));
	ASSERT_TRUE(sweeper::wait_until([&] { return __atomic_load_n(&done, __ATOMIC_RELAXED) > 10 * pages; }));
	strict.deny(region.words(16), 16 * page_bytes);
	for (std::uint64_t page = 16; page < 32; page++)
		EXPECT_FALSE(strict.state(region.words(page)) & TANDEM_PAGE_MAPPED) << page;
	ASSERT_TRUE(sweeper::wait_until([&] { return strict.queue->status()->error != TANDEM_QUEUE_OK; }));
	expect_error(*strict.queue, TANDEM_QUEUE_PERMISSION_FAULT);
	std::uint64_t va = strict.queue->status()->va;
	EXPECT_GE(va, region.address() + 16 * page_bytes);
	EXPECT_LT(va, region.address() + 32 * page_bytes);
}

/* What the GPU was given without asking goes with the mode. */
DEVMEM_TEST(MatrixRetry, switching_retries_off_takes_what_was_never_granted)
{
	AtHome region;
	auto own = tandem::Device::open().take();
	{
		auto queue = own.queue().take();
		auto module = own.module("test_queue.elf").take();
		std::uint64_t seen = 0;
		peek_arguments arguments = {region.words(1), &seen, 1};
		ASSERT_OK(queue.run(module.kernel("peek").take(), {1}, {1}, &arguments, 0, time_limit_ns));
		EXPECT_TRUE(own.pages(region.words(1), page_bytes)->at(0) & TANDEM_PAGE_MAPPED);
	}
	ASSERT_OK(own.set_retry(TANDEM_RETRY_OFF));
	EXPECT_FALSE(own.pages(region.words(1), page_bytes)->at(0) & TANDEM_PAGE_MAPPED);
	EXPECT_EQ(own.stats()->pages_mirrored, 0u);
}

} // namespace
