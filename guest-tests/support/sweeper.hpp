// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU's side of kernels/sweep.c: a GPU that works on a region without end, and the means to change the region under it
 * with proof, by progress and not by sleeping, that the GPU was at work before and after, and saw nothing stale.
 */
#ifndef TANDEM_SWEEPER_HPP
#define TANDEM_SWEEPER_HPP

#include <cstdint>
#include <functional>
#include <string>

#include "../kernels/arguments.h"
#include "tandem/tandem.hpp"

namespace sweeper {

constexpr std::uint64_t page_bytes = 4096;

/* Waits until the condition holds, looking seldom; false when the time is over (which a slow kernel stretches) or `give_up` says so. */
bool wait_until(const std::function<bool()> &condition, const std::function<bool()> &give_up = {}, double seconds = 60);

class Sweeper {
public:
	/* Uses a queue of its own on the device. */
	explicit Sweeper(const tandem::Device &device);
	~Sweeper();
	Sweeper(const Sweeper &) = delete;
	Sweeper &operator=(const Sweeper &) = delete;

	/* Writes the first generation into the region and sets the GPU to work; false with a complaint if it does not start. */
	bool start(void *region, std::uint64_t pages, std::uint64_t mode);

	/* Until each lane has gone over all its pages once more, beginning after this call. */
	bool wait_round();

	/* Until the GPU has written the present generation into each page, where the CPU can see it. */
	bool wait_gpu_words();

	/* Between the two, the GPU's checks are off; the second writes a new generation into each page. */
	void begin_change();
	void end_change();

	/* begin_change(), the action, end_change(), and proof that the GPU works on with the new pages. */
	bool change(const std::function<void()> &action);

	bool pause(); /* returns when all lanes stand still */
	void resume();
	bool set_mode(std::uint64_t mode); /* returns when all lanes know */

	/* Ends the kernel and waits for its completion. */
	bool stop();

	std::uint64_t errors() const;
	std::uint64_t generation() const;
	std::uint64_t rounds() const; /* least number of rounds that a lane has made */
	tandem_ioc_queue_status status() const;
	const tandem::Queue &queue() const { return queue_; }

	/* What went wrong, as a sentence: wrong words, the queue's error, or that the GPU made no progress. */
	std::string complaint() const;

private:
	bool wait_for(const char *what, const std::function<bool()> &condition);
	volatile std::uint64_t *word(std::uint64_t page, sweep_word which) const;
	std::uint64_t round_of(unsigned lane) const;

	tandem::Module module_;
	tandem::Queue queue_;
	tandem::Signal done_;
	sweep_control *control_; /* shared with children */
	sweep_arguments arguments_{};
	std::string waited_in_vain_for_;
	bool running_ = false;
};

} // namespace sweeper

#endif
