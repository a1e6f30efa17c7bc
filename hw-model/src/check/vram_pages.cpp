// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/vram_pages.h"

#include <algorithm>

#include "base/text.h"
#include "mem/host_words.h"

namespace tandem {

std::optional<uint32_t> VramPages::life_of(uint64_t number) {
  if (!lives_ || number >= filled_in_.size()) return {};
  const uint64_t address = lives_ + number * kLifeBytes;
  const uint64_t offset = address % TANDEM_PAGE_BYTES;
  const std::byte* page = shared_.find(address - offset);
  if (!page) return {};
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(page + offset), __ATOMIC_ACQUIRE);
}

uint64_t VramPages::end(uint64_t offset, uint64_t bytes) const {
  return offset < this->bytes() ? offset + std::min(bytes, this->bytes() - offset) : offset;
}

void VramPages::filled(uint64_t offset, uint64_t bytes) {
  const uint64_t end = this->end(offset, bytes) / TANDEM_PAGE_BYTES;
  const uint64_t first = (offset + TANDEM_PAGE_BYTES - 1) / TANDEM_PAGE_BYTES;
  for (uint64_t number = first; number < end; ++number)
    if (const auto life = life_of(number)) filled_in_[number] = *life;
}

std::optional<Finding> VramPages::judge(uint64_t offset) {
  const uint64_t number = offset / TANDEM_PAGE_BYTES;
  const auto life = life_of(number);
  if (!life) return {};
  const std::string which = format("the page at %#llx of video memory", static_cast<unsigned long long>(number * TANDEM_PAGE_BYTES));
  if (*life == 0) return Finding{"X3.vram-never-allocated", "a page of video memory was accessed that nobody has allocated", {which}};
  if (*life % 2 == 0) return Finding{"X3.vram-use-after-free", "a page of video memory was accessed after it had been freed", {which}};
  if (filled_in_[number] != *life)
    return Finding{"X4.use-before-copy", "a page of video memory was accessed before what belongs there had been copied", {which}};
  return {};
}

}  // namespace tandem
