// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * READ, WRITE and EXCLUSIVE of a node: the device reads, writes and does atomics by virtual
 * addresses, through its TLBs, between the pages and a buffer of the driver's. What it has not
 * mapped it says, and a fault round follows, over all of the range that is left.
 */
#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "tandem_dmirror.h"

#define TANDEM_BUFFER_ORDER get_order(SZ_2M)

/* One request, from its first page to its last. */
struct tandem_transfer {
	struct tandem_as *as;
	enum tandem_transfer_kind {
		TANDEM_MUST_BE_MAPPED = 1, /* -ENOENT if a page is not */
		TANDEM_MAY_FAULT,
	} kind;
	struct tandem_mirror_wish wish;
	u64 end;
	u64 faults;
	struct page *buffer;
	unsigned int order;
};

/* ---- the buffer ---- */

static int tandem_buffer_alloc(struct tandem_transfer *transfer, u64 bytes)
{
	unsigned int order = min_t(unsigned int, get_order(min_t(u64, bytes, SZ_2M)),
				   TANDEM_BUFFER_ORDER);

	do {
		gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_COMP | __GFP_ZERO;

		if (order)
			gfp |= __GFP_NOWARN | __GFP_NORETRY;
		transfer->buffer = alloc_pages(gfp, order);
		transfer->order = order;
	} while (!transfer->buffer && order--);
	return transfer->buffer ? 0 : -ENOMEM;
}

static void tandem_buffer_free(struct tandem_transfer *transfer)
{
	__free_pages(transfer->buffer, transfer->order);
}

static u64 tandem_buffer_bytes(const struct tandem_transfer *transfer)
{
	return PAGE_SIZE << transfer->order;
}

/* ---- the device's part ---- */

/* -ENOENT: some page is not mapped for that. */
static int tandem_transfer_command(struct tandem_as *as, u32 kind, u64 va, u64 bytes, u64 address)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_ACCESS,
		.pasid = as->pasid,
		.u.pages = { .va = va, .bytes = bytes, .address = address, .access = kind },
	};
	u64 lost = atomic64_read(&as->tdev->failures_lost);
	int ret;

	/* The process that the PASID stands for is the caller: it cannot go meanwhile. */
	ret = tandem_command_sync(as->tdev, &command, as->epoch);
	/* A verdict that got lost may have been ours. */
	return !ret && atomic64_read(&as->tdev->failures_lost) != lost ? -EIO : ret;
}

static int tandem_transfer_copy(struct tandem_transfer *transfer, u64 va, u64 bytes)
{
	struct device *dev = transfer->as->tdev->dev;
	bool write = transfer->wish.write;
	enum dma_data_direction direction = write ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	dma_addr_t address = dma_map_page(dev, transfer->buffer, 0, bytes, direction);
	int ret;

	if (dma_mapping_error(dev, address))
		return -ENOMEM;
	ret = tandem_transfer_command(transfer->as, write ? TANDEM_ACCESS_WRITE : TANDEM_ACCESS_READ,
				    va, bytes, address);
	dma_unmap_page(dev, address, bytes, direction);
	return ret;
}

static int tandem_transfer_once(struct tandem_transfer *transfer, u64 va, u64 bytes)
{
	return transfer->wish.atomic ?
		       tandem_transfer_command(transfer->as, TANDEM_ACCESS_ATOMIC, va, bytes, 0) :
		       tandem_transfer_copy(transfer, va, bytes);
}

/*
 * Until the device had all of these pages mapped for as long as it took. What Linux takes back in
 * between is asked for again, for so long as hmm_range_fault() would be patient.
 */
static int tandem_transfer_piece(struct tandem_transfer *transfer, u64 va, u64 bytes)
{
	unsigned long deadline = 0;
	int ret;

	for (;;) {
		ret = tandem_transfer_once(transfer, va, bytes);
		if (ret != -ENOENT || transfer->kind == TANDEM_MUST_BE_MAPPED)
			return ret;
		if (deadline && time_after(jiffies, deadline))
			return -EBUSY;
		ret = tandem_dmirror_round(transfer->as, va, transfer->end, transfer->wish);
		if (ret)
			return ret;
		transfer->faults++;
		if (!deadline)
			deadline = jiffies + msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT);
	}
}

/* ---- the requests ---- */

