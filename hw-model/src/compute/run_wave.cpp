// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/run_wave.h"

#include <algorithm>
#include <utility>

#include "check/checker.h"
#include "compute/schedule_lanes.h"

namespace tandem::compute {
namespace {

// So many instructions at most before should_yield() is asked again: a visitor of the device waits for less than a microsecond.
// A wavefront that talks to others by fences or atomics gives way to them just as often, because it may be spinning.
constexpr uint64_t kBetweenLooks = 64;

// One turn's state: the wavefront, and what is counted.
class TurnRunner {
 public:
  TurnRunner(UnitContext& unit, Wave& wave, uint64_t limit) : unit_(unit), wave_(wave), limit_(limit) {}

  Turn run() {
    unit_.code.reclaim();
    wave_.synchronised = false;
    if (wave_.cancelled != TANDEM_QUEUE_OK) {
      fail_cancelled();
      return turn_;
    }
    if (!wave_.active && !choose_group(wave_)) {
      rest();
      return turn_;
    }
    if (wave_.pending) finish_stalled();
    while (turn_.instructions < limit_ && wave_.state == WaveState::Ready && !yield_) {
      if (turn_.instructions >= next_look_ && !may_go_on()) break;
      const CodePage* page = fetch();
      if (page) run_in_page(*page);
    }
    return turn_;
  }

 private:
  static constexpr uint64_t page_of(uint64_t pc) { return pc & ~(kCodePageBytes - 1); }

  const CodePage* fetch() {
    const uint64_t page = page_of(wave_.pc);
    if (const CodePage* known = unit_.code.find(wave_.request.pasid, page)) {
      if (Checker* check = unit_.memory.checker()) [[unlikely]] judge(*check, *known, page);
      return known;
    }
    Decoded here;
    here.pc = wave_.pc;
    const uint32_t lane = first_lane(wave_.active);
    wave_.notified = false;
    MemoryRun run;
    if (wave_.pc >= TANDEM_VA_LIMIT) {
      fail(wave_, here, TANDEM_QUEUE_ADDRESS_RANGE, lane, wave_.pc, TANDEM_ACCESS_EXECUTE);
      wave_.state = WaveState::Failed;
      return nullptr;
    }
    switch (unit_.reach(wave_, here, lane, wave_.pc, Access::Execute, run)) {
      case UnitContext::Reach::Hit:
        waited_enough();
        return unit_.code.fill(wave_.request.pasid, page, run.host + (page - run.va),
                               unit_.memory.checker() ? unit_.memory.checker()->moment() : 0);
      case UnitContext::Reach::Wait: wait(Wave::Waits::Fetch); return nullptr;
      case UnitContext::Reach::Failed: wave_.state = WaveState::Failed; return nullptr;
    }
    return nullptr;
  }

  void judge(Checker& check, const CodePage& code, uint64_t page) const {
    if (!check.first_in_round(code.judged)) return;
    TranslationRequest request = wave_.request;
    request.access = Access::Execute;
    request.pc = wave_.pc;
    check.done_late(LateAccess::Code, request, gva(page), kCodePageBytes, code.moment);
  }

  // What the wavefront waited for is done. Other waits of it may still be on their way to an answer, which no longer
  // concerns it: it must not be failed by one.
  void waited_enough() {
    if (!std::exchange(wave_.has_waited, false)) return;
    unit_.translator.forget(wave_);
    wave_.cancelled = TANDEM_QUEUE_OK;
    wave_.skips.pages.clear();
  }

  void wait(Wave::Waits what) {
    wave_.has_waited = turn_.waits = true;
    wave_.waits = what;
    wave_.state = wave_.notified ? WaveState::Ready : WaveState::Waiting;
    yield_ = true;
  }

  // The inner loops: nothing but handlers until one of them wants something.
  Next step_full(const Decoded*& ip, const Decoded* end) {
    while (ip < end - 1) {
      const Next next = ip->full(wave_, *ip);
      if (next != Next::Sequential) return next;
      ip += ip->length;
    }
    if (ip == end) return Next::Sequential;
    const Next next = ip->alone(wave_, *ip);
    if (next == Next::Sequential) ++ip;
    return next;
  }

