// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver goes while processes have pages in the GPU's memory: every page comes home first, and the processes live on. */
#include <sys/syscall.h>

#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

const char *const driver = "/sys/bus/pci/drivers/tandem/";
const char *const module_file = "/modules/tandem.ko";

/* Each test opens the GPU as often as it wants to, and must close it before the module can go. */
class DevmemRemoval : public DevmemTest {
protected:
	bool opens_the_gpu() const override { return false; }
	void prepare() override
	{
		address_ = ledger::pci_address(0);
		ASSERT_FALSE(address_.empty());
	}

	void unbind() { write_file(std::string(driver) + "unbind", address_); }
	void bind()
	{
		write_file(std::string(driver) + "bind", address_);
		expect_new_gpu();
	}
	/* An address space that was closed a moment ago holds the module until a work item has freed it. */
	void unload()
	{
		auto is_gone = [] { return syscall(SYS_delete_module, "tandem", O_NONBLOCK) == 0 || errno != EWOULDBLOCK; };

		ASSERT_TRUE(sweeper::wait_until(is_gone)) << "the module is in use for good";
		EXPECT_FALSE(exists("/dev/tandem0"));
	}
	void load()
	{
		int file = open(module_file, O_RDONLY | O_CLOEXEC);

		ASSERT_SYS(file);
		ASSERT_SYS(syscall(SYS_finit_module, file, "", 0));
		close(file);
		expect_new_gpu();
	}

	/* A GPU that works, on memory of its own. */
	void expect_new_gpu()
	{
		EXPECT_TRUE(sweeper::wait_until([] { return exists("/dev/tandem0"); }));
		auto fresh = tandem::Device::open();
		ASSERT_OK(fresh);
		Tally gpu(*fresh, 3);
		Mapping region(bytes);
		ASSERT_GPU(gpu, gpu.start(region.get(), pages, TALLY_ATOMIC));
		ASSERT_OK(fresh->prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		ASSERT_GPU(gpu, gpu.during([] {}));
		EXPECT_GPU(gpu, gpu.finish());
	}

	/* Filled and moved there by an address space that may be closed again. */
	static void fill_there(const tandem::Device &own, void *start, std::uint64_t length, std::uint64_t seed)
	{
		std::uint64_t there = 0;

		fill(start, length, seed);
		for (int attempt = 0; attempt < 50 && there < length / page_bytes; attempt++)
			there += own.prefetch(start, length, TANDEM_LOCATION_DEVICE).take();
		ASSERT_EQ(there, length / page_bytes);
	}

	std::string address_;
};

DEVMEM_TEST(DevmemRemoval, unbinding_brings_the_pages_of_a_running_process_home)
{
	auto own = tandem::Device::open().take();
	Mapping region(16 * bytes);
	fill_there(own, region.get(), region.bytes(), 1);
	unbind();
	EXPECT_FALSE(exists("/dev/tandem0"));
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	fill(region.get(), region.bytes(), 2);
	EXPECT_TRUE(holds(region.get(), region.bytes(), 2));
	EXPECT_FALSE(own.prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE)) << "there is no GPU any more";
	bind();
	EXPECT_TRUE(holds(region.get(), region.bytes(), 2));
}

DEVMEM_TEST(DevmemRemoval, huge_pages_come_home_as_well)
{
	auto own = tandem::Device::open().take();
	HugeMapping region(4 * huge_bytes);
	fill_there(own, region.get(), 4 * huge_bytes, 1);
	unbind();
	EXPECT_TRUE(holds(region.get(), 4 * huge_bytes, 1));
	bind();
}

