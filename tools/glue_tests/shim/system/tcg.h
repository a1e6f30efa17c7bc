/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_SYSTEM_TCG_H
#define SHIM_SYSTEM_TCG_H

#include <stdbool.h>

static inline bool tcg_enabled(void) { return false; }
static inline bool qemu_tcg_mttcg_enabled(void) { return true; }

#endif
