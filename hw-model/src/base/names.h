// SPDX-License-Identifier: GPL-2.0-or-later
// Words for what numbers mean, as monitor and reports show them. "?" for what has no name.
#pragma once

#include "base/types.h"

namespace tandem {

const char* aperture_name(tandem_aperture aperture);
const char* access_name(Access access);
const char* reason_name(tandem_fault_reason reason);
const char* client_name(tandem_fault_client client);
const char* cause_name(uint32_t cause);  // enum tandem_cause

}  // namespace tandem
