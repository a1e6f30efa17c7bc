// SPDX-License-Identifier: GPL-2.0-or-later
/* The vendors' matrix: two GPUs and one range, as AMD's KFDTest has it. docs/matrix.md names the origin of each. */
#include "svm_test.hpp"

using namespace svm_test;

namespace {

class MatrixPeers : public SvmTest {
protected:
	static constexpr std::uint64_t length = 1ull << 20;

	struct Gpu {
		tandem::Device device;
		tandem::Queue queue;

		explicit Gpu(const char *path) : device(open_device(path)), queue(device.queue().take()) {}

		std::uint64_t count(const void *start, tandem_page_place place) const
		{
			auto states = device.pages(start, length).take();

			return std::count_if(states.begin(), states.end(), [&](auto state) { return (state & TANDEM_PAGE_PLACE) == place; });
		}
		/* Until all of it is there: a page that somebody holds for a moment is asked for again. */
		::testing::AssertionResult fetch(const void *start) const
		{
			for (int attempt = 0; attempt < 50; attempt++) {
				auto moved = device.prefetch(start, length, TANDEM_LOCATION_DEVICE);

				if (!moved)
					return succeeded(moved);
				if (count(start, TANDEM_PAGE_DEVICE) == length / page_bytes)
					return ::testing::AssertionSuccess();
				ledger::empty_page_batches();
			}
			return ::testing::AssertionFailure() << count(start, TANDEM_PAGE_DEVICE) << " pages are there";
		}
	};

	void prepare() override { ASSERT_GE(ledger::gpus(), 2u) << "the machine needs two GPUs"; }
};

/*
 * Both buffers go from GPU to GPU; then each GPU copies from one to the other. Over a link with retries its faults bring them to it,
 * without it reaches them where they are. Without a link they come home first.
 */
DEVMEM_TEST(MatrixPeers, buffers_migrate_from_gpu_to_gpu)
{
	Gpu first("/dev/tandem0"), second("/dev/tandem1");
	AtHome source(length, 1), target(length, 2);
	for (const Gpu *gpu : {&first, &second})
		for (const AtHome *buffer : {&source, &target}) {
			ASSERT_OK(gpu->device.prefer(buffer->get(), length, TANDEM_LOCATION_DEVICE));
			ASSERT_TRUE(gpu->fetch(buffer->get()));
		}
	EXPECT_EQ(first.count(source.get(), TANDEM_PAGE_DEVICE), 0u) << "the second has taken it from the first";
	const bool linked = first.device.query()->fabric != ~0u;
	std::uint64_t copies = 0;
	for (const Gpu *gpu : {&first, &second, &first}) {
		ASSERT_OK(engine_copy(gpu->queue, target.get(), source.get(), length));
		if (linked)
			EXPECT_EQ(gpu->count(source.get(), TANDEM_PAGE_DEVICE), retries() || gpu == &second ? length / page_bytes : 0)
				<< "copy " << copies;
		ASSERT_TRUE(holds(target.get(), length, 1)) << "copy " << copies;
		EXPECT_EQ(gpu->count(target.get(), TANDEM_PAGE_SYSTEM), length / page_bytes) << "the CPU has brought it home";
		fill(target.get(), length, ++copies + 10);
	}
	EXPECT_TRUE(holds(source.get(), length, 1));
}

/* Mapped where they are, the buffers stay with the GPU that fetched them last, whoever uses them. */
DEVMEM_TEST(MatrixPeers, buffers_are_accessed_in_place_by_both_gpus)
{
	Gpu first("/dev/tandem0"), second("/dev/tandem1");
	AtHome source(length, 1), target(length, 2);
	const bool linked = first.device.query()->fabric != ~0u;
	for (const Gpu *gpu : {&first, &second})
		for (const AtHome *buffer : {&source, &target}) {
			ASSERT_OK(gpu->device.advise(buffer->get(), length, TANDEM_RANGE_ACCESSED_BY));
			ASSERT_TRUE(gpu->fetch(buffer->get()));
		}
	ASSERT_OK(engine_copy(first.queue, target.get(), source.get(), length));
	EXPECT_EQ(second.count(source.get(), TANDEM_PAGE_DEVICE), linked ? length / page_bytes : 0)
		<< "over a link they are read where they are, without one they come home";
	ASSERT_TRUE(holds(target.get(), length, 1));
	fill(target.get(), length, 3);
	std::uint64_t moved = first.device.stats()->pages_to_vram + second.device.stats()->pages_to_vram;
	for (const Gpu *gpu : {&second, &first}) {
		ASSERT_OK(engine_copy(gpu->queue, target.get(), source.get(), length));
		ASSERT_TRUE(holds(target.get(), length, 1));
		fill(target.get(), length, 3);
	}
	EXPECT_EQ(first.device.stats()->pages_to_vram + second.device.stats()->pages_to_vram, moved) << "an access moved them";
	EXPECT_TRUE(holds(source.get(), length, 1));
}

} // namespace
