/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One instruction of a kernel as people read it. Without a device, so that it is tested on the host. */
#ifndef TANDEM_DISASSEMBLE_H
#define TANDEM_DISASSEMBLE_H

#include <stddef.h>
#include <stdint.h>

/* Writes the instruction with its operands; ".word 0x..." for what is none, or where this build has no disassembler. */
void tandem_disassemble(uint32_t word, uint64_t pc, char *text, size_t bytes);

/* Names of the registers in the calling convention: "a0", "ft0". number < 32. */
const char *tandem_x_name(unsigned int number);
const char *tandem_f_name(unsigned int number);

#endif
