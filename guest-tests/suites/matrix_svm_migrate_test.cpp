// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendors' matrix: pages on their way between the system's memory and VRAM, as AMD's KFDTest sends them. docs/matrix.md names
 * the origin of each.
 */
#include <cinttypes>
#include <sstream>

#include "svm_test.hpp"

using namespace svm_test;

namespace {

class MatrixMigrate : public SvmTest {
protected:
	/* Pages of 4 KiB, stamped. */
	class Region : public Mapping {
	public:
		explicit Region(std::uint64_t length, std::uint64_t seed = 1) : Mapping(length)
		{
			madvise(get(), length, MADV_NOHUGEPAGE);
			stamp(get(), length, seed);
		}
	};

	/* With retries a GPU fault brings there what prefers the device; without, the GPU uses it where it is. */
	tandem_page_place after_a_gpu_access() const { return retries() ? TANDEM_PAGE_DEVICE : TANDEM_PAGE_SYSTEM; }

	std::uint64_t cpu_faults() { return stats().cpu_faults; }
};

/* ---- prefetch ---- */

DEVMEM_TEST(MatrixMigrate, a_prefetch_is_seen_by_a_query_of_the_location)
{
	constexpr std::uint64_t half = 2 * page_bytes;
	Mapping region(2 * half);
	ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
	EXPECT_TRUE(all_are(TANDEM_PAGE_ABSENT, region.get(), region.bytes())) << "not touched yet";
	fill(region.get(), region.bytes(), 1);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), region.bytes()));
	EXPECT_TRUE(to_vram(region.at(half), half));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), half)) << "the other half was not asked for";
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.at(half), half));
	EXPECT_TRUE(to_system(region.at(half), half));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), region.bytes()));
	EXPECT_TRUE(holds(region.get(), region.bytes(), 1));
	ASSERT_SYS(munmap(region.at(half), half));
	EXPECT_TRUE(all_are(TANDEM_PAGE_ABSENT, region.at(half), half)) << "there is nothing any more";
}

DEVMEM_TEST(MatrixMigrate, a_range_of_which_a_part_was_touched_is_prefetched_whole)
{
	Mapping region(4 * page_bytes);
	ASSERT_SYS(madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE));
	std::memset(region.words(1), 2, page_bytes);
	std::memset(region.words(2), 3, page_bytes);
	EXPECT_TRUE(to_vram(region.get(), region.bytes()));
	fill_by_engine(region.words(0), 0x0101010101010101, page_bytes);
	fill_by_engine(region.words(3), 0x0404040404040404, page_bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), region.bytes()));
	for (std::uint64_t page = 0; page < 4; page++)
		EXPECT_TRUE(is_filled(region.words(page), 0x0101010101010101 * (page + 1), page_bytes)) << page;
}

/* ---- there and back ---- */

DEVMEM_TEST(MatrixMigrate, two_buffers_migrate_in_loops)
{
	constexpr std::uint64_t length = 4ull << 20;
	AtHome data(length, 1);
	Region first(length, 2), second(length, 3);
	for (int round = 0; round < 8; round++) {
		for (Region *region : {&first, &second}) {
			ASSERT_TRUE(to_vram(region->get(), length));
			copy(region->get(), data.get(), length);
			ASSERT_TRUE(all_are(TANDEM_PAGE_DEVICE, region->get(), length));
		}
		/* CPU faults bring them home, with what the GPU wrote there. */
		for (Region *region : {&first, &second}) {
			ASSERT_TRUE(holds(region->get(), length, 1)) << "round " << round;
			ASSERT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region->get(), length));
			stamp(region->get(), length, round);
		}
	}
	copy(first.get(), data.get(), length);
	EXPECT_TRUE(holds(first.get(), length, 1)) << "the GPU still writes to pages that were its own";
}

/* The GPU keeps its translations: what the CPU brought home it uses there. */
DEVMEM_TEST(MatrixMigrate, what_came_home_is_accessed_in_place)
{
	const std::uint64_t length = vram_bytes() / 2;
	Region region(length);
	ASSERT_OK(device().advise(region.get(), length, TANDEM_RANGE_ACCESSED_BY));
	ASSERT_TRUE(to_vram(region.get(), length));
	EXPECT_TRUE(is_stamped(region.get(), length, 1));
	stamp(region.get(), length, 2);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), length));
	fill_by_engine(region.get(), 0x55aaaa5555aaaa55, length);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), length)) << "the GPU's access moved it";
	EXPECT_TRUE(is_filled(region.get(), 0x55aaaa5555aaaa55, length));
}

