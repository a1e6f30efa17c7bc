// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendors' matrix: what AMD's KFDTest asks of a range of shared virtual memory, but for its migrations. docs/matrix.md
 * names the origin of each.
 */
#include <sys/stat.h>

#include <array>

#include "svm_test.hpp"

using namespace svm_test;

namespace {

class MatrixRange : public SvmTest {
protected:
	/* The CPU's and the GPU's view of it, and the GPU can write all of it. */
	void expect_usable(void *start, std::uint64_t length, std::uint64_t seed)
	{
		EXPECT_TRUE(gpu_holds(start, length, seed));
		gpu_fill(start, length, seed + 1);
		EXPECT_TRUE(holds(start, length, seed + 1));
	}

	/* The queue has come to its end there, and others work on. */
	void expect_refused(const tandem::Outcome &outcome, tandem::Queue &victim, tandem_queue_error error, const void *at,
			    tandem_access access)
	{
		ASSERT_FALSE(outcome);
		EXPECT_EQ(outcome.error().status, TANDEM_ERROR_QUEUE) << outcome.error().text;
		expect_error(victim, error, at);
		EXPECT_EQ(victim.status()->detail, static_cast<std::uint32_t>(access)) << victim.describe();
		expect_the_gpu_works();
	}
};

/* ---- copies ---- */

DEVMEM_TEST(MatrixRange, a_kernel_copies_in_system_memory)
{
	AtHome source(page_bytes, 1), target(page_bytes, 2);
	peek_arguments arguments = {source.words(), target.words(), page_bytes / 8};
	ASSERT_OK(run("peek", {64}, {64}, &arguments));
	EXPECT_TRUE(holds(target.get(), page_bytes, 1));
	EXPECT_TRUE(holds(source.get(), page_bytes, 1));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, source.get(), page_bytes));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, target.get(), page_bytes));
}

DEVMEM_TEST(MatrixRange, a_kernel_copies_through_vram)
{
	AtHome source(page_bytes, 1), target(page_bytes, 2);
	InVram between(*this, page_bytes, 3);
	peek_arguments there = {source.words(), between.words(), page_bytes / 8};
	peek_arguments back = {between.words(), target.words(), page_bytes / 8};
	ASSERT_OK(run("peek", {64}, {64}, &there));
	EXPECT_TRUE(all_are(TANDEM_PAGE_DEVICE, between.get(), page_bytes)) << "the GPU reaches its own memory without moving it";
	ASSERT_OK(run("peek", {64}, {64}, &back));
	EXPECT_TRUE(holds(target.get(), page_bytes, 1));
	EXPECT_TRUE(holds(between.get(), page_bytes, 1));
}

/* ---- attributes ---- */

