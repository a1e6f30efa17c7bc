// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * soak-atomics --operations N --litmus N --threads T: every contest of CPU threads and the GPU, and every litmus test, as often
 * as you like. Says what was done, and ends with status 1 if anything was lost or a forbidden outcome was seen.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>

#include "../support/contention.hpp"
#include "../support/litmus.hpp"
#include "../workloads/workload.hpp"

namespace {

constexpr std::uint64_t litmus_runs_at_a_time = 65536;

/* Says every ten seconds how far a step is, and how long it still takes if it goes on like that. */
class Progress {
public:
	explicit Progress(const char *name) : name_(name) {}

	void operator()(double part)
	{
		auto now = std::chrono::steady_clock::now();

		if (now - said_ < std::chrono::seconds(10) || part <= 0)
			return;
		said_ = now;
		double left = std::chrono::duration<double>(now - began_).count() * (1 - part) / part;
		std::printf("%-15s %3.0f %%, %.0f s left\n", name_, part * 100, left);
		std::fflush(stdout);
	}

private:
	const char *name_;
	std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), said_ = began_;
};

bool contests(const tandem::Device &device, contention::Plan plan)
{
	bool good = true;

	for (const contention::Contest &contest : contention::contests) {
		plan.progress = Progress(contest.name);
		contention::Outcome outcome = contest.run(device, plan);

		std::printf("%-15s %s in %.1f s%s\n", contest.name, outcome.good() ? "exact" : "WRONG", outcome.seconds, outcome.text.c_str());
		std::fflush(stdout);
		good &= outcome.good();
	}
	return good;
}

litmus::Outcome run_litmus(const tandem::Device &device, const litmus::Named &test, std::uint64_t runs)
{
	litmus::Outcome all;
	Progress progress(test.name);

	for (std::uint64_t seed = 1; all.finished && all.runs < runs; seed += 1'000'003) {
		litmus::Outcome some =
			litmus::run(device, test.test, litmus::Order::Kept, std::min(litmus_runs_at_a_time, runs - all.runs), seed);

		all.finished = some.finished;
		all.text = some.text;
		all.runs += some.runs;
		all.weak += some.weak;
		all.between += some.between;
		progress(static_cast<double>(all.runs) / static_cast<double>(runs));
	}
	return litmus::described(all);
}

bool litmus_tests(const tandem::Device &device, std::uint64_t runs)
{
	bool good = true;

	for (const litmus::Named &test : litmus::tests) {
		litmus::Outcome outcome = run_litmus(device, test, runs);
		bool kept = outcome.finished && outcome.weak == 0;

		std::printf("%-15s %s: %s\n", test.name, kept ? "order kept" : "WRONG", outcome.text.c_str());
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
				{{"operations", "of each contest, by all together", &plan.operations, 0, 1ull << 40},
				 {"litmus", "runs of each litmus test", &runs, 0, 1ull << 40},
				 {"threads", "CPU threads", &threads, 1, 16},
				 {"seconds", "for each contest at most", &seconds, 1, 1'000'000}});
	plan.threads = static_cast<unsigned>(threads);
	plan.seconds = static_cast<double>(seconds);
	try {
		tandem::Device device = workload::need(tandem::Device::open());

		std::printf("soak-atomics: atomics work by %s\n", contention::mode_name());
		bool good = !plan.operations || contests(device, plan);
		good &= litmus_tests(device, runs);
		std::printf("soak-atomics: %s\n", good ? "ok" : "FAILED");
		return good ? 0 : 1;
	} catch (const std::exception &problem) {
		std::fprintf(stderr, "soak-atomics: %s\n", problem.what());
		return 1;
	}
}