DEVMEM_TEST(DevmemRemoval, what_the_gpu_wrote_last_comes_home)
{
	auto own = std::make_unique<tandem::Device>(tandem::Device::open().take());
	auto gpu = std::make_unique<Tally>(*own, 4);
	Mapping region(bytes);
	ASSERT_GPU(*gpu, gpu->start(region.get(), pages, TALLY_WRITE));
	ASSERT_OK(own->prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_GPU(*gpu, gpu->during([] {}));
	ASSERT_GPU(*gpu, gpu->pause());
	unbind();
	EXPECT_GPU(*gpu, gpu->verify()) << "as it stood still";
	gpu.reset();
	own.reset();
	bind();
}

/* In the middle of its work: nothing that it had written is lost, and nothing is written afterwards. */
DEVMEM_TEST(DevmemRemoval, unbinding_under_fire)
{
	for (int round = 0; round < 3; round++) {
		auto own = std::make_unique<tandem::Device>(tandem::Device::open().take());
		auto gpu = std::make_unique<Tally>(*own, 5);
		Mapping region(bytes);
		ASSERT_GPU(*gpu, gpu->start(region.get(), pages, TALLY_WRITE));
		ASSERT_OK(own->prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		ASSERT_GPU(*gpu, gpu->during([] {}));
		std::vector<std::uint64_t> before;
		for (std::uint64_t page = 0; page < pages; page++)
			before.push_back(page % 2 ? gpu->count(page) : 0);
		unbind();
		std::vector<std::uint64_t> after;
		for (std::uint64_t page = 0; page < pages; page++) {
			EXPECT_TRUE(gpu->is_plausible(region.get(), page)) << page;
			EXPECT_GE(gpu->count(page), before[page]) << page;
			after.push_back(gpu->count(page));
		}
		usleep(20'000);
		for (std::uint64_t page = 0; page < pages; page++)
			EXPECT_EQ(gpu->count(page), after[page]) << "something writes to page " << page;
		gpu.reset();
		own.reset();
		bind();
	}
}

/* No new page may come while the old ones go. */
DEVMEM_TEST(DevmemRemoval, unbinding_while_four_threads_move_pages)
{
	for (int round = 0; round < 3; round++) {
		auto own = std::make_unique<tandem::Device>(tandem::Device::open().take());
		std::vector<std::unique_ptr<Mapping>> regions;
		std::vector<std::thread> threads;
		std::atomic<bool> over = false;
		std::atomic<std::uint64_t> moved = 0, wrong = 0;
		for (std::uint64_t i = 0; i < 4; i++) {
			regions.push_back(std::make_unique<Mapping>(2 * bytes));
			fill(regions[i]->get(), 2 * bytes, i);
		}
		for (std::uint64_t i = 0; i < 4; i++)
			threads.emplace_back([&, i] {
				for (auto to = TANDEM_LOCATION_DEVICE; !over;) {
					auto result = own->prefetch(regions[i]->get(), 2 * bytes, to);
					moved += result ? *result : 0;
					wrong += !holds(regions[i]->get(), bytes / 4, i);
					to = to == TANDEM_LOCATION_DEVICE ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE;
				}
			});
		EXPECT_TRUE(sweeper::wait_until([&] { return moved > 1000; }));
		unbind();
		over = true;
		for (std::thread &thread : threads)
			thread.join();
		EXPECT_EQ(wrong, 0u);
		for (std::uint64_t i = 0; i < 4; i++)
			EXPECT_TRUE(holds(regions[i]->get(), 2 * bytes, i));
		own.reset();
		bind();
	}
}

DEVMEM_TEST(DevmemRemoval, pages_that_processes_share_come_home_once_for_all)
{
	auto own = tandem::Device::open().take();
	Mapping region(bytes);
	SharedWords words;
	fill_there(own, region.get(), bytes, 1);
	pid_t child = start_child([&] {
		words.store(0, 1);
		CHILD_CHECK(wait_for_word(words, 1, 1));
		CHILD_CHECK(holds(region.get(), bytes, 1));
		fill(region.get(), bytes, 6);
		return 0;
	});
	EXPECT_TRUE(wait_for_word(words, 0, 1));
	unbind();
	words.store(1, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
	bind();
}

DEVMEM_TEST(DevmemRemoval, taken_off_the_bus_and_found_again)
{
	auto own = tandem::Device::open().take();
	Mapping region(4 * bytes);
	fill_there(own, region.get(), region.bytes(), 1);
	write_file("/sys/bus/pci/devices/" + address_ + "/remove", "1");
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	write_file("/sys/bus/pci/rescan", "1");
	expect_new_gpu();
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

/* ---- the module ---- */

DEVMEM_TEST(DevmemRemoval, the_module_stays_while_somebody_has_the_gpu_open)
{
	auto own = tandem::Device::open().take();
	Mapping region(bytes);
	fill_there(own, region.get(), bytes, 1);
	EXPECT_EQ(syscall(SYS_delete_module, "tandem", O_NONBLOCK), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(DevmemRemoval, unloading_brings_pages_home_whose_owner_has_closed_the_gpu)
{
	Mapping region(16 * bytes);
	HugeMapping huge(2 * huge_bytes);
	{
		auto own = tandem::Device::open().take();
		fill_there(own, region.get(), region.bytes(), 1);
		fill_there(own, huge.get(), 2 * huge_bytes, 2);
	}
	unload();
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	EXPECT_TRUE(holds(huge.get(), 2 * huge_bytes, 2));
	load();
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
}

DEVMEM_TEST(DevmemRemoval, unloading_between_processes_that_sleep_on_their_pages)
{
	std::vector<pid_t> children;
	SharedWords words;
	for (std::uint64_t process = 0; process < 3; process++)
		children.push_back(start_child([&, process] {
			Mapping region(4 * bytes);
			{
				auto own = tandem::Device::open().take();
				fill_there(own, region.get(), region.bytes(), process);
			}
			__atomic_fetch_add(words.at(0), 1, __ATOMIC_SEQ_CST);
			CHILD_CHECK(wait_for_word(words, 1, 1));
			CHILD_CHECK(holds(region.get(), region.bytes(), process));
			return HasFailure();
		}));
	EXPECT_TRUE(wait_for_word(words, 0, 3));
	EXPECT_GT(ledger::vram("used_pages"), 0u);
	unload();
	load();
	words.store(1, 1);
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
}

} // namespace
