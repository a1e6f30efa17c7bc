// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on physical addresses.
#include "copy/physical_copy.h"

#include "check/checker.h"
#include "copy/move_bytes.h"

namespace tandem {

bool PhysicalCopy::step(uint64_t chunk) {
  uint64_t bytes = std::min(chunk, request_.fails_after.value_or(request_.bytes) - done_);
  const bool linear = request_.kind == CopyKind::Linear;
  const uint64_t to_address = request_.destination + done_;
  const uint64_t left = request_.bytes - done_;
  const MappedRun to = destination_.at(memory_, request_.destination_aperture, to_address, left, true, bytes);
  const MappedRun from =
      linear ? source_.at(memory_, request_.source_aperture, request_.source + done_, left, false, bytes) : MappedRun{};
  if (to.pending || from.pending) return false;
  if (!to.host || (linear && !from.host)) {
    if (!to.host) note_failure(TANDEM_COMMAND_COPY_FAILED, request_.destination_aperture, to_address);
    if (linear && !from.host) note_failure(TANDEM_COMMAND_POISONED, request_.source_aperture, request_.source + done_);
    return true;
  }
  memory_.before_store(to.host, bytes);
  if (linear) move(to, from, bytes);
  else fill_bytes(to.host, request_.source, done_, bytes);
  memory_.stored(request_.destination_aperture, to.address, bytes);
  counters_[TANDEM_COUNTER_COPY_BYTES] += bytes;
  done_ += bytes;
  if (done_ == request_.fails_after) error_ = TANDEM_COMMAND_COPY_FAILED;
  return true;
}

// System memory may be stored to by others at any time, so that only what comes from video memory or goes there can be compared.
void PhysicalCopy::move(const MappedRun& to, const MappedRun& from, uint64_t bytes) {
  Checker* const check = request_.source_aperture == request_.destination_aperture ? nullptr : memory_.checker();
  std::optional<CopyWitness> witness;
  if (check) [[unlikely]] witness.emplace(from.host, bytes);
  if (!request_.drops_last_piece || done_ + bytes < request_.bytes) move_bytes(to.host, from.host, bytes);
  if (witness) check->moved(*witness, from.host, to.host, request_.destination_aperture, request_.destination + done_);
}

// The driver learns of a poisoned source; a poisoned destination is a place where nothing can be written, and the event tells
// which page it is.
void PhysicalCopy::note_failure(tandem_command_error if_poisoned, tandem_aperture aperture, uint64_t address) {
  const bool poisoned = memory_.is_poisoned(aperture, address);
  error_ = poisoned ? if_poisoned : TANDEM_COMMAND_COPY_FAILED;
  if (poisoned) poisoned_page_ = peer_offset(address & ~(TANDEM_PAGE_BYTES - 1));
}

bool PhysicalCopy::drain_all() { return source_.drop() | destination_.drop(); }

}  // namespace tandem
