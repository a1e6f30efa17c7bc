// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Half of a huge page is unmapped between two pieces of the GPU's work in it, from its beginning or from its middle, for good or to
 * be mapped anew; the CPU has looked at the first result or not. What is left keeps its contents, what is new begins empty, and
 * where nothing is the GPU faults. The GPU's arguments lie in the same page and were written before.
 */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

struct Hole {
	const char *name;
	bool atomic;    /* the GPU adds atomically, else it stores */
	bool middle;    /* the second and third quarter go, else the first two */
	bool remap;     /* and are mapped anew */
	bool cpu_fault; /* the CPU looks at the first result before */
};

/* Where the GPU works: its arguments and, behind them, the word. */
struct Site {
	store_arguments store;
	count_arguments add;
	std::uint64_t word;
};

constexpr std::uint64_t half = huge_bytes / 2;
constexpr std::uint64_t filler = 0x0505050505050505;

class MatrixUnmap : public MmTest, public ::testing::WithParamInterface<Hole> {
protected:
	HugeMapping region_{huge_bytes};
	const std::uint64_t hole_ = GetParam().middle ? huge_bytes / 4 : 0;

	void SetUp() override
	{
		MmTest::SetUp();
		std::memset(region_.get(), 5, huge_bytes);
	}

	Site &site(std::uint64_t offset) { return *reinterpret_cast<Site *>(region_.get() + offset); }

	void prepare(std::uint64_t offset, std::uint64_t value)
	{
		Site &site = this->site(offset);

		site.store = {&site.word, filler + value};
		site.add = {&site.word, value};
	}

	void work_at(std::uint64_t offset)
	{
		if (GetParam().atomic)
			ASSERT_OK(run("atomic_add", {1}, {1}, &site(offset).add));
		else
			ASSERT_OK(queue().run(kernel("store", "store.elf"), {1}, {1}, &site(offset).store, 0, time_limit_ns));
	}

	void unmap()
	{
		ASSERT_SYS(munmap(region_.get() + hole_, half));
		if (GetParam().remap)
			remap(region_.get() + hole_, half);
	}

	bool is_left(std::uint64_t offset) const { return offset < hole_ || offset >= hole_ + half; }

	/* What is left is as it was, for both sides, but for what the GPU wrote at the two sites. */
	void expect_the_rest_untouched()
	{
		for (std::uint64_t offset = 0; offset < huge_bytes; offset += page_bytes) {
			auto *words = reinterpret_cast<const volatile std::uint64_t *>(region_.get() + offset);

			for (std::uint64_t word = 64; is_left(offset) && word < page_bytes / 8; word++)
				ASSERT_EQ(words[word], filler) << "page " << offset / page_bytes << ", word " << word;
		}
		EXPECT_EQ(gpu_reads(region_.get() + huge_bytes - 8), filler);
		EXPECT_EQ(gpu_reads(region_.get() + hole_ + half + page_bytes - 8), filler);
	}

	void expect_the_hole_empty()
	{
		char *inside = region_.get() + hole_ + half - 3 * page_bytes;

		if (!GetParam().remap) {
			gpu_reads(inside, TANDEM_QUEUE_ADDRESS_FAULT);
			return;
		}
		EXPECT_EQ(gpu_reads(inside), 0u) << "what was there before";
		gpu_writes(inside, 4711);
		EXPECT_EQ(*reinterpret_cast<volatile std::uint64_t *>(inside), 4711u);
	}
};

TEST_P(MatrixUnmap, half_of_a_huge_page_goes_between_two_executions)
{
	std::uint64_t second = hole_ + half;
	prepare(0, 77);
	prepare(second, 99);
	work_at(0);
	if (GetParam().cpu_fault) {
		EXPECT_EQ(site(0).word, filler + 77);
	}
	ASSERT_NO_FATAL_FAILURE(unmap());
	work_at(second);
	EXPECT_EQ(site(second).word, filler + 99);
	if (is_left(0)) {
		EXPECT_EQ(site(0).word, filler + 77);
	}
	expect_the_hole_empty();
	expect_the_rest_untouched();
}

const Hole holes[] = {
	{"munmap_cpu_fault", false, false, false, true},
	{"munmap_no_cpu_fault", false, false, false, false},
	{"remap_cpu_fault", false, false, true, true},
	{"remap_no_cpu_fault", false, false, true, false},
	{"middle_munmap_cpu_fault", false, true, false, true},
	{"middle_munmap_no_cpu_fault", false, true, false, false},
	{"middle_remap_cpu_fault", false, true, true, true},
	{"middle_remap_no_cpu_fault", false, true, true, false},
	{"atomic_munmap_cpu_fault", true, false, false, true},
	{"atomic_munmap_no_cpu_fault", true, false, false, false},
	{"atomic_remap_cpu_fault", true, false, true, true},
	{"atomic_remap_no_cpu_fault", true, false, true, false},
	{"atomic_middle_munmap_cpu_fault", true, true, false, true},
	{"atomic_middle_munmap_no_cpu_fault", true, true, false, false},
	{"atomic_middle_remap_cpu_fault", true, true, true, true},
	{"atomic_middle_remap_no_cpu_fault", true, true, true, false},
};

INSTANTIATE_TEST_SUITE_P(Partial, MatrixUnmap, ::testing::ValuesIn(holes), [](const auto &info) { return info.param.name; });

} // namespace
