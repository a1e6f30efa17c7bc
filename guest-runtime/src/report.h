/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of a fault report, from what is known. Without a device, so that it is tested on the host. */
#ifndef TANDEM_REPORT_TEXT_H
#define TANDEM_REPORT_TEXT_H

#include "tandem/tandem.h"

#define TANDEM_REPORT_CODE 7 /* instructions shown; the one that failed is in the middle */

struct tandem_report_code {
	uint32_t word[TANDEM_REPORT_CODE];
	bool readable[TANDEM_REPORT_CODE];
};

/* Reads the instructions around pc from this process's memory, whatever is there. */
void tandem_report_read_code(uint64_t pc, struct tandem_report_code *code);

/* Several lines: work item, code, registers. text is always terminated. */
void tandem_report_format(const struct tandem_wave_report *report, const struct tandem_report_code *code, char *text,
			  size_t bytes);

#endif