DEVMEM_TEST(MatrixMigrate, the_granularity_says_how_many_cpu_faults_bring_a_range_home)
{
	constexpr std::uint64_t length = 2 * huge_bytes;
	Region data(length, 1), region(length, 2);
	for (std::uint32_t granularity = TANDEM_GRANULARITY_MAX; granularity >= TANDEM_GRANULARITY_MIN; granularity--) {
		ASSERT_TRUE(to_vram(region.get(), length));
		ASSERT_OK(device().set_granularity(region.get(), length, granularity));
		copy(region.get(), data.get(), length);
		std::uint64_t before = cpu_faults();
		EXPECT_TRUE(is_stamped(region.get(), length, 1)) << granularity;
		EXPECT_EQ(cpu_faults() - before, length >> granularity) << granularity;
		stamp(region.get(), length, 2);
	}
}

/* What one fault brings home, exactly: aligned, inside the range, and nothing of the mapping beside it. */
DEVMEM_TEST(MatrixMigrate, a_cpu_fault_brings_home_the_granule_around_it)
{
	Region region(bytes);
	constexpr std::uint64_t first = 6, wished = 20; /* pages 6..25 */
	ASSERT_OK(device().set_granularity(region.words(first), wished * page_bytes, 15));
	for (auto [touched, begin, end] : {std::array<std::uint64_t, 3>{12, 8, 16}, {7, 6, 8}, {25, 24, 26}, {30, 30, 31}}) {
		ASSERT_TRUE(to_vram(region.get(), bytes));
		std::uint64_t before = cpu_faults();
		static_cast<void>(*static_cast<volatile std::uint64_t *>(region.words(touched)));
		EXPECT_EQ(cpu_faults() - before, 1u);
		for (std::uint64_t page = 0; page < pages; page++)
			EXPECT_EQ(place_of(region.words(page)), page >= begin && page < end ? TANDEM_PAGE_SYSTEM : TANDEM_PAGE_DEVICE)
				<< "page " << page << " after a fault in page " << touched;
	}
	EXPECT_TRUE(is_stamped(region.get(), bytes, 1));
}

/* Without retries it moves nothing. */
DEVMEM_TEST(MatrixMigrate, a_gpu_fault_moves_the_granule_around_it)
{
	Region region(bytes);
	ledger::empty_page_batches();
	ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(device().set_granularity(region.get(), bytes, 14));
	gpu_reads(region.words(21));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_EQ(place_of(region.words(page)), page >= 20 && page < 24 ? after_a_gpu_access() : TANDEM_PAGE_SYSTEM) << page;
	EXPECT_TRUE(is_stamped(region.get(), bytes, 1));
}

DEVMEM_TEST(MatrixMigrate, a_large_buffer_goes_and_comes_whole)
{
	const std::uint64_t length = vram_bytes() * 3 / 4 & -huge_bytes;
	Mapping region(length), other(length);
	stamp(region.get(), length, 1);
	stamp(other.get(), length, 2);
	ASSERT_TRUE(to_vram(region.get(), length));
	copy(other.get(), region.get(), length);
	EXPECT_TRUE(is_stamped(other.get(), length, 1)) << "what moved there is what was here";
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, region.get(), length));
	stamp(other.get(), length, 3);
	copy(region.get(), other.get(), length);
	ASSERT_OK(device().set_granularity(region.get(), length, TANDEM_GRANULARITY_MAX));
	std::uint64_t before = cpu_faults();
	EXPECT_TRUE(is_stamped(region.get(), length, 3)) << "what the GPU wrote there came home";
	EXPECT_LE(cpu_faults() - before, length / page_bytes);
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), length));
	stamp(region.get(), length, 4);
	copy(other.get(), region.get(), length);
	EXPECT_TRUE(is_stamped(other.get(), length, 4)) << "and the GPU finds it at home";
}

