// SPDX-License-Identifier: GPL-2.0-or-later
#include "sweeper.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "time_scale.hpp"

namespace sweeper {

namespace {

std::uint64_t load(const std::uint64_t &word)
{
	return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}

void store(std::uint64_t &word, std::uint64_t value)
{
	__atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}

sweep_control *make_control()
{
	void *memory = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	static_assert(sizeof(sweep_control) <= page_bytes);
	return memory == MAP_FAILED ? nullptr : static_cast<sweep_control *>(memory);
}

} // namespace

bool wait_until(const std::function<bool()> &condition, const std::function<bool()> &give_up, double seconds)
{
	auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds * time_scale());

	for (unsigned round = 0; !condition(); round++) {
		if ((round % 64 == 63 && give_up && give_up()) || std::chrono::steady_clock::now() > deadline)
			return condition();
		/* On a small machine whoever looks all the time takes the processor from the GPU that it waits for. */
		if (round < 8)
			std::this_thread::yield();
		else
			std::this_thread::sleep_for(std::chrono::microseconds(300));
	}
	return true;
}

Sweeper::Sweeper(const tandem::Device &device)
	: module_(device.module("sweep.elf").take()), queue_(device.queue().take()), done_(tandem::Signal::create().take()),
	  control_(make_control())
{
}

Sweeper::~Sweeper()
{
	if (running_)
		store(control_->stop, 1);
	/* The queue is destroyed after this, and with it whatever still runs; then nobody uses the control block. */
	queue_ = tandem::Queue(nullptr);
	munmap(control_, page_bytes);
}

volatile std::uint64_t *Sweeper::word(std::uint64_t page, sweep_word which) const
{
	return &arguments_.region[page * SWEEP_PAGE_WORDS + which];
}

std::uint64_t Sweeper::round_of(unsigned lane) const
{
	return load(control_->rounds[lane]);
}

tandem_ioc_queue_status Sweeper::status() const
{
	return queue_.status().take();
}

bool Sweeper::wait_for(const char *what, const std::function<bool()> &condition)
{
	bool held = wait_until(condition, [this] { return status().error != TANDEM_QUEUE_OK; });

	if (!held)
		waited_in_vain_for_ = what;
	return held;
}

bool Sweeper::start(void *region, std::uint64_t pages, std::uint64_t mode)
{
	arguments_ = {static_cast<std::uint64_t *>(region), pages, control_};
	store(control_->mode, mode);
	end_change();
	auto kernel = module_.kernel("sweep");

	if (!kernel || !queue_.dispatch(*kernel, {SWEEP_LANES}, {SWEEP_LANES}, &arguments_, done_.get())) {
		waited_in_vain_for_ = "a dispatch";
		return false;
	}
	running_ = true;
	return wait_round() && (!(mode & SWEEP_WRITE) || wait_gpu_words());
}

bool Sweeper::wait_round()
{
	std::array<std::uint64_t, SWEEP_LANES> before;

	for (unsigned lane = 0; lane < SWEEP_LANES; lane++)
		before[lane] = round_of(lane);
	/* Two: the first may have been under way before. */
	return wait_for("a round of all lanes", [&] {
		for (unsigned lane = 0; lane < SWEEP_LANES; lane++)
			if (round_of(lane) < before[lane] + 2)
				return false;
		return true;
	});
}

bool Sweeper::wait_gpu_words()
{
	for (std::uint64_t page = 0; page < arguments_.pages; page++)
		if (!wait_for("the GPU's store to each page", [&] { return *word(page, SWEEP_GPU_WORD) == generation(); }))
			return false;
	return true;
}

void Sweeper::begin_change()
{
	store(control_->generation, generation() | 1);
}

void Sweeper::end_change()
{
	std::uint64_t next = (generation() | 1) + 1;

	for (std::uint64_t page = 0; page < arguments_.pages; page++)
		__atomic_store_n(word(page, SWEEP_CPU_WORD), next, __ATOMIC_SEQ_CST);
	store(control_->generation, next);
}

bool Sweeper::change(const std::function<void()> &action)
{
	if (!wait_round())
		return false;
	begin_change();
	action();
	end_change();
	if (!wait_round())
		return false;
	return (load(control_->mode) & SWEEP_WRITE ? wait_gpu_words() : true) && errors() == 0;
}

bool Sweeper::pause()
{
	store(control_->pause, 1);
	return wait_for("all lanes to stand still", [&] { return load(control_->paused) == SWEEP_LANES; });
}

void Sweeper::resume()
{
	store(control_->pause, 0);
}

bool Sweeper::set_mode(std::uint64_t mode)
{
	store(control_->mode, mode);
	return wait_round();
}

bool Sweeper::stop()
{
	store(control_->stop, 1);
	bool ended = static_cast<bool>(queue_.wait(done_, 60'000'000'000 * time_scale()));

	running_ = running_ && !ended;
	if (!ended)
		waited_in_vain_for_ = "the end of the kernel";
	return ended;
}

std::uint64_t Sweeper::errors() const
{
	return load(control_->errors);
}

std::uint64_t Sweeper::generation() const
{
	return load(control_->generation);
}

std::uint64_t Sweeper::rounds() const
{
	std::uint64_t least = UINT64_MAX;

	for (unsigned lane = 0; lane < SWEEP_LANES; lane++)
		least = std::min(least, round_of(lane));
	return least;
}

std::string Sweeper::complaint() const
{
	std::string text;

	if (errors())
		text += std::to_string(errors()) + " stale reads, the last in page " + std::to_string(control_->bad_page) +
			": generation " + std::to_string(control_->bad_value) + " in place of " +
			std::to_string(control_->bad_generation) + "; ";
	if (!waited_in_vain_for_.empty())
		text += "waited in vain for " + waited_in_vain_for_ + "; ";
	return text + queue_.describe() + ", " + std::to_string(rounds()) + " rounds made";
}

} // namespace sweeper