DEVMEM_TEST(MatrixRange, attributes_have_defaults_and_are_read_back)
{
	auto fresh = tandem::Device::open().take();
	Mapping region(bytes);
	auto before = fresh.range(region.get()).take();
	EXPECT_EQ(before.preferred, TANDEM_LOCATION_NONE);
	EXPECT_EQ(before.flags, 0u);
	EXPECT_EQ(before.granularity, 0u);

	constexpr std::uint32_t flags = TANDEM_RANGE_ACCESSED_BY | TANDEM_RANGE_READ_MOSTLY;
	ASSERT_OK(fresh.prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
	ASSERT_OK(fresh.advise(region.get(), bytes, flags));
	ASSERT_OK(fresh.set_granularity(region.get(), bytes, 16));
	auto range = fresh.range(region.at(bytes - page_bytes)).take();
	EXPECT_EQ(range.start, region.address());
	EXPECT_EQ(range.length, bytes);
	EXPECT_EQ(range.preferred, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(range.flags, flags);
	EXPECT_EQ(range.granularity, 16u);
	EXPECT_EQ(fresh.range(region.at(bytes))->granularity, 0u) << "nor beyond the range";

	/* Each by itself: one that is set anew leaves the others. */
	ASSERT_OK(fresh.set_granularity(region.get(), bytes, 0));
	range = fresh.range(region.get()).take();
	EXPECT_EQ(range.preferred, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(range.flags, flags);
	EXPECT_EQ(range.granularity, 0u);
	for (std::uint32_t wrong : {1u, 11u, 22u, 64u})
		EXPECT_FALSE(fresh.set_granularity(region.get(), bytes, wrong)) << wrong;
}

/* ---- what is not mapped ---- */

DEVMEM_TEST(MatrixRange, an_access_to_an_unmapped_range_fails)
{
	std::uint64_t word = 7;
	peek_arguments read = {unmapped_address(), &word, 1};
	tandem::Queue victim = new_queue();
	expect_refused(victim.run(kernel("peek"), {1}, {1}, &read, 0, time_limit_ns), victim, TANDEM_QUEUE_ADDRESS_FAULT,
		       unmapped_address(), TANDEM_ACCESS_READ);
	EXPECT_EQ(word, 7u);
	/* To ask for it beforehand makes no difference: nothing moves, nothing comes to be. */
	EXPECT_EQ(prefetch(unmapped_address(), page_bytes, TANDEM_LOCATION_DEVICE), 0u);
	ASSERT_OK(device().prefer(unmapped_address(), page_bytes, TANDEM_LOCATION_DEVICE));
	EXPECT_EQ(page_state(unmapped_address()), TANDEM_PAGE_ABSENT);
	tandem::Queue another = new_queue();
	expect_refused(engine_fill(another, unmapped_address(), 1, 8), another, TANDEM_QUEUE_ADDRESS_FAULT, unmapped_address(),
		       TANDEM_ACCESS_WRITE);
}

DEVMEM_TEST(MatrixRange, what_a_partial_unmap_leaves_is_copied)
{
	constexpr std::uint64_t hole = 2, hole_pages = 4, all = 16;
	AtHome region(all * page_bytes, 1);
	Mapping target(all * page_bytes);
	gpu_touch(target.get(), target.bytes());
	EXPECT_TRUE(gpu_holds(region.get(), region.bytes(), 1)) << "translations of all of it";
	ASSERT_SYS(munmap(region.words(hole), hole_pages * page_bytes));
	copy(target.get(), region.get(), hole * page_bytes);
	copy(target.words(hole + hole_pages), region.words(hole + hole_pages), (all - hole - hole_pages) * page_bytes);
	EXPECT_TRUE(holds(target.get(), hole * page_bytes, 1));
	for (std::uint64_t word = (hole + hole_pages) * 512; word < all * 512; word++)
		ASSERT_EQ(target.words()[word], pattern(1, word)) << word;
	EXPECT_EQ(count(region.get(), region.bytes(), TANDEM_PAGE_SYSTEM), all - hole_pages);
	tandem::Queue victim = new_queue();
	expect_refused(engine_copy(victim, target.get(), region.words(hole), 8), victim, TANDEM_QUEUE_ADDRESS_FAULT,
		       region.words(hole), TANDEM_ACCESS_READ);
}

/* ---- ranges that overlap ---- */

struct Overlap {
	const char *name;
	std::uint64_t pages; /* of the mapping */
	struct Piece {
		std::uint64_t first, pages;
	};
	std::array<Piece, 3> ranges; /* one after the other; no pages: none */
};

constexpr Overlap overlaps[] = {
	{"the_middle", 16, {{{0, 16}, {2, 1}}}},
	{"the_tail", 16, {{{0, 16}, {1, 15}}}},
	{"the_tail_and_beyond", 18, {{{0, 16}, {2, 16}}}},
	{"the_head", 16, {{{0, 16}, {0, 14}}}},
	{"all_of_it", 16, {{{0, 16}, {0, 16}}}},
	{"all_of_it_and_beyond", 18, {{{0, 16}, {0, 18}}}},
	{"two_and_what_is_between", 32, {{{2, 2}, {8, 2}, {0, 32}}}},
	{"what_is_unmapped_then", 16, {{{2, 2}}}},
};

/*
 * Each later range is laid over the earlier ones, with a granularity by which it can be told from them. Then its attributes
 * hold where it is and the earlier ones' beside it, every page is where it was asked to be, and both sides read and write it.
 */
class MatrixSplit : public MatrixRange {
public:
	MatrixSplit(const Overlap &overlap, tandem_location location) : overlap_(overlap), location_(location) {}

protected:
	void work() override
	{
		AtHome region(overlap_.pages * page_bytes, 1);
		const bool unmaps = overlap_.ranges[1].pages == 0;
		for (unsigned number = 0; number < overlap_.ranges.size(); number++)
			lay(region, number, first_granularity + number);
		expect_ranges(region);
		expect_places(region);
		expect_usable(region.get(), region.bytes(), 1);
		if (unmaps)
			ASSERT_SYS(munmap(region.get(), region.bytes()));
		for (unsigned number = overlap_.ranges.size(); number-- > 0;)
			lay(region, number, 0);
		for (std::uint64_t page = 0; page < overlap_.pages; page++)
			EXPECT_EQ(granularity_at(region, page), 0u) << "page " << page;
		if (unmaps)
			EXPECT_EQ(count(region.get(), region.bytes(), TANDEM_PAGE_ABSENT), overlap_.pages);
		else
			expect_usable(region.get(), region.bytes(), 2);
	}

private:
	static constexpr std::uint32_t first_granularity = 13;

	void lay(const AtHome &region, unsigned number, std::uint32_t granularity)
	{
		auto [first, pages] = overlap_.ranges[number];

		if (!pages)
			return;
		ASSERT_OK(device().set_granularity(region.words(first), pages * page_bytes, granularity));
		if (granularity)
			EXPECT_TRUE(move_all(region.words(first), pages * page_bytes, location_));
	}

	std::uint32_t granularity_at(const AtHome &region, std::uint64_t page)
	{
		return device().range(region.words(page))->granularity;
	}

	bool is_in(std::uint64_t page, unsigned number) const
	{
		auto [first, pages] = overlap_.ranges[number];

		return page >= first && page < first + pages;
	}

	void expect_ranges(const AtHome &region)
	{
		for (std::uint64_t page = 0; page < overlap_.pages; page++) {
			std::uint32_t expected = 0;

			for (unsigned number = 0; number < overlap_.ranges.size(); number++)
				if (is_in(page, number))
					expected = first_granularity + number;
			EXPECT_EQ(granularity_at(region, page), expected) << "page " << page;
		}
	}

	void expect_places(const AtHome &region)
	{
		for (std::uint64_t page = 0; page < overlap_.pages; page++) {
			bool asked = is_in(page, 0) || is_in(page, 1) || is_in(page, 2);

			EXPECT_EQ(place_of(region.words(page)),
				  asked && location_ == TANDEM_LOCATION_DEVICE ? TANDEM_PAGE_DEVICE : TANDEM_PAGE_SYSTEM)
				<< "page " << page;
		}
	}

	const Overlap &overlap_;
	tandem_location location_;
};

void register_overlap(const Overlap &overlap, tandem_location location)
{
	std::string name = std::string("splits_in_") + (location == TANDEM_LOCATION_DEVICE ? "vram/" : "system_memory/") + overlap.name;

	::testing::RegisterTest("MatrixRange", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
				[&overlap, location]() -> DevmemTest * { return new MatrixSplit(overlap, location); });
}

[[maybe_unused]] const bool overlaps_are_registered = [] {
	for (const Overlap &overlap : overlaps)
		for (tandem_location location : {TANDEM_LOCATION_SYSTEM, TANDEM_LOCATION_DEVICE})
			register_overlap(overlap, location);
	return true;
}();

/* ---- fork ---- */

/*
 * On the stack, as its pages are written without thinking. A queue of kernels and one of copies have used them before the fork
 * and go on afterwards, when the parent's write has given it pages of its own.
 */
DEVMEM_TEST(MatrixRange, queues_follow_copy_on_write_after_a_fork)
{
	alignas(4096) std::uint64_t stack[3][512];
	auto &[source, copied, filled] = stack;
	SharedWords words;
	tandem::Queue copies = new_queue();
	peek_arguments arguments = {source, copied, 512};
	fill(source, page_bytes, 1);
	ASSERT_OK(run("peek", {64}, {64}, &arguments));
	ASSERT_OK(engine_fill(copies, filled, 0x1234567812345678, page_bytes));
	EXPECT_TRUE(holds(copied, page_bytes, 1));

	pid_t child = start_child([&] {
		__atomic_store_n(words.at(0), 1, __ATOMIC_SEQ_CST);
		/* Nothing is called here: it would write to the stack. */
		while (!__atomic_load_n(words.at(1), __ATOMIC_SEQ_CST))
			;
		CHILD_CHECK(holds(source, page_bytes, 1));
		CHILD_CHECK(holds(copied, page_bytes, 1));
		CHILD_CHECK(is_filled(filled, 0x1234567812345678, page_bytes));
		return 0;
	});
	EXPECT_TRUE(words.wait_at_least(0, 1));
	for (auto *page : {source, copied, filled})
		EXPECT_FALSE(page_state(page) & TANDEM_PAGE_MAPPED_WRITE) << "the GPU would write into the child's page";
	fill(source, page_bytes, 2);
	fill(copied, page_bytes, 3);
	fill(filled, page_bytes, 3);
	ASSERT_OK(run("peek", {64}, {64}, &arguments));
	ASSERT_OK(engine_fill(copies, filled, 0x9876543298765432, page_bytes));
	EXPECT_TRUE(holds(source, page_bytes, 2));
	EXPECT_TRUE(holds(copied, page_bytes, 2));
	EXPECT_TRUE(is_filled(filled, 0x9876543298765432, page_bytes));
	words.store(1, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

/* ---- files ---- */

DEVMEM_TEST(MatrixRange, what_the_gpu_writes_to_a_shared_file_mapping_is_in_the_file)
{
	char path[] = "/tmp/matrix-XXXXXX";
	int file = mkostemp(path, O_CLOEXEC);
	ASSERT_SYS(file);
	ASSERT_SYS(ftruncate(file, bytes));
	{
		Mapping region(bytes, MAP_SHARED, file);
		fill(region.get(), bytes, 1);
		/* Such pages belong to the page cache, and stay there. */
		ASSERT_OK(device().prefer(region.get(), bytes, TANDEM_LOCATION_DEVICE));
		EXPECT_EQ(prefetch(region.get(), bytes, TANDEM_LOCATION_DEVICE), 0u);
		EXPECT_TRUE(gpu_holds(region.get(), bytes, 1));
		fill_by_engine(region.get(), 0x3333333333333333, bytes);
		EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), bytes));
	}
	ASSERT_SYS(close(file));

	std::vector<std::uint64_t> words(bytes / 8);
	file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_SYS(file);
	EXPECT_EQ(read(file, words.data(), bytes), static_cast<ssize_t>(bytes));
	EXPECT_TRUE(is_filled(words.data(), 0x3333333333333333, bytes));
	close(file);
	unlink(path);
}

/* ---- permissions ---- */

DEVMEM_TEST(MatrixRange, a_write_to_a_read_only_range_faults)
{
	AtHome region(2 * page_bytes, 1), target(page_bytes, 2);
	ASSERT_SYS(mprotect(region.get(), page_bytes, PROT_READ));
	copy(target.get(), region.get(), page_bytes);
	EXPECT_TRUE(holds(target.get(), page_bytes, 1)) << "it can be read";
	copy(region.words(1), target.get(), page_bytes);
	EXPECT_TRUE(holds(region.words(1), page_bytes, 1)) << "and its neighbour be written";
	fill(target.get(), page_bytes, 3);
	tandem::Queue victim = new_queue();
	expect_refused(engine_copy(victim, region.get(), target.get(), page_bytes), victim, TANDEM_QUEUE_PERMISSION_FAULT,
		       region.get(), TANDEM_ACCESS_WRITE);
	EXPECT_TRUE(holds(region.get(), page_bytes, 1)) << "not a byte of it has changed";
}

} // namespace
