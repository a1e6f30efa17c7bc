// SPDX-License-Identifier: GPL-2.0-or-later
#include "devmem_test.hpp"

#include <cstdio>
#include <exception>

namespace devmem_test {

namespace {

constexpr const char *group_name = "devmem";
constexpr unsigned move_attempts = 20;

sigjmp_buf after_signal;
ReadResult read_result;

void note_signal(int signal, siginfo_t *info, void *)
{
	read_result = {signal, info->si_code, reinterpret_cast<std::uintptr_t>(info->si_addr), 0};
	siglongjmp(after_signal, 1);
}

/* The handlers of SIGBUS and SIGSEGV for a while. */
class SignalNet {
public:
	SignalNet()
	{
		struct sigaction action{};

		action.sa_sigaction = note_signal;
		action.sa_flags = SA_SIGINFO;
		sigaction(SIGBUS, &action, &before_[0]);
		sigaction(SIGSEGV, &action, &before_[1]);
	}
	~SignalNet()
	{
		sigaction(SIGBUS, &before_[0], nullptr);
		sigaction(SIGSEGV, &before_[1], nullptr);
	}

private:
	struct sigaction before_[2];
};

} // namespace

std::uint64_t pattern(std::uint64_t seed, std::uint64_t word)
{
	return tally_pattern(seed, word / 512, word % 512);
}

void fill(void *start, std::uint64_t bytes, std::uint64_t seed)
{
	auto *words = static_cast<std::uint64_t *>(start);

	for (std::uint64_t word = 0; word < bytes / 8; word++)
		words[word] = pattern(seed, word);
}

::testing::AssertionResult holds(const void *start, std::uint64_t bytes, std::uint64_t seed)
{
	auto *words = static_cast<const volatile std::uint64_t *>(start);

	for (std::uint64_t word = 0; word < bytes / 8; word++) {
		std::uint64_t value = words[word];

		if (value != pattern(seed, word))
			return ::testing::AssertionFailure() << std::hex << value << " in place of " << pattern(seed, word)
							     << std::dec << " in word " << word % 512 << " of page " << word / 512;
	}
	return ::testing::AssertionSuccess();
}

ReadResult try_read(const volatile std::uint64_t *word)
{
	SignalNet net;

	read_result = {};
	if (sigsetjmp(after_signal, 1) == 0)
		read_result.value = *word;
	return read_result;
}

/* In the parent: the books, a child that does the work, the books again. */
void DevmemTest::TestBody()
{
	Cgroup group(group_name);
	ledger::Books before = ledger::Books::read();
	int status = in_child([&] {
		group.enter();
		return live();
	});

	group.set("cgroup.kill", "1"); /* children that a failed test has left waiting */
	if (shared_.load(SKIPPED))
		GTEST_SKIP() << "this machine has not what the test needs";
	EXPECT_TRUE(exited_well(status));
	EXPECT_EQ(ledger::difference_after_a_while(before, shared_.load(RETIRED)), "");
	EXPECT_EQ(ledger::lost_charges_after_a_while(group_name), "");
}

void DevmemTest::open_the_gpu()
{
	MmTest::SetUp();
	if (HasFatalFailure())
		return;
	auto kind = static_cast<tandem_vram_kind>(device().query()->vram_kind);
	ASSERT_TRUE(is_right_kind(kind)) << "the GPU's memory is of kind " << kind;
}

int DevmemTest::live()
{
	auto may_go_on = [] { return !HasFatalFailure() && !IsSkipped(); };

	try {
		prepare();
		if (may_go_on() && opens_the_gpu())
			open_the_gpu();
		if (may_go_on())
			work();
	} catch (const std::exception &problem) {
		ADD_FAILURE() << problem.what();
	}
	shared_.store(SKIPPED, IsSkipped());
	return HasFailure();
}

::testing::AssertionResult DevmemTest::move_all(const void *start, std::uint64_t bytes, tandem_location location)
{
	tandem_page_place place = location == TANDEM_LOCATION_DEVICE ? TANDEM_PAGE_DEVICE : TANDEM_PAGE_SYSTEM;

	for (unsigned attempt = 0; attempt < move_attempts; attempt++) {
		auto moved = device().prefetch(start, bytes, location);

		if (!moved)
			return succeeded(moved);
		if (count(start, bytes, place) == bytes / page_bytes)
			return ::testing::AssertionSuccess();
		ledger::empty_page_batches();
	}
	return all_are(place, start, bytes);
}

std::uint64_t DevmemTest::count(const void *start, std::uint64_t bytes, tandem_page_place place)
{
	std::vector<std::uint8_t> states = device().pages(start, bytes).take();
	std::uint64_t number = 0;

	for (std::uint8_t state : states)
		number += (state & TANDEM_PAGE_PLACE) == place;
	return number;
}

::testing::AssertionResult DevmemTest::all_are(tandem_page_place place, const void *start, std::uint64_t bytes)
{
	static const char *const names[] = {"absent", "system", "device", "peer"};
	std::vector<std::uint8_t> states = device().pages(start, bytes).take();

	for (std::uint64_t page = 0; page < states.size(); page++)
		if ((states[page] & TANDEM_PAGE_PLACE) != place)
			return ::testing::AssertionFailure()
			       << "page " << page << " of " << states.size() << " is " << names[states[page] & TANDEM_PAGE_PLACE]
			       << ", not " << names[place] << " (as " << count(start, bytes, place) << " are)";
	return ::testing::AssertionSuccess();
}

::testing::AssertionResult DevmemTest::gpu_holds(const void *start, std::uint64_t length, std::uint64_t seed)
{
	Mapping copy(length);
	peek_arguments arguments = {static_cast<const std::uint64_t *>(start), copy.words(), length / 8};
	auto outcome = run("peek", {256}, {64}, &arguments);

	return outcome ? holds(copy.get(), length, seed) : succeeded(outcome);
}

void DevmemTest::gpu_fill(void *start, std::uint64_t length, std::uint64_t seed)
{
	Mapping source(length);
	fill(source.get(), length, seed);
	peek_arguments arguments = {source.words(), static_cast<std::uint64_t *>(start), length / 8};

	ASSERT_OK(run("peek", {256}, {64}, &arguments));
}

void DevmemTest::gpu_touch(void *start, std::uint64_t length, bool write)
{
	std::uint64_t done = 0, lanes = std::min<std::uint64_t>(length / page_bytes, 256);
	touch_arguments arguments = {static_cast<unsigned char *>(start), length / page_bytes, &done, write};

	ASSERT_OK(run("touch", {static_cast<std::uint32_t>(lanes)}, {64}, &arguments));
	ASSERT_EQ(done, length / page_bytes);
}

} // namespace devmem_test
