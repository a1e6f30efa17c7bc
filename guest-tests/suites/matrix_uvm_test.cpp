// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a UVM driver's own test interface asks of driver and GPU: the fault buffer is flushed and drained, translations are dropped
 * at every size, blocks are evicted on request, pages are looked up, and things fail or take their time where it hurts. Device
 * property test-hooks=on.
 */
#include <sys/syscall.h>

#include <sstream>

#include "devmem_test.hpp"
#include "driver_hook.hpp"
#include "failing.hpp"
#include "uffd.hpp"

using namespace devmem_test;
using driver_hook::Gate;
using driver_hook::Hook;

namespace {

class MatrixUvm : public PrivateTest {
protected:
	static std::uint64_t driver_stat(const std::string &name)
	{
		std::istringstream lines(read_file(ledger::debugfs(0, "stats")));
		std::string word, value;

		while (lines >> word >> value)
			if (word == name)
				return std::stoull(value);
		ADD_FAILURE() << "no such statistic: " << name;
		return 0;
	}

	std::string named(const void *start, std::uint64_t length = 0)
	{
		std::ostringstream text;

		text << tandem_pasid(device().get()) << " " << reinterpret_cast<std::uintptr_t>(start);
		if (length)
			text << " " << length;
		return text.str();
	}
};

/* ---- the fault buffer ---- */

/* Lanes that wait for pages which only the test can provide: the service hangs in the first of them. */
class MatrixUvmFaults : public MatrixUvm {
protected:
	static constexpr std::uint64_t many = 512;

	void start(Mapping &region)
	{
		uffd_.emplace(0);
		uffd_->watch(region.get(), region.bytes(), mm_uffd::missing);
		arguments_ = {reinterpret_cast<unsigned char *>(region.get()), many, words_.at(0), 1};
		done_.emplace(tandem::Signal::create().take());
		records_ = driver_stat("fault_records");
		ASSERT_OK(queue().dispatch(kernel("touch"), {many}, {64}, &arguments_, done_->get()));
	}

	/* Until the device has reported so many more faults than when this was last asked. */
	void wait_for_records(std::uint64_t count)
	{
		ASSERT_TRUE(tally::wait_sleeping([&] { return driver_stat("fault_records") >= records_ + count; }));
		records_ = driver_stat("fault_records");
	}

	void provide_pages()
	{
		uffd_->serve([this](const mm_uffd::Event &event) { uffd_->zero(event.address); });
	}

	void expect_all_done(Mapping &region)
	{
		EXPECT_OK(queue().wait(*done_, time_limit_ns));
		EXPECT_EQ(words_.load(0), many);
		for (std::uint64_t page = 0; page < many; page++)
			ASSERT_EQ(*reinterpret_cast<unsigned char *>(region.at(page * page_bytes)), static_cast<unsigned char>(page + 1));
	}

