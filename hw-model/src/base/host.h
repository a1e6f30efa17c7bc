// SPDX-License-Identifier: GPL-2.0-or-later
// What the blocks need of the host besides memory: the clock, the wish to be interrupted, and a place for guest errors.
#pragma once

#include <cstdarg>
#include <cstdint>

#include "base/text.h"
#include "tandem/model.h"

namespace tandem {

class Host {
 public:
  Host(const tandem_host_ops& ops, void* opaque) : ops_(ops), opaque_(opaque) {}

  uint64_t now() const { return ops_.now(opaque_); }
  bool should_yield() const { return ops_.should_yield && ops_.should_yield(opaque_); }
  void* opaque() const { return opaque_; }
  void interrupt(tandem_vector vector) const { ops_.interrupt(opaque_, vector); }

  // The IOMMU, where there is one (PCI Express, chapter 10).
  bool has_translation_services() const { return ops_.ats_request && ops_.page_request; }
  void ats_request(const tandem_ats_request& request) const { ops_.ats_request(opaque_, &request); }
  void page_request(const tandem_page_request& request) const { ops_.page_request(opaque_, &request); }

  void check_report(const tandem_check_report& report) const { ops_.check_report(opaque_, &report); }

  // A mistake of the guest: one sentence, no newline.
  [[gnu::format(printf, 2, 3)]] void guest_error(const char* pattern, ...) const {
    va_list arguments;
    va_start(arguments, pattern);
    const std::string text = vformat(pattern, arguments);
    va_end(arguments);
    ops_.guest_error(opaque_, text.c_str());
  }

 private:
  const tandem_host_ops& ops_;
  void* opaque_;
};

// Stops the device: a mistake of the driver after which going on would be unsafe. Only a reset helps.
class ErrorSink {
 public:
  virtual ~ErrorSink() = default;
  virtual void stop(tandem_device_error error, const char* what) = 0;
};

}  // namespace tandem
