// SPDX-License-Identifier: GPL-2.0-or-later
// What runs when: the loop behind tandem_model_run(). Rings first and between all slices, invalidations before all else; then
// translations, queues, compute units in turn, and the copy engine.
#include <algorithm>
#include <utility>

#include "device/device.h"

namespace tandem {

namespace {

using Step = Hostile::Step;

// Instructions of one compute unit's turn while something else of the device makes steps between the turns: walks, rings,
// copies. Short enough that these are served within microseconds.
constexpr uint64_t kShortTurn = 64;
// While there is nothing but wavefronts. What comes from outside ends it early (should_yield()), after each unit had a short one.
constexpr uint64_t kLongTurn = 4096;
// While wavefronts run, queues that poll memory do so only each few rounds, or after so many instructions.
constexpr uint32_t kRoundsBetweenPolls = 8;
constexpr uint64_t kTicksBetweenPolls = 2048;

}  // namespace

tandem_run_result Device::run(uint64_t budget) {
  if (!running()) {
    hold_nothing_back();
    return TANDEM_RUN_IDLE;
  }
  const uint64_t end = ticks_ + budget;
  attention_.ask();  // memory may have changed since the last run
  while (ticks_ < end) {
    bool progress = take_in();
    progress |= serve_rings();
    if (!running()) break;
    if (mmu_.ticking()) mmu_.tick(ticks_);
    memory_.atomics().tick(ticks_);
    progress |= serve_queues();
    const uint64_t ran = run_compute(end - ticks_);
    // Wavefronts that wait for a walk, an ATS answer or an atomic's store will go on by themselves; those that wait for faults
    // and page requests will not.
    progress |= processor_.share(ran, ran == 0 && !mmu_.busy() && !memory_.atomics().busy());
    if (hostile_.may(Step::Copy, copies_.busy(), ticks_)) progress |= hostile_.brought(Step::Copy, copies_.step());
    progress |= send_out();
    ticks_ += std::max<uint64_t>(ran, 1);
    if (checker_) checker_->pass(std::max<uint64_t>(ran, 1));
    mmu_.set_time(ticks_);
    if (!running()) break;
    if (host_.should_yield()) return TANDEM_RUN_READY;
    // Time does not jump over the pause of an atomic: it is there for others to use.
    if (progress || ran || attention_.asked() || memory_.atomics().busy()) continue;
    if (go_to_next_event(end)) continue;
    if (checker_) checker_->new_round();
    return processor_.polling() ? TANDEM_RUN_WAIT : TANDEM_RUN_IDLE;
  }
  if (running()) return TANDEM_RUN_READY;
  hold_nothing_back();
  return TANDEM_RUN_IDLE;
}

// What has come from the IOMMU, with hostile timing later than it came and in another order. True: there may be more.
bool Device::take_in() {
  bool taken = false;
  if (hostile_.may(Step::Answers, !held_answers_.empty(), ticks_)) {
    const auto at = held_answers_.begin() + static_cast<long>(hostile_.pick(held_answers_.size()));
    const HeldAnswer held = *at;
    held_answers_.erase(at);
    take_answer(held.id, held.answer);
    taken |= hostile_.brought(Step::Answers, true);
  }
  if (hostile_.may(Step::Responses, !held_responses_.empty() && !responses_are_stalled(), ticks_)) {
    const auto at = held_responses_.begin() + static_cast<long>(hostile_.pick(held_responses_.size()));
    const HeldResponse held = *at;
    held_responses_.erase(at);
    take_response(held.bus_pasid, held.group, held.code);
    taken |= hostile_.brought(Step::Responses, true);
  }
  return taken;
}

// What the driver and the IOMMU are told, once for all that a round has brought. True: there will be more.
bool Device::send_out() {
  const bool more = hostile_.may(Step::FaultRecords, faults_.unannounced(), ticks_) && faults_.announce();
  if (hostile_.may(Step::PageRequests, page_requests_.can_send(), ticks_)) page_requests_.send();
  if (hostile_.may(Step::Interrupts, interrupts_.any_late(), ticks_)) interrupts_.send_late();
  return more;
}

// The device has stopped: nothing that it still had to say may be kept until it runs again.
void Device::hold_nothing_back() {
  for (const HeldAnswer& held : std::exchange(held_answers_, {})) take_answer(held.id, held.answer);
  take_held_responses();
  interrupts_.send_late();
}

bool Device::serve_rings() {
  bool progress = false;
  if (invalidation_ring_.busy()) progress |= invalidation_ring_.step(ticks_) > 0;
  if (hostile_.may(Step::Command, running() && kernel_ring_.busy(), ticks_)) progress |= hostile_.brought(Step::Command, kernel_ring_.step());
  if (notices_wait() && running()) progress |= post_notices();
  return progress;
}

bool Device::serve_queues() {
  const bool poll = processor_.polling() &&
                    (++rounds_since_poll_ >= kRoundsBetweenPolls || ticks_ - last_poll_ >= kTicksBetweenPolls);
  if (!attention_.take() && !poll) return false;
  rounds_since_poll_ = 0;
  last_poll_ = ticks_;
  const bool progress = processor_.step();
  if (progress) attention_.ask();
  return progress;
}

uint64_t Device::turn_length() const {
  const bool others_step = mmu_.ticking() || copies_.busy() || memory_.atomics().busy() || kernel_ring_.busy() ||
                           invalidation_ring_.busy();
  if (others_step) return kShortTurn;
  if (config_.time_slice == 0) return kLongTurn;
  // A queue's time slice ends between turns: at least one of all units fits into it.
  return std::clamp<uint64_t>(config_.time_slice / config_.compute_units, kShortTurn, kLongTurn);
}

uint64_t Device::run_compute(uint64_t budget) {
  const uint64_t turn = std::min(hostile_.part(turn_length()), budget);
  const uint64_t first = hostile_.pick(units_.size());
  uint64_t ran = 0;
  for (size_t n = 0; n < units_.size(); ++n) {
    ComputeUnit& unit = *units_[(first + n) % units_.size()];
    if (unit.idle()) continue;
    ran += unit.run(turn);
  }
  return ran;
}

// Nothing can go on at this tick. If something will at a later one, time jumps there; with hostile timing it goes there.
bool Device::go_to_next_event(uint64_t end) {
  const std::optional<uint64_t> next = next_event();
  if (!next) return false;
  const uint64_t until = std::min(std::max(ticks_, *next), end);
  if (hostile_.on()) let_time_pass(until);
  else ticks_ = until;
  mmu_.set_time(ticks_);
  return true;
}

// So that others have it, too: host threads run beside this loop. A tick costs little, or lateness would be all that is done.
void Device::let_time_pass(uint64_t until) {
  while (ticks_ < until && !host_.should_yield()) ++ticks_;
}

std::optional<uint64_t> Device::next_event() const {
  std::optional<uint64_t> next;
  for (const auto due : {mmu_.next_due(), invalidation_ring_.next_due(), hostile_.next_opening()})
    if (due && (!next || *due < *next)) next = due;
  return next;
}

}  // namespace tandem
