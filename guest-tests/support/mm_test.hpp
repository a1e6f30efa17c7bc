// SPDX-License-Identifier: GPL-2.0-or-later
/* The fixture of the mm_ suites: a GPU with a tally (contents must survive) and a sweeper (contents may go), one region each. */
#ifndef TANDEM_MM_TEST_HPP
#define TANDEM_MM_TEST_HPP

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "gpu_test.hpp"
#include "sweeper.hpp"
#include "system.hpp"
#include "tally.hpp"

/* Newer than some C libraries. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

namespace mm_test {

using namespace gpu_test;
using namespace mm_system;
using sweeper::Sweeper;
using tally::Tally;

constexpr std::uint64_t huge_page_count = huge_bytes / page_bytes;

#define ASSERT_GPU(gpu, condition) ASSERT_TRUE(condition) << (gpu).complaint()
#define EXPECT_GPU(gpu, condition) EXPECT_TRUE(condition) << (gpu).complaint()
#define ASSERT_SYS(call) ASSERT_GE((call), 0) << std::strerror(errno)

/*
 * A mapping at a quiet address, begun at a multiple of 2 MiB: where it leaves holes, neither the loader nor the queues of the
 * runtime nor malloc will map anything.
 */
class Place {
public:
	explicit Place(std::uint64_t bytes, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int file = -1, std::uint64_t offset = 0,
		       int protection = PROT_READ | PROT_WRITE)
		: bytes_(bytes)
	{
		static std::uint64_t next = 1ull << 44;

		memory_ = mmap(reinterpret_cast<void *>(next), bytes, protection, flags | MAP_FIXED_NOREPLACE, file,
			       static_cast<off_t>(offset));
		if (memory_ == MAP_FAILED)
			throw std::system_error(errno, std::generic_category(), "mmap");
		next += (bytes + 2 * huge_bytes - 1) & -huge_bytes;
	}
	~Place() { munmap(memory_, bytes_); }
	Place(const Place &) = delete;
	Place &operator=(const Place &) = delete;

	void *get() const { return memory_; }
	char *at(std::uint64_t offset) const { return static_cast<char *>(memory_) + offset; }
	std::uint64_t *words(std::uint64_t page = 0) const { return reinterpret_cast<std::uint64_t *>(at(page * page_bytes)); }
	std::uint64_t bytes() const { return bytes_; }
	std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(memory_); }

private:
	void *memory_;
	std::uint64_t bytes_;
};

/* The same, advised to be huge pages. */
class HugePlace : public Place {
public:
	explicit HugePlace(std::uint64_t bytes) : Place(bytes)
	{
		if (madvise(Place::get(), bytes, MADV_HUGEPAGE))
			throw std::system_error(errno, std::generic_category(), "madvise(MADV_HUGEPAGE)");
	}
	char *get() const { return at(0); }
};

inline bool wait_for_word(const SharedWords &words, unsigned index, std::uint64_t value)
{
	return tally::wait_sleeping([&] { return words.load(index) >= value; });
}

class MmTest : public GpuTest {
protected:
	using Mapping = Place;
	using HugeMapping = HugePlace;

	static constexpr std::uint64_t pages = 64;
	static constexpr std::uint64_t bytes = pages * page_bytes;
	static constexpr std::uint64_t check_and_write = SWEEP_CHECK | SWEEP_WRITE;

	void SetUp() override
	{
		GpuTest::SetUp();
		if (HasFatalFailure())
			return;
		tally_.emplace(device(), 0x7a11);
		sweeper_.emplace(device());
	}

	Tally &tally() { return *tally_; }
	Sweeper &sweeping() { return *sweeper_; }

	/* By the driver, for this cause; or by the IOMMU, which does not tell. */
	std::uint64_t invalidations(tandem_cause cause)
	{
		return is_sva() ? stats().counter[TANDEM_COUNTER_ATC_INVALIDATES] : stats().cause[cause];
	}

	/* The GPU writes a byte to each page, so that it has translations of all of them. */
	void let_gpu_touch(void *region, std::uint64_t count)
	{
		std::uint64_t done = 0;
		touch_arguments touch = {static_cast<unsigned char *>(region), count, &done, 1};

		ASSERT_OK(run("touch", {64}, {64}, &touch));
		ASSERT_EQ(done, count);
	}

	/* What the GPU reads there; the queue's error if it cannot. */
	std::optional<std::uint64_t> gpu_reads(const void *address, tandem_queue_error expected_error = TANDEM_QUEUE_OK)
	{
		std::uint64_t seen = 0;
		peek_arguments peek = {static_cast<const std::uint64_t *>(address), &seen, 1};
		tandem::Queue own = new_queue();

		if (own.run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns)) {
			EXPECT_EQ(expected_error, TANDEM_QUEUE_OK) << "the GPU could read there";
			return seen;
		}
		EXPECT_NE(expected_error, TANDEM_QUEUE_OK) << own.describe();
		expect_error(own, expected_error, address);
		return std::nullopt;
	}

	void gpu_writes(void *address, std::uint64_t value)
	{
		peek_arguments poke = {&value, static_cast<std::uint64_t *>(address), 1};

		ASSERT_OK(run("peek", {1}, {1}, &poke));
	}

	static void remap(void *address, std::uint64_t length, int protection = PROT_READ | PROT_WRITE)
	{
		ASSERT_EQ(mmap(address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), address)
			<< std::strerror(errno);
	}

	static volatile std::uint64_t &sweep_word(void *region, std::uint64_t page)
	{
		return static_cast<volatile std::uint64_t *>(region)[page * SWEEP_PAGE_WORDS + SWEEP_GPU_WORD];
	}

	void finish_tally() { EXPECT_GPU(tally(), tally().finish()); }
	void finish_sweep()
	{
		EXPECT_GPU(sweeping(), sweeping().stop());
		EXPECT_EQ(sweeping().errors(), 0u) << sweeping().complaint();
	}

private:
	std::optional<Tally> tally_;
	std::optional<Sweeper> sweeper_;
};

} // namespace mm_test

#endif
