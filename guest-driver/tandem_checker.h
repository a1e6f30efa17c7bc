/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the driver tells the device's coherence checker (hw-model/abi/tandem_check.h), and only
 * where there is one: how page tables are read, where those of a process are, and what Linux is
 * doing to them. Without a checker each of these does nothing.
 */
#ifndef TANDEM_CHECKER_H
#define TANDEM_CHECKER_H

#include <linux/mmu_notifier.h>
#include <linux/workqueue.h>

struct tandem_as;
struct tandem_device;
struct tandem_event;

struct tandem_check {
	struct tandem_check_format *format; /* a page; NULL: there is no checker */
	u32 *vram_lives;                    /* one for each page of VRAM, or NULL */
	struct work_struct rest;
};

int tandem_check_init(struct tandem_device *tdev);
void tandem_check_fini(struct tandem_device *tdev);
void tandem_check_program(struct tandem_device *tdev);
void tandem_check_frames_changed(struct tandem_device *tdev);
void tandem_check_vram_turns(struct tandem_device *tdev, u64 index, unsigned int pages);
void tandem_check_asked(struct tandem_device *tdev);

int tandem_check_begin(struct tandem_as *as);
void tandem_check_end(struct tandem_as *as);
void tandem_check_lax_atomics(struct tandem_as *as);
u64 tandem_check_address(struct tandem_as *as);
int tandem_check_window_opens(struct tandem_as *as, const struct mmu_notifier_range *range);
void tandem_check_window_closes(struct tandem_as *as, const struct mmu_notifier_range *range);

#endif
