// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/process_tables.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace tandem {

namespace {

using Why = Grant::Why;

uint32_t shift_of(uint32_t level) { return TANDEM_PAGE_SHIFT + TANDEM_CHECK_LEVEL_BITS * level; }

bool has(uint64_t entry, uint64_t bits) { return bits && (entry & bits) == bits; }

bool makes_sense(const tandem_check_frames& frames) {
  if (!frames.pages) return true;
  if (frames.aperture == TANDEM_APERTURE_PEER) return frames.peer < TANDEM_FABRIC_LIMIT;
  return frames.aperture == TANDEM_APERTURE_VRAM;
}

bool makes_sense(const tandem_check_format& format) {
  const auto known = [](uint8_t kind) { return kind <= TANDEM_CHECK_MARKER; };
  const auto sensible = [](const tandem_check_frames& frames) { return makes_sense(frames); };
  return format.present && format.address && format.type && format.offset && format.vram_lives % sizeof(uint32_t) == 0 &&
         std::all_of(std::begin(format.kinds), std::end(format.kinds), known) &&
         std::all_of(std::begin(format.frames), std::end(format.frames), sensible);
}

}  // namespace

const char* words_of(Why why) {
  switch (why) {
    case Why::Present: return "it is mapped";
    case Why::Exclusive: return "a device has the page to itself";
    case Why::DevicePage: return "the page is in a GPU's memory";
    case Why::Empty: return "nothing is mapped";
    case Why::InTransit: return "the entry is being changed";
    case Why::NoRight: return "nobody may touch it";
    case Why::Swapped: return "the page was swapped out";
    case Why::Migrating: return "the page is being migrated";
    case Why::Poisoned: return "the page is poisoned";
    case Why::Marker: return "there is a marker, and no page";
    case Why::ForeignDevice: return "the page is in the memory of a device that this GPU does not reach";
    case Why::Unknown: return "the entry is of an unknown kind";
    case Why::Unreadable: return "the table cannot be read";
  }
  return "?";
}

bool ProcessTables::set_format(uint64_t address) {
  format_address_ = 0;
  if (!address) return true;
  if (address % TANDEM_PAGE_BYTES) return false;
  const std::byte* page = pages_.find(address);
  if (!page) return false;
  std::memcpy(&format_, page, sizeof format_);
  if (!makes_sense(format_)) return false;
  format_address_ = address;
  return true;
}

Grant ProcessTables::nothing(Why why, uint64_t entry, uint32_t level) const {
  return {.why = why, .shift = shift_of(level), .entry = entry};
}

Grant ProcessTables::look(uint64_t root, uint32_t levels, Gva va) {
  if (!format_address_ || levels == 0 || levels > TANDEM_CHECK_LEVELS_MAX) return {};
  uint64_t table = root;
  bool user = true, write = true;
  for (uint32_t level = levels - 1;; --level) {
    const std::byte* page = pages_.find(table & ~(TANDEM_PAGE_BYTES - 1));
    if (!page) return nothing(Why::Unreadable, 0, level);
    const uint64_t index = va.value >> shift_of(level) & (TANDEM_CHECK_TABLE_ENTRIES - 1);
    // Pairs with whatever published the table: what an entry points to is read after it.
    const uint64_t entry = __atomic_load_n(reinterpret_cast<const uint64_t*>(page) + index, __ATOMIC_ACQUIRE);
    if (!is_present(entry)) return judge_absent(entry, level, va);
    user = user && has(entry, format_.user);
    write = write && has(entry, format_.write);
    if (level == 0 || has(entry, format_.large)) return judge_leaf(entry, level, va, user, write);
    table = entry & format_.address;
  }
}

Grant ProcessTables::judge_leaf(uint64_t entry, uint32_t level, Gva va, bool user, bool write) const {
  if (!user) return nothing(Why::NoRight, entry, level);
  const uint64_t bytes = 1ULL << shift_of(level);
  const uint64_t address = (entry & format_.address & ~(bytes - 1)) + (va.value & (bytes - 1));
  Grant grant{.why = Why::Present, .read = true, .write = write, .shift = shift_of(level), .entry = entry};
  place(grant, address >> TANDEM_PAGE_SHIFT);
  return grant;
}

Grant ProcessTables::judge_absent(uint64_t entry, uint32_t level, Gva va) const {
  if (!(entry & ~format_.ignored)) return nothing(Why::Empty, entry, level);
  if (has(entry, format_.none_right)) return nothing(Why::NoRight, entry, level);
  if (level > 0 && has(entry, format_.large)) return nothing(Why::InTransit, entry, level);
  const uint64_t type = TANDEM_FIELD_GET(format_.type, entry);
  const auto kind = static_cast<tandem_check_kind>(type < TANDEM_CHECK_TYPES ? format_.kinds[type] : TANDEM_CHECK_UNKNOWN);
  Grant grant = nothing(Why::Unknown, entry, level);
  switch (kind) {
    case TANDEM_CHECK_SWAP: grant.why = Why::Swapped; return grant;
    case TANDEM_CHECK_MIGRATION: grant.why = Why::Migrating; return grant;
    case TANDEM_CHECK_POISON: grant.why = Why::Poisoned; return grant;
    case TANDEM_CHECK_MARKER: grant.why = Why::Marker; return grant;
    case TANDEM_CHECK_UNKNOWN: return grant;
    case TANDEM_CHECK_DEVICE_READ:
    case TANDEM_CHECK_DEVICE_WRITE:
    case TANDEM_CHECK_EXCLUSIVE: break;
  }
  const uint64_t frame = TANDEM_FIELD_GET(format_.offset, entry ^ format_.offset_flip) & format_.offset_frame;
  const uint64_t within = (va.value & ((1ULL << shift_of(level)) - 1)) >> TANDEM_PAGE_SHIFT;
  grant.why = kind == TANDEM_CHECK_EXCLUSIVE ? Why::Exclusive : Why::DevicePage;
  grant.read = true;
  grant.write = kind != TANDEM_CHECK_DEVICE_READ;
  place(grant, frame + within);
  // Frames of private memory are nobody's but their device's.
  if (grant.why == Why::DevicePage && grant.aperture == TANDEM_APERTURE_SYSTEM) return nothing(Why::ForeignDevice, entry, level);
  return grant;
}

// Where the GPU finds the frame: in its own memory, in that of one on the link, or in the system's.
void ProcessTables::place(Grant& grant, uint64_t frame) const {
  const tandem_check_frames* frames = frames_of(frame);
  if (!frames) {
    grant.address = frame << TANDEM_PAGE_SHIFT;
    return;
  }
  const uint64_t offset = (frame - frames->first) << TANDEM_PAGE_SHIFT;
  grant.aperture = static_cast<tandem_aperture>(frames->aperture);
  grant.address = grant.aperture == TANDEM_APERTURE_PEER ? peer_address(frames->peer, offset) : offset;
}

const tandem_check_frames* ProcessTables::frames_of(uint64_t frame) const {
  for (const tandem_check_frames& frames : format_.frames)
    if (frame - frames.first < frames.pages) return &frames;
  return nullptr;
}

}  // namespace tandem
