// SPDX-License-Identifier: GPL-2.0-or-later
#include "litmus.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "time_scale.hpp"

namespace litmus {

namespace {

constexpr std::uint64_t cells_at_a_time = 16 * LITMUS_BATCH;

/* The first is a CPU thread: one, so that a host of two processors has one for it and one for the GPU. */
unsigned parties_of(litmus_test test)
{
	return test == LITMUS_IRIW_CPU_WRITES || test == LITMUS_IRIW_CPU_READS ? 4 : 2;
}

/* Fresh zeroes, present before anybody looks, in pages of their own. */
template <typename T> class Zeroes {
public:
	explicit Zeroes(std::uint64_t count)
		: bytes_((count * sizeof(T) + 4095) & ~4095ull),
		  memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))
	{
		if (memory_ == MAP_FAILED)
			throw std::system_error(errno, std::generic_category(), "mmap");
	}
	~Zeroes() { munmap(memory_, bytes_); }
	Zeroes(const Zeroes &) = delete;
	Zeroes &operator=(const Zeroes &) = delete;

	T *get() const { return static_cast<T *>(memory_); }
	void clear(std::uint64_t count) { std::fill_n(reinterpret_cast<char *>(memory_), count * sizeof(T), 0); }

private:
	std::uint64_t bytes_;
	void *memory_;
};

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
		: gpu_parties_(parties_of(test) - 1), module_(device.module("litmus.elf").take()), queue_(device.queue().take()), x_(cells_at_a_time), y_(cells_at_a_time),
		  results_(LITMUS_PARTIES * cells_at_a_time), parties_(LITMUS_PARTIES), stop_(1)
	{
		arguments_.test = test;
		arguments_.ordered = order == Order::Kept;
		arguments_.cells_count = cells_at_a_time;
		arguments_.parties = 1 + gpu_parties_;
		arguments_.x = x_.get();
		arguments_.y = y_.get();
		for (unsigned party = 0; party < LITMUS_PARTIES; party++)
			arguments_.results[party] = results_.get() + party * cells_at_a_time;
		arguments_.party = parties_.get();
		arguments_.stop = stop_.get();
	}

	/* All cells once. False: it did not end well. */
	bool round(std::uint64_t seed, Outcome &outcome)
	{
		auto done = tandem::Signal::create().take();

		x_.clear(cells_at_a_time);
		y_.clear(cells_at_a_time);
		results_.clear(LITMUS_PARTIES * cells_at_a_time);
		parties_.clear(LITMUS_PARTIES);
		arguments_.seed = seed;
		auto group = static_cast<std::uint16_t>(gpu_parties_ * LITMUS_LANES);
		auto sent = queue_.dispatch(module_.kernel("litmus").take(), {group}, {group}, &arguments_, done.get());
		if (!sent)
			return failed(outcome);
		std::thread cpu([this] { play(); });
		bool ended = static_cast<bool>(queue_.wait(done, 60'000'000'000 * time_scale()));
		if (!ended)
			__atomic_store_n(stop_.get(), 1, __ATOMIC_SEQ_CST);
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
				litmus_run(arguments_.test, arguments_.ordered, 0, &x_.get()[i].value, &y_.get()[i].value, &arguments_.results[0][i]);
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
	Zeroes<litmus_word> x_;
	Zeroes<litmus_word> y_;
	Zeroes<litmus_result> results_;
	Zeroes<litmus_party> parties_;
	Zeroes<std::uint64_t> stop_;
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
