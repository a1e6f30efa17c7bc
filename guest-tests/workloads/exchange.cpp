// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU threads send requests to lanes of the GPU through a lock-free queue, and get the answers through another: no dispatch and
 * no system call for a request. Each request must be answered once, and rightly.
 */
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "../kernels/exchange.h"
#include "workload.hpp"

namespace {

struct Traffic {
	exchange_queue requests, answers;
	std::uint64_t stop = 0;
	std::atomic<std::uint64_t> sent{0}, received{0};
	std::atomic<bool> broken{false};
};

/* Requests are the numbers 1 to count, each sent by the thread whose turn it is. */
void produce(Traffic &traffic, std::uint64_t first, std::uint64_t count, std::uint64_t step)
{
	for (std::uint64_t request = first; request <= count && !traffic.broken; request += step) {
		while (!exchange_push(&traffic.requests, request) && !traffic.broken)
			std::this_thread::yield();
		traffic.sent++;
	}
}

void consume(Traffic &traffic, std::uint64_t count, std::vector<std::uint64_t> &answers)
{
	while (traffic.received < count && !traffic.broken) {
		std::uint64_t answer;
		if (!exchange_pop(&traffic.answers, &answer)) {
			std::this_thread::yield();
			continue;
		}
		answers.push_back(answer);
		traffic.received++;
	}
}

/* Until all answers are there, or the queue has failed, or nothing has come for long. */
void watch(const workload::Session &gpu, Traffic &traffic, std::uint64_t count)
{
	std::uint64_t seen = 0;
	auto last = std::chrono::steady_clock::now();

	while (traffic.received < count) {
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
		auto now = std::chrono::steady_clock::now();
		if (traffic.received != seen)
			seen = traffic.received, last = now;
		if (now - last > std::chrono::nanoseconds(workload::Session::time_limit_ns) ||
		    workload::need(gpu.queue.status()).error) {
			traffic.broken = true;
			return;
		}
	}
}

bool each_answered_once(std::vector<std::uint64_t> answers, std::uint64_t count)
{
	std::vector<std::uint64_t> expected;

	for (std::uint64_t request = 1; request <= count; request++)
		expected.push_back(exchange_answer(request));
	std::sort(expected.begin(), expected.end());
	std::sort(answers.begin(), answers.end());
	return answers == expected;
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t count = 10000, threads = 2, lanes = 64;

	workload::parse_options(argc, argv, "exchange: requests and answers go between CPU threads and the GPU through lock-free queues.",
				{{"requests", "requests in all", &count, 1, 100'000'000},
				 {"threads", "CPU threads that send, and as many that receive", &threads, 1, 32},
				 {"lanes", "lanes that answer", &lanes, 1, 1024}});
	workload::Session gpu("exchange.elf");
	auto traffic = std::make_unique<Traffic>();
	exchange_init(&traffic->requests);
	exchange_init(&traffic->answers);
	exchange_arguments arguments = {&traffic->requests, &traffic->answers, &traffic->stop};
	auto done = workload::need(tandem::Signal::create());
	std::vector<std::vector<std::uint64_t>> received(threads);
	std::vector<std::thread> pool;

	workload::need(gpu.queue.dispatch(gpu.kernel("serve"), {static_cast<std::uint32_t>(lanes)}, {32}, &arguments, done.get()));
	for (std::uint64_t i = 0; i < threads; i++) {
		pool.emplace_back([&, i] { produce(*traffic, 1 + i, count, threads); });
		pool.emplace_back([&, i] { consume(*traffic, count, received[i]); });
	}
	watch(gpu, *traffic, count);
	for (auto &thread : pool)
		thread.join();
	__atomic_store_n(&traffic->stop, 1, __ATOMIC_RELEASE);
	gpu.wait(done);
	std::vector<std::uint64_t> answers;
	for (const auto &part : received)
		answers.insert(answers.end(), part.begin(), part.end());
	return gpu.report("exchange", each_answered_once(answers, count),
			  std::to_string(traffic->sent) + " requests of " + std::to_string(threads) + " threads, " +
				  std::to_string(answers.size()) + " answers of " + std::to_string(lanes) + " lanes");
}
