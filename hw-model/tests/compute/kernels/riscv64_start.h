/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program for riscv64 Linux needs without a C library: a start, and system calls. So no cross tool chain is needed
 * beyond the clang that compiles kernels. QEMU's user-mode emulation runs such programs.
 */
#ifndef TANDEM_TESTS_RISCV64_START_H
#define TANDEM_TESTS_RISCV64_START_H

enum {
  SYSTEM_READ = 63,
  SYSTEM_WRITE = 64,
  SYSTEM_EXIT = 93,
  SYSTEM_CLOCK_GETTIME = 113,
  SYSTEM_MPROTECT = 226,
};

static inline long system_call(long number, long a, long b, long c) {
  register long a7 __asm__("a7") = number;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;

  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
  return a0;
}

int main(void);

__attribute__((used, noreturn)) void _start(void) {
  long status = main();

  for (;;) system_call(SYSTEM_EXIT, status, 0, 0);
}

#endif
