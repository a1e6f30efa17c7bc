// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/names.h"

namespace tandem {

const char* aperture_name(tandem_aperture aperture) {
  switch (aperture) {
    case TANDEM_APERTURE_SYSTEM: return "system";
    case TANDEM_APERTURE_VRAM: return "vram";
    case TANDEM_APERTURE_PEER: return "peer";
  }
  return "?";
}

const char* access_name(Access access) {
  switch (access) {
    case Access::Read: return "read";
    case Access::Write: return "write";
    case Access::Atomic: return "atomic";
    case Access::Execute: return "execute";
  }
  return "?";
}

const char* reason_name(tandem_fault_reason reason) {
  switch (reason) {
    case TANDEM_FAULT_NOT_PRESENT: return "not-present";
    case TANDEM_FAULT_PERMISSION: return "permission";
    case TANDEM_FAULT_BAD_PTE: return "bad-pte";
    case TANDEM_FAULT_TABLE_DMA: return "table-dma";
    case TANDEM_FAULT_PAGE_DMA: return "page-dma";
    case TANDEM_FAULT_POISON: return "poison";
  }
  return "?";
}

const char* client_name(tandem_fault_client client) {
  switch (client) {
    case TANDEM_CLIENT_COMPUTE: return "wavefront";
    case TANDEM_CLIENT_QUEUE: return "queue";
    case TANDEM_CLIENT_COPY: return "copy engine";
  }
  return "?";
}

const char* cause_name(uint32_t cause) {
  switch (cause) {
    case TANDEM_CAUSE_NONE: return "no cause given";
    case TANDEM_CAUSE_UNMAP: return "unmap";
    case TANDEM_CAUSE_CLEAR: return "clear";
    case TANDEM_CAUSE_PROTECTION_VMA: return "mprotect";
    case TANDEM_CAUSE_PROTECTION_PAGE: return "write protection of pages";
    case TANDEM_CAUSE_SOFT_DIRTY: return "soft dirty";
    case TANDEM_CAUSE_RELEASE: return "exit of the process";
    case TANDEM_CAUSE_MIGRATE: return "migrate";
    case TANDEM_CAUSE_EXCLUSIVE: return "exclusive";
    case TANDEM_CAUSE_UPGRADE: return "upgrade";
    case TANDEM_CAUSE_UNBIND: return "unbind";
    case TANDEM_CAUSE_RECOVERY: return "recovery";
    case TANDEM_CAUSE_SERVICE: return "service";
    case TANDEM_CAUSE_TEST: return "test";
    default: return "?";
  }
}

}  // namespace tandem