/* What the CPU brought home and changed goes back when the GPU asks for it: if its faults are retried, else it stays. */
DEVMEM_TEST(MatrixMigrate, the_policy_takes_back_what_the_cpu_brought_home)
{
	constexpr std::uint64_t length = 1ull << 20;
	AtHome data(length, 1);
	Region region(length, 2);
	ASSERT_OK(device().prefer(region.get(), length, TANDEM_LOCATION_DEVICE));
	ASSERT_TRUE(to_vram(region.get(), length));
	copy(region.get(), data.get(), length);
	EXPECT_TRUE(holds(region.get(), length, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), length));
	fill(region.get(), length, 3);
	ledger::empty_page_batches();
	copy(data.get(), region.get(), length);
	EXPECT_TRUE(holds(data.get(), length, 3));
	EXPECT_TRUE(all_are(after_a_gpu_access(), region.get(), length));
	EXPECT_TRUE(holds(region.get(), length, 3));
}

/* ---- at the same time ---- */

/* One prefetches there while the copy engine's faults ask for the same; one prefetches home while CPUs fault it home. */
DEVMEM_TEST(MatrixMigrate, prefetches_race_faults_from_many_threads)
{
	constexpr std::uint64_t length = 8ull << 20;
	constexpr unsigned readers = 3, rounds = 4;
	Region region(length), seen(length, 2);
	std::atomic<unsigned> failed = 0;
	auto prefetch_to = [&](tandem_location location) {
		failed += !device().prefetch(region.get(), length, location);
	};
	ASSERT_OK(device().prefer(region.get(), length, TANDEM_LOCATION_DEVICE));
	for (unsigned round = 0; round < rounds; round++) {
		std::thread there(prefetch_to, TANDEM_LOCATION_DEVICE);
		copy(seen.get(), region.get(), length);
		there.join();
		ASSERT_TRUE(is_stamped(seen.get(), length, 1)) << round;

		std::vector<std::thread> home;
		for (unsigned reader = 0; reader < readers; reader++)
			home.emplace_back([&] { failed += !is_stamped(region.get(), length, 1); });
		prefetch_to(TANDEM_LOCATION_SYSTEM);
		for (std::thread &thread : home)
			thread.join();
		ASSERT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), length)) << round;
		stamp(seen.get(), length, 2);
	}
	EXPECT_EQ(failed, 0u);
}

/* ---- what a profiler is told ---- */

/* A line that the tracepoint tandem_migrate has left. */
struct MigrateEvent {
	unsigned pasid = 0, cause = 0;
	int tgid = 0;
	std::uint64_t start = 0, end = 0, moved = 0, failed = 0, ns = 0;
	bool to_vram = false;

	bool operator==(const MigrateEvent &) const = default;
};

class MatrixProfiling : public MatrixMigrate {
protected:
	/* While it lives, migrations are traced. */
	class Recording {
	public:
		Recording() : on_("/sys/kernel/tracing/events/tandem/tandem_migrate/enable", "1")
		{
			/* Opening it so empties it. */
			int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
			if (file < 0)
				throw std::system_error(errno, std::generic_category(), path);
			close(file);
		}

		/* Of these addresses. */
		std::vector<MigrateEvent> events(const Mapping &region) const
		{
			std::istringstream lines(read_file(path));
			std::vector<MigrateEvent> found;

			for (std::string line; std::getline(lines, line);)
				if (auto event = parse(line); event && event->start < region.address() + region.bytes() &&
							      event->end > region.address())
					found.push_back(*event);
			return found;
		}

	private:
		static std::optional<MigrateEvent> parse(const std::string &line)
		{
			std::size_t at = line.find("tandem_migrate: ");
			MigrateEvent event;
			char target[16] = {};

			if (at == line.npos ||
			    std::sscanf(line.c_str() + at,
					"tandem_migrate: pasid %u tgid %d va 0x%" SCNx64 "..0x%" SCNx64 " cause %u to %15[^:]: %" SCNu64
					" pages, %" SCNu64 " failed, %" SCNu64 " ns",
					&event.pasid, &event.tgid, &event.start, &event.end, &event.cause, target, &event.moved,
					&event.failed, &event.ns) != 9)
				return std::nullopt;
			event.to_vram = std::string_view(target) == "VRAM";
			return event;
		}