	SharedWords words_;
	std::optional<mm_uffd::Uffd> uffd_;

private:
	touch_arguments arguments_;
	std::optional<tandem::Signal> done_;
	std::uint64_t records_ = 0;
};

DEVMEM_TEST(MatrixUvmFaults, a_flush_of_the_fault_buffer_loses_no_fault)
{
	Mapping region(many * page_bytes);
	Hook flush("test_fault_flush");
	std::uint64_t flushed = driver_stat("fault_records_flushed");
	ASSERT_NO_FATAL_FAILURE(start(region));
	for (int round = 0; round < 10; round++) {
		ASSERT_NO_FATAL_FAILURE(wait_for_records(32)) << "the device did not report anew, round " << round;
		ASSERT_EQ(flush.tell("1"), 0);
	}
	EXPECT_GT(driver_stat("fault_records_flushed"), flushed + 9) << "nothing was flushed";
	EXPECT_EQ(words_.load(0), 0u) << "the faults were served: nothing waited";
	provide_pages();
	expect_all_done(region);
}

DEVMEM_TEST(MatrixUvmFaults, flushes_beside_the_service)
{
	Hook flush("test_fault_flush");
	std::atomic<bool> over = false;
	std::thread flusher([&] {
		while (!over)
			EXPECT_EQ(flush.tell("1"), 0);
	});
	for (std::uint64_t round = 0; round < 10; round++) {
		AtHome region(4 * bytes, round);
		EXPECT_TRUE(gpu_holds(region.get(), region.bytes(), round));
		gpu_fill(region.get(), region.bytes(), ~round);
		EXPECT_TRUE(holds(region.get(), region.bytes(), ~round));
	}
	over = true;
	flusher.join();
}

DEVMEM_TEST(MatrixUvmFaults, a_drain_ends_when_no_fault_waits)
{
	Mapping region(many * page_bytes);
	Hook drain("test_fault_drain");
	EXPECT_EQ(drain.tell("60000"), 0) << "with none at all";
	ASSERT_NO_FATAL_FAILURE(start(region));
	ASSERT_NO_FATAL_FAILURE(wait_for_records(32));
	EXPECT_EQ(drain.tell("20"), ETIMEDOUT) << "while the service hangs";
	provide_pages();
	expect_all_done(region);
	EXPECT_EQ(drain.tell("60000"), 0);
	std::uint64_t faults = stats().faults, records = driver_stat("fault_records");
	EXPECT_GE(faults, 1u);
	EXPECT_EQ(drain.tell("60000"), 0);
	EXPECT_EQ(stats().faults, faults) << "something was still served";
	EXPECT_EQ(driver_stat("fault_records"), records);
	EXPECT_EQ(drain.tell("-1"), EINVAL);
}

/* ---- invalidations ---- */

class MatrixUvmInvalidate : public MatrixUvm {
protected:
	static constexpr std::uint64_t value = 0x1234;

	std::uint64_t read_by_the_gpu(const void *address)
	{
		std::uint64_t seen = 0;
		peek_arguments peek = {static_cast<const std::uint64_t *>(address), &seen, 1};

		EXPECT_OK(run("peek", {1}, {1}, &peek));
		return seen;
	}

	/*
	 * The page is in the TLBs of both levels; after the invalidation in neither, and the walk finds the same entry again without a
	 * fault.
	 */
	void expect_dropped_and_found_again(const void *address, const std::string &what)
	{
		Hook invalidate("test_invalidate");
		ASSERT_EQ(read_by_the_gpu(address), value);
		ASSERT_EQ(read_by_the_gpu(address), value);
		tandem_ioc_stats before = stats();
		ASSERT_EQ(invalidate.tell(what.c_str()), 0);
		tandem_ioc_stats after = stats();
		EXPECT_EQ(after.invalidations, before.invalidations + 1);
		EXPECT_GE(after.counter[TANDEM_COUNTER_ENTRIES_KILLED], before.counter[TANDEM_COUNTER_ENTRIES_KILLED] + 2)
			<< "one level has kept it";
		EXPECT_EQ(read_by_the_gpu(address), value);
		tandem_ioc_stats last = stats();
		EXPECT_GT(last.counter[TANDEM_COUNTER_WALKS], after.counter[TANDEM_COUNTER_WALKS]);
		EXPECT_GT(last.counter[TANDEM_COUNTER_L1_MISSES], after.counter[TANDEM_COUNTER_L1_MISSES]);
		EXPECT_GT(last.counter[TANDEM_COUNTER_L2_MISSES], after.counter[TANDEM_COUNTER_L2_MISSES]);
		EXPECT_EQ(last.faults, before.faults) << "a good entry was lost";
	}
};

DEVMEM_TEST(MatrixUvmInvalidate, one_page)
{
	Mapping region(page_bytes);
	region.words()[0] = value;
	expect_dropped_and_found_again(region.get(), named(region.get(), page_bytes));
}

DEVMEM_TEST(MatrixUvmInvalidate, a_leaf_of_64_kib_by_one_of_its_pages)
{
	AtHome region(huge_bytes);
	std::uint64_t leaves = stats().leaves_64k;
	region.words(35)[0] = value;
	ASSERT_TRUE(to_vram(region.get(), huge_bytes));
	gpu_touch(region.get(), huge_bytes, false);
	ASSERT_GT(stats().leaves_64k, leaves);
	expect_dropped_and_found_again(region.words(35), named(region.words(33), page_bytes));
}

DEVMEM_TEST(MatrixUvmInvalidate, a_leaf_of_2_mib_by_one_of_its_pages)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 0, huge_bytes);
	region.words(77)[0] = value;
	std::uint64_t leaves = stats().leaves_2m;
	ASSERT_EQ(read_by_the_gpu(region.words(77)), value);
	ASSERT_GT(stats().leaves_2m, leaves);
	expect_dropped_and_found_again(region.words(77), named(region.words(400), page_bytes));
}

