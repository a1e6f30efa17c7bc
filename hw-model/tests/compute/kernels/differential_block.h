/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Enters a block of differential.h and comes back. The offsets are those of struct differential_state. */
#ifndef TANDEM_TESTS_DIFFERENTIAL_BLOCK_H
#define TANDEM_TESTS_DIFFERENTIAL_BLOCK_H

#include "differential.h"

_Static_assert(__builtin_offsetof(struct differential_state, f) == 256, "as below");
_Static_assert(__builtin_offsetof(struct differential_state, fcsr) == 512, "as below");
_Static_assert(__builtin_offsetof(struct differential_state, saved_sp) == 520, "as below");
_Static_assert(__builtin_offsetof(struct differential_state, memory) == 528, "as below");

#define EACH_X(DO) /* those that a block may change, but for x29 */ \
  DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19) \
  DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26)
#define EACH_F(DO) DO(0) EACH_X(DO) DO(27) DO(28) DO(29) DO(30) DO(31)
#define EACH_SAVED(DO) /* what a function must keep, at these words of its frame */ \
  DO(1) DO(3) DO(4) DO(8) DO(9) DO(18) DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27)
#define EACH_SAVED_F(DO) DO(8) DO(9) DO(18) DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27)

#define LOAD_X(n) "ld x" #n ", 8*" #n "(x31)\n"
#define STORE_X(n) "sd x" #n ", 8*" #n "(x31)\n"
#define LOAD_F(n) "fld f" #n ", 256+8*" #n "(x31)\n"
#define STORE_F(n) "fsd f" #n ", 256+8*" #n "(x31)\n"
#define SAVE(n) "sd x" #n ", 8*" #n "(sp)\n"
#define RESTORE(n) "ld x" #n ", 8*" #n "(sp)\n"
#define SAVE_F(n) "fsd f" #n ", 256+8*" #n "(sp)\n"
#define RESTORE_F(n) "fld f" #n ", 256+8*" #n "(sp)\n"

void differential_block(const unsigned int *code, struct differential_state *state);

__asm__(
    ".text\n"
    ".type differential_block, @function\n"
    "differential_block:\n"
    "addi sp, sp, -512\n" EACH_SAVED(SAVE) EACH_SAVED_F(SAVE_F)
    "mv x31, a1\n"
    "mv x29, a0\n"
    "addi x28, x31, 528+128\n"
    "addi x27, x31, 528+64\n"
    "sd sp, 520(x31)\n"
    "ld x30, 512(x31)\n"
    "fscsr x30\n"
    EACH_F(LOAD_F) EACH_X(LOAD_X)
    "jalr x30, 0(x29)\n"
    EACH_X(STORE_X) STORE_X(29) EACH_F(STORE_F)
    "frcsr x30\n"
    "sd x30, 512(x31)\n"
    "ld sp, 520(x31)\n"
    "sd x0, 520(x31)\n"
    EACH_SAVED(RESTORE) EACH_SAVED_F(RESTORE_F)
    "addi sp, sp, 512\n"
    "ret\n");

#endif