  Next step_masked(const Decoded*& ip, const Decoded* end) {
    Next next = Next::Sequential;
    do {
      next = ip->masked(wave_, *ip);
      if (next != Next::Sequential) return next;
      ++ip;
    } while (ip != end);
    return next;
  }

  const Decoded* end_of_stretch(const CodePage& page, const Decoded* ip) const {
    const uint64_t base = page_of(wave_.pc);
    const uint64_t in_page = static_cast<uint64_t>(page.code + kCodePageWords - ip);
    const uint64_t to_stop = wave_.stop_pc > wave_.pc && wave_.stop_pc - base < kCodePageBytes
                                 ? (wave_.stop_pc - wave_.pc) / 4 : in_page;
    return ip + std::min({in_page, std::max<uint64_t>(to_stop, 1), std::min(limit_, next_look_) - turn_.instructions});
  }

  // Until the page is left, the group changes, or the turn is over.
  void run_in_page(const CodePage& page) {
    const uint64_t base = page_of(wave_.pc);
    const uint64_t generation = unit_.generation;
    do {
      const Decoded* const first = page.code + (wave_.pc - base) / 4;
      const Decoded* ip = first;
      const Decoded* const end = end_of_stretch(page, first);
      wave_.notified = false;
      wave_.stretch_pc = wave_.pc;
      const Next next = wave_.active == kAllLanes ? step_full(ip, end) : step_masked(ip, end);
      const bool retired = next != Next::Sequential && next != Next::Wait && next != Next::Failed && next != Next::Hold;
      count(static_cast<uint64_t>(ip - first) + retired);
      if (next == Next::Sequential) wave_.pc = base + static_cast<uint64_t>(ip - page.code) * 4;
      if (!after(next, ip)) return;
      if (next == Next::Refetch || unit_.generation != generation) return;
      if (turn_.instructions >= next_look_ && !may_go_on()) return;
    } while (turn_.instructions < limit_ && page_of(wave_.pc) == base);
  }

  bool may_go_on() {
    next_look_ = turn_.instructions + kBetweenLooks;
    unit_.write_oldest(wave_);
    if (wave_.synchronised || unit_.should_yield()) yield_ = true;
    return !yield_;
  }

  void count(uint64_t instructions) {
    turn_.instructions += instructions;
    turn_.lane_instructions += instructions * (wave_.active == kAllLanes ? kLanes : count_lanes(wave_.active));
    wave_.issued += instructions;
    if (others_wait(wave_)) spend_patience(wave_, instructions);
  }

  // False: leave the page.
  bool after(Next next, const Decoded* ip) {
    switch (next) {
      case Next::Sequential: return at_new_pc();
      case Next::Jump: return jumped(*ip);
      case Next::Diverged: return diverged(*ip);
      case Next::Refetch: return slowly(*ip);
      case Next::Pause: return paused(*ip);
      case Next::Hold: return held(*ip);
      case Next::Yield: return yielded(*ip);
      case Next::Barrier: return arrived(*ip);
      case Next::Exit: return ended(wave_.active);
      case Next::Wait: stall(*ip); return false;
      case Next::Failed: failed(*ip); return false;
    }
    return false;
  }

  // The group is at wave.pc. It stays the group unless others are there, or ought to run.
  bool at_new_pc() {
    if (!others_wait(wave_)) return true;
    if (wave_.pc < wave_.stop_pc && !wave_.rotated && wave_.patience != 0) return true;
    return regroup_at_pc(wave_);
  }

  bool slowly(const Decoded& d) {
    wave_.pc = d.pc + 4;
    if (unit_.should_yield()) yield_ = true;
    return at_new_pc() && !yield_;
  }

  bool jumped(const Decoded& d) {
    if (wave_.pc == TANDEM_LANE_EXIT_PC) return ended(wave_.active);
    if (wave_.pc & 3) return misaligned_target(d, first_lane(wave_.active), wave_.pc);
    return at_new_pc();
  }

  bool diverged(const Decoded& d) {
    LaneMask ends = 0;
    for (LaneMask lanes = wave_.active; lanes; lanes &= lanes - 1) {
      const uint32_t lane = first_lane(lanes);
      if (wave_.lane_pc[lane] == TANDEM_LANE_EXIT_PC) ends |= lane_bit(lane);
      else if (wave_.lane_pc[lane] & 3) return misaligned_target(d, lane, wave_.lane_pc[lane]);
    }
    if (ends) return ended(ends);
    return choose_group(wave_);
  }