DEVMEM_TEST(MatrixUvmInvalidate, a_range_of_several_directories)
{
	Mapping region(64 * huge_bytes);
	region.words(63 * huge_page_count)[0] = value;
	expect_dropped_and_found_again(region.words(63 * huge_page_count), named(region.get(), region.bytes()));
}

DEVMEM_TEST(MatrixUvmInvalidate, the_whole_address_space)
{
	Mapping region(page_bytes);
	region.words()[0] = value;
	expect_dropped_and_found_again(region.get(), std::to_string(tandem_pasid(device().get())) + " all");
}

/* What lies beside the range stays where it is cached. */
DEVMEM_TEST(MatrixUvmInvalidate, nothing_beside_the_range_is_dropped)
{
	Mapping region(page_bytes), other(page_bytes);
	Hook invalidate("test_invalidate");
	region.words()[0] = value;
	ASSERT_EQ(read_by_the_gpu(region.get()), value);
	std::uint64_t killed = counter(TANDEM_COUNTER_ENTRIES_KILLED);
	ASSERT_EQ(invalidate.tell(named(other.get(), page_bytes).c_str()), 0);
	EXPECT_EQ(counter(TANDEM_COUNTER_ENTRIES_KILLED), killed);
	for (const char *bad : {"", "all", "1", "1 4096", "1 0 1", "1 0 0", "1 4096 -4096", "1 all x", "1 0 4096 x"})
		EXPECT_EQ(invalidate.tell(bad), EINVAL) << bad;
	EXPECT_EQ(invalidate.tell("4000000 all"), ENOENT);
}

DEVMEM_TEST(MatrixUvmInvalidate, again_and_again_under_the_work)
{
	Mapping region(bytes);
	Hook invalidate("test_invalidate");
	std::string all = named(region.get(), bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			for (int i = 0; i < 50; i++)
				ASSERT_EQ(invalidate.tell(all.c_str()), 0);
		}));
	finish_tally();
}

/* ---- eviction on request ---- */

class MatrixUvmEvict : public MatrixUvm {
protected:
	static constexpr std::uint64_t blocks = 4;

	void expect_one_block_gone(Mapping &region, std::uint64_t evicted_before)
	{
		EXPECT_EQ(stats().pages_evicted, evicted_before + huge_page_count);
		EXPECT_EQ(count(region.get(), region.bytes(), TANDEM_PAGE_DEVICE), (blocks - 1) * huge_page_count);
		EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	}
};

DEVMEM_TEST(MatrixUvmEvict, the_block_behind_an_address)
{
	InVram region(*this, blocks * huge_bytes);
	Hook evict("test_evict");
	char *inside = region.at(2 * huge_bytes + 7 * page_bytes);
	gpu_touch(region.get(), region.bytes(), false);
	std::uint64_t before = stats().pages_evicted;
	ASSERT_EQ(evict.tell(("va " + named(inside)).c_str()), 0);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.at(2 * huge_bytes), huge_bytes));
	EXPECT_EQ(evict.tell(("va " + named(inside)).c_str()), ENOENT) << "it is not there any more";
	EXPECT_TRUE(gpu_holds(region.get(), region.bytes(), 1));
	expect_one_block_gone(region, before);
}

DEVMEM_TEST(MatrixUvmEvict, the_block_that_would_go_next)
{
	InVram region(*this, blocks * huge_bytes);
	Hook evict("test_evict");
	std::uint64_t before = stats().pages_evicted;
	ASSERT_EQ(evict.tell("any"), 0);
	expect_one_block_gone(region, before);
}

