// SPDX-License-Identifier: GPL-2.0-or-later
#include "litmus.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <vector>

#include "time_scale.hpp"

namespace litmus {

namespace {

constexpr std::uint64_t cells_at_a_time = 64 * LITMUS_BATCH;

struct Shape {
	unsigned cpu;
	unsigned gpu;
};

Shape shape_of(litmus_test test)
{
	return test == LITMUS_IRIW ? Shape{2, 2} : Shape{1, 1};
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
Verdict judge_one_word(const litmus_cell &cell, const litmus_result &r)
{
	if (r.first > r.second || cell.x != 2)
		return Verdict::Weak;
	return r.first != 0 && r.first != 2 ? Verdict::Between : r.first != r.second ? Verdict::Between : Verdict::Plain;
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
	case LITMUS_IRIW: {
		const litmus_result &two = a.results[2][i], &three = a.results[3][i];
		bool first = two.first && !two.second, second = three.first && !three.second;
		return first && second ? Verdict::Weak : first || second ? Verdict::Between : Verdict::Plain;
	}
	case LITMUS_COHERENCE:
		return a.ordered ? judge_one_word(a.cells[i], zero) : judge_pair(zero, 2);
	default:
		return judge_pair(zero, 1);
	}
}

class Arena {
public:
	Arena(const tandem::Device &device, litmus_test test, Order order)
		: shape_(shape_of(test)), module_(device.module("litmus.elf").take()), queue_(device.queue().take()), cells_(cells_at_a_time),
		  results_(LITMUS_PARTIES * cells_at_a_time), parties_(LITMUS_PARTIES), stop_(1)
	{
		arguments_.test = test;
		arguments_.ordered = order == Order::Kept;
		arguments_.cells_count = cells_at_a_time;
		arguments_.parties = shape_.cpu + shape_.gpu;
		arguments_.first_party = shape_.cpu;
		arguments_.cells = cells_.get();
		for (unsigned party = 0; party < LITMUS_PARTIES; party++)
			arguments_.results[party] = results_.get() + party * cells_at_a_time;
		arguments_.party = parties_.get();
		arguments_.stop = stop_.get();
	}

	/* All cells once. False: it did not end well. */
	bool round(std::uint64_t seed, Outcome &outcome)
	{
		auto done = tandem::Signal::create().take();

		cells_.clear(cells_at_a_time);
		results_.clear(LITMUS_PARTIES * cells_at_a_time);
		parties_.clear(LITMUS_PARTIES);
		arguments_.seed = seed;
		auto sent = queue_.dispatch(module_.kernel("litmus").take(), {shape_.gpu * LITMUS_BATCH}, {LITMUS_BATCH}, &arguments_, done.get());
		if (!sent)
			return failed(outcome);
		std::vector<std::thread> threads;
		for (unsigned party = 0; party < shape_.cpu; party++)
			threads.emplace_back([this, party] { play(party); });
		bool ended = static_cast<bool>(queue_.wait(done, 60'000'000'000 * time_scale()));
		if (!ended)
			__atomic_store_n(stop_.get(), 1, __ATOMIC_SEQ_CST);
		for (auto &thread : threads)
			thread.join();
		return ended ? count(outcome) : failed(outcome);
	}

private:
	void play(unsigned party) const
	{
		for (std::uint64_t batch = 0; batch < arguments_.cells_count / LITMUS_BATCH; batch++) {
			if (!litmus_meet(&arguments_, party, batch))
				return;
			for (std::uint64_t spin = litmus_delay(&arguments_, party, batch) % 2048; spin; spin--)
				__asm__ volatile("");
			for (std::uint64_t i = 0; i < LITMUS_BATCH; i++)
				litmus_run(&arguments_, party, batch * LITMUS_BATCH + i);
		}
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

	Shape shape_;
	tandem::Module module_;
	tandem::Queue queue_;
	Zeroes<litmus_cell> cells_;
	Zeroes<litmus_result> results_;
	Zeroes<litmus_party> parties_;
	Zeroes<std::uint64_t> stop_;
	litmus_arguments arguments_{};
};

} // namespace

Outcome run(const tandem::Device &device, litmus_test test, Order order, std::uint64_t runs, bool until_weak, std::uint64_t seed)
{
	Outcome outcome;
	Arena arena(device, test, order);

	while (outcome.runs < runs && !(until_weak && outcome.weak))
		if (!arena.round(seed++, outcome))
			return outcome;
	outcome.text = std::to_string(outcome.weak) + " weak outcomes and " + std::to_string(outcome.between) + " in between in " +
		       std::to_string(outcome.runs) + " runs";
	return outcome;
}

} // namespace litmus
