// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU's side of kernels/tally.c: a GPU that counts in the pages of a region without end and checks them, while Linux moves,
 * merges, splits and swaps these pages. That an event falls into the GPU's work is proven by rounds made before and after.
 */
#ifndef TANDEM_TALLY_HPP
#define TANDEM_TALLY_HPP

#include <cstdint>
#include <functional>
#include <string>

#include "../kernels/tally.h"
#include "tandem/tandem.hpp"

namespace tally {

/*
 * Waits until the condition holds; false when the time is over or `give_up` says so. Looks seldom: on a small machine whoever
 * looks all the time takes the processor from the GPU that it waits for.
 */
bool wait_sleeping(const std::function<bool()> &condition, const std::function<bool()> &give_up = {});

class Tally {
public:
	/* Uses a queue of its own on the device. */
	explicit Tally(const tandem::Device &device, std::uint64_t seed = 1);
	~Tally();
	Tally(const Tally &) = delete;
	Tally &operator=(const Tally &) = delete;

	/* Before start(): every stride-th page only; and pages that KSM can merge. */
	void set_stride(std::uint64_t stride) { control_->stride = stride; }
	void set_alike() { control_->alike = 1; }

	/* Writes the pattern, sets the GPU to work and waits for it; false with a complaint if it does not start. */
	bool start(void *region, std::uint64_t pages, std::uint64_t mode);

	bool wait_round(); /* until each lane has gone over its pages once more */

	/* The action, with proof that the GPU worked on the pages before and afterwards and found nothing wrong. */
	bool during(const std::function<void()> &action);
	/* The action over and over until the condition holds, with the same proof; false when that takes too long. */
	bool until(const std::function<void()> &action, const std::function<bool()> &condition);

	bool set_mode(std::uint64_t mode); /* returns when all lanes know */
	bool pause();                      /* returns when all lanes stand still and their stores have arrived */
	void resume();

	/* While the lanes stand still. */
	void move_to(void *region);
	void write_pattern(); /* begins the count anew */
	void forget_counts(); /* for pages that come back with the pattern and a count of 0 */
	bool verify();        /* looks at every word of every page, as the CPU sees them; false with a complaint */
	bool verify_at(const void *region); /* the same in another mapping */

	/* Stops, waits for the completion, verifies. */
	bool finish();

	/* What a page holds at the beginning. */
	void fill_page(std::uint64_t page, std::uint64_t *words) const;

	/* Any time: each page as a snapshot of it must look, for children and other onlookers. */
	bool is_plausible(const void *region, std::uint64_t page) const;
	std::uint64_t count(std::uint64_t page, const void *region = nullptr) const; /* its first word */

	std::uint64_t pages() const { return control_->pages; }
	std::uint64_t rounds() const; /* least number of rounds that a lane has made */
	std::uint64_t errors() const;
	tandem_ioc_queue_status status() const { return queue_.status().take(); }
	std::string complaint() const;

private:
	bool wait_for(const char *what, const std::function<bool()> &condition);
	bool has_failed() const;
	std::uint64_t *page_of(const void *region, std::uint64_t page) const;
	std::uint64_t pattern(std::uint64_t page, std::uint64_t word) const;
	bool verify_page(const void *region, std::uint64_t page);

	tandem::Module module_;
	tandem::Queue queue_;
	tandem::Signal done_;
	tally_control *control_; /* shared with children */
	std::string problem_;
	bool running_ = false;
};

} // namespace tally

#endif