DEVMEM_TEST(MatrixUvmEvict, the_block_at_an_offset)
{
	InVram region(*this, blocks * huge_bytes);
	Hook evict("test_evict");
	std::uint64_t room = device().query()->vram_bytes, evicted = 0;
	for (std::uint64_t offset = 0; offset < room; offset += huge_bytes) {
		int answer = evict.tell(("offset " + std::to_string(offset)).c_str());

		ASSERT_TRUE(answer == 0 || answer == ENOENT) << std::strerror(answer) << " at " << offset;
		evicted += !answer;
	}
	EXPECT_EQ(evicted, blocks);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), region.bytes()));
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	EXPECT_EQ(evict.tell("any"), EBUSY) << "nothing is left";
	EXPECT_EQ(evict.tell(("offset " + std::to_string(room)).c_str()), EINVAL);
	EXPECT_EQ(evict.tell("everything"), EINVAL);
}

/* Whatever page of it: nobody has it, so nothing can be evicted, now or later. */
DEVMEM_TEST(MatrixUvmEvict, nothing_is_there_but_a_poisoned_page)
{
	Hook evict("test_evict"), poison("test_poison");
	std::uint64_t events = ledger::vram("poison_events");

	expect_retired(1);
	ASSERT_EQ(evict.tell("any"), EBUSY) << "the GPU's memory is empty";
	ASSERT_EQ(poison.tell("0"), 0);
	ASSERT_TRUE(tally::wait_sleeping([&] { return ledger::vram("poison_events") > events && ledger::vram("retired_pages"); }));
	EXPECT_EQ(evict.tell("offset 0"), ENOENT);
}

/* What was evicted is fetched back, and goes again, with the GPU at work in it all the time. */
DEVMEM_TEST(MatrixUvmEvict, again_and_again_under_the_work)
{
	Mapping region(huge_bytes);
	Hook evict("test_evict");
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	std::uint64_t before = stats().pages_evicted;
	for (std::uint64_t round = 1; round <= 5; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			EXPECT_TRUE(to_vram(region.get(), huge_bytes));
			EXPECT_TRUE(tally::wait_sleeping([&] { return evict.tell("any") == 0; }));
			EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), huge_bytes));
		}));
	EXPECT_EQ(stats().pages_evicted, before + 5 * huge_page_count);
	finish_tally();
}

/* ---- where a page is ---- */

DEVMEM_TEST(MatrixUvm, residency_follows_a_page_on_its_way)
{
	Mapping region(page_bytes);
	Hook evict("test_evict");
	constexpr std::uint8_t mapped = TANDEM_PAGE_MAPPED | TANDEM_PAGE_MAPPED_WRITE;
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_ABSENT);
	region.words()[0] = 1;
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_SYSTEM);
	gpu_touch(region.get(), page_bytes);
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_SYSTEM | mapped);
	ASSERT_TRUE(to_vram(region.get(), page_bytes));
	EXPECT_EQ(page_state(region.get()) & TANDEM_PAGE_PLACE, TANDEM_PAGE_DEVICE);
	gpu_touch(region.get(), page_bytes);
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_DEVICE | mapped);
	ASSERT_EQ(evict.tell("any"), 0);
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_SYSTEM) << "evicted";
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_READ));
	EXPECT_TRUE(gpu_reads(region.get()));
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_WRITE | mapped), TANDEM_PAGE_MAPPED) << "read-only";
	ASSERT_SYS(madvise(region.get(), page_bytes, MADV_DONTNEED));
	EXPECT_EQ(page_state(region.get()) & (TANDEM_PAGE_PLACE | mapped), TANDEM_PAGE_ABSENT);
}

/* ---- what fails ---- */