		static constexpr const char *path = "/sys/kernel/tracing/trace";
		Setting on_;
	};

	void expect_event(const Recording &recording, const Mapping &region, tandem_migrate_cause cause, bool to_vram, std::uint64_t first,
			  std::uint64_t count)
	{
		auto events = recording.events(region);

		ASSERT_EQ(events.size(), 1u) << "cause " << cause;
		MigrateEvent expected{.pasid = tandem_pasid(device().get()), .cause = static_cast<unsigned>(cause), .tgid = getpid(),
				      .start = region.address() + first * page_bytes,
				      .end = region.address() + (first + count) * page_bytes, .moved = count, .failed = 0,
				      .ns = events[0].ns, .to_vram = to_vram};
		EXPECT_EQ(events[0], expected) << "cause " << cause;
		EXPECT_GT(events[0].ns, 0u);
	}
};

DEVMEM_TEST(MatrixProfiling, a_prefetch_is_told_with_its_process_range_and_trigger)
{
	Region region(4 * page_bytes);
	ledger::empty_page_batches();
	Recording recording;
	prefetch(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE);
	expect_event(recording, region, TANDEM_MIGRATE_REQUEST, true, 0, 4);
}

DEVMEM_TEST(MatrixProfiling, a_cpu_fault_is_told_with_its_process_range_and_trigger)
{
	Region region(4 * page_bytes);
	ASSERT_TRUE(to_vram(region.get(), region.bytes()));
	Recording recording;
	EXPECT_EQ(region.words(2)[2], pattern(1, 2));
	expect_event(recording, region, TANDEM_MIGRATE_CPU_FAULT, false, 2, 1);
}

DEVMEM_TEST(MatrixProfiling, a_gpu_fault_is_told_with_its_process_range_and_trigger)
{
	Region region(4 * page_bytes);
	ledger::empty_page_batches();
	ASSERT_OK(device().prefer(region.get(), region.bytes(), TANDEM_LOCATION_DEVICE));
	Recording recording;
	gpu_reads(region.words(1));
	if (retries())
		expect_event(recording, region, TANDEM_MIGRATE_GPU_FAULT, true, 0, 4);
	else
		EXPECT_TRUE(recording.events(region).empty()) << "it has moved";
}

/* ---- more than there is ---- */

DEVMEM_TEST(MatrixMigrate, vram_is_overcommitted_by_many_buffers)
{
	constexpr std::uint64_t each = 8ull << 20;
	const std::uint64_t count = (vram_bytes() + (32ull << 20)) / each;
	Mapping buffers(count * each);
	stamp(buffers.get(), buffers.bytes(), 1);
	for (std::uint64_t number = 0; number < count; number++)
		ASSERT_TRUE(to_vram(buffers.at(number * each), each)) << "buffer " << number << " of " << count;
	EXPECT_GE(stats().pages_evicted, (buffers.bytes() - vram_bytes()) / page_bytes);
	EXPECT_LE(this->count(buffers.get(), buffers.bytes(), TANDEM_PAGE_DEVICE), vram_bytes() / page_bytes);
	prefetch(buffers.get(), buffers.bytes(), TANDEM_LOCATION_SYSTEM);
	EXPECT_TRUE(is_stamped(buffers.get(), buffers.bytes(), 1));
}

DEVMEM_TEST(MatrixMigrate, vram_is_overcommitted_by_one_giant_range)
{
	Mapping giant(vram_bytes() * 2);
	stamp(giant.get(), giant.bytes(), 1);
	ASSERT_OK(device().prefetch(giant.get(), giant.bytes(), TANDEM_LOCATION_DEVICE));
	std::uint64_t there = count(giant.get(), giant.bytes(), TANDEM_PAGE_DEVICE);
	EXPECT_LE(there, vram_bytes() / page_bytes);
	EXPECT_GE(there, vram_bytes() / page_bytes * 3 / 4) << "it was not used";
	EXPECT_GE(stats().pages_evicted, giant.bytes() / page_bytes - vram_bytes() / page_bytes);
	prefetch(giant.get(), giant.bytes(), TANDEM_LOCATION_SYSTEM);
	EXPECT_TRUE(is_stamped(giant.get(), giant.bytes(), 1));
}

} // namespace
