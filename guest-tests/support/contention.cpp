// SPDX-License-Identifier: GPL-2.0-or-later
#include "contention.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "pages.hpp"
#include "time_scale.hpp"

void contend_pause(void)
{
	std::this_thread::yield();
}

namespace contention {

namespace {

constexpr std::uint64_t page_bytes = Pages::page_bytes;

/* One fight: who did how much. Lanes have the numbers from `threads` on. */
class Fight {
public:
	Fight(const tandem::Device &device, const Plan &plan, std::uint64_t bytes)
		: plan(plan), shared(bytes, plan.map_flags), rounds(plan.threads + plan.lanes), module_(device.module("contend.elf").take()),
		  queue_(device.queue().take()), control_(3 * page_bytes)
	{
		share_ = std::max<std::uint64_t>(1, plan.operations / (plan.threads + 1));
		arguments_ = {shared.get(), plan.threads, (share_ + plan.lanes - 1) / plan.lanes, control_.as<std::uint64_t>(),
			      control_.as<std::uint64_t>() + 1, control_.as<std::uint64_t>(page_bytes), control_.as<std::uint64_t>(2 * page_bytes)};
	}

	/* round(me, n, stop) makes a CPU thread's nth round; 0: it gave up. */
	template <typename Round> Outcome run(const char *kernel, Round round)
	{
		Outcome outcome;
		auto begin = std::chrono::steady_clock::now();
		auto done = tandem::Signal::create().take();
		auto lanes = static_cast<std::uint16_t>(plan.lanes);
		auto sent = queue_.dispatch(module_.kernel(kernel).take(), {plan.lanes}, {lanes}, &arguments_, done.get());
		std::vector<std::thread> threads;

		gpu_is_done_ = !sent;
		playing_ = plan.threads;
		for (unsigned me = 0; me < plan.threads; me++)
			threads.emplace_back([this, me, &round] { play(me, round); });
		outcome.finished = sent && wait(done);
		outcome.stuck = stuck_;
		if (!outcome.finished)
			stop(done);
		gpu_is_done_ = true;
		for (auto &thread : threads)
			thread.join();
		for (unsigned lane = 0; lane < plan.lanes; lane++)
			rounds[plan.threads + lane] = made_by(lane);
		if (!outcome.finished)
			outcome.text = stuck_ ? "somebody was stuck; " : "not finished: " + (problem_.empty() ? queue_.describe() : problem_) + "; ";
		for (unsigned me = 0; me < rounds.size(); me++)
			(me < plan.threads ? outcome.by_cpu : outcome.by_gpu) += rounds[me];
		outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
		return outcome;
	}

	const Plan &plan;
	Pages shared;
	std::vector<std::uint64_t> rounds; /* made by each participant */

private:
	static void set(const std::uint64_t *const *flag) { __atomic_store_n(const_cast<std::uint64_t *>(*flag), 1, __ATOMIC_SEQ_CST); }

