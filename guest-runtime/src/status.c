/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of a queue, as a sentence: which error, at which address, in which kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define SENTENCE_BYTES 512
#define SYMBOL_BYTES 192

int tandem_queue_status(struct tandem_queue *queue, struct tandem_ioc_queue_status *status)
{
	struct tandem_ioc_queue_status answer = {.queue = tandem_queue_number(queue)};
	int error = tandem_ioctl(tandem_queue_device(queue), TANDEM_IOC_QUEUE_STATUS, &answer);

	if (error)
		return tandem_fail_errno(error, "asking for the state of queue %u", answer.queue);
	*status = answer;
	return 0;
}

bool tandem_queue_failed(struct tandem_queue *queue)
{
	struct tandem_ioc_queue_status status;

	return tandem_queue_status(queue, &status) || status.state == TANDEM_QUEUE_FAULTED || status.error != TANDEM_QUEUE_OK;
}

static const char *access_name(uint32_t access)
{
	switch (access) {
	case TANDEM_ACCESS_READ:
		return "a read";
	case TANDEM_ACCESS_WRITE:
		return "a write";
	case TANDEM_ACCESS_ATOMIC:
		return "an atomic";
	case TANDEM_ACCESS_EXECUTE:
		return "an instruction fetch";
	default:
		return "an access";
	}
}

static void describe_error(const struct tandem_ioc_queue_status *status, char *text, size_t bytes)
{
	const char *access = access_name(status->detail);
	unsigned long long va = status->va;

	switch (status->error) {
	case TANDEM_QUEUE_ADDRESS_FAULT:
		snprintf(text, bytes, "address fault: %s of 0x%llx, where nothing is mapped", access, va);
		break;
	case TANDEM_QUEUE_PERMISSION_FAULT:
		snprintf(text, bytes, "permission fault: %s of 0x%llx, whose mapping does not permit it", access, va);
		break;
	case TANDEM_QUEUE_RETRY_LIMIT:
		snprintf(text, bytes, "retry limit: %s of 0x%llx faulted again after each replay", access, va);
		break;
	case TANDEM_QUEUE_ADDRESS_RANGE:
		snprintf(text, bytes, "bad address: %s of 0x%llx, neither a user address nor local memory", access, va);
		break;
	case TANDEM_QUEUE_ILLEGAL_INSTRUCTION:
		snprintf(text, bytes, "illegal instruction 0x%08x", status->detail);
		break;
	case TANDEM_QUEUE_BREAKPOINT:
		snprintf(text, bytes, "breakpoint (ebreak)");
		break;
	case TANDEM_QUEUE_BAD_PACKET:
		snprintf(text, bytes, "bad packet at 0x%llx: unknown type or impossible sizes", va);
		break;
	case TANDEM_QUEUE_BAD_KERNEL:
		snprintf(text, bytes, "bad kernel descriptor at 0x%llx: malformed, or it asks for more than there is", va);
		break;
	case TANDEM_QUEUE_BAD_INDEX:
		snprintf(text, bytes, "bad write index: it went back or ran ahead of the ring");
		break;
	case TANDEM_QUEUE_DMA_ERROR:
		snprintf(text, bytes, "DMA error: %s of 0x%llx was translated, but there is no memory behind it", access, va);
		break;
	case TANDEM_QUEUE_MISALIGNED_ATOMIC:
		snprintf(text, bytes, "misaligned atomic at 0x%llx", va);
		break;
	case TANDEM_QUEUE_ECALL:
		snprintf(text, bytes, "ecall: the GPU has no environment to call");
		break;
	case TANDEM_QUEUE_LOST:
		snprintf(text, bytes, "lost: the device was reset");
		break;
	case TANDEM_QUEUE_SERVICE_FAILED:
		snprintf(text, bytes, "the driver could not service a fault at 0x%llx (%s)", va, access);
		break;
	case TANDEM_QUEUE_MEMORY_ERROR:
		snprintf(text, bytes, "memory error: the data at 0x%llx is lost: its page is poisoned", va);
		break;
	case TANDEM_QUEUE_ATOMIC_FAULT:
		snprintf(text, bytes, "atomic fault: %s of 0x%llx, memory on which this GPU can do no atomics (shared, file or hugetlb)",
			 access, va);
		break;
	default:
		snprintf(text, bytes, "unknown error %u at 0x%llx", status->error, va);
	}
}

static void append_program_counter(struct tandem_queue *queue, uint64_t pc, char *text, size_t bytes)
{
	char symbol[SYMBOL_BYTES];
	size_t used = strlen(text);

	if (tandem_device_symbolise(tandem_queue_device(queue), pc, symbol, sizeof(symbol)))
		snprintf(text + used, bytes - used, "; program counter 0x%llx, %s", (unsigned long long)pc, symbol);
	else
		snprintf(text + used, bytes - used, "; program counter 0x%llx, in no loaded kernel", (unsigned long long)pc);
}

static void describe(struct tandem_queue *queue, const struct tandem_ioc_queue_status *status, char *text, size_t bytes)
{
	char error[SENTENCE_BYTES];

	if (status->error == TANDEM_QUEUE_OK) {
		snprintf(text, bytes, "queue %u: no error", status->queue);
		return;
	}
	describe_error(status, error, sizeof(error));
	snprintf(text, bytes, "queue %u stopped: %s", status->queue, error);
	if (status->pc)
		append_program_counter(queue, status->pc, text, bytes);
}

char *tandem_queue_describe(struct tandem_queue *queue, char *text, size_t bytes)
{
	struct tandem_ioc_queue_status status;

	if (!bytes)
		return text;
	if (tandem_queue_status(queue, &status))
		snprintf(text, bytes, "%s", tandem_error_text());
	else
		describe(queue, &status, text, bytes);
	return text;
}

int tandem_queue_failure(struct tandem_queue *queue)
{
	struct tandem_ioc_queue_status status;
	char text[SENTENCE_BYTES + SYMBOL_BYTES];
	int result = tandem_queue_status(queue, &status);

	if (result)
		return result;
	if (status.error == TANDEM_QUEUE_OK)
		return tandem_fail(TANDEM_ERROR_LOST, "the address space of queue %u is gone", status.queue);
	describe(queue, &status, text, sizeof(text));
	return tandem_fail(status.error == TANDEM_QUEUE_LOST ? TANDEM_ERROR_LOST : TANDEM_ERROR_QUEUE, "%s", text);
}
