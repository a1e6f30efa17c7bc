// SPDX-License-Identifier: GPL-2.0-or-later
// Small accesses of the queues to the process's memory.
#include "queue/virtual_access.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "mem/atomic_operations.h"

namespace tandem {

VirtualAccess::Status VirtualAccess::translate(Gva va, Access access) {
  if (error_ != TANDEM_QUEUE_OK) return Status::Failed;
  if (waiting_) return Status::Wait;
  access_ = access;
  const TranslationRequest request{.pasid = pasid_,
                                   .queue = queue_,
                                   .va = va,
                                   .access = access,
                                   .client = TANDEM_CLIENT_QUEUE,
                                   .unit = 0,
                                   .pc = 0,
                                   .on_miss = on_miss_};
  const TranslationResult result = translator_.translate(request, *this);
  if (result.kind == TranslationResult::Kind::Hit) {
    entry_ = result.entry;
    return Status::Done;
  }
  if (result.kind == TranslationResult::Kind::Wait) {
    waiting_ = true;
    return Status::Wait;
  }
  translation_failed(result.error, va);
  return Status::Failed;
}

void VirtualAccess::translation_ready() {
  waiting_ = false;
  attention_.ask();
}

void VirtualAccess::translation_failed(QueueError error, Gva va) {
  waiting_ = false;
  error_ = error;
  error_va_ = va;
  attention_.ask();
}

VirtualAccess::Status VirtualAccess::read(Gva va, void* to, uint64_t bytes) {
  while (done_ < bytes) {
    const Gva at = va + done_;
    if (const Status status = translate(at, Access::Read); status != Status::Done) return status;
    const uint64_t to_page_end = TANDEM_PAGE_BYTES - at.value % TANDEM_PAGE_BYTES;
    const uint64_t end = std::min(bytes, done_ + to_page_end);
    for (; done_ < end; done_ += sizeof(uint64_t)) {
      const auto* word = reinterpret_cast<const uint64_t*>(entry_->at(va + done_));
      // Acquire: pairs with the release of the packet's header, which lies in the first word.
      const uint64_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      std::memcpy(static_cast<std::byte*>(to) + done_, &value, sizeof value);
    }
  }
  done_ = 0;
  return Status::Done;
}

template <typename T>
VirtualAccess::Status VirtualAccess::store(Gva va, T value) {
  if (const Status status = translate(va, Access::Write); status != Status::Done) return status;
  memory_.before_store(entry_->at(va), sizeof value);
  __atomic_store_n(reinterpret_cast<T*>(entry_->at(va)), value, __ATOMIC_RELEASE);
  memory_.stored(*entry_, va, sizeof value);
  return Status::Done;
}

template VirtualAccess::Status VirtualAccess::store(Gva, uint16_t);
template VirtualAccess::Status VirtualAccess::store(Gva, uint64_t);

VirtualAccess::Status VirtualAccess::add64(Gva va, int64_t addend, int64_t& result) {
  if (!atomic_begun_) {
    if (const Status status = translate(va, Access::Atomic); status != Status::Done) return status;
    begin_add64(va, addend);
  }
  if (atomics_under_way()) return Status::Wait;
  atomic_begun_ = false;
  result = atomic_result_;
  return Status::Done;
}

void VirtualAccess::begin_add64(Gva va, int64_t addend) {
  AtomicUnit& atomics = memory_.atomics();
  const AtomicWord word{.pasid = pasid_, .va = va, .host = entry_->at(va), .aperture = entry_->aperture,
                        .device_address = entry_->device_address + (va - entry_->va)};
  const AtomicUnit::Means means = atomics.means_for(word.aperture);
  atomic_result_ = atomics.modify<atomic_operation::Add>(means, word, addend, *this) + addend;
  atomic_begun_ = true;
  if (means != AtomicUnit::Means::Paused) memory_.stored(*entry_, va, sizeof addend);
}

}  // namespace tandem
