/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What a kernel sees of the GPU beyond RV64IMAFD, Zicsr and Zifencei: how a lane starts and ends, custom CSRs that tell it
 * who it is, custom instructions, and the LDS window. Custom CSRs are in the user read-only range (RISC-V privileged
 * specification, table of CSR address ranges: 0xCC0-0xCFF); instructions use the opcodes custom-0, custom-1 and custom-2.
 *
 * A lane starts with pc = entry, a0 = kernarg address, sp = end of its scratch slice (16-byte aligned), gp from the
 * descriptor, ra = TANDEM_LANE_EXIT_PC, all other registers 0. It ends when it returns to TANDEM_LANE_EXIT_PC or executes
 * tandem.exit. The dynamic rounding mode is round-to-nearest-even, the flags are clear.
 */
#ifndef TANDEM_ABI_KERNEL_ISA_H
#define TANDEM_ABI_KERNEL_ISA_H

#define TANDEM_LANE_EXIT_PC 0xfffffffffffff000

/* CSR numbers. All read-only for the kernel; reading costs one instruction. */
#define TANDEM_CSR_LANE_ID          0xcc0 /* 0..31 in the wavefront */
#define TANDEM_CSR_WAVE_ID          0xcc1 /* wavefront in the workgroup */
#define TANDEM_CSR_GLOBAL_ID_X      0xcc2 /* work item in the grid */
#define TANDEM_CSR_GLOBAL_ID_Y      0xcc3
#define TANDEM_CSR_GLOBAL_ID_Z      0xcc4
#define TANDEM_CSR_LOCAL_ID_X       0xcc5 /* work item in the workgroup */
#define TANDEM_CSR_LOCAL_ID_Y       0xcc6
#define TANDEM_CSR_LOCAL_ID_Z       0xcc7
#define TANDEM_CSR_GROUP_ID_X       0xcc8 /* workgroup in the grid */
#define TANDEM_CSR_GROUP_ID_Y       0xcc9
#define TANDEM_CSR_GROUP_ID_Z       0xcca
#define TANDEM_CSR_GROUP_SIZE_X     0xccb /* of a full workgroup */
#define TANDEM_CSR_GROUP_SIZE_Y     0xccc
#define TANDEM_CSR_GROUP_SIZE_Z     0xccd
#define TANDEM_CSR_GRID_SIZE_X      0xcce /* work items */
#define TANDEM_CSR_GRID_SIZE_Y      0xccf
#define TANDEM_CSR_GRID_SIZE_Z      0xcd0
#define TANDEM_CSR_LDS_BASE         0xcd1 /* address of the workgroup's LDS */
#define TANDEM_CSR_LDS_BYTES        0xcd2 /* its size */
#define TANDEM_CSR_DISPATCH_ID      0xcd3 /* packet number in the queue */
#define TANDEM_CSR_COMPUTE_UNIT     0xcd4 /* where this wavefront runs */
#define TANDEM_CSR_ACTIVE_LANES     0xcd5 /* mask of the lanes that execute this very instruction together */
#define TANDEM_CSR_SKIPPED          0xcd6 /* accesses of this lane that were skipped so far (resident-only queues) */

/* Custom instructions, R format, opcode custom-0 (0x0b), funct7 0 but for the fence. funct3 tells which. */
#define TANDEM_OPCODE_CUSTOM0       0x0b
#define TANDEM_FUNCT3_BARRIER       0 /* tandem.barrier: all lanes of the workgroup that have not ended; also orders
					 * LDS and global accesses of the workgroup. rd, rs1, rs2 are x0 */
#define TANDEM_FUNCT3_EXIT          1 /* tandem.exit: this lane ends. rd, rs1, rs2 are x0 */
#define TANDEM_FUNCT3_BALLOT        2 /* tandem.ballot rd, rs1: mask of the lanes executing it whose rs1 is not 0. rs2 is x0 */
#define TANDEM_FUNCT3_SHUFFLE       3 /* tandem.shuffle rd, rs1, rs2: rs1 of lane (rs2 & 31), 0 if it does not take part */
#define TANDEM_FUNCT3_FENCE         4 /* tandem.fence: funct7 is the scope; the numbers in rs1 and rs2 say what comes before and
					 * what after it, TANDEM_FENCE_WRITES and TANDEM_FENCE_READS added up. rd is x0 */
#define TANDEM_FENCE_WRITES         1
#define TANDEM_FENCE_READS          2

/*
 * Scopes. The instructions of RV64A, and fence, have system scope: they hold against the CPUs. Under these opcodes the same
 * encodings (funct3, funct5, aq, rl, registers) are atomics that hold among the lanes of the device, or of the workgroup,
 * only. They need the right to store, not the right to do atomics.
 */
#define TANDEM_OPCODE_AMO           0x2f
#define TANDEM_OPCODE_AMO_DEVICE    0x2b /* custom-1 */
#define TANDEM_OPCODE_AMO_WORKGROUP 0x5b /* custom-2 */

enum tandem_scope {
	TANDEM_SCOPE_SYSTEM    = 0,
	TANDEM_SCOPE_DEVICE    = 1,
	TANDEM_SCOPE_WORKGROUP = 2,
};

/*
 * LDS window: byte n of the workgroup's local memory is at TANDEM_LDS_BASE + n for each of its lanes. Beyond its size an
 * access is a queue error. Not a user address, so it can never be mistaken for one.
 */
#define TANDEM_LDS_BASE             0x4000000000000000
#define TANDEM_LDS_WINDOW           0x0000000000100000

#endif
