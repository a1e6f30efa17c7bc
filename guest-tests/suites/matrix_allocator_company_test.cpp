// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same in company: threads with an address space of the GPU each or one for all, threads in the same pages, processes. Each
 * participant has queues of its own and goes through all its executions while the others do.
 */
#include <barrier>
#include <thread>
#include <tuple>

#include "allocator.hpp"
#include "gpu_test.hpp"

using namespace gpu_test;
using namespace allocator;

namespace {

constexpr unsigned participants = 4;

/* What each thread came back with; the first that is not "". */
template <typename Function> std::string in_threads(Function function)
{
	std::vector<std::string> problems(participants);
	std::vector<std::thread> threads;
	std::barrier together(participants);

	for (unsigned i = 0; i < participants; i++)
		threads.emplace_back([&, i] {
			try {
				together.arrive_and_wait();
				problems[i] = function(i);
			} catch (const std::exception &problem) {
				problems[i] = problem.what();
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	for (const std::string &problem : problems)
		if (!problem.empty())
			return problem;
	return "";
}

class MatrixCompany : public GpuTest, public ::testing::WithParamInterface<std::tuple<Kind, Shape>> {
protected:
	const Kind &kind() const { return std::get<0>(GetParam()); }
	const Shape &shape() const { return std::get<1>(GetParam()); }
};

TEST_P(MatrixCompany, threads_with_an_address_space_each)
{
	EXPECT_EQ(in_threads([&](unsigned number) {
			  auto own = tandem::Device::open().take();
			  return Work(own, kind(), shape(), number).run();
		  }),
		  "");
}

TEST_P(MatrixCompany, threads_in_one_address_space)
{
	EXPECT_EQ(in_threads([&](unsigned number) { return Work(device(), kind(), shape(), number).run(); }), "");
}

TEST_P(MatrixCompany, processes)
{
	SharedWords words;
	std::vector<pid_t> children;

	for (unsigned number = 0; number < participants; number++)
		children.push_back(start_child([&, number] {
			auto own = tandem::Device::open().take();
			Work work(own, kind(), shape(), number);

			__atomic_fetch_add(words.at(0), 1, __ATOMIC_SEQ_CST);
			CHILD_CHECK(words.wait_at_least(0, participants));
			std::string problem = work.run();
			if (!problem.empty())
				std::fprintf(stderr, "process %u: %s\n", number, problem.c_str());
			return problem.empty() ? 0 : 1;
		}));
	for (pid_t child : children)
		EXPECT_TRUE(exited_well(wait_status(child)));
}

const Kind kinds[] = {
	{"malloc", Source::Malloc},
	{"malloc_race", Source::Malloc, race},
	{"malloc_fresh", Source::Malloc, fresh},
	{"malloc_freed", Source::Malloc, freed},
	{"mmap", Source::Mmap},
	{"mmap_freed", Source::Mmap, freed},
	{"file", Source::File},
	{"shared", Source::Shared},
	{"thp", Source::Thp},
};

const Shape shapes[] = {
	{"many", many / 2},
	{"many_strided", many / 2, 0, far_apart},
	{"many_queues", many / 2, 0, 1, 8},
	{"many_large", many_large / 2, huge_bytes},
	{"many_large_queues", many_large / 2, huge_bytes, 1, 8},
};

INSTANTIATE_TEST_SUITE_P(Memory, MatrixCompany, ::testing::Combine(::testing::ValuesIn(kinds), ::testing::ValuesIn(shapes)),
			 [](const auto &info) {
				 return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
			 });

/* ---- the same pages for all ---- */

struct Sharing {
	const char *name;
	bool one_address_space;
	bool in_step; /* all begin each execution together */
	unsigned manner;
};

class MatrixSharedMemory : public GpuTest, public ::testing::WithParamInterface<Sharing> {
protected:
	static constexpr std::uint64_t stride = 8; /* records: four participants share a page */

	static std::string take_part(const tandem::Device &device, std::shared_ptr<Buffer> buffer, unsigned number,
				     std::barrier<> *in_step)
	{
		Work work(device, {"malloc", Source::Malloc, GetParam().manner}, {"many_strided", many / 2, 0, stride}, 1,
			  std::move(buffer), number, participants);

		for (unsigned i = 0; i < work.executions(); i++) {
			if (in_step)
				in_step->arrive_and_wait();
			std::string problem = work.execute(i);
			if (!problem.empty()) {
				if (in_step)
					in_step->arrive_and_drop();
				return problem;
			}
		}
		return work.verify();
	}
};

TEST_P(MatrixSharedMemory, threads_in_the_same_pages)
{
	auto buffer = std::make_shared<Buffer>(Kind{"malloc", Source::Malloc}, many / 2 * participants * stride * sizeof(Record));
	std::barrier together(participants);

	EXPECT_EQ(in_threads([&](unsigned number) {
			  std::barrier<> *in_step = GetParam().in_step ? &together : nullptr;

			  if (GetParam().one_address_space)
				  return take_part(device(), buffer, number, in_step);
			  auto own = tandem::Device::open().take();
			  return take_part(own, buffer, number, in_step);
		  }),
		  "");
}

const Sharing sharings[] = {
	{"own_address_spaces", false, false, 0},      {"own_address_spaces_in_step", false, true, 0},
	{"own_address_spaces_race", false, false, race}, {"one_address_space", true, false, 0},
	{"one_address_space_race", true, false, race},
};

INSTANTIATE_TEST_SUITE_P(Malloc, MatrixSharedMemory, ::testing::ValuesIn(sharings),
			 [](const auto &info) { return std::string(info.param.name); });

} // namespace
