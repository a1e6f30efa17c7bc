// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine: moves a chunk of one job in each tick, jobs in turn. A job works on virtual addresses (virtual_copy.h) or on
// physical ones (physical_copy.h); it belongs to whoever submitted it, who removes it when it has ended or is not wanted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/hostile.h"
#include "mmu/translation.h"
#include "tandem/model.h"

namespace tandem {

enum class CopyKind : uint8_t { Linear = TANDEM_COPY_LINEAR, Fill = TANDEM_COPY_FILL };

class CopyJob {
 public:
  virtual ~CopyJob() = default;
  // Moves at most chunk bytes. False if it has to wait.
  virtual bool step(uint64_t chunk) = 0;
  virtual bool ended() const = 0;
  // As of TranslationClient. True if the job forgot an address.
  virtual bool drain(Pasid pasid, Gva start, Gva end) = 0;
  virtual bool drain_all() = 0;
};

// A job of the driver's: the command that it belongs to ends with it.
class CommandJob : public CopyJob {
 public:
  virtual tandem_command_error error() const = 0;
  // Offset into VRAM of the page that it could not use, if that was why it failed.
  virtual std::optional<uint64_t> poisoned_page() const { return {}; }
};

class CopyEngine final : public TranslationClient {
 public:
  // mutation: a test's (tandem_mutation).
  CopyEngine(uint64_t chunk_bytes, Hostile& hostile, uint32_t mutation = 0)
      : chunk_bytes_(chunk_bytes), hostile_(hostile), mutation_(mutation) {}

  void submit(CopyJob& job) { jobs_.push_back(&job); }
  void remove(CopyJob& job) { std::erase(jobs_, &job); }
  bool busy() const { return !jobs_.empty(); }

  // One tick: a chunk of the next job that can go on. False if all wait (or there is none).
  bool step() {
    const uint64_t chunk = hostile_.part(chunk_bytes_ / kLine) * kLine;
    turn_ += hostile_.pick(jobs_.size());
    for (size_t tried = 0; tried < jobs_.size(); ++tried) {
      turn_ = (turn_ + 1) % jobs_.size();
      CopyJob& job = *jobs_[turn_];
      if (!job.ended() && job.step(chunk)) return true;
    }
    return false;
  }

  DrainResult drain(Pasid pasid, Gva start, Gva end) override {
    DrainResult result;
    if (mutation_ == TANDEM_MUTATION_COPY_KEEPS_ADDRESS) return result;
    for (CopyJob* job : jobs_) result.copy_restarted |= job->drain(pasid, start, end);
    return result;
  }
  DrainResult drain_all() override {
    DrainResult result;
    for (CopyJob* job : jobs_) result.copy_restarted |= job->drain_all();
    return result;
  }
  void reset() { jobs_.clear(); }

 private:
  static constexpr uint64_t kLine = 64;  // chunks are multiples of it

  const uint64_t chunk_bytes_;
  Hostile& hostile_;
  const uint32_t mutation_;
  std::vector<CopyJob*> jobs_;
  size_t turn_ = 0;
};

}  // namespace tandem
