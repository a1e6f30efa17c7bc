/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of instructions, run once for each lane from a state to a state: by the wavefront engine (differential.c as a kernel) and
 * by QEMU's user-mode emulation (differential_user.c), which must agree on every bit (differential_test.cpp).
 *
 * A block is entered with x31 at the lane's state, x30 the way back, x28 and x27 at its memory; it leaves these alone, and its
 * first instruction loads x29 from the state. It ends with jalr x0, 0(x30).
 */
#ifndef TANDEM_TESTS_DIFFERENTIAL_H
#define TANDEM_TESTS_DIFFERENTIAL_H

enum {
  DIFFERENTIAL_BLOCKS = 48,
  DIFFERENTIAL_LANES = 52, /* a whole wavefront and a part of one */
  DIFFERENTIAL_WORDS = 96,
  DIFFERENTIAL_MEMORY = 256,
};

struct differential_state {
  unsigned long x[32];
  unsigned long f[32];
  unsigned long fcsr;
  unsigned long saved_sp;
  unsigned char memory[DIFFERENTIAL_MEMORY];
};

struct differential_run {
  unsigned int code[DIFFERENTIAL_BLOCKS][DIFFERENTIAL_WORDS];
  struct differential_state state[DIFFERENTIAL_BLOCKS][DIFFERENTIAL_LANES];
};

#endif
