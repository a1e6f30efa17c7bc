// SPDX-License-Identifier: GPL-2.0-or-later
// The registers of BAR 0 (tandem_regs.h): which exist, who may access them and how, and 64-bit registers in two halves. What a
// register means is its owner's.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/host.h"

namespace tandem {

class RegisterOwner {
 public:
  virtual ~RegisterOwner() = default;
  virtual uint64_t read_register(uint32_t offset) = 0;
  virtual void write_register(uint32_t offset, uint64_t value) = 0;
  // Ring registers can be written only while this is false.
  virtual bool enabled() const = 0;
};

class RegisterFile {
 public:
  RegisterFile(RegisterOwner& owner, const Host& host, bool check, bool test_hooks);

  uint64_t read(uint64_t offset, unsigned size);
  void write(uint64_t offset, uint64_t value, unsigned size);
  void reset();

 private:
  enum class Access : uint8_t { ReadOnly, ReadWrite, WriteOnly, WriteOneToClear, SetupOnly };
  struct Register {
    uint32_t offset;
    uint32_t bytes;
    Access access;
    const char* name;
  };
  // Which part of a register an access hits.
  struct Hit {
    const Register* reg = nullptr;
    size_t index = 0;
    bool whole = false;
    bool high = false;
  };

  static const Register kTable[], kCheckTable[], kTestTable[];
  Hit find(uint64_t offset, unsigned size) const;
  bool may_write(const Register& reg) const;

  RegisterOwner& owner_;
  const Host& host_;
  std::vector<Register> registers_;     // in offset order
  std::vector<uint32_t> latched_low_;   // low halves written, until the high half comes
  std::vector<uint32_t> latched_high_;  // high halves as of the read of the low half
};

}  // namespace tandem
