// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * soak-atomics --operations N --litmus N --threads T: every contest of CPU threads and the GPU, and every litmus test, as often
 * as you like. Says what was done, and ends with status 1 if anything was lost or a forbidden outcome was seen.
 */
#include <cstdio>
#include <exception>

#include "../support/contention.hpp"
#include "../support/litmus.hpp"
#include "../workloads/workload.hpp"

namespace {

bool contests(const tandem::Device &device, const contention::Plan &plan)
{
	bool good = true;

	for (const contention::Contest &contest : contention::contests) {
		contention::Outcome outcome = contest.run(device, plan);

		std::printf("%-14s %s in %.1f s%s\n", contest.name, outcome.good() ? "exact" : "WRONG", outcome.seconds, outcome.text.c_str());
		std::fflush(stdout);
		good &= outcome.good();
	}
	return good;
}

bool litmus_tests(const tandem::Device &device, std::uint64_t runs)
{
	bool good = true;

	for (const litmus::Named &test : litmus::tests) {
		litmus::Outcome outcome = litmus::run(device, test.test, litmus::Order::Kept, runs);
		bool kept = outcome.finished && outcome.weak == 0;

		std::printf("%-14s %s: %s\n", test.name, kept ? "order kept" : "WRONG", outcome.text.c_str());
		std::fflush(stdout);
		good &= kept;
	}
	return good;
}

} // namespace

int main(int argc, char **argv)
{
	contention::Plan plan;
	std::uint64_t threads = 4, runs = 1'000'000, seconds = 7200;

	plan.operations = 1'000'000;
	workload::parse_options(argc, argv, "soak-atomics: CPU threads and the GPU fight for the same words, and litmus tests.",
				{{"operations", "of each contest, by all together", &plan.operations, 1, 1ull << 40},
				 {"litmus", "runs of each litmus test", &runs, 0, 1ull << 40},
				 {"threads", "CPU threads", &threads, 1, 16},
				 {"seconds", "for each contest at most", &seconds, 1, 1'000'000}});
	plan.threads = static_cast<unsigned>(threads);
	plan.seconds = static_cast<double>(seconds);
	try {
		tandem::Device device = workload::need(tandem::Device::open());

		std::printf("soak-atomics: atomics work by %s\n", contention::mode_name());
		bool good = contests(device, plan);
		good &= litmus_tests(device, runs);
		std::printf("soak-atomics: %s\n", good ? "ok" : "FAILED");
		return good ? 0 : 1;
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "soak-atomics: %s\n", problem.what());
		return 1;
	}
}
