/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A window of a process's pages: what is looked at together (tandem_window.c), and what of it the
 * device gets (tandem_commit.c).
 */
#ifndef TANDEM_WINDOW_H
#define TANDEM_WINDOW_H

#include "tandem_mirror.h"

#define TANDEM_WINDOW_PAGES 512

/* Pages that the device asked for, one behind the other, and what around them is looked at too. */
struct tandem_window {
	u64 va, va_end; /* inside one 2 MiB block */
	u64 start, end;
	struct tandem_mirror_wish wish;
	struct tandem_device *foreign;
	bool prepared; /* for leaves of 4 KiB */
	bool taken;    /* no CPU can reach the page asked for */
	bool stays;    /* where it is: it did not move to VRAM */
	bool in_pages; /* part of a huge page is lost: no leaf may span it */
	unsigned long pfns[TANDEM_WINDOW_PAGES];
	u64 ptes[TANDEM_WINDOW_PAGES];
};

/* Entries of the pages asked for: [first, last). */
static inline unsigned int tandem_window_first(const struct tandem_window *window)
{
	return (window->va - window->start) >> PAGE_SHIFT;
}

static inline unsigned int tandem_window_last(const struct tandem_window *window)
{
	return (window->va_end - window->start) >> PAGE_SHIFT;
}

static inline unsigned long tandem_window_pfn(const struct tandem_window *window)
{
	return window->pfns[tandem_window_first(window)];
}

/* tandem_commit.c */
int tandem_window_commit(struct tandem_as *as, struct tandem_chunk *chunk,
			 struct tandem_window *window, unsigned long sequence,
			 struct tandem_service_result *result);

#endif
