/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the shadows of a program and of its children have done, in the file that TANDEM_SHADOW_REPORT names: they add to it after
 * each round, so that it is complete however a process ends.
 */
#ifndef TANDEM_SHADOW_REPORT_H
#define TANDEM_SHADOW_REPORT_H

#include <stdint.h>

struct shadow_report {
	uint64_t processes; /* that the GPU has read in */
	uint64_t rounds;    /* through an address space */
	uint64_t read;      /* pages that were there */
	uint64_t tried;
	uint64_t failures;  /* a shadow could not begin, or its queue stopped */
};

#endif
