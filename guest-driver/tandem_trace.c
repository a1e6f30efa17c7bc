// SPDX-License-Identifier: GPL-2.0-or-later
/* The tracepoints' one definition. */
#define CREATE_TRACE_POINTS
#include "tandem_trace.h"