	/* Everybody gives up. Lanes may still look at what they fight for, until they have seen it. */
	void stop(const tandem::Signal &done)
	{
		set(&arguments_.stop);
		if (!gpu_is_done_)
			queue_.wait(done, 10'000'000'000 * time_scale());
	}

	std::uint64_t made_by(unsigned lane) const
	{
		return __atomic_load_n(&arguments_.made[plan.threads + lane], __ATOMIC_ACQUIRE);
	}

	/* From when the GPU has begun until it has ended. */
	template <typename Round> void play(unsigned me, Round &round)
	{
		std::uint64_t n = 0;

		while (!__atomic_load_n(arguments_.started, __ATOMIC_ACQUIRE) && !gpu_is_done_)
			contend_pause();
		while ((n < share_ || !gpu_is_done_) && round(me, n, arguments_.stop))
			__atomic_store_n(&rounds[me], ++n, __ATOMIC_RELAXED);
		playing_--;
	}

	/* The threads must be joined whatever it does. */
	bool meanwhile()
	{
		try {
			return !plan.meanwhile || plan.meanwhile(shared.get(), shared.bytes());
		} catch (const std::exception &problem) {
			problem_ = problem.what();
			return false;
		}
	}

	/* How much of the work is done, by those who are furthest behind. */
	double part() const
	{
		std::uint64_t by_gpu = 0, least = share_;

		for (unsigned lane = 0; lane < plan.lanes; lane++)
			by_gpu += std::min(made_by(lane), arguments_.rounds);
		for (unsigned me = 0; me < plan.threads; me++)
			least = std::min(least, __atomic_load_n(&rounds[me], __ATOMIC_RELAXED));
		return std::min(static_cast<double>(by_gpu) / static_cast<double>(plan.lanes * arguments_.rounds),
				static_cast<double>(least) / static_cast<double>(share_));
	}

	/* Has somebody who is not through made no round for so long? Only then is slowness ruled out. */
	bool look_for_stuck()
	{
		auto now = std::chrono::steady_clock::now();

		if (plan.stuck_seconds == 0)
			return false;
		for (unsigned who = 0; who < seen_.size(); who++) {
			bool is_lane = who >= plan.threads;
			std::uint64_t made = is_lane ? made_by(who - plan.threads) : __atomic_load_n(&rounds[who], __ATOMIC_RELAXED);

			if (made != seen_[who].rounds || made >= (is_lane ? arguments_.rounds : share_))
				seen_[who] = {made, now};
			stuck_ |= now - seen_[who].at > std::chrono::duration<double>(plan.stuck_seconds * time_scale());
		}
		return stuck_;
	}

	/* Until the GPU has done its share. False: it reported an error, or somebody here has. */
	bool look_at_gpu(const tandem::Signal &done)
	{
		bool enough = __atomic_load_n(arguments_.enough, __ATOMIC_RELAXED);

		if (!enough && meanwhile())
			set(&arguments_.enough);
		if (!problem_.empty())
			return false;
		auto waited = queue_.wait(done, enough ? 100'000'000 : 1'000'000);
		if (waited)
			gpu_is_done_ = true;
		return waited || waited.error().status == TANDEM_ERROR_TIMEOUT;
	}

	/* Until all have done their share. */
	bool wait(const tandem::Signal &done)
	{
		auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(plan.seconds * time_scale());

		while (std::chrono::steady_clock::now() < limit) {
			if (gpu_is_done_ && !playing_)
				return true;
			if (gpu_is_done_)
				std::this_thread::sleep_for(std::chrono::milliseconds(1));
			else if (!look_at_gpu(done))
				return false;
			if (plan.progress)
				plan.progress(part());
			if (look_for_stuck())
				return false;
		}
		return false;
	}

	struct Seen {
		std::uint64_t rounds = 0;
		std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
	};

	std::vector<Seen> seen_ = std::vector<Seen>(plan.threads + plan.lanes);
	bool stuck_ = false;
	tandem::Module module_;
	tandem::Queue queue_;
	Pages control_; /* a page each for what is written at the end, at the start, and by each */
	contend_arguments arguments_{};
	std::uint64_t share_;
	std::atomic<bool> gpu_is_done_ = false;
	std::atomic<unsigned> playing_ = 0; /* CPU threads */
	std::string problem_;
};

/* Compares, and says what does not fit. */
class Verdict {
public:
	explicit Verdict(Outcome &outcome) : outcome_(outcome) { outcome_.exact = outcome_.finished; }
	~Verdict()
	{
		outcome_.text += text_.str();
		outcome_.text += " (" + std::to_string(outcome_.by_cpu) + " by CPU threads, " + std::to_string(outcome_.by_gpu) + " by the GPU)";
	}

