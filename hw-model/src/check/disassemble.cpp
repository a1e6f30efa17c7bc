// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/disassemble.h"

#include "base/text.h"
#include "tandem_abi.h"

namespace tandem {

namespace {

constexpr uint32_t kLoad = 0x03, kFloatLoad = 0x07, kStore = 0x23, kFloatStore = 0x27;

constexpr const char* kRegisters[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                      "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                      "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
constexpr const char* kLoads[] = {"lb", "lh", "lw", "ld", "lbu", "lhu", "lwu", nullptr};
constexpr const char* kStores[] = {"sb", "sh", "sw", "sd", nullptr, nullptr, nullptr, nullptr};

const char* reg(uint32_t number) { return kRegisters[number & 31]; }
uint32_t width(uint32_t word) { return word >> 12 & 7; }
int32_t load_offset(uint32_t word) { return static_cast<int32_t>(word) >> 20; }
int32_t store_offset(uint32_t word) { return (static_cast<int32_t>(word) >> 25) * 32 + static_cast<int32_t>(word >> 7 & 31); }

const char* atomic_name(uint32_t function) {
  switch (function) {
    case 0x00: return "amoadd";
    case 0x01: return "amoswap";
    case 0x02: return "lr";
    case 0x03: return "sc";
    case 0x04: return "amoxor";
    case 0x08: return "amoor";
    case 0x0c: return "amoand";
    case 0x10: return "amomin";
    case 0x14: return "amomax";
    case 0x18: return "amominu";
    case 0x1c: return "amomaxu";
    default: return nullptr;
  }
}

const char* scope_suffix(uint32_t opcode) {
  return opcode == TANDEM_OPCODE_AMO_DEVICE ? " (device scope)" : opcode == TANDEM_OPCODE_AMO_WORKGROUP ? " (workgroup scope)" : "";
}

std::string number(uint32_t word) { return format("instruction word %#010x", word); }

std::string atomic(uint32_t word) {
  const char* name = atomic_name(word >> 27);
  if (!name || width(word) < 2 || width(word) > 3) return number(word);
  const bool aq = word >> 26 & 1, rl = word >> 25 & 1;
  return format("%s.%s%s%s %s, %s, (%s)%s", name, width(word) == 2 ? "w" : "d", aq || rl ? "." : "",
                aq && rl ? "aqrl" : aq ? "aq" : rl ? "rl" : "", reg(word >> 7), reg(word >> 20), reg(word >> 15),
                scope_suffix(word & 0x7f));
}

}  // namespace

std::string disassemble(uint32_t word) {
  switch (word & 0x7f) {
    case kLoad:
      if (const char* name = kLoads[width(word)])
        return format("%s %s, %d(%s)", name, reg(word >> 7), load_offset(word), reg(word >> 15));
      break;
    case kStore:
      if (const char* name = kStores[width(word)])
        return format("%s %s, %d(%s)", name, reg(word >> 20), store_offset(word), reg(word >> 15));
      break;
    case kFloatLoad:
      if (width(word) == 2 || width(word) == 3)
        return format("%s f%u, %d(%s)", width(word) == 2 ? "flw" : "fld", word >> 7 & 31, load_offset(word), reg(word >> 15));
      break;
    case kFloatStore:
      if (width(word) == 2 || width(word) == 3)
        return format("%s f%u, %d(%s)", width(word) == 2 ? "fsw" : "fsd", word >> 20 & 31, store_offset(word), reg(word >> 15));
      break;
    case TANDEM_OPCODE_AMO: case TANDEM_OPCODE_AMO_DEVICE: case TANDEM_OPCODE_AMO_WORKGROUP: return atomic(word);
    default: break;
  }
  return number(word);
}

}  // namespace tandem
