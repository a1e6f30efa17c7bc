/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machine code to text, by Capstone; what the GPU adds to RISC-V (tandem_kernel_isa.h) is named here. In an object file of its
 * own: only programs that ask for reports are linked with Capstone.
 */
#include "disassemble.h"

#include <stdio.h>
#include <string.h>

#ifdef TANDEM_HAVE_CAPSTONE
#include <capstone.h>
#endif

#include "tandem_kernel_isa.h"

#define OPCODE(word) ((word) & 0x7f)
#define RD(word) ((word) >> 7 & 31)
#define FUNCT3(word) ((word) >> 12 & 7)
#define RS1(word) ((word) >> 15 & 31)
#define RS2(word) ((word) >> 20 & 31)
#define FUNCT7(word) ((word) >> 25)

const char *tandem_x_name(unsigned int number)
{
	static const char *const names[32] = {
		"zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
		"a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};

	return names[number & 31];
}

const char *tandem_f_name(unsigned int number)
{
	static const char *const names[32] = {
		"ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
		"fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
	};

	return names[number & 31];
}

static const char *scope_name(uint32_t scope)
{
	return scope == TANDEM_SCOPE_SYSTEM ? "system" : scope == TANDEM_SCOPE_DEVICE ? "device" : "workgroup";
}

static const char *fence_set_name(uint32_t set)
{
	static const char *const names[] = {"0", "w", "r", "rw"};

	return names[set & (TANDEM_FENCE_WRITES | TANDEM_FENCE_READS)];
}

static const char *amo_name(uint32_t word)
{
	static const char *const names[32] = {
		[0x00] = "amoadd", [0x01] = "amoswap", [0x02] = "lr", [0x03] = "sc", [0x04] = "amoxor", [0x08] = "amoor",
		[0x0c] = "amoand", [0x10] = "amomin", [0x14] = "amomax", [0x18] = "amominu", [0x1c] = "amomaxu",
	};

	return names[word >> 27];
}

/* Atomics of narrower scope than RV64A's: the same encodings under opcodes of ours. */
static int name_scoped_atomic(uint32_t word, char *text, size_t bytes)
{
	static const char *const orders[] = {"", ".rl", ".aq", ".aqrl"};
	const char *scope = OPCODE(word) == TANDEM_OPCODE_AMO_DEVICE ? "device" : "workgroup";
	const char *name = amo_name(word), *order = orders[word >> 25 & 3], *rd = tandem_x_name(RD(word));
	const char *rs1 = tandem_x_name(RS1(word)), *rs2 = tandem_x_name(RS2(word));
	char width = FUNCT3(word) == 2 ? 'w' : 'd';

	if (!name || (FUNCT3(word) != 2 && FUNCT3(word) != 3))
		return 0;
	if (!strcmp(name, "lr"))
		return RS2(word) ? 0 : snprintf(text, bytes, "tandem.lr.%c%s.%s %s, (%s)", width, order, scope, rd, rs1);
	return snprintf(text, bytes, "tandem.%s.%c%s.%s %s, %s, (%s)", name, width, order, scope, rd, rs2, rs1);
}

static int name_scoped_fence(uint32_t word, char *text, size_t bytes)
{
	if (RD(word) || RS1(word) > 3 || RS2(word) > 3 || FUNCT7(word) > TANDEM_SCOPE_WORKGROUP)
		return 0;
	return snprintf(text, bytes, "tandem.fence.%s %s, %s", scope_name(FUNCT7(word)), fence_set_name(RS1(word)),
			fence_set_name(RS2(word)));
}

/* Returns 0 if it is none of ours. */
static int name_custom(uint32_t word, char *text, size_t bytes)
{
	const char *rd = tandem_x_name(RD(word)), *rs1 = tandem_x_name(RS1(word)), *rs2 = tandem_x_name(RS2(word));

	if (OPCODE(word) == TANDEM_OPCODE_AMO_DEVICE || OPCODE(word) == TANDEM_OPCODE_AMO_WORKGROUP)
		return name_scoped_atomic(word, text, bytes);
	if (OPCODE(word) != TANDEM_OPCODE_CUSTOM0)
		return 0;
	if (FUNCT3(word) == TANDEM_FUNCT3_FENCE)
		return name_scoped_fence(word, text, bytes);
	if (FUNCT7(word))
		return 0;
	switch (FUNCT3(word)) {
	case TANDEM_FUNCT3_BARRIER:
		return snprintf(text, bytes, "tandem.barrier");
	case TANDEM_FUNCT3_EXIT:
		return snprintf(text, bytes, "tandem.exit");
	case TANDEM_FUNCT3_BALLOT:
		return snprintf(text, bytes, "tandem.ballot %s, %s", rd, rs1);
	case TANDEM_FUNCT3_SHUFFLE:
		return snprintf(text, bytes, "tandem.shuffle %s, %s, %s", rd, rs1, rs2);
	default:
		return 0;
	}
}

#ifdef TANDEM_HAVE_CAPSTONE
/* Returns 0 if it is no instruction. */
static int name_standard(uint32_t word, uint64_t pc, char *text, size_t bytes)
{
	const uint8_t code[4] = {word & 0xff, word >> 8 & 0xff, word >> 16 & 0xff, word >> 24};
	cs_insn *instruction;
	csh handle;

	if (cs_open(CS_ARCH_RISCV, CS_MODE_RISCV64, &handle) != CS_ERR_OK)
		return 0;
	size_t count = cs_disasm(handle, code, sizeof(code), pc, 1, &instruction);

	if (count) {
		snprintf(text, bytes, "%s%s%s", instruction->mnemonic, *instruction->op_str ? " " : "", instruction->op_str);
		cs_free(instruction, count);
	}
	cs_close(&handle);
	return count != 0;
}
#else
static int name_standard(uint32_t word, uint64_t pc, char *text, size_t bytes)
{
	(void)word, (void)pc, (void)text, (void)bytes;
	return 0;
}
#endif

void tandem_disassemble(uint32_t word, uint64_t pc, char *text, size_t bytes)
{
	if (!name_custom(word, text, bytes) && !name_standard(word, pc, text, bytes))
		snprintf(text, bytes, ".word 0x%08x", word);
}