DEVMEM_TEST(MatrixUvm, no_memory_for_a_page_table_fails_the_queue_and_nothing_else)
{
	Mapping near(bytes), far(bytes);
	tandem::Queue victim = new_queue();
	tandem::Kernel kernel_store = kernel("store", "store.elf");
	store_arguments store = {near.words(), 4711};
	ASSERT_OK(victim.run(kernel_store, {1}, {1}, &store, 0, time_limit_ns)) << "before: the queue's own memory is mapped now";
	EXPECT_EQ(near.words()[0], 4711u);
	store.target = far.words();
	{
		FailingDriver failing("fail_page_table", 100, -1);
		EXPECT_FALSE(victim.run(kernel_store, {1}, {1}, &store, 0, time_limit_ns));
	}
	expect_error(victim, TANDEM_QUEUE_SERVICE_FAILED, far.get());
	EXPECT_EQ(far.words()[0], 0u);
	EXPECT_OK(queue().run(kernel_store, {1}, {1}, &store, 0, time_limit_ns)) << "afterwards";
	EXPECT_EQ(far.words()[0], 4711u);
}

/* Every third page finds no room there: it stays, the others go, all keep what they hold. */
DEVMEM_TEST(MatrixUvm, every_third_allocation_fails)
{
	AtHome region;
	{
		FailingDriver failing("fail_vram", 100, -1, 3);
		static_cast<void>(device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	}
	std::uint64_t there = count(region.get(), bytes, TANDEM_PAGE_DEVICE);
	EXPECT_GE(there, pages / 2);
	EXPECT_LE(there, pages * 2 / 3 + 1);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

/* A fault that wants its page there finds no room: the page is used where it lies. */
DEVMEM_TEST(MatrixUvm, a_fault_that_finds_no_room_is_served_in_place)
{
	Mapping region(bytes);
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	{
		FailingDriver failing("fail_vram", 100, -1);
		gpu_fill(region.get(), bytes, 1);
	}
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	EXPECT_TRUE(holds(region.get(), bytes, 1));
}

DEVMEM_TEST(MatrixUvm, an_eviction_whose_copies_fail_leaves_the_block)
{
	InVram region(*this, huge_bytes);
	Hook evict("test_evict");
	fail_copies(1'000'000);
	EXPECT_EQ(evict.tell("any"), EBUSY);
	fail_copies(0);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), huge_bytes));
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
	EXPECT_EQ(evict.tell("any"), 0);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), huge_bytes));
	EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
}

/* The second copy of three fails, on the way there and on the way back. */
DEVMEM_TEST(MatrixUvm, copies_fail_both_ways_and_are_made_again)
{
	for (std::uint64_t round = 1; round <= 3; round++) {
		AtHome region(bytes, round);
		fail_copies(static_cast<unsigned>(round));
		static_cast<void>(device().prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		EXPECT_TRUE(gpu_holds(region.get(), bytes, round));
		ASSERT_TRUE(to_vram(region.get(), bytes));
		gpu_fill(region.get(), bytes, ~round);
		fail_copies(static_cast<unsigned>(round));
		static_cast<void>(device().prefetch(region.get(), bytes, TANDEM_LOCATION_SYSTEM));
		fail_copies(0);
		EXPECT_TRUE(gpu_holds(region.get(), bytes, ~round));
		EXPECT_TRUE(holds(region.get(), bytes, ~round));
	}
}

/* ---- what takes its time ---- */

/* Does the thread of this process sleep where nothing interrupts it? Maps no memory. */
bool sleeps_deep(pid_t thread)
{
	char path[64], text[256];

	std::snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	close(file);
	text[bytes > 0 ? bytes : 0] = 0;
	const char *name_end = std::strrchr(text, ')');
	return name_end && name_end[2] == 'D';
}

/* The device acknowledges no invalidation, until it is let go or at the end in any case. */
class SlowInvalidations {
public:
	SlowInvalidations() { EXPECT_EQ(hook_.tell("stall-invalidate"), 0); }
	~SlowInvalidations() { let_go(); }
	void let_go() const { hook_.tell("none"); }

private:
	Hook hook_{"inject"};
};

/* A thread that is there, and drops a part of a region when it is told to. */
class Dropper {
public:
	Dropper(char *start, std::uint64_t length)
		: thread_([this, start, length] {
			  id_ = static_cast<pid_t>(syscall(SYS_gettid));
			  while (!go_)
				  sched_yield();
			  result_ = madvise(start, length, MADV_DONTNEED);
			  over_ = true;
		  })
	{
		while (!id_)
			sched_yield();
	}
	~Dropper()
	{
		go_ = true;
		if (thread_.joinable())
			thread_.join();
	}

	void go() { go_ = true; }
	bool over() const { return over_; }
	bool sleeps() const { return sleeps_deep(id_); }
	int result()
	{
		thread_.join();
		return result_;
	}

private:
	std::atomic<pid_t> id_ = 0;
	std::atomic<bool> go_ = false, over_ = false;
	int result_ = -1;
	std::thread thread_;
};

/*
 * Part of a huge page goes; the device's one entry for all of it is cleared, and the device takes its time to acknowledge. Another
 * part goes in this moment and finds no entry: it has to wait for the first one's invalidation all the same.
 */
DEVMEM_TEST(MatrixUvm, a_change_that_comes_into_the_split_of_a_huge_page_waits_for_it)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 0x77, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get() + huge_bytes / 2, huge_page_count / 2, TALLY_WRITE));
	ASSERT_TRUE(gpu_reads(region.get()));
	Dropper first(region.get(), 16 * page_bytes), second(region.get() + 64 * page_bytes, 16 * page_bytes);
	mm_system::Setting patient("/sys/module/tandem/parameters/deadline_ms", "60000");
	SlowInvalidations slow;
	first.go();
	ASSERT_TRUE(tally::wait_sleeping([&] { return first.over() || first.sleeps(); }));
	second.go();
	ASSERT_TRUE(tally::wait_sleeping([&] { return second.over() || second.sleeps(); }));
	EXPECT_FALSE(second.over()) << "it returned while the device could still use its pages";
	EXPECT_FALSE(first.over());
	slow.let_go();
	EXPECT_EQ(first.result(), 0);
	EXPECT_EQ(second.result(), 0);
	EXPECT_EQ(gpu_reads(region.get()), 0u);
	EXPECT_EQ(gpu_reads(region.get() + 64 * page_bytes), 0u);
	EXPECT_EQ(gpu_reads(region.get() + 32 * page_bytes), 0x7777777777777777u);
	finish_tally();
}

