// SPDX-License-Identifier: GPL-2.0-or-later
// The same blocks as an ordinary program: reads a struct differential_run, runs everything in it, and writes it.
#include "differential_block.h"
#include "riscv64_start.h"

enum { PAGE = 4096, READ_WRITE_EXECUTE = 7 };

static union {
  struct differential_run run;
  unsigned char bytes[(sizeof(struct differential_run) + PAGE - 1) / PAGE * PAGE];
} input __attribute__((aligned(PAGE)));

// 0 if all went through.
static int transfer(long number, long file) {
  unsigned long done = 0;

  while (done < sizeof input.run) {
    const long now = system_call(number, file, (long)(input.bytes + done), (long)(sizeof input.run - done));
    if (now <= 0) return 1;
    done += (unsigned long)now;
  }
  return 0;
}

int main(void) {
  if (transfer(SYSTEM_READ, 0)) return 1;
  if (system_call(SYSTEM_MPROTECT, (long)input.bytes, sizeof input.bytes, READ_WRITE_EXECUTE)) return 2;
  __asm__ volatile("fence.i" ::: "memory");
  for (int block = 0; block < DIFFERENTIAL_BLOCKS; block++)
    for (int lane = 0; lane < DIFFERENTIAL_LANES; lane++)
      differential_block(input.run.code[block], &input.run.state[block][lane]);
  return transfer(SYSTEM_WRITE, 1) ? 3 : 0;
}
