/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The work of hash.c, shared by the kernel and the native comparison. */
#ifndef TANDEM_TESTS_HASH_H
#define TANDEM_TESTS_HASH_H

struct hash_arguments {
  const unsigned long* in;
  unsigned long* out;
  unsigned long count;
};

static inline unsigned long hash_finalise(unsigned long x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdUL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53UL;
  x ^= x >> 33;
  return x;
}

static inline void hash_elements(const struct hash_arguments* args, unsigned long first, unsigned long step) {
  const unsigned long* in = args->in;
  unsigned long* out = args->out;
  const unsigned long count = args->count;
  for (unsigned long i = first; i < count; i += step) out[i] += hash_finalise(in[i]) * 3;
}

#endif
