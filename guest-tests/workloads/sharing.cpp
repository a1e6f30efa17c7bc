// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several processes, each with several queues, give the GPU long work at the same time. Each checks its own results; the
 * parent also checks that their work overlapped in time.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "../kernels/arguments.h"
#include "../kernels/mix.h"
#include "workload.hpp"

namespace {

struct Span {
	std::uint64_t start_ns, end_ns; /* by the device's clock */
};

struct Load {
	std::uint64_t queues, words, rounds;
};

/* One queue's work. */
struct Job {
	explicit Job(tandem::Queue made) : queue(std::move(made)), done(workload::need(tandem::Signal::create())) {}

	tandem::Queue queue;
	tandem::Signal done;
	std::vector<std::uint64_t> words;
	mix_arguments arguments{};
};

std::uint64_t first_word(std::uint64_t process, std::uint64_t queue, std::uint64_t i)
{
	return (process * 1000 + queue) << 32 | i;
}

bool is_right(const Job &job, std::uint64_t process, std::uint64_t queue, std::uint64_t rounds)
{
	for (std::uint64_t i = 0; i < job.words.size(); i++)
		if (job.words[i] != mix_word(first_word(process, queue, i), rounds))
			return false;
	return true;
}

/* All queues at once; returns whether all words are right. */
bool work(const workload::Session &gpu, const Load &load, std::uint64_t process, Span *spans)
{
	std::vector<std::unique_ptr<Job>> jobs;
	bool right = true;

	for (std::uint64_t queue = 0; queue < load.queues; queue++) {
		Job &job = *jobs.emplace_back(std::make_unique<Job>(workload::need(gpu.device.queue())));
		for (std::uint64_t i = 0; i < load.words; i++)
			job.words.push_back(first_word(process, queue, i));
		job.arguments = {job.words.data(), load.words, load.rounds};
	}
	for (const auto &job : jobs) /* one right after the other: they are to overlap */
		workload::need(job->queue.dispatch(gpu.kernel("mix"), {1024}, {64}, &job->arguments, job->done.get()));
	for (std::uint64_t queue = 0; queue < load.queues; queue++) {
		Job &job = *jobs[queue];
		workload::need(job.queue.wait(job.done, workload::Session::time_limit_ns));
		spans[queue] = {job.done.get()->start_ns, job.done.get()->end_ns};
		right &= is_right(job, process, queue, load.rounds);
	}
	return right;
}

Span *shared_spans(std::uint64_t count)
{
	void *memory = mmap(nullptr, count * sizeof(Span), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		workload::fail("mmap: " + std::string(std::strerror(errno)));
	return static_cast<Span *>(memory);
}

/* Children open the GPU anew; the parent does so after the last fork. */
std::vector<pid_t> start_children(std::uint64_t processes, const Load &load, Span *spans)
{
	std::vector<pid_t> children;

	for (std::uint64_t process = 1; process < processes; process++) {
		pid_t child = fork();
		if (child < 0)
			workload::fail("fork: " + std::string(std::strerror(errno)));
		if (child == 0) {
			workload::Session gpu("mix.elf");
			_exit(work(gpu, load, process, spans + process * load.queues) ? 0 : 1);
		}
		children.push_back(child);
	}
	return children;
}

bool all_ended_well(const std::vector<pid_t> &children)
{
	bool well = true;

	for (pid_t child : children) {
		int status;
		well &= waitpid(child, &status, 0) == child && status == 0;
	}
	return well;
}

/* Of all dispatches, the most that were under way at one moment. */
std::uint64_t most_at_once(const Span *spans, std::uint64_t count)
{
	std::uint64_t most = 0;

	for (std::uint64_t i = 0; i < count; i++)
		most = std::max<std::uint64_t>(most, std::count_if(spans, spans + count, [&](const Span &other) {
			return other.start_ns <= spans[i].start_ns && spans[i].start_ns < other.end_ns;
		}));
	return most;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t processes = 3;
	Load load = {3, 8192, 200};

	workload::parse_options(argc, argv, "sharing: several processes with several queues each use the GPU at the same time.",
				{{"processes", "processes", &processes, 1, 16},
				 {"queues", "queues of each", &load.queues, 1, 8},
				 {"words", "words that each queue works on", &load.words, 1, 1 << 24},
				 {"rounds", "of the computation on a word", &load.rounds, 1, 1'000'000}});
	Span *spans = shared_spans(processes * load.queues);
	auto children = start_children(processes, load, spans);
	workload::Session gpu("mix.elf");
	bool right = work(gpu, load, 0, spans);
	bool well = all_ended_well(children);
	std::uint64_t most = most_at_once(spans, processes * load.queues);

	return gpu.report("sharing", right && well && (load.queues == 1 || most > 1),
			  std::to_string(processes) + " processes with " + std::to_string(load.queues) + " queues each, up to " +
				  std::to_string(most) + " dispatches under way at once");
}