	void equal(const char *what, std::uint64_t found, std::uint64_t expected)
	{
		if (found == expected)
			return;
		outcome_.exact = false;
		if (++wrong_ <= 5)
			text_ << what << " is " << found << " in place of " << expected << "; ";
	}

private:
	Outcome &outcome_;
	std::ostringstream text_;
	unsigned wrong_ = 0;
};

std::uint64_t all(const Outcome &outcome)
{
	return outcome.by_cpu + outcome.by_gpu;
}

/*
 * Who takes a lock that is handed on in turn waits until everybody before him has had a processor, so rounds are few. What counts
 * are updates of the words that the lock guards.
 */
Plan guarded(Plan plan)
{
	plan.operations /= LOCK_WORDS;
	return plan;
}

void judge_guarded(Verdict &verdict, const std::uint64_t *guarded, std::uint64_t torn, std::uint64_t expected)
{
	verdict.equal("how often the guarded words differed", torn, 0);
	for (int i = 0; i < LOCK_WORDS; i++)
		verdict.equal("a guarded word", guarded[i], expected);
}

} // namespace

Mode mode()
{
	std::ifstream file("/sys/kernel/debug/tandem0/stats");
	std::string key, value;

	while (file >> key >> value)
		if (key == "atomics")
			return value == "pcie" ? Mode::Pcie : value == "exclusive" ? Mode::Exclusive : Mode::Vram;
	throw std::runtime_error("the driver does not say how atomics work");
}

const char *mode_name()
{
	return mode() == Mode::Pcie ? "pcie" : mode() == Mode::Exclusive ? "exclusive" : "vram";
}

Outcome counters(const tandem::Device &device, const Plan &plan)
{
	Fight fight(device, plan, sizeof(contend_counters));
	auto *c = fight.shared.as<contend_counters>();

	c->narrow_neighbour = 0x5a5a5a5a;
	Outcome outcome = fight.run("contend_counters", [&](std::uint64_t me, std::uint64_t n, const std::uint64_t *) {
		return contend_count(c, me, n);
	});
	Verdict verdict(outcome);
	verdict.equal("the 64-bit counter", c->wide, all(outcome));
	verdict.equal("the 32-bit counter", c->narrow, static_cast<std::uint32_t>(all(outcome)));
	verdict.equal("the word beside it", c->narrow_neighbour, 0x5a5a5a5a);
	for (unsigned me = 0; me < fight.rounds.size(); me++)
		verdict.equal("a participant's own word", c->own[me], fight.rounds[me]);
	return outcome;
}

Outcome ticket_lock(const tandem::Device &device, const Plan &whole)
{
	const Plan plan = guarded(whole);
	Fight fight(device, plan, sizeof(contend_ticket_state));
	auto *lock = fight.shared.as<contend_ticket_state>();
	Outcome outcome = fight.run("contend_ticket_lock", [&](std::uint64_t, std::uint64_t, const std::uint64_t *stop) {
		return contend_ticket(lock, stop);
	});
	Verdict verdict(outcome);
	verdict.equal("the next ticket", lock->next, all(outcome));
	judge_guarded(verdict, lock->guarded, lock->torn, all(outcome));
	return outcome;
}

Outcome mcs_lock(const tandem::Device &device, const Plan &whole)
{
	const Plan plan = guarded(whole);
	Fight fight(device, plan, sizeof(contend_mcs_state));
	auto *lock = fight.shared.as<contend_mcs_state>();
	Outcome outcome = fight.run("contend_mcs_lock", [&](std::uint64_t me, std::uint64_t, const std::uint64_t *stop) {
		return contend_mcs(lock, me, stop);
	});
	Verdict verdict(outcome);
	verdict.equal("the tail", reinterpret_cast<std::uintptr_t>(lock->tail), 0);
	judge_guarded(verdict, lock->guarded, lock->torn, all(outcome));
	return outcome;
}

Outcome queue(const tandem::Device &device, const Plan &plan)
{
	Fight fight(device, plan, sizeof(contend_queue_state));
	auto *q = fight.shared.as<contend_queue_state>();

	exchange_init(&q->queue);
	Outcome outcome = fight.run("contend_queues", [&](std::uint64_t me, std::uint64_t n, const std::uint64_t *stop) {
		return contend_queue(q, me, n, stop);
	});
	Verdict verdict(outcome);
	std::uint64_t in = 0, out = 0;
	for (std::uint64_t me = 0; me < fight.rounds.size(); me++) {
		out += q->popped[me];
		for (std::uint64_t n = 0; n < fight.rounds[me]; n++)
			in += contend_value(me, n);
	}
	verdict.equal("the sum of what came out", out, in);
	verdict.equal("values put in", q->queue.put, all(outcome));
	verdict.equal("values taken out", q->queue.get, all(outcome));
	return outcome;
}

Outcome hash_table(const tandem::Device &device, const Plan &plan)
{
	Fight fight(device, plan, sizeof(contend_table_state));
	auto *table = fight.shared.as<contend_table_state>();
	Outcome outcome = fight.run("contend_inserts", [&](std::uint64_t me, std::uint64_t n, const std::uint64_t *) {
		return contend_insert(table, me, n);
	});
	Verdict verdict(outcome);
	std::vector<std::uint64_t> expected(CONTEND_KEYS + 1), found(CONTEND_KEYS + 1), slots(CONTEND_KEYS + 1);

	for (std::uint64_t me = 0; me < fight.rounds.size(); me++)
		for (std::uint64_t n = 0; n < fight.rounds[me]; n++)
			expected[contend_key(me, n)]++;
	for (const table_slot &slot : table->slots)
		if (slot.key <= CONTEND_KEYS) {
			found[slot.key] += slot.sum;
			slots[slot.key]++;
		}
	for (std::uint64_t key = 1; key <= CONTEND_KEYS; key++) {
		verdict.equal("a key's sum", found[key], expected[key]);
		verdict.equal("a key's slots", slots[key], expected[key] != 0);
	}
	verdict.equal("keys that found no slot", table->full, 0);
	return outcome;
}

namespace {

/* The words of contend_operations that have this width, and what happens there. */
template <typename Word> struct Operations {
	const char *kernel;
	void (*operate)(contend_operations *, std::uint64_t me, std::uint64_t round);
	Word contend_operations::*bits;
	Word contend_operations::*xored;
	Word contend_operations::*swapped;
	Word contend_operations::*greatest;
	Word contend_operations::*least;
	Word contend_operations::*reserved;
	std::uint64_t (contend_operations::*out)[CONTEND_PARTICIPANTS];
};

constexpr Operations<std::uint64_t> operations_64 = {
	"contend_operations64",        contend_operate64,          &contend_operations::bits,     &contend_operations::xored,
	&contend_operations::swapped,  &contend_operations::greatest, &contend_operations::least, &contend_operations::reserved,
	&contend_operations::out,
};

constexpr Operations<std::uint32_t> operations_32 = {
	"contend_operations32",         contend_operate32,            &contend_operations::bits32,  &contend_operations::xored32,
	&contend_operations::swapped32, &contend_operations::greatest32, &contend_operations::least32, &contend_operations::reserved32,
	&contend_operations::out32,
};

/* The sum of what participant `me` puts into the exchange in rounds 0 .. n - 1. */
template <typename Word> std::uint64_t exchanged_in(std::uint64_t me, std::uint64_t n)
{
	std::uint64_t sum = 0;

	for (std::uint64_t round = 0; round < n; round++)
		sum += static_cast<Word>(round * CONTEND_PARTICIPANTS + me + 1);
	return sum;
}

std::uint64_t odd_rounds_mask(const std::vector<std::uint64_t> &rounds)
{
	std::uint64_t mask = 0;

	for (unsigned me = 0; me < rounds.size(); me++)
		mask |= (rounds[me] & 1) << me;
	return mask;
}

/* What only lanes put in, growing from round to round. */
std::uint64_t greatest_value(const std::vector<std::uint64_t> &rounds, unsigned first_lane)
{
	std::uint64_t greatest = 0;

	for (std::uint64_t me = first_lane; me < rounds.size(); me++)
		if (rounds[me])
			greatest = std::max(greatest, (rounds[me] - 1) * CONTEND_PARTICIPANTS + me + 1);
	return greatest;
}

template <typename Word> Outcome operations(const tandem::Device &device, const Plan &plan, const Operations<Word> &words)
{
	Fight fight(device, plan, sizeof(contend_operations));
	auto *o = fight.shared.as<contend_operations>();

	o->*words.least = std::numeric_limits<std::make_signed_t<Word>>::max();
	Outcome outcome = fight.run(words.kernel, [&](std::uint64_t me, std::uint64_t n, const std::uint64_t *) {
		words.operate(o, me, n);
		return true;
	});
	Verdict verdict(outcome);
	std::uint64_t in = 0, out = o->*words.swapped;
	for (std::uint64_t me = 0; me < fight.rounds.size(); me++) {
		in += exchanged_in<Word>(me, fight.rounds[me]);
		out += (o->*words.out)[me];
	}
	verdict.equal("old values that cannot have been", o->wrong, 0);
	verdict.equal("amoor, amoand: the bits", o->*words.bits, 0);
	verdict.equal("amoxor: the bits", o->*words.xored, odd_rounds_mask(fight.rounds));
	verdict.equal("amoswap: the sum of what came out", out, in);
	verdict.equal("lr, sc: the counter", o->*words.reserved, static_cast<Word>(all(outcome)));
	auto greatest = static_cast<Word>(greatest_value(fight.rounds, plan.threads));
	verdict.equal("amomax, amomaxu", o->*words.greatest, greatest);
	verdict.equal("amomin, amominu", o->*words.least, static_cast<Word>(~greatest) >> 1);
	return outcome;
}

} // namespace

Outcome operations64(const tandem::Device &device, const Plan &plan)
{
	return operations(device, plan, operations_64);
}

Outcome operations32(const tandem::Device &device, const Plan &plan)
{
	return operations(device, plan, operations_32);
}

} // namespace contention