/* From user memory, the device's part, to user memory: a buffer at a time. */
static int tandem_transfer_step(struct tandem_transfer *transfer, u64 va, u64 bytes, void __user *user)
{
	void *buffer = page_address(transfer->buffer);
	int ret;

	if (transfer->wish.write && copy_from_user(buffer, user, bytes))
		return -EFAULT;
	ret = tandem_transfer_piece(transfer, va, bytes);
	if (!ret && !transfer->wish.write && copy_to_user(user, buffer, bytes))
		return -EFAULT;
	return ret;
}

/* What is no user address of the device's is nobody's memory. */
static int tandem_transfer_check(const struct tandem_dmirror_request *args)
{
	return tandem_memory_range_is_bad(args->addr, args->npages << PAGE_SHIFT) ? -EFAULT : 0;
}

static int tandem_transfer_run(struct tandem_transfer *transfer, struct tandem_dmirror_request *args)
{
	u64 va, bytes;
	int ret;

	transfer->end = args->addr + (args->npages << PAGE_SHIFT);
	ret = tandem_transfer_check(args) ?:
	      tandem_buffer_alloc(transfer, transfer->end - args->addr);
	for (va = args->addr; !ret && va < transfer->end; va += bytes) {
		bytes = min(transfer->end - va, tandem_buffer_bytes(transfer));
		ret = tandem_transfer_step(transfer, va, bytes,
					 u64_to_user_ptr(args->ptr + (va - args->addr)));
		cond_resched();
	}
	if (transfer->buffer)
		tandem_buffer_free(transfer);
	args->faults += transfer->faults;
	args->cpages = args->npages;
	return ret;
}

int tandem_dmirror_read(struct tandem_as *as, struct tandem_dmirror_request *args, bool keeps_lock)
{
	struct tandem_transfer transfer = {
		.as = as,
		.kind = TANDEM_MAY_FAULT,
		.wish = { .around = PAGE_SIZE, .keeps_lock = keeps_lock },
	};

	return tandem_transfer_run(&transfer, args);
}

int tandem_dmirror_write(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	struct tandem_transfer transfer = {
		.as = as,
		.kind = TANDEM_MAY_FAULT,
		.wish = { .around = PAGE_SIZE, .write = true, .keeps_lock = true },
	};

	return tandem_transfer_run(&transfer, args);
}

/* Only what the device has mapped already: -ENOENT if that is not all. */
int tandem_dmirror_read_mapped(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	struct tandem_transfer transfer = {
		.as = as,
		.kind = TANDEM_MUST_BE_MAPPED,
		.wish = { .around = PAGE_SIZE },
	};

	return tandem_transfer_run(&transfer, args);
}

/* ---- pages that no CPU can reach ---- */

static int tandem_exclusive_errno(int error)
{
	return error == -EPERM ? -EFAULT : error;
}

/* As many pages at a time as the device gets before its hold of the first one is over. */
#define TANDEM_EXCLUSIVE_STEP (16 * PAGE_SIZE)

int tandem_dmirror_exclusive(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	struct tandem_transfer transfer = {
		.as = as,
		.kind = TANDEM_MAY_FAULT,
		.wish = { .around = PAGE_SIZE, .write = true, .atomic = true, .keeps_lock = true },
	};
	u64 va, end = args->addr + (args->npages << PAGE_SHIFT);
	int ret = as->tdev->atomics == TANDEM_ATOMICS_EXCLUSIVE ? tandem_transfer_check(args) :
								  -EOPNOTSUPP;

	for (va = args->addr; !ret && va < end; va = transfer.end) {
		transfer.end = min_t(u64, end, va + TANDEM_EXCLUSIVE_STEP);
		ret = tandem_exclusive_errno(tandem_transfer_piece(&transfer, va, transfer.end - va));
		cond_resched();
	}
	return ret ?: tandem_dmirror_read_mapped(as, args);
}

/* -EPERM: the device has a page of the range for itself. */
int tandem_dmirror_check_exclusive(struct tandem_as *as, const struct tandem_dmirror_request *args)
{
	u64 va, end = args->addr + (args->npages << PAGE_SHIFT);

	if (as->tdev->atomics != TANDEM_ATOMICS_EXCLUSIVE)
		return 0;
	end = min_t(u64, end, TANDEM_VA_LIMIT);
	for (va = args->addr; va < end; va += PAGE_SIZE) {
		if (tandem_pte_is_system_atomic(tandem_mirror_entry(as, va)))
			return -EPERM;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}
