// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/vram_pages.h"

#include <algorithm>

#include "base/text.h"

namespace tandem {

void VramPages::set(uint64_t first, uint64_t count, State state, uint32_t owner) {
  told_ = true;
  if (first >= pages_.size()) return;
  const uint64_t end = first + std::min<uint64_t>(count, pages_.size() - first);
  for (uint64_t number = first; number < end; ++number) {
    Page& page = pages_[number];
    page.state = state;
    page.was_used |= state != State::Free;
    if (state != State::Free) page.owner = owner;
  }
}

std::optional<Finding> VramPages::judge(uint64_t offset) const {
  const uint64_t number = offset / TANDEM_PAGE_BYTES;
  if (!told_ || number >= pages_.size()) return {};
  const Page& page = pages_[number];
  const std::string whose = format("page %#llx of video memory, last of process %u", static_cast<unsigned long long>(offset), page.owner);
  switch (page.state) {
    case State::Free:
      if (!page.was_used) return Finding{"X3.vram-never-allocated", "a page of video memory was accessed that nobody has allocated", {whose}};
      return Finding{"X3.vram-use-after-free", "a page of video memory was accessed after it had been freed", {whose}};
    case State::Filling:
      return Finding{"X4.use-before-copy", "a page of video memory was accessed before what belongs there had been copied", {whose}};
    case State::Allocated: case State::Ready: return {};
  }
  return {};
}

void VramPages::reset() {
  std::fill(pages_.begin(), pages_.end(), Page{});
  told_ = false;
}

}  // namespace tandem
