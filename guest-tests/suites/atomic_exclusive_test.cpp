// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is special about pages that are taken from the CPUs: who has them when, for how long, and the proof that the other suites
 * would see it if the page were not taken (skip_exclusive maps for atomics and leaves the CPUs' entry).
 */
#include "contention.hpp"
#include "mm_test.hpp"
#include "parameter_name.hpp"

using namespace mm_test;
using contention::Mode;
using contention::Plan;

namespace {

constexpr char parameters[] = "/sys/module/tandem/parameters/";
constexpr char skip_exclusive[] = "/sys/module/tandem/parameters/skip_exclusive";

class AtomicExclusive : public GpuTest {
protected:
	void SetUp() override
	{
		GpuTest::SetUp();
		write_file(skip_exclusive, "N"); /* whatever a test that died has left */
		ASSERT_EQ(contention::mode(), Mode::Exclusive) << "this suite needs atomics=exclusive (test-configs.json)";
		words_[1] = 1;
	}

	contend_arguments adding(void *memory, std::uint64_t rounds, std::uint64_t first = 0)
	{
		return {memory, first, rounds, &words_[1], &words_[0], &words_[64], &words_[128]};
	}

	void add(void *memory, std::uint64_t rounds = 1)
	{
		contend_arguments arguments = adding(memory, rounds);

		ASSERT_OK(queue().run(kernel("contend_counters", "contend.elf"), {32}, {32}, &arguments, 0, time_limit_ns));
	}

	std::uint64_t taken() { return stats().exclusive_taken; }

	/* Both sides fight while one keeps what it has for 20 ms. */
	void expect_few_changes(const char *hold_us)
	{
		Setting hold(std::string(parameters) + hold_us, "20000");
		Plan plan;
		plan.operations = 2000;
		std::uint64_t before = taken();
		contention::Outcome outcome = contention::counters(device(), plan);

		EXPECT_TRUE(outcome.good()) << outcome.text;
		/* Signals and counters of the start are a few more pages. */
		EXPECT_LE(static_cast<double>(taken() - before), outcome.seconds / 0.020 + 8);
	}

	Place control_{2 * page_bytes};
	std::uint64_t *words_ = control_.words(); /* 0 is 0, 1 is not; then the counter of those who began; then rounds made */
};

TEST_F(AtomicExclusive, a_cpu_access_gives_the_page_back)
{
	Place region(page_bytes);
	auto *counters = reinterpret_cast<contend_counters *>(region.get());

	add(region.get());
	EXPECT_EQ(count_pages(region.get(), 1, pagemap_present), 0u) << "a CPU could reach it";
	auto before = stats();
	EXPECT_EQ(counters->wide, 32u);
	auto after = stats();
	EXPECT_EQ(after.exclusive_returned - before.exclusive_returned, 1u);
	EXPECT_GE(after.cause[TANDEM_CAUSE_CLEAR] - before.cause[TANDEM_CAUSE_CLEAR], 1u);
	EXPECT_EQ(count_pages(region.get(), 1, pagemap_present), 1u);
	add(region.get());
	EXPECT_EQ(counters->wide, 64u);
}

TEST_F(AtomicExclusive, it_is_still_somewhere)
{
	Place region(page_bytes);

	add(region.get());
	auto where = device().pages(region.get(), page_bytes);
	ASSERT_OK(where);
	EXPECT_EQ((*where)[0], TANDEM_PAGE_SYSTEM | TANDEM_PAGE_WRITE | TANDEM_PAGE_MAPPED | TANDEM_PAGE_MAPPED_WRITE);
}

/* Faults beside it, alone and in rows that surround it, leave it where it is. */
TEST_F(AtomicExclusive, the_gpus_own_faults_around_it_do_not_give_it_back)
{
	constexpr std::uint64_t around = 64, middle = 21;
	Place region(around * page_bytes);
	unsigned char *bytes = reinterpret_cast<unsigned char *>(region.get());
	std::uint64_t done = 0;

	add(region.words(middle));
	std::uint64_t first = taken();
	for (std::uint64_t page = middle - 3; page <= middle + 3; page++) {
		touch_arguments one = {bytes + page * page_bytes, 1, &done, 0};
		if (page != middle) {
			ASSERT_OK(run("touch", {1}, {1}, &one));
		}
	}
	touch_arguments all = {bytes, around, &done, 0};
	ASSERT_OK(run("touch", {64}, {64}, &all));
	add(region.words(middle));
	/* The counter of touched pages, the completion signals and the start counter are taken, too; this page is not. */
	auto before = stats();
	add(region.words(middle));
	auto after = stats();
	EXPECT_EQ(count_pages(region.words(middle), 1, pagemap_present), 0u);
	EXPECT_EQ(reinterpret_cast<contend_counters *>(region.words(middle))->wide, 3u * 32);
	EXPECT_LE(after.exclusive_taken - before.exclusive_taken, 2u);
	EXPECT_GT(taken(), first);
}

/* A page changes hands once in two holds at most, however hard the other side tries: here one of them is 20 ms. */
TEST_F(AtomicExclusive, the_gpu_keeps_a_page_for_its_time)
{
	expect_few_changes("exclusive_hold_us");
}

TEST_F(AtomicExclusive, the_cpus_keep_a_page_for_their_time)
{
	expect_few_changes("cpu_hold_us");
}

/* Without any time for either both get on still, and nothing is lost. */
TEST_F(AtomicExclusive, without_holds_it_is_slower_and_as_right)
{
	Setting gpu_hold(std::string(parameters) + "exclusive_hold_us", "0");
	Setting cpu_hold(std::string(parameters) + "cpu_hold_us", "0");
	Plan plan;
	plan.operations = 1000;
	contention::Outcome outcome = contention::counters(device(), plan);

	EXPECT_TRUE(outcome.good()) << outcome.text;
}

TEST_F(AtomicExclusive, two_address_spaces_of_one_gpu)
{
	tandem::Device other = tandem::Device::open().take();
	tandem::Module module = other.module("contend.elf").take();
	tandem::Queue theirs = other.queue().take();
	Place region(page_bytes);
	contend_arguments ours = adding(region.get(), 200), others = adding(region.get(), 200, 32);
	auto done = tandem::Signal::create().take(), done_too = tandem::Signal::create().take();

	ASSERT_OK(queue().dispatch(kernel("contend_counters", "contend.elf"), {32}, {32}, &ours, done.get()));
	ASSERT_OK(theirs.dispatch(module.kernel("contend_counters").take(), {32}, {32}, &others, done_too.get()));
	ASSERT_OK(queue().wait(done, time_limit_ns));
	ASSERT_OK(theirs.wait(done_too, time_limit_ns));
	EXPECT_EQ(reinterpret_cast<contend_counters *>(region.get())->wide, 2u * 32 * 200);
	EXPECT_EQ(reinterpret_cast<contend_counters *>(region.get())->narrow, 2u * 32 * 200);
}

/*
 * The proof: the same contests, and the page is not taken. Lost updates show in the result; of a queue also in somebody who waits
 * for a turn that was lost, and makes no round any more while thousands a second are usual. Without the locks: on a busy machine
 * ten short fights were exact by luck, and a long one was not over after two minutes.
 */
std::vector<contention::Contest> contests_without_locks()
{
	std::vector<contention::Contest> chosen;

	for (const contention::Contest &contest : contention::contests)
		if (std::string(contest.name).find("lock") == std::string::npos)
			chosen.push_back(contest);
	return chosen;
}

class AtomicExclusiveSkipped : public AtomicExclusive, public ::testing::WithParamInterface<contention::Contest> {};

TEST_P(AtomicExclusiveSkipped, lost_updates_are_reported)
{
	Plan plan;
	bool seen = false;

	plan.stuck_seconds = 3;
	{
		Setting skip(skip_exclusive, "Y");
		for (int attempt = 0; attempt < 10 && !seen; attempt++) {
			contention::Outcome outcome = GetParam().run(device(), plan);

			ASSERT_TRUE(outcome.finished || outcome.stuck) << outcome.text;
			seen = !outcome.exact;
			RecordProperty("outcome", outcome.text);
		}
	}
	EXPECT_TRUE(seen) << "updates were lost, surely, and nobody noticed";
	contention::Outcome again = GetParam().run(device(), Plan{});
	EXPECT_TRUE(again.good()) << again.text;
}

INSTANTIATE_TEST_SUITE_P(Contests, AtomicExclusiveSkipped, ::testing::ValuesIn(contests_without_locks()), parameter_name);

} // namespace