/* An address space that is slow to go keeps nobody from a new one for the same memory. */
DEVMEM_TEST(MatrixUvm, a_new_address_space_while_the_old_one_is_taken_down)
{
	AtHome region;
	auto old = std::make_unique<tandem::Device>(tandem::Device::open().take());
	std::uint32_t old_pasid = tandem_pasid(old->get());
	Gate gate("teardown");
	std::atomic<bool> over = false;
	ASSERT_EQ(gate.shut(), 0);
	std::thread closer([&] {
		old.reset();
		over = true;
	});
	EXPECT_TRUE(gate.wait_for(1));
	{
		auto fresh = tandem::Device::open().take();
		Tally mine(fresh, 3);
		EXPECT_NE(tandem_pasid(fresh.get()), old_pasid) << "it is still in use";
		EXPECT_GPU(mine, mine.start(region.get(), pages, TALLY_WRITE));
		EXPECT_FALSE(over);
		gate.let_go();
		closer.join();
		EXPECT_GPU(mine, mine.during([] {}));
		EXPECT_GPU(mine, mine.finish());
	}
	fill(region.get(), bytes, 9);
	EXPECT_TRUE(gpu_holds(region.get(), bytes, 9));
}

/* A process that ends is gone only when its address space is. */
DEVMEM_TEST(MatrixUvm, a_process_that_ends_waits_for_its_address_space)
{
	SharedWords words;
	Gate gate("teardown");
	pid_t child = start_child([&] {
		auto own = tandem::Device::open().take();
		Tally mine(own, 5);
		Mapping region(bytes);
		CHILD_CHECK(mine.start(region.get(), pages, TALLY_WRITE));
		words.store(0, 1);
		CHILD_CHECK(wait_for_word(words, 1, 1));
		_exit(0); /* with the GPU at work */
		return 1;
	});
	ASSERT_TRUE(wait_for_word(words, 0, 1));
	ASSERT_EQ(gate.shut(), 0);
	words.store(1, 1);
	EXPECT_TRUE(gate.wait_for(1));
	EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
	expect_the_gpu_works();
	gate.let_go();
	EXPECT_TRUE(exited_well(wait_status(child)));
}

} // namespace
