// SPDX-License-Identifier: GPL-2.0-or-later
/* Faults that cannot be serviced: each is reported with its address, stops its queue, and leaves everything else at work. */
#include <sys/ioctl.h>

#include <cstring>

#include "gpu_test.hpp"
#include "sweeper.hpp"
#include "tandem_kernel_isa.h"

using namespace gpu_test;

namespace {

class FaultTest : public GpuTest {
protected:
	/* Runs the kernel on a new queue; expects this error, and good work before and after. */
	tandem::Queue expect_fault(const char *name, const void *arguments, tandem_queue_error error, const void *at = nullptr)
	{
		tandem::Queue victim = new_queue();

		expect_the_gpu_works();
		auto outcome = victim.run(kernel(name), {1}, {1}, arguments, 0, time_limit_ns);
		EXPECT_FALSE(outcome);
		if (!outcome) {
			EXPECT_EQ(outcome.error().status, TANDEM_ERROR_QUEUE) << outcome.error().text;
		}
		expect_error(victim, error, at);
		expect_the_gpu_works();
		return victim;
	}

	std::uint64_t counter_ = 0;
	count_arguments count_ = {&counter_, 1};
};

TEST_F(FaultTest, reading_where_nothing_is_mapped)
{
	std::uint64_t word = 7;
	peek_arguments arguments = {unmapped_address(), &word, 1};
	tandem::Queue victim = expect_fault("peek", &arguments, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());

	EXPECT_EQ(victim.status()->detail, static_cast<unsigned>(TANDEM_ACCESS_READ));
	EXPECT_EQ(word, 7u);
}

TEST_F(FaultTest, writing_where_nothing_is_mapped)
{
	std::uint64_t word = 7;
	peek_arguments arguments = {&word, unmapped_address(), 1};
	tandem::Queue victim = expect_fault("peek", &arguments, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());

	EXPECT_EQ(victim.status()->detail, static_cast<unsigned>(TANDEM_ACCESS_WRITE));
}

TEST_F(FaultTest, an_atomic_where_nothing_is_mapped)
{
	count_arguments arguments = {unmapped_address(), 1};
	tandem::Queue victim = expect_fault("count", &arguments, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());

	EXPECT_EQ(victim.status()->detail, static_cast<unsigned>(TANDEM_ACCESS_ATOMIC));
}

TEST_F(FaultTest, arguments_that_are_not_mapped)
{
	expect_fault("count", unmapped_address(), TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
}

TEST_F(FaultTest, the_null_pointer)
{
	count_arguments arguments = {nullptr, 1};

	expect_fault("count", &arguments, TANDEM_QUEUE_ADDRESS_FAULT);
}

TEST_F(FaultTest, the_report_names_kernel_and_address)
{
	count_arguments arguments = {unmapped_address(), 1};
	tandem::Queue victim = expect_fault("count", &arguments, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	std::string text = victim.describe();
	char address[32];

	std::snprintf(address, sizeof(address), "%lx", reinterpret_cast<std::uintptr_t>(unmapped_address()) >> 12);
	EXPECT_NE(text.find("address fault"), std::string::npos) << text;
	EXPECT_NE(text.find(address), std::string::npos) << text;
	EXPECT_NE(text.find("count+0x"), std::string::npos) << text;
	EXPECT_NE(text.find("test_queue.elf"), std::string::npos) << text;
}

TEST_F(FaultTest, writing_to_a_read_only_page)
{
	Mapping page(page_bytes);
	page.words()[0] = 41;
	ASSERT_EQ(mprotect(page.get(), page_bytes, PROT_READ), 0);
	std::uint64_t word = 42;
	peek_arguments arguments = {&word, page.words(), 1};

	expect_fault("peek", &arguments, TANDEM_QUEUE_PERMISSION_FAULT, page.get());
	EXPECT_EQ(page.words()[0], 41u);
}

TEST_F(FaultTest, writing_to_a_read_only_page_that_was_read_before)
{
	Mapping page(page_bytes);
	page.words()[0] = 41;
	ASSERT_EQ(mprotect(page.get(), page_bytes, PROT_READ), 0);
	std::uint64_t word = 0;
	peek_arguments read = {page.words(), &word, 1}, write = {&word, page.words(), 1};

	ASSERT_OK(run("peek", {1}, {1}, &read));
	EXPECT_EQ(word, 41u);
	word = 42;
	expect_fault("peek", &write, TANDEM_QUEUE_PERMISSION_FAULT, page.get());
	EXPECT_EQ(page.words()[0], 41u);
}

TEST_F(FaultTest, an_atomic_on_a_read_only_page)
{
	Mapping page(page_bytes);
	page.words()[0] = 41;
	ASSERT_EQ(mprotect(page.get(), page_bytes, PROT_READ), 0);
	count_arguments arguments = {page.words(), 1};

	expect_fault("count", &arguments, TANDEM_QUEUE_PERMISSION_FAULT, page.get());
	EXPECT_EQ(page.words()[0], 41u);
}

TEST_F(FaultTest, a_page_without_any_permission)
{
	Mapping page(page_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, PROT_NONE);
	std::uint64_t word = 0;
	peek_arguments arguments = {page.words(), &word, 1};
	tandem::Queue victim = new_queue();

	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &arguments, 0, time_limit_ns));
	auto status = victim.status();
	ASSERT_OK(status);
	EXPECT_TRUE(status->error == TANDEM_QUEUE_PERMISSION_FAULT || status->error == TANDEM_QUEUE_ADDRESS_FAULT)
		<< victim.describe();
	expect_the_gpu_works();
}

TEST_F(FaultTest, addresses_that_are_no_user_addresses)
{
	const std::uint64_t addresses[] = {1ull << 47, ~0ull << 47, 1ull << 63, TANDEM_LDS_BASE + TANDEM_LDS_WINDOW};

	for (std::uint64_t address : addresses) {
		std::uint64_t word = 0;
		peek_arguments arguments = {reinterpret_cast<std::uint64_t *>(address), &word, 1};
		expect_fault("peek", &arguments, TANDEM_QUEUE_ADDRESS_RANGE);
	}
}

TEST_F(FaultTest, local_memory_beyond_its_end)
{
	store_arguments arguments = {nullptr, 1};

	expect_fault("beyond_lds", &arguments, TANDEM_QUEUE_ADDRESS_RANGE);
}

TEST_F(FaultTest, an_illegal_instruction_is_reported_with_its_word)
{
	tandem::Queue victim = expect_fault("illegal_instruction", nullptr, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);

	EXPECT_EQ(victim.status()->detail, 0xffffffffu);
	EXPECT_NE(victim.describe().find("0xffffffff"), std::string::npos) << victim.describe();
	EXPECT_NE(victim.describe().find("illegal_instruction+0x"), std::string::npos) << victim.describe();
}

TEST_F(FaultTest, a_breakpoint)
{
	expect_fault("breakpoint", nullptr, TANDEM_QUEUE_BREAKPOINT);
}

TEST_F(FaultTest, an_environment_call)
{
	expect_fault("environment_call", nullptr, TANDEM_QUEUE_ECALL);
}

TEST_F(FaultTest, a_misaligned_atomic)
{
	std::uint64_t words[2] = {};
	count_arguments arguments = {words, 1};

	expect_fault("misaligned_atomic", &arguments, TANDEM_QUEUE_MISALIGNED_ATOMIC);
	EXPECT_EQ(words[0] | words[1], 0u);
}

TEST_F(FaultTest, running_data_that_is_no_code)
{
	alignas(64) tandem_kernel_descriptor bad = *kernel("count");
	alignas(8) std::uint32_t zeros[2] = {};
	tandem::Queue victim = new_queue();

	bad.entry = reinterpret_cast<std::uintptr_t>(zeros);
	EXPECT_FALSE(victim.run(&bad, {1}, {1}, nullptr, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);
	expect_the_gpu_works();
}

TEST_F(FaultTest, code_that_is_not_mapped)
{
	alignas(64) tandem_kernel_descriptor bad = *kernel("count");
	tandem::Queue victim = new_queue();

	bad.entry = reinterpret_cast<std::uintptr_t>(unmapped_address());
	EXPECT_FALSE(victim.run(&bad, {1}, {1}, nullptr, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	EXPECT_EQ(victim.status()->detail, static_cast<unsigned>(TANDEM_ACCESS_EXECUTE));
	expect_the_gpu_works();
}

TEST_F(FaultTest, one_bad_lane_of_many_stops_the_queue)
{
	Mapping two(2 * page_bytes);
	munmap(two.at(page_bytes), page_bytes);
	std::uint64_t done = 0;
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(two.get()), 2, &done, 1};
	tandem::Queue victim = new_queue();

	EXPECT_FALSE(victim.run(kernel("touch"), {32}, {32}, &arguments, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, two.at(page_bytes));
	expect_the_gpu_works();
}

TEST_F(FaultTest, a_fault_of_one_queue_leaves_a_running_one_alone)
{
	Mapping region(16 * page_bytes);
	sweeper::Sweeper other(device());
	ASSERT_TRUE(other.start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << other.complaint();
	count_arguments arguments = {unmapped_address(), 1};

	expect_fault("count", &arguments, TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_TRUE(other.change([] {})) << other.complaint();
	EXPECT_TRUE(other.stop()) << other.complaint();
}

TEST_F(FaultTest, faults_that_can_be_serviced_are)
{
	constexpr std::uint64_t pages = 256;
	Mapping fresh(pages * page_bytes);
	std::uint64_t done = 0;
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(fresh.get()), pages, &done, 1};
	tandem_ioc_stats before = stats();

	ASSERT_OK(run("touch", {256}, {64}, &arguments));
	EXPECT_EQ(done, pages);
	for (std::uint64_t page = 0; page < pages; page++)
		ASSERT_EQ(*reinterpret_cast<unsigned char *>(fresh.at(page * page_bytes)), static_cast<unsigned char>(page + 1)) << page;
	tandem_ioc_stats after = stats();
	if (is_sva()) {
		EXPECT_GE(after.counter[TANDEM_COUNTER_PAGE_REQUESTS] - before.counter[TANDEM_COUNTER_PAGE_REQUESTS], pages);
		return;
	}
	EXPECT_GT(after.faults, before.faults);
	EXPECT_GE(after.pages_mapped - before.pages_mapped, pages);
	EXPECT_EQ(after.faults_cancelled, before.faults_cancelled);
}

TEST_F(FaultTest, a_retry_limit_lets_ordinary_faults_pass)
{
	tandem_queue_options options{};
	options.retry_limit = 16;
	tandem::Queue limited = new_queue(&options);
	constexpr std::uint64_t pages = 64;
	Mapping fresh(pages * page_bytes);
	std::uint64_t done = 0;
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(fresh.get()), pages, &done, 1};

	ASSERT_OK(limited.run(kernel("touch"), {64}, {64}, &arguments, 0, time_limit_ns));
	EXPECT_EQ(done, pages);
}

/*
 * Pages vanish between their replay and the access that waited for it. Under a limit of one such a second fault ends the queue;
 * without a limit the same does no harm.
 */
TEST_F(FaultTest, the_retry_limit_is_reached_when_pages_vanish_again_and_again)
{
	constexpr std::uint64_t pages = 64;
	tandem_queue_options options{};
	options.retry_limit = 1;
	tandem::Queue limited = new_queue(&options), unlimited = new_queue();
	Mapping region(pages * page_bytes), other(pages * page_bytes);
	std::uint64_t done = 0, others_done = 0;
	touch_arguments arguments = {reinterpret_cast<unsigned char *>(region.get()), pages, &done, 1};
	touch_arguments others = {reinterpret_cast<unsigned char *>(other.get()), pages, &others_done, 1};

	ASSERT_OK(limited.dispatch(kernel("touch_for_ever"), {64}, {64}, &arguments));
	ASSERT_OK(unlimited.dispatch(kernel("touch_for_ever"), {64}, {64}, &others));
	ASSERT_TRUE(sweeper::wait_until([&] {
		madvise(region.get(), region.bytes(), MADV_DONTNEED);
		madvise(other.get(), other.bytes(), MADV_DONTNEED);
		return limited.status()->error != TANDEM_QUEUE_OK;
	}));
	expect_error(limited, TANDEM_QUEUE_RETRY_LIMIT);
	std::uint64_t va = limited.status()->va;
	EXPECT_GE(va, region.address()) << limited.describe();
	EXPECT_LT(va, region.address() + region.bytes()) << limited.describe();
	EXPECT_NE(limited.describe().find("retry limit"), std::string::npos) << limited.describe();
	std::uint64_t reached = __atomic_load_n(&others_done, __ATOMIC_RELAXED);
	EXPECT_TRUE(sweeper::wait_until([&] { return __atomic_load_n(&others_done, __ATOMIC_RELAXED) > reached; }));
	EXPECT_EQ(unlimited.status()->error, static_cast<std::uint32_t>(TANDEM_QUEUE_OK)) << unlimited.describe();
	expect_the_gpu_works();
}

TEST_F(FaultTest, the_report_shows_lane_and_registers)
{
	std::uint64_t value = 0x123456789abcdef0;
	compute_arguments arguments = {nullptr, &value, 1, 150};
	tandem::Queue victim = new_queue();

	ASSERT_FALSE(victim.run(kernel("fail_in_one_lane"), {256}, {64}, &arguments, 0, time_limit_ns));
	expect_error(victim, TANDEM_QUEUE_BREAKPOINT);
	auto report = victim.report();
	ASSERT_OK(report);
	EXPECT_EQ(report->error, static_cast<std::uint32_t>(TANDEM_QUEUE_BREAKPOINT));
	EXPECT_EQ(report->pasid, tandem_pasid(device().get()));
	EXPECT_EQ(report->queue, tandem_queue_number(victim.get()));
	EXPECT_EQ(report->pc, victim.status()->pc);
	EXPECT_EQ(report->group_id[0], 2u);
	EXPECT_EQ(report->local_id[0], 150u - 2 * 64);
	EXPECT_EQ(report->lane, 22u);
	EXPECT_EQ(report->wave, 0u);
	EXPECT_EQ(report->active_lanes, 1u << 22);
	EXPECT_EQ(report->x[19], value);
	EXPECT_EQ(report->f[19], value);
	EXPECT_EQ(report->x[0], 0u);
}

TEST_F(FaultTest, the_report_shows_the_code_and_the_registers_by_name)
{
	std::uint64_t value = 0x123456789abcdef0;
	compute_arguments arguments = {nullptr, &value, 1, 3};
	tandem::Queue victim = new_queue();

	ASSERT_FALSE(victim.run(kernel("fail_in_one_lane"), {32}, {32}, &arguments, 0, time_limit_ns));
	std::string text = victim.explain();
	for (const char *part : {"breakpoint", "fail_in_one_lane+0x", "work item (3, 0, 0) of workgroup (0, 0, 0)", "lane 3 of wavefront 0",
				 "00100073  ", "s3   123456789abcdef0", "fs3  123456789abcdef0"})
		EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
	std::size_t arrow = text.find("=> 0x");
	ASSERT_NE(arrow, std::string::npos) << text;
	std::string line = text.substr(arrow, text.find('\n', arrow) - arrow);
	EXPECT_NE(line.find("00100073"), std::string::npos) << text;
}

TEST_F(FaultTest, a_healthy_queue_has_no_report)
{
	auto report = queue().report();

	ASSERT_FALSE(report);
	EXPECT_EQ(report.error().status, TANDEM_ERROR_NOT_FOUND);
	EXPECT_NE(queue().explain().find("no error"), std::string::npos);
}

TEST_F(FaultTest, a_bad_packet_leaves_no_report_of_a_wavefront)
{
	std::uint64_t packet[8] = {0xff};
	tandem::Queue victim = new_queue();

	ASSERT_EQ(tandem_submit(victim.get(), packet), 0);
	ASSERT_TRUE(sweeper::wait_until([&] { return victim.status()->error != TANDEM_QUEUE_OK; }));
	auto report = victim.report();
	ASSERT_FALSE(report);
	EXPECT_EQ(report.error().status, TANDEM_ERROR_NOT_FOUND);
}

TEST_F(FaultTest, the_report_call_checks_its_arguments)
{
	tandem::Queue victim = expect_fault("breakpoint", nullptr, TANDEM_QUEUE_BREAKPOINT);
	auto ask = [&](std::uint32_t number, void *room, std::uint32_t bytes, std::uint64_t reserved) {
		tandem_ioc_queue_report args{};
		args.queue = number;
		args.report = reinterpret_cast<std::uintptr_t>(room);
		args.bytes = bytes;
		args.reserved[1] = reserved;
		return ioctl(tandem_file(device().get()), TANDEM_IOC_QUEUE_REPORT, &args) ? -errno : static_cast<int>(args.bytes);
	};
	std::uint32_t number = tandem_queue_number(victim.get());
	unsigned char room[1024];

	std::memset(room, 0xee, sizeof(room));
	EXPECT_EQ(ask(number, room, 16, 0), 16);
	EXPECT_EQ(room[0], TANDEM_WAVE_REPORT_VERSION);
	EXPECT_EQ(room[16], 0xee) << "written beyond the room";
	EXPECT_EQ(ask(number, room, sizeof(room), 0), static_cast<int>(sizeof(tandem_wave_report)));
	EXPECT_EQ(room[sizeof(tandem_wave_report)], 0xee);
	EXPECT_EQ(ask(number, nullptr, 0, 0), 0);
	EXPECT_EQ(ask(number, unmapped_address(), 64, 0), -EFAULT);
	EXPECT_EQ(ask(number, room, 64, 1), -EINVAL);
	EXPECT_EQ(ask(4711, room, 64, 0), -ENOENT);
	EXPECT_EQ(ask(tandem_queue_number(queue().get()), room, 64, 0), -ENODATA);
}

TEST_F(FaultTest, a_copy_to_nowhere)
{
	std::uint64_t word = 1;
	auto done = tandem::Signal::create().take();
	tandem::Queue victim = new_queue();

	ASSERT_EQ(tandem_copy(victim.get(), unmapped_address(), &word, 8, done.get()), 0);
	EXPECT_EQ(tandem_wait(victim.get(), done.get(), time_limit_ns), TANDEM_ERROR_QUEUE);
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	expect_the_gpu_works();
}

TEST_F(FaultTest, a_signal_that_is_not_mapped)
{
	tandem::Queue victim = new_queue();
	tandem_launch launch{};

	launch.kernel = kernel("count");
	launch.arguments = &count_;
	launch.completion = reinterpret_cast<tandem_signal *>(unmapped_address());
	ASSERT_EQ(tandem_dispatch(victim.get(), &launch), 0);
	ASSERT_TRUE(sweeper::wait_until([&] { return victim.status()->error != TANDEM_QUEUE_OK; }));
	expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	EXPECT_EQ(counter_, 1u);
	expect_the_gpu_works();
}

TEST_F(FaultTest, a_hundred_faults_in_turn)
{
	for (int i = 0; i < 100; i++) {
		tandem::Queue victim = new_queue();
		count_arguments bad = {unmapped_address(), 1};
		ASSERT_FALSE(victim.run(kernel("count"), {1}, {1}, &bad, 0, time_limit_ns)) << i;
		expect_error(victim, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address());
	}
	expect_the_gpu_works();
}

} // namespace
