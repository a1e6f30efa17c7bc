/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_TRACE_CONTROL_H
#define SHIM_TRACE_CONTROL_H

#endif
