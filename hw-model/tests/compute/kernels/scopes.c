/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every function of the device header that has a scope, once for each scope and order; one lane. */
#include "scopes.h"

#include "tandem/device.h"

#define ONE_ORDER(name, type32, type64, order)                                                        \
  {                                                                                                   \
    type32 word = (type32)SCOPE_START;                                                                \
    type64 doubleword = (type64)SCOPE_START;                                                          \
    to->old32 = (uint32_t)tandem_atomic_##name##32(&word, (type32)SCOPE_OPERAND, order, scope);       \
    to->old64 = (uint64_t)tandem_atomic_##name##64(&doubleword, (type64)SCOPE_OPERAND, order, scope); \
    to->new32 = (uint32_t)word;                                                                       \
    to->new64 = (uint64_t)doubleword;                                                                 \
    to++;                                                                                             \
  }

#define OPERATION(name, type32, type64)                     \
  ONE_ORDER(name, type32, type64, __ATOMIC_RELAXED)         \
  ONE_ORDER(name, type32, type64, __ATOMIC_ACQUIRE)         \
  ONE_ORDER(name, type32, type64, __ATOMIC_RELEASE)         \
  ONE_ORDER(name, type32, type64, __ATOMIC_SEQ_CST)

static inline __attribute__((always_inline)) void run_scope(struct scope_data* all, const enum tandem_scope scope) {
  struct scope_result* to = &all->done[scope][0][0];
  uint32_t word = 1;
  uint64_t doubleword = 1;

  OPERATION(swap, uint32_t, uint64_t)
  OPERATION(add, uint32_t, uint64_t)
  OPERATION(and, uint32_t, uint64_t)
  OPERATION(or, uint32_t, uint64_t)
  OPERATION(xor, uint32_t, uint64_t)
  OPERATION(min, int32_t, int64_t)
  OPERATION(max, int32_t, int64_t)
  OPERATION(minu, uint32_t, uint64_t)
  OPERATION(maxu, uint32_t, uint64_t)

  for (int done = 0; !done;) {
    uint32_t seen = tandem_load_reserved32(&word, __ATOMIC_ACQUIRE, scope);
    done = tandem_store_conditional32(&word, seen + 6, __ATOMIC_RELEASE, scope);
  }
  for (int done = 0; !done;) {
    uint64_t seen = tandem_load_reserved64(&doubleword, __ATOMIC_ACQUIRE, scope);
    done = tandem_store_conditional64(&doubleword, seen + 8, __ATOMIC_RELEASE, scope);
  }
  tandem_fence_scope(__ATOMIC_SEQ_CST, scope);
  tandem_fence_scope(__ATOMIC_ACQUIRE, scope);
  tandem_fence_scope(__ATOMIC_RELEASE, scope);
  tandem_fence_scope(__ATOMIC_RELAXED, scope);
  all->reserved32 += word;
  all->reserved64 += doubleword;
}

void start(struct scope_data* all);

__attribute__((section(".text.start"))) void start(struct scope_data* all) {
  run_scope(all, TANDEM_SCOPE_SYSTEM);
  run_scope(all, TANDEM_SCOPE_DEVICE);
  run_scope(all, TANDEM_SCOPE_WORKGROUP);
}
