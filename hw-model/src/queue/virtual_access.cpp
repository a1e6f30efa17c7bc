// SPDX-License-Identifier: GPL-2.0-or-later
// Small accesses of the queues to the process's memory.
#include "queue/virtual_access.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace tandem {

VirtualAccess::Status VirtualAccess::translate(Gva va, Access access) {
  if (error_ != TANDEM_QUEUE_OK) return Status::Failed;
  if (waiting_) return Status::Wait;
  access_ = access;
  const TranslationRequest request{
      .pasid = pasid_, .queue = queue_, .va = va, .access = access, .client = TANDEM_CLIENT_QUEUE, .unit = 0, .pc = 0};
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
  __atomic_store_n(reinterpret_cast<T*>(entry_->at(va)), value, __ATOMIC_RELEASE);
  memory_.stored(*entry_, va, sizeof value);
  return Status::Done;
}

template VirtualAccess::Status VirtualAccess::store(Gva, uint16_t);
template VirtualAccess::Status VirtualAccess::store(Gva, uint64_t);

VirtualAccess::Status VirtualAccess::add64(Gva va, int64_t addend, int64_t& result) {
  if (const Status status = translate(va, Access::Atomic); status != Status::Done) return status;
  auto* word = reinterpret_cast<int64_t*>(entry_->at(va));
  if (pcie_atomics_ || entry_->aperture != TANDEM_APERTURE_SYSTEM) {
    result = __atomic_add_fetch(word, addend, __ATOMIC_ACQ_REL);
  } else {
    // Without PCIe AtomicOps the device must own the page exclusively: a plain load, modify and store (design page).
    result = __atomic_load_n(word, __ATOMIC_RELAXED) + addend;
    __atomic_store_n(word, result, __ATOMIC_RELEASE);
  }
  memory_.stored(*entry_, va, sizeof result);
  return Status::Done;
}

}  // namespace tandem
