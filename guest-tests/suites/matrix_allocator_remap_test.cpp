// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * After each execution mremap takes the memory to another address: alone or leaving its addresses behind empty, by way of a
 * read-only protection, private or shared. The CPU looks at each result, or only at every other one, so that the GPU is the first
 * to touch what has moved. Two addresses take turns: whoever still has a translation of the last time but one uses it.
 */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

struct Move {
	const char *name;
	bool shared;
	bool dontunmap;
	bool read_only;
	bool every_other;
};

struct Site {
	store_arguments store;
	std::uint64_t result;
	std::uint64_t expected;
};

class MatrixRemap : public MmTest, public ::testing::WithParamInterface<Move> {
protected:
	static constexpr unsigned executions = 16;
	static constexpr std::uint64_t stride = pages / executions * page_bytes;

	Mapping first_{bytes, (GetParam().shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS};
	Mapping second_{bytes};
	char *here_ = first_.at(0);
	char *there_ = second_.at(0);

	static Site &site(char *base, unsigned number) { return *reinterpret_cast<Site *>(base + number * stride); }

	/* The GPU's arguments, in the memory as it lies now, for when it lies at `base`. */
	void prepare(unsigned number, char *base)
	{
		Site &now = site(here_, number);

		now.expected = 0x5a5a0000 + number;
		now.result = 0;
		now.store = {&site(base, number).result, now.expected};
	}

	void execute(unsigned number)
	{
		ASSERT_OK(queue().run(kernel("store", "store.elf"), {1}, {1}, &site(here_, number).store, 0, time_limit_ns));
	}

	void move()
	{
		int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (GetParam().dontunmap ? MREMAP_DONTUNMAP : 0);

		if (GetParam().read_only)
			ASSERT_SYS(mprotect(here_, bytes, PROT_READ));
		ASSERT_EQ(mremap(here_, bytes, bytes, flags, there_), there_) << std::strerror(errno);
		if (GetParam().read_only)
			ASSERT_SYS(mprotect(there_, bytes, PROT_READ | PROT_WRITE));
		if (GetParam().dontunmap)
			ASSERT_NO_FATAL_FAILURE(leave_behind());
		std::swap(here_, there_);
	}

	/* Private memory that stays behind is empty, shared memory is the same; then it goes. */
	void leave_behind()
	{
		std::uint64_t expected = GetParam().shared ? site(there_, 0).expected : 0;

		EXPECT_EQ(gpu_reads(&site(here_, 0).expected), expected);
		ASSERT_SYS(munmap(here_, bytes));
	}

	void expect_results(unsigned from, unsigned to)
	{
		for (unsigned number = from; number <= to; number++)
			ASSERT_EQ(site(here_, number).result, 0x5a5a0000 + number) << "execution " << number;
	}

	void each()
	{
		for (unsigned number = 0; number < executions && !HasFatalFailure(); number++) {
			prepare(number, here_);
			execute(number);
			move();
			expect_results(number, number);
		}
	}

	void every_other()
	{
		for (unsigned number = 0; number < executions && !HasFatalFailure(); number += 2) {
			prepare(number, here_);
			prepare(number + 1, there_);
			execute(number);
			move();
			execute(number + 1);
			move();
			expect_results(number, number + 1);
		}
	}
};

TEST_P(MatrixRemap, moved_after_each_execution)
{
	if (GetParam().every_other)
		every_other();
	else
		each();
	expect_results(0, executions - 1);
	gpu_reads(there_, TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_EQ(gpu_reads(&site(here_, 5).result), 0x5a5a0005u);
}

const Move moves[] = {
	{"plain", false, false, false, false},
	{"dontunmap", false, true, false, false},
	{"read_only", false, false, true, false},
	{"read_only_dontunmap", false, true, true, false},
	{"every_other", false, false, false, true},
	{"dontunmap_every_other", false, true, false, true},
	{"read_only_every_other", false, false, true, true},
	{"read_only_dontunmap_every_other", false, true, true, true},
	{"shared", true, false, false, false},
	{"shared_dontunmap", true, true, false, false},
	{"shared_every_other", true, false, false, true},
	{"shared_dontunmap_every_other", true, true, false, true},
};

INSTANTIATE_TEST_SUITE_P(Moved, MatrixRemap, ::testing::ValuesIn(moves), [](const auto &info) { return info.param.name; });

} // namespace
