// SPDX-License-Identifier: GPL-2.0-or-later
// The blocks of differential.h as a kernel: each lane runs all of them on its own states.
#include "differential_block.h"

static inline unsigned long read_global_id(void) {
  unsigned long v;
  __asm__("csrr %0, 0xcc2" : "=r"(v));
  return v;
}

__attribute__((section(".text.start"))) void differential_kernel(struct differential_run* run) {
  const unsigned long lane = read_global_id();
  for (int block = 0; block < DIFFERENTIAL_BLOCKS; block++) differential_block(run->code[block], &run->state[block][lane]);
}
