// SPDX-License-Identifier: GPL-2.0-or-later
#include "tally.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <new>

#include "time_scale.hpp"

namespace tally {

namespace {

const double patience_seconds = 90 * time_scale();

std::uint64_t load(const std::uint64_t &word)
{
	return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}

void store(std::uint64_t &word, std::uint64_t value)
{
	__atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}

tally_control *make_control()
{
	void *memory = mmap(nullptr, sizeof(tally_control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		throw std::bad_alloc();
	return static_cast<tally_control *>(memory);
}

} // namespace

bool wait_sleeping(const std::function<bool()> &condition, const std::function<bool()> &give_up)
{
	auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_seconds);

	for (unsigned round = 0; !condition(); round++) {
		if ((round % 64 == 63 && give_up && give_up()) || std::chrono::steady_clock::now() > deadline)
			return condition();
		if (round > 8)
			usleep(300);
	}
	return true;
}

Tally::Tally(const tandem::Device &device, std::uint64_t seed)
	: module_(device.module("tally.elf").take()), queue_(device.queue().take()), done_(tandem::Signal::create().take()),
	  control_(make_control())
{
	control_->seed = seed;
	control_->stride = 1;
}

Tally::~Tally()
{
	if (running_)
		store(control_->stop, 1);
	queue_ = tandem::Queue(nullptr); /* and with it whatever still runs; then nobody uses the control block */
	munmap(control_, sizeof(*control_));
}

std::uint64_t *Tally::page_of(const void *region, std::uint64_t page) const
{
	auto *first = static_cast<std::uint64_t *>(const_cast<void *>(region));

	return first + page * control_->stride * TALLY_PAGE_WORDS;
}

std::uint64_t Tally::pattern(std::uint64_t page, std::uint64_t word) const
{
	return tally_pattern(control_->seed, control_->alike ? 0 : page, word);
}

bool Tally::has_failed() const
{
	return status().error != TANDEM_QUEUE_OK;
}

bool Tally::wait_for(const char *what, const std::function<bool()> &condition)
{
	bool held = wait_sleeping(condition, [this] { return has_failed(); });

	if (!held)
		problem_ = std::string("waited in vain for ") + what;
	return held;
}

void Tally::write_pattern()
{
	for (std::uint64_t page = 0; page < control_->pages; page++)
		fill_page(page, page_of(reinterpret_cast<void *>(control_->region), page));
	forget_counts();
}

void Tally::fill_page(std::uint64_t page, std::uint64_t *words) const
{
	words[0] = 0;
	for (std::uint64_t word = 1; word < TALLY_PAGE_WORDS; word++)
		words[word] = pattern(page, word);
}

void Tally::forget_counts()
{
	for (std::uint64_t &count : control_->counts)
		store(count, 0);
}

bool Tally::start(void *region, std::uint64_t pages, std::uint64_t mode)
{
	control_->region = reinterpret_cast<std::uintptr_t>(region);
	control_->pages = pages;
	control_->mode = mode;
	write_pattern();
	auto kernel = module_.kernel("tally");

	if (!kernel || !queue_.dispatch(*kernel, {TALLY_LANES}, {TALLY_LANES}, &control_, done_.get())) {
		problem_ = std::string("no dispatch: ") + tandem_error_text();
		return false;
	}
	running_ = true;
	return wait_round();
}

bool Tally::wait_round()
{
	std::array<std::uint64_t, TALLY_LANES> before;

	for (unsigned lane = 0; lane < TALLY_LANES; lane++)
		before[lane] = load(control_->rounds[lane]);
	/* Two: the first may have been under way before. */
	return wait_for("a round of all lanes", [&] {
		for (unsigned lane = 0; lane < TALLY_LANES; lane++)
			if (load(control_->rounds[lane]) < before[lane] + 2)
				return false;
		return true;
	});
}

bool Tally::during(const std::function<void()> &action)
{
	if (!wait_round())
		return false;
	action();
	return wait_round() && errors() == 0;
}

bool Tally::until(const std::function<void()> &action, const std::function<bool()> &condition)
{
	auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_seconds);

	if (!wait_round())
		return false;
	while (!condition()) {
		if (std::chrono::steady_clock::now() > deadline || has_failed()) {
			problem_ = "the event did not happen within a minute and a half";
			return false;
		}
		action();
	}
	return wait_round() && errors() == 0;
}

bool Tally::set_mode(std::uint64_t mode)
{
	store(control_->mode, mode);
	return wait_round();
}

bool Tally::pause()
{
	store(control_->pause, 1);
	return wait_for("all lanes to stand still", [&] { return load(control_->paused) == TALLY_LANES; });
}

void Tally::resume()
{
	store(control_->pause, 0);
	/* Or else a pause that follows at once would count lanes that have not left this one yet. */
	wait_for("all lanes to go on", [&] { return load(control_->paused) == 0; });
}

void Tally::move_to(void *region)
{
	store(control_->region, reinterpret_cast<std::uintptr_t>(region));
}

bool Tally::verify_page(const void *region, std::uint64_t page)
{
	const std::uint64_t *words = page_of(region, page);

	for (std::uint64_t word = 0; word < TALLY_PAGE_WORDS; word++) {
		std::uint64_t expected = word ? pattern(page, word) : load(control_->counts[page % TALLY_LANES]);

		if (load(words[word]) == expected)
			continue;
		problem_ = "the CPU finds " + std::to_string(words[word]) + " in place of " + std::to_string(expected) +
			   " in word " + std::to_string(word) + " of page " + std::to_string(page);
		return false;
	}
	return true;
}

bool Tally::verify_at(const void *region)
{
	for (std::uint64_t page = 0; page < control_->pages; page++)
		if (!verify_page(region, page))
			return false;
	return true;
}

bool Tally::verify()
{
	return verify_at(reinterpret_cast<void *>(control_->region));
}

bool Tally::finish()
{
	store(control_->stop, 1);
	bool ended = static_cast<bool>(queue_.wait(done_, 60'000'000'000 * time_scale()));

	running_ = running_ && !ended;
	if (!ended)
		problem_ = "waited in vain for the end of the kernel";
	return ended && verify() && errors() == 0;
}

std::uint64_t Tally::count(std::uint64_t page, const void *region) const
{
	return load(*page_of(region ? region : reinterpret_cast<void *>(control_->region), page));
}

bool Tally::is_plausible(const void *region, std::uint64_t page) const
{
	const std::uint64_t *words = page_of(region, page);

	for (std::uint64_t word = 1; word < TALLY_PAGE_WORDS; word++)
		if (words[word] != pattern(page, word))
			return false;
	return load(words[0]) <= load(control_->counts[page % TALLY_LANES]) + 1;
}

std::uint64_t Tally::rounds() const
{
	std::uint64_t least = UINT64_MAX;

	for (const std::uint64_t &rounds : control_->rounds)
		least = std::min(least, load(rounds));
	return least;
}

std::uint64_t Tally::errors() const
{
	return load(control_->errors);
}

std::string Tally::complaint() const
{
	std::string text;

	if (errors())
		text += "the GPU found " + std::to_string(errors()) + " wrong words, the last " + std::to_string(control_->bad_value) +
			" in place of " + std::to_string(control_->bad_expected) + " in word " +
			std::to_string(control_->bad_word) + " of page " + std::to_string(control_->bad_page) + "; ";
	if (!problem_.empty())
		text += problem_ + "; ";
	return text + queue_.describe() + ", " + std::to_string(rounds()) + " rounds made";
}

} // namespace tally