  bool misaligned_target(const Decoded& d, uint32_t lane, uint64_t target) {
    fail(wave_, d, TANDEM_QUEUE_ADDRESS_RANGE, lane, target, TANDEM_ACCESS_EXECUTE);
    wave_.pc = d.pc;
    wave_.state = WaveState::Failed;
    return false;
  }

  bool paused(const Decoded& d) {
    wave_.pc = d.pc + 4;
    at_new_pc();
    pause();
    return false;
  }

  void pause() {
    wave_.state = WaveState::Paused;
    turn_.waits = yield_ = true;
  }

  // Waiting costs patience, too: else lanes that spin, on values that are always late, keep the others waiting for very long.
  bool held(const Decoded& d) {
    wave_.pc = d.pc;
    if (others_wait(wave_)) spend_patience(wave_, kHoldImpatience);
    at_new_pc();
    turn_.held = yield_ = true;
    return false;
  }

  bool yielded(const Decoded& d) {
    wave_.pc = d.pc + 4;
    if (others_wait(wave_)) spend_patience(wave_, kPauseImpatience);
    at_new_pc();
    yield_ = true;
    return false;
  }

  bool arrived(const Decoded& d) {
    unit_.write_queued(wave_);
    park_active(wave_, d.pc + 4);
    wave_.barrier_lanes |= wave_.active;
    return go_on_without();
  }

  // Stores of a lane that ended are in memory: its end may be what somebody waits for.
  bool ended(LaneMask lanes) {
    unit_.write_queued(wave_);
    end_lanes(wave_, lanes);
    turn_.lanes_ended += count_lanes(lanes);
    return go_on_without();
  }

  bool go_on_without() {
    turn_.lanes_rested = true;
    if (choose_group(wave_)) return true;
    rest();
    return false;
  }

  void rest() { wave_.state = wave_.live ? WaveState::AtBarrier : WaveState::Done; }

  void stall(const Decoded& d) {
    wave_.pc = d.pc;
    if (&d != &wave_.stalled) wave_.stalled = d;
    wait(Wave::Waits::Access);
  }

  void failed(const Decoded& d) {
    wave_.pc = d.pc;
    wave_.state = WaveState::Failed;
  }

  void finish_stalled() {
    wave_.notified = false;
    const Next next = wave_.stalled.masked(wave_, wave_.stalled);
    if (next == Next::Wait) return stall(wave_.stalled);
    if (next == Next::Failed) return failed(wave_.stalled);
    waited_enough();
    count(1);
    wave_.pc = wave_.stalled.pc + 4;
    at_new_pc();
    if (next == Next::Pause) pause();
  }

  // A lane of the instruction that waits touches the page that was cancelled; if none does any more, the first one.
  void fail_cancelled() {
    const uint64_t va = wave_.cancelled_va.value;
    Decoded fetched;
    fetched.pc = wave_.pc;
    const bool fetch = wave_.waits == Wave::Waits::Fetch;
    const Decoded& d = fetch ? fetched : wave_.stalled;
    const LaneMask lanes = wave_.lanes_of_instruction();
    uint32_t lane = first_lane(lanes ? lanes : wave_.live);
    uint64_t address = va;
    for (LaneMask rest = fetch ? 0 : lanes; rest; rest &= rest - 1) {
      const uint64_t own = wave_.x[d.rs1].lane[first_lane(rest)] + static_cast<uint64_t>(d.imm);
      if (own / kCodePageBytes != va / kCodePageBytes) continue;
      lane = first_lane(rest);
      address = own;
      break;
    }
    fail(wave_, d, wave_.cancelled, lane, address, static_cast<uint32_t>(wave_.request.access));
    wave_.state = WaveState::Failed;
  }

  UnitContext& unit_;
  Wave& wave_;
  const uint64_t limit_;
  uint64_t next_look_ = kBetweenLooks;
  bool yield_ = false;
  Turn turn_;
};

}  // namespace

Turn run_wave(UnitContext& unit, Wave& wave, uint64_t limit) { return TurnRunner(unit, wave, limit).run(); }

}  // namespace tandem::compute
