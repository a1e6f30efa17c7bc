// SPDX-License-Identifier: GPL-2.0-or-later
// The shape of the hardware: defaults and limits.
#pragma once

#include <string>

#include "tandem/model.h"

namespace tandem {

tandem_model_config default_config();

// Empty if every value is in range; otherwise a sentence for the user that names the property and its limits.
std::string check_config(const tandem_model_config& config);

// nullptr: there is no such mutation.
const char* mutation_name(uint32_t mutation);

}  // namespace tandem
