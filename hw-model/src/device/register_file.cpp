// SPDX-License-Identifier: GPL-2.0-or-later
// The registers of BAR 0: table of accesses, and the rules that hold for all of them.
#include "device/register_file.h"

#include <algorithm>
#include <iterator>

namespace tandem {

namespace {
constexpr uint64_t kAllOnes = ~0ULL;
uint64_t ones(unsigned size) { return size >= 8 ? kAllOnes : (1ULL << 8 * size) - 1; }
}  // namespace

const RegisterFile::Register RegisterFile::kTable[] = {
    {TANDEM_REG_ID, 4, Access::ReadOnly, "ID"},
    {TANDEM_REG_ABI_VERSION, 4, Access::ReadOnly, "ABI_VERSION"},
    {TANDEM_REG_COMPUTE_UNITS, 4, Access::ReadOnly, "COMPUTE_UNITS"},
    {TANDEM_REG_WAVES_PER_CU, 4, Access::ReadOnly, "WAVES_PER_CU"},
    {TANDEM_REG_ADDRESS_SPACES, 4, Access::ReadOnly, "ADDRESS_SPACES"},
    {TANDEM_REG_MAX_QUEUES, 4, Access::ReadOnly, "MAX_QUEUES"},
    {TANDEM_REG_LDS_BYTES, 4, Access::ReadOnly, "LDS_BYTES"},
    {TANDEM_REG_FEATURES, 4, Access::ReadOnly, "FEATURES"},
    {TANDEM_REG_VRAM_BYTES, 8, Access::ReadOnly, "VRAM_BYTES"},
    {TANDEM_REG_CLOCK_NS, 8, Access::ReadOnly, "CLOCK_NS"},
    {TANDEM_REG_FABRIC, 4, Access::ReadOnly, "FABRIC"},
    {TANDEM_REG_FABRIC_PEERS, 4, Access::ReadOnly, "FABRIC_PEERS"},
    {TANDEM_REG_CONTROL, 4, Access::ReadWrite, "CONTROL"},
    {TANDEM_REG_STATUS, 4, Access::ReadOnly, "STATUS"},
    {TANDEM_REG_ERROR, 4, Access::ReadOnly, "ERROR"},
    {TANDEM_REG_INTERRUPT_STATUS, 4, Access::WriteOneToClear, "INTERRUPT_STATUS"},
    {TANDEM_REG_INTERRUPT_ENABLE, 4, Access::ReadWrite, "INTERRUPT_ENABLE"},
    {TANDEM_REG_STATUS_PAGE, 8, Access::SetupOnly, "STATUS_PAGE"},
    {TANDEM_REG_ACCESS_THRESHOLD, 4, Access::ReadWrite, "ACCESS_THRESHOLD"},
    {TANDEM_REG_COMMAND_BASE, 8, Access::SetupOnly, "COMMAND_BASE"},
    {TANDEM_REG_COMMAND_ORDER, 4, Access::SetupOnly, "COMMAND_ORDER"},
    {TANDEM_REG_COMMAND_GET, 4, Access::ReadOnly, "COMMAND_GET"},
    {TANDEM_REG_COMMAND_PUT, 4, Access::ReadWrite, "COMMAND_PUT"},
    {TANDEM_REG_INVALIDATE_BASE, 8, Access::SetupOnly, "INVALIDATE_BASE"},
    {TANDEM_REG_INVALIDATE_ORDER, 4, Access::SetupOnly, "INVALIDATE_ORDER"},
    {TANDEM_REG_INVALIDATE_GET, 4, Access::ReadOnly, "INVALIDATE_GET"},
    {TANDEM_REG_INVALIDATE_PUT, 4, Access::ReadWrite, "INVALIDATE_PUT"},
    {TANDEM_REG_FAULT_BASE, 8, Access::SetupOnly, "FAULT_BASE"},
    {TANDEM_REG_FAULT_ORDER, 4, Access::SetupOnly, "FAULT_ORDER"},
    {TANDEM_REG_FAULT_GET, 4, Access::ReadWrite, "FAULT_GET"},
    {TANDEM_REG_FAULT_PUT, 4, Access::ReadOnly, "FAULT_PUT"},
    {TANDEM_REG_EVENT_BASE, 8, Access::SetupOnly, "EVENT_BASE"},
    {TANDEM_REG_EVENT_ORDER, 4, Access::SetupOnly, "EVENT_ORDER"},
    {TANDEM_REG_EVENT_GET, 4, Access::ReadWrite, "EVENT_GET"},
    {TANDEM_REG_EVENT_PUT, 4, Access::ReadOnly, "EVENT_PUT"},
};

// Only with the property check.
const RegisterFile::Register RegisterFile::kCheckTable[] = {
    {TANDEM_REG_CHECK_FORMAT, 8, Access::ReadWrite, "CHECK_FORMAT"},
    {TANDEM_REG_CHECK_AT_REST, 4, Access::WriteOnly, "CHECK_AT_REST"},
};

// Only with the property test-hooks.
const RegisterFile::Register RegisterFile::kTestTable[] = {
    {TANDEM_REG_TEST_CONTROL, 4, Access::ReadWrite, "TEST_CONTROL"},
    {TANDEM_REG_TEST_COPY_FAIL, 4, Access::ReadWrite, "TEST_COPY_FAIL"},
    {TANDEM_REG_TEST_POISON, 8, Access::WriteOnly, "TEST_POISON"},
};

RegisterFile::RegisterFile(RegisterOwner& owner, const Host& host, bool check, bool test_hooks)
    : owner_(owner), host_(host), registers_(std::begin(kTable), std::end(kTable)) {
  for (uint32_t counter = 0; counter < TANDEM_COUNTER_COUNT; ++counter)
    registers_.push_back({TANDEM_REG_COUNTERS + 8 * counter, 8, Access::ReadOnly, "COUNTERS"});
  if (check) registers_.insert(registers_.end(), std::begin(kCheckTable), std::end(kCheckTable));
  if (test_hooks) registers_.insert(registers_.end(), std::begin(kTestTable), std::end(kTestTable));
  std::sort(registers_.begin(), registers_.end(), [](const Register& a, const Register& b) { return a.offset < b.offset; });
  reset();
}

void RegisterFile::reset() {
  latched_low_.assign(registers_.size(), 0);
  latched_high_.assign(registers_.size(), 0);
}

RegisterFile::Hit RegisterFile::find(uint64_t offset, unsigned size) const {
  const auto after = std::upper_bound(registers_.begin(), registers_.end(), offset,
                                      [](uint64_t wanted, const Register& reg) { return wanted < reg.offset; });
  if (after == registers_.begin()) return {};
  const auto at = std::prev(after);
  const uint64_t inside = offset - at->offset;
  Hit hit{&*at, static_cast<size_t>(at - registers_.begin()), inside == 0 && size == at->bytes, inside == 4};
  const bool half = at->bytes == 8 && size == 4 && (inside == 0 || inside == 4);
  return hit.whole || half ? hit : Hit{};
}

uint64_t RegisterFile::read(uint64_t offset, unsigned size) {
  const Hit hit = find(offset, size);
  if (!hit.reg) {
    host_.guest_error("read of %u bytes at register offset %#llx", size, static_cast<unsigned long long>(offset));
    return ones(size);
  }
  if (hit.whole) return owner_.read_register(hit.reg->offset);
  // The two halves belong together: the high one is that of the moment when the low one was read.
  if (hit.high) return latched_high_[hit.index];
  const uint64_t value = owner_.read_register(hit.reg->offset);
  latched_high_[hit.index] = static_cast<uint32_t>(value >> 32);
  return static_cast<uint32_t>(value);
}

bool RegisterFile::may_write(const Register& reg) const {
  if (reg.access == Access::ReadOnly) {
    host_.guest_error("write to read-only register %s", reg.name);
    return false;
  }
  if (reg.access == Access::SetupOnly && owner_.enabled()) {
    host_.guest_error("write to register %s while the device is enabled", reg.name);
    return false;
  }
  return true;
}

void RegisterFile::write(uint64_t offset, uint64_t value, unsigned size) {
  const Hit hit = find(offset, size);
  if (!hit.reg) {
    host_.guest_error("write of %u bytes at register offset %#llx", size, static_cast<unsigned long long>(offset));
    return;
  }
  if (!may_write(*hit.reg)) return;
  value &= ones(size);
  if (hit.whole) owner_.write_register(hit.reg->offset, value);
  else if (hit.high) owner_.write_register(hit.reg->offset, value << 32 | latched_low_[hit.index]);
  else latched_low_[hit.index] = static_cast<uint32_t>(value);
}

}  // namespace tandem
