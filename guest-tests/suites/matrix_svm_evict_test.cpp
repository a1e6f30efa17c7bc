// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendors' matrix: processes that together want more VRAM than there is, as AMD's KFDTest has them. docs/matrix.md names the
 * origin of each.
 */
#include "svm_test.hpp"

using namespace svm_test;

namespace {

class MatrixEvict : public SvmTest {
protected:
	static constexpr unsigned processes = 4;
	enum word { ARRIVED, RESIDENT, EVICTED, GO };

	/* A share of half as much again as there is. */
	std::uint64_t share() { return vram_bytes() * 3 / 2 / processes & -huge_bytes; }

	/* Waits until all processes have come so far; each place is used once. */
	void meet(unsigned place)
	{
		__atomic_fetch_add(words_.at(place), 1, __ATOMIC_SEQ_CST);
		if (!wait_for_word(words_, place, processes))
			throw std::runtime_error("the other processes did not come");
	}

	void add(word which, std::uint64_t value) { __atomic_fetch_add(words_.at(which), value, __ATOMIC_SEQ_CST); }

	template <typename Function> void in_each_process(Function function)
	{
		std::vector<pid_t> children;

		for (unsigned process = 0; process < processes; process++)
			children.push_back(start_child([&, process] {
				function(process);
				return 0;
			}));
		for (pid_t child : children)
			EXPECT_TRUE(exited_well(wait_status(child)));
	}

	static std::uint64_t resident(const tandem::Device &own, const Mapping &region)
	{
		auto states = own.pages(region.get(), region.bytes()).take();

		return std::count_if(states.begin(), states.end(),
				     [](auto state) { return (state & TANDEM_PAGE_PLACE) == TANDEM_PAGE_DEVICE; });
	}

	/* All of it went there at some time. What others drive out meanwhile counts, too; no room for a moment is asked for again. */
	static bool fetch(const tandem::Device &own, const Mapping &region)
	{
		std::uint64_t before = own.stats()->pages_to_vram;

		return tally::wait_sleeping([&] {
			auto moved = own.prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);

			if (!moved && moved.error().status != TANDEM_ERROR_MEMORY)
				throw std::runtime_error(moved.error().text);
			return own.stats()->pages_to_vram - before >= region.bytes() / page_bytes;
		});
	}

	SharedWords words_;
};

/* No queue: nothing but the processes' own requests drives pages out. */
DEVMEM_TEST(MatrixEvict, processes_oversubscribe_vram)
{
	const std::uint64_t length = share();
	in_each_process([&](unsigned process) {
		tandem::Device own = open_device();
		Mapping region(length);
		stamp(region.get(), length, process);
		CHILD_CHECK(fetch(own, region));
		meet(ARRIVED);
		add(RESIDENT, resident(own, region));
		add(EVICTED, own.stats()->pages_evicted);
		meet(GO);
		own.prefetch(region.get(), length, TANDEM_LOCATION_SYSTEM).take();
		CHILD_CHECK(is_stamped(region.get(), length, process));
	});
	EXPECT_GE(words_.load(EVICTED), (processes * length - vram_bytes()) / page_bytes);
	EXPECT_LE(words_.load(RESIDENT), vram_bytes() / page_bytes);
	EXPECT_GE(words_.load(RESIDENT), vram_bytes() / page_bytes / 2);
}

/*
 * Each process's lanes go over its pages without end and check every one, while all processes fetch theirs again and again and so
 * drive out the others'. With retries the lanes' own faults fetch them, too.
 */
DEVMEM_TEST(MatrixEvict, queues_read_while_their_pages_are_evicted_and_restored)
{
	const std::uint64_t length = share();
	constexpr std::uint64_t stride = 8;
	constexpr unsigned rounds = 3;
	in_each_process([&](unsigned process) {
		tandem::Device own = open_device();
		Mapping region(length);
		Tally reader(own, process);
		reader.set_stride(stride);
		CHILD_CHECK(own.prefer(region.get(), length, TANDEM_LOCATION_DEVICE));
		CHILD_CHECK(reader.start(region.get(), length / page_bytes / stride, TALLY_READ));
		meet(ARRIVED);
		for (unsigned round = 0; round < rounds; round++)
			CHILD_CHECK(reader.during([&] { CHILD_CHECK(fetch(own, region)); }));
		meet(GO);
		CHILD_CHECK(reader.wait_round());
		add(EVICTED, own.stats()->pages_evicted);
		CHILD_CHECK(reader.finish());
	});
	EXPECT_GE(words_.load(EVICTED), (processes * length - vram_bytes()) / page_bytes);
}

} // namespace
