// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fixture of the devmem_ suites. Each test runs in a process of its own, in a memory control group of its own; when the
 * process is gone, the books (ledger.hpp) must be as before and nothing may be charged to the group: no page, no
 * reference and no charge is lost, whatever the test did. So a test is written with DEVMEM_TEST in place of TEST_F.
 */
#ifndef TANDEM_DEVMEM_TEST_HPP
#define TANDEM_DEVMEM_TEST_HPP

#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "ledger.hpp"
#include "mm_test.hpp"

namespace devmem_test {

using namespace mm_test;

/* Word number i of the pattern that goes with a seed. */
std::uint64_t pattern(std::uint64_t seed, std::uint64_t word);
void fill(void *start, std::uint64_t bytes, std::uint64_t seed);
::testing::AssertionResult holds(const void *start, std::uint64_t bytes, std::uint64_t seed); /* as the CPU sees it */

/* What a CPU read of an address ended in. */
struct ReadResult {
	int signal;      /* 0: none */
	int code;        /* si_code */
	std::uint64_t address; /* si_addr */
	std::uint64_t value;
};
ReadResult try_read(const volatile std::uint64_t *word);

class DevmemTest : public MmTest {
public:
	/* For DEVMEM_TEST. */
	void TestBody() final;

protected:
	/* The parent only waits: whoever opens the GPU is the test's own process. */
	void SetUp() override {}

	virtual void prepare() {} /* before the GPU is opened */
	virtual bool opens_the_gpu() const { return true; } /* with tally and sweeper */
	virtual void work() = 0;

	/* Pages of video memory that the test poisons: they do not come back. Called in the constructor or in prepare(). */
	void expect_retired(std::uint64_t pages) { shared_.store(RETIRED, pages); }

	/* The GPU has memory of this kind, or the test cannot be run here. */
	virtual bool is_right_kind(tandem_vram_kind kind) const { return kind != TANDEM_VRAM_NONE; }

	std::uint64_t prefetch(const void *start, std::uint64_t bytes, tandem_location location)
	{
		return device().prefetch(start, bytes, location).take();
	}
	/* Until all pages are there: a page that somebody holds for a moment is asked for again. */
	::testing::AssertionResult move_all(const void *start, std::uint64_t bytes, tandem_location location);
	::testing::AssertionResult to_vram(const void *start, std::uint64_t bytes)
	{
		return move_all(start, bytes, TANDEM_LOCATION_DEVICE);
	}
	::testing::AssertionResult to_system(const void *start, std::uint64_t bytes)
	{
		return move_all(start, bytes, TANDEM_LOCATION_SYSTEM);
	}

	std::uint8_t page_state(const void *page) { return device().pages(page, page_bytes)->at(0); }
	tandem_page_place place_of(const void *page)
	{
		return static_cast<tandem_page_place>(page_state(page) & TANDEM_PAGE_PLACE);
	}
	std::uint64_t count(const void *start, std::uint64_t bytes, tandem_page_place place);
	::testing::AssertionResult all_are(tandem_page_place place, const void *start, std::uint64_t bytes);

	/* The same as holds() and fill(), done by the GPU. */
	::testing::AssertionResult gpu_holds(const void *start, std::uint64_t bytes, std::uint64_t seed);
	void gpu_fill(void *start, std::uint64_t bytes, std::uint64_t seed);
	/* The GPU writes a byte to each page by lanes of its own. */
	void gpu_touch(void *start, std::uint64_t bytes, bool write = true);

	/* A region without huge pages, filled, at home. */
	class AtHome : public Mapping {
	public:
		explicit AtHome(std::uint64_t length = pages * page_bytes, std::uint64_t seed = 1) : Mapping(length)
		{
			madvise(get(), length, MADV_NOHUGEPAGE);
			fill(get(), length, seed);
		}
	};

	/* The same in video memory. */
	class InVram : public AtHome {
	public:
		explicit InVram(DevmemTest &test, std::uint64_t length = pages * page_bytes, std::uint64_t seed = 1)
			: AtHome(length, seed)
		{
			EXPECT_TRUE(test.to_vram(get(), length));
		}
	};

	std::uint64_t counter(tandem_counter which) { return stats().counter[which]; }

	enum shared_word { RETIRED, SKIPPED, FREE };
	SharedWords shared_;

private:
	void open_the_gpu();
	int live();
};

/* Before it begins, with nothing in video memory, and on a GPU of private memory. */
class PrivateTest : public DevmemTest {
protected:
	bool is_right_kind(tandem_vram_kind kind) const override { return kind == TANDEM_VRAM_PRIVATE; }
};

#define DEVMEM_TEST(fixture, name)                                                                                      \
	class fixture##_##name : public fixture {                                                                       \
		void work() override;                                                                                   \
	};                                                                                                              \
	[[maybe_unused]] static const auto *const fixture##_##name##_registered =                                       \
		::testing::RegisterTest(#fixture, #name, nullptr, nullptr, __FILE__, __LINE__,                          \
					[]() -> ::devmem_test::DevmemTest * { return new fixture##_##name; });          \
	void fixture##_##name::work()

} // namespace devmem_test

#endif
