// SPDX-License-Identifier: GPL-2.0-or-later
// The page table of a process as its CPUs have it, walked by the checker: what does it grant at an address? How entries are read,
// the driver has told (tandem_check.h, struct tandem_check_format): nothing of any kernel or processor is built in here.
//
// A present user leaf of any level grants reading, and writing if it and all above it are writable. A page of this GPU's memory,
// or of one on the link, that CPUs do not reach is granted as its entry says. A page that a device has to itself stays granted
// to devices. Everything else grants nothing.
#pragma once

#include <cstdint>

#include "check/physical_pages.h"

namespace tandem {

struct Grant {
  enum class Why : uint8_t {
    Present,        // the CPUs reach it, too
    Exclusive,      // a page that a device has to itself
    DevicePage,     // in video memory that CPUs do not reach
    Empty,          // nothing there, or no table
    InTransit,      // Linux is about to write the entry again
    NoRight,        // there, and nobody may touch it (PROT_NONE, NUMA hint), or for the kernel alone
    Swapped,
    Migrating,
    Poisoned,
    Marker,
    ForeignDevice,  // memory of a device that this GPU does not reach
    Unknown,        // an entry that the driver has not told of
    Unreadable,     // a table that is not in memory, or no format
  };
  Why why = Why::Unreadable;
  bool read = false, write = false;
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
  uint64_t address = 0;      // device address of the page of 4 KiB, if anything is granted
  uint32_t shift = TANDEM_PAGE_SHIFT;  // log2 of the bytes that the entry covers
  uint64_t entry = 0;        // as it was read

  bool operator==(const Grant&) const = default;
};

// "it is empty", and so on.
const char* words_of(Grant::Why why);

class ProcessTables {
 public:
  explicit ProcessTables(PhysicalPages& pages) : pages_(pages) {}

  // Physical address of the format; 0: none. False: there is no such memory, or it makes no sense.
  bool set_format(uint64_t address);
  uint64_t format_address() const { return format_address_; }
  uint64_t vram_lives() const { return format_.vram_lives; }

  // One walk. Takes entries as they are at this moment, each read once.
  Grant look(uint64_t root, uint32_t levels, Gva va);

 private:
  Grant judge_leaf(uint64_t entry, uint32_t level, Gva va, bool user, bool write) const;
  Grant judge_absent(uint64_t entry, uint32_t level, Gva va) const;
  Grant nothing(Grant::Why why, uint64_t entry, uint32_t level) const;
  void place(Grant& grant, uint64_t frame) const;
  const tandem_check_frames* frames_of(uint64_t frame) const;
  bool is_present(uint64_t entry) const { return (entry & format_.present) == format_.present; }

  PhysicalPages& pages_;
  uint64_t format_address_ = 0;
  tandem_check_format format_{};
};

}  // namespace tandem
