/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel scopes.c leaves: the old value and the new one of each operation of the device header, in each scope. */
#ifndef TANDEM_TESTS_SCOPES_H
#define TANDEM_TESTS_SCOPES_H

#define SCOPES 3
#define SCOPE_ORDERS 4
#define SCOPE_OPERATIONS 9

struct scope_result {
  unsigned long old32, new32, old64, new64;
};

struct scope_data {
  /* swap add and or xor min max minu maxu, each relaxed, acquire, release, seq_cst */
  struct scope_result done[SCOPES][SCOPE_OPERATIONS][SCOPE_ORDERS];
  unsigned long reserved32, reserved64;               /* sums of what LR-SC loops left */
};

#define SCOPE_START 0xfffffffffffffff0ul
#define SCOPE_OPERAND 0x0000000000000035ul

#endif
