// SPDX-License-Identifier: GPL-2.0-or-later
#include "litmus.hpp"

#include <sys/mman.h>

#include <chrono>
#include <thread>

#include "pages.hpp"
#include "time_scale.hpp"

namespace litmus {

namespace {

constexpr std::uint64_t cells_at_a_time = 16 * LITMUS_BATCH;

/* The first is a CPU thread: one, so that a host of two processors has one for it and one for the GPU. */
unsigned parties_of(litmus_test test)
{
	return test == LITMUS_IRIW_CPU_WRITES || test == LITMUS_IRIW_CPU_READS ? 4 : 2;
}

enum class Verdict { Plain, Between, Weak };

Verdict judge_pair(const litmus_result &r, std::uint64_t last)
{
	if (r.first == last && r.second == 0)
		return Verdict::Weak;
	return r.first != r.second ? Verdict::Between : Verdict::Plain;
}

/* One word, written 1 and then 2: what is read first is never newer than what is read second, and 2 stays. */
Verdict judge_one_word(std::uint64_t at_the_end, const litmus_result &r)
{
	if (r.first > r.second || at_the_end != 2)
		return Verdict::Weak;
	return r.first != 0 && r.first != 2 ? Verdict::Between : r.first != r.second ? Verdict::Between : Verdict::Plain;
}

/* Each says that the other's second word was written after its own first one. */
Verdict judge_readers(const litmus_result &one, const litmus_result &other)
{
	bool first = one.first && !one.second, second = other.first && !other.second;

	return first && second ? Verdict::Weak : first || second ? Verdict::Between : Verdict::Plain;
}

Verdict judge(const litmus_arguments &a, std::uint64_t i)
{
	const litmus_result &zero = a.results[0][i], &one = a.results[1][i];

	switch (a.test) {
	case LITMUS_MP_CPU_WRITES:
		return judge_pair(one, 1);
	case LITMUS_SB:
		return !zero.first && !one.first ? Verdict::Weak : zero.first && one.first ? Verdict::Between : Verdict::Plain;
	case LITMUS_LB:
		return zero.first && one.first ? Verdict::Weak : !zero.first && !one.first ? Verdict::Between : Verdict::Plain;
	case LITMUS_IRIW_CPU_WRITES:
		return judge_readers(a.results[2][i], a.results[3][i]);
	case LITMUS_IRIW_CPU_READS:
		return judge_readers(one, zero);
	case LITMUS_COHERENCE:
		return a.ordered ? judge_one_word(a.x[i].value, zero) : judge_pair(zero, 2);
	default:
		return judge_pair(zero, 1);
	}
}

class Arena {
public:
	Arena(const tandem::Device &device, litmus_test test, Order order)
		: gpu_parties_(parties_of(test) - 1), module_(device.module("litmus.elf").take()), queue_(device.queue().take()),
		  x_(cells_at_a_time * sizeof(litmus_word), MAP_POPULATE), y_(cells_at_a_time * sizeof(litmus_word), MAP_POPULATE),
		  results_(LITMUS_PARTIES * cells_at_a_time * sizeof(litmus_result), MAP_POPULATE),
		  parties_(LITMUS_PARTIES * sizeof(litmus_party), MAP_POPULATE), stop_(sizeof(std::uint64_t), MAP_POPULATE)
	{
		arguments_.test = test;
		arguments_.ordered = order == Order::Kept;
		arguments_.cells_count = cells_at_a_time;
		arguments_.parties = 1 + gpu_parties_;
		arguments_.x = x_.as<litmus_word>();
		arguments_.y = y_.as<litmus_word>();
		for (unsigned party = 0; party < LITMUS_PARTIES; party++)
			arguments_.results[party] = results_.as<litmus_result>() + party * cells_at_a_time;
		arguments_.party = parties_.as<litmus_party>();
		arguments_.stop = stop_.as<std::uint64_t>();
	}

	/* All cells once. False: it did not end well. */
	bool round(std::uint64_t seed, Outcome &outcome)
	{
		auto done = tandem::Signal::create().take();

		x_.clear();
		y_.clear();
		results_.clear();
		parties_.clear();
		arguments_.seed = seed;
		auto group = static_cast<std::uint16_t>(gpu_parties_ * LITMUS_LANES);
		auto sent = queue_.dispatch(module_.kernel("litmus").take(), {group}, {group}, &arguments_, done.get());
		if (!sent)
			return failed(outcome);
		std::thread cpu([this] { play(); });
		bool ended = static_cast<bool>(queue_.wait(done, 60'000'000'000 * time_scale()));
		if (!ended)
			__atomic_store_n(stop_.as<std::uint64_t>(), 1, __ATOMIC_SEQ_CST);
		cpu.join();
		return ended ? count(outcome) : failed(outcome);
	}

private:
	void play() const
	{
		for (std::uint64_t row = 0; row < cells_at_a_time / LITMUS_LANES; row++) {
			if (row % LITMUS_ROWS == 0 && !litmus_meet(&arguments_, 0, row / LITMUS_ROWS))
				return;
			for (std::uint64_t i = row * LITMUS_LANES; i < (row + 1) * LITMUS_LANES; i++) {
				for (std::uint64_t spin = spins(row); spin; spin--)
					__asm__ volatile("");
				litmus_run(arguments_.test, arguments_.ordered, 0, &x_.as<litmus_word>()[i].value, &y_.as<litmus_word>()[i].value, &arguments_.results[0][i]);
			}
		}
	}

	/*
	 * Before each cell. Wavefronts go through a row at once, in some microseconds, more or less; the CPU's cells are spread over
	 * such a time, so that it meets them in some of the cells. Short and long times are equally likely.
	 */
	std::uint64_t spins(std::uint64_t row) const
	{
		std::uint64_t chance = litmus_delay(arguments_.seed, 0, row);

		return (chance >> 4) % (1ull << (1 + chance % 12));
	}

	bool count(Outcome &outcome) const
	{
		for (std::uint64_t i = 0; i < cells_at_a_time; i++) {
			Verdict verdict = judge(arguments_, i);

			outcome.runs++;
			outcome.weak += verdict == Verdict::Weak;
			outcome.between += verdict == Verdict::Between;
		}
		return true;
	}

	bool failed(Outcome &outcome) const
	{
		outcome.finished = false;
		outcome.text = queue_.describe();
		return false;
	}

	unsigned gpu_parties_;
	tandem::Module module_;
	tandem::Queue queue_;
	/* All present before anybody looks. */
	Pages x_;
	Pages y_;
	Pages results_;
	Pages parties_;
	Pages stop_;
	litmus_arguments arguments_{};
};

} // namespace

Outcome described(Outcome outcome)
{
	if (outcome.finished)
		outcome.text = std::to_string(outcome.weak) + " weak outcomes and " + std::to_string(outcome.between) +
			       " in between in " + std::to_string(outcome.runs) + " runs";
	return outcome;
}

Outcome run(const tandem::Device &device, litmus_test test, Order order, std::uint64_t runs, std::uint64_t seed)
{
	Outcome outcome;
	Arena arena(device, test, order);

	while (outcome.runs < runs && arena.round(seed, outcome))
		seed++;
	return described(outcome);
}

Outcome seek_weak(const tandem::Device &device, litmus_test test, double seconds, std::uint64_t seed)
{
	Outcome outcome;
	Arena arena(device, test, Order::Removed);
	auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds * time_scale());

	while (!outcome.weak && std::chrono::steady_clock::now() < end && arena.round(seed, outcome))
		seed++;
	return described(outcome);
}

} // namespace litmus
