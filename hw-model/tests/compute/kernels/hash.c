// SPDX-License-Identifier: GPL-2.0-or-later
// The hash kernel of the speed figures: for each element a 64-bit finaliser hash, a multiply-add, one load, one load-store.
// Also compiled for the host, as the native code to compare with.
#include "hash.h"

#ifdef __riscv
static inline unsigned long read_global_id(void) {
  unsigned long v;
  __asm__("csrr %0, 0xcc2" : "=r"(v));
  return v;
}
static inline unsigned long read_grid_size(void) {
  unsigned long v;
  __asm__("csrr %0, 0xcce" : "=r"(v));
  return v;
}

__attribute__((section(".text.start"))) void hash_kernel(const struct hash_arguments* args) {
  hash_elements(args, read_global_id(), read_grid_size());
}
#endif
