// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every kind of memory in which a program may work, and every way of going about it: the GPU reads there what the CPU wrote and
 * writes what the CPU reads, once or many times, in one piece or far apart, by one queue or sixteen. docs/matrix.md says where the
 * behaviours come from.
 */
#include "allocator.hpp"
#include "gpu_test.hpp"
#include "parameter_name.hpp"
#include "system.hpp"

using namespace gpu_test;
using namespace allocator;

namespace {

constexpr const char *reserve_path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

class MatrixAllocator : public GpuTest, public ::testing::WithParamInterface<Kind> {
protected:
	void expect_good(const Shape &shape)
	{
		if (GetParam().source == Source::Hugetlb)
			ASSERT_NO_FATAL_FAILURE(reserve(shape));
		EXPECT_EQ(Work(device(), GetParam(), shape).run(), "");
	}

private:
	void reserve(const Shape &shape)
	{
		std::uint64_t each = (bytes_for(shape) + huge_bytes - 1) / huge_bytes;
		std::uint64_t wanted = each * (GetParam().manner & fresh ? shape.executions : 1);

		reserve_.emplace(reserve_path, std::to_string(wanted));
		ASSERT_EQ(mm_system::read_number(reserve_path), wanted) << "memory is too scattered";
	}

	std::optional<mm_system::Setting> reserve_;
};

TEST_P(MatrixAllocator, once) { expect_good({"once", 1}); }
TEST_P(MatrixAllocator, once_large) { expect_good({"once_large", 1, huge_bytes}); }
TEST_P(MatrixAllocator, twice) { expect_good({"twice", 2}); }
TEST_P(MatrixAllocator, twice_large) { expect_good({"twice_large", 2, huge_bytes}); }
TEST_P(MatrixAllocator, many) { expect_good({"many", many}); }
TEST_P(MatrixAllocator, many_strided) { expect_good({"many_strided", many, 0, far_apart}); }
TEST_P(MatrixAllocator, many_64k) { expect_good({"many_64k", many, 64 << 10}); }
TEST_P(MatrixAllocator, many_large) { expect_good({"many_large", many_large, huge_bytes}); }
TEST_P(MatrixAllocator, many_queues) { expect_good({"many_queues", many, 0, 1, 16}); }
TEST_P(MatrixAllocator, many_large_queues) { expect_good({"many_large_queues", many_large, huge_bytes, 1, 16}); }

const Kind kinds[] = {
	{"malloc", Source::Malloc},
	{"malloc_untouched", Source::Malloc, untouched},
	{"malloc_locked", Source::Malloc, locked},
	{"malloc_race", Source::Malloc, race},
	{"malloc_fresh", Source::Malloc, fresh},
	{"malloc_fresh_race", Source::Malloc, fresh | race},
	{"malloc_freed", Source::Malloc, freed},
	{"malloc_freed_race", Source::Malloc, freed | race},
	{"new", Source::New},
	{"new_freed", Source::New, freed},
	{"mmap", Source::Mmap},
	{"mmap_untouched", Source::Mmap, untouched},
	{"mmap_locked", Source::Mmap, locked},
	{"mmap_race", Source::Mmap, race},
	{"mmap_fresh", Source::Mmap, fresh},
	{"mmap_freed", Source::Mmap, freed},
	{"mmap_freed_race", Source::Mmap, freed | race},
	{"file", Source::File},
	{"file_untouched", Source::File, untouched},
	{"file_locked", Source::File, locked},
	{"shared", Source::Shared},
	{"shared_untouched", Source::Shared, untouched},
	{"shared_locked", Source::Shared, locked},
	{"thp", Source::Thp},
	{"thp_untouched", Source::Thp, untouched},
	{"huge", Source::Hugetlb},
	{"huge_untouched", Source::Hugetlb, untouched},
	{"huge_fresh", Source::Hugetlb, fresh},
	{"huge_freed", Source::Hugetlb, freed},
};

INSTANTIATE_TEST_SUITE_P(Memory, MatrixAllocator, ::testing::ValuesIn(kinds), parameter_name);

} // namespace
