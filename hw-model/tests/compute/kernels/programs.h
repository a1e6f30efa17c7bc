/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs in plain C, run by each lane on its own data, and by the host for comparison: recursion, function pointers,
 * loops of unequal length, byte and word accesses, integer division, float and double arithmetic.
 */
#ifndef TANDEM_TESTS_PROGRAMS_H
#define TANDEM_TESTS_PROGRAMS_H

#define PROGRAM_WORDS 64

struct program_data {
  unsigned long seed;
  int keys[PROGRAM_WORDS];
  unsigned char text[64];
  double matrix[16];
  float series[8];
  unsigned long words[8];
};

static inline unsigned long next_random(unsigned long* state) {
  *state = *state * 6364136223846793005UL + 1442695040888963407UL;
  return *state >> 33;
}

static int ascending(int a, int b) { return a < b; }
static int descending(int a, int b) { return a > b; }
static int by_last_digit(int a, int b) { return a % 10 < b % 10 || (a % 10 == b % 10 && a < b); }

typedef int (*before_fn)(int, int);

static void quicksort(int* v, int n, before_fn before) {
  if (n < 2) return;
  const int pivot = v[n / 2];
  int i = 0, j = n - 1;
  for (;;) {
    while (before(v[i], pivot)) ++i;
    while (before(pivot, v[j])) --j;
    if (i >= j) break;
    const int t = v[i];
    v[i++] = v[j];
    v[j--] = t;
  }
  quicksort(v, i, before);
  quicksort(v + i, n - i, before);
}

static unsigned long collatz(unsigned long n) {
  unsigned long steps = 0;
  for (; n != 1; ++steps) n = n % 2 ? 3 * n + 1 : n / 2;
  return steps;
}

static void multiply(double* m) {
  double r[16];
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += m[4 * i + k] * m[4 * k + j];
      r[4 * i + j] = sum;
    }
  for (int i = 0; i < 16; ++i) m[i] = r[i] / (1.0 + (r[i] < 0 ? -r[i] : r[i]));
}

static inline void run_programs(struct program_data* d) {
  static const before_fn orders[] = {ascending, descending, by_last_digit};
  unsigned long state = d->seed;
  for (int i = 0; i < PROGRAM_WORDS; ++i) d->keys[i] = (int)next_random(&state) % 1000 - 500;
  quicksort(d->keys, PROGRAM_WORDS, orders[d->seed % 3]);
  for (int i = 0; i < 64; ++i) d->text[i] = (unsigned char)('a' + next_random(&state) % 26);
  for (int i = 0; i < (int)(d->seed % 40); ++i) d->text[i] ^= 0x20;
  for (int i = 0; i < 16; ++i) d->matrix[i] = (double)(long)next_random(&state) / 1e9 - 1;
  for (int i = 0; i < 5; ++i) multiply(d->matrix);
  float x = 1.0f + (float)(d->seed % 7);
  for (int i = 0; i < 8; ++i) {
    x = x - (x * x - (float)d->seed) / (2.0f * x);
    d->series[i] = x;
  }
  d->words[0] = collatz(d->seed + 1);
  d->words[1] = (unsigned long)((long)next_random(&state) / ((long)d->seed - 12));
  d->words[2] = (unsigned long)(long)(d->matrix[3] * 1e6);
  d->words[3] = (unsigned long)(long)(float)(int)next_random(&state);
  d->words[4] = next_random(&state) % (d->seed + 3);
  d->words[5] = (unsigned long)__builtin_popcountl(state);
  d->words[6] = (unsigned long)(((unsigned __int128)state * state) >> 64);
  d->words[7] = d->text[d->seed % 64];
}

#endif
