/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes AQL packets and puts them into a ring: "writes an AQL packet in its own memory". */
#include "packet.h"

#include <string.h>

#include "internal.h"

#define SIGNAL_ALIGNMENT 64

_Static_assert(sizeof(struct tandem_packet) == TANDEM_PACKET_BYTES, "a packet has 64 bytes");

void tandem_ring_init(struct tandem_ring *ring, void *packets, struct tandem_queue_indices *indices, uint32_t order)
{
	*ring = (struct tandem_ring){.packets = packets, .indices = indices, .order = order};
	memset(indices, 0, sizeof(*indices));
	for (uint64_t i = 0; i < 1ull << order; i++)
		ring->packets[i] = (struct tandem_packet){.words = {TANDEM_PACKET_INVALID}};
}

bool tandem_ring_has_room(const struct tandem_ring *ring)
{
	/* Acquire pairs with the device's release of read_index: the slot was read before we write to it. */
	uint64_t read = __atomic_load_n(&ring->indices->read_index, __ATOMIC_ACQUIRE);
	uint64_t write = __atomic_load_n(&ring->indices->write_index, __ATOMIC_RELAXED);

	return write - read < 1ull << ring->order;
}

uint64_t tandem_ring_publish(struct tandem_ring *ring, const struct tandem_packet *packet)
{
	uint64_t index = __atomic_load_n(&ring->indices->write_index, __ATOMIC_RELAXED);
	struct tandem_packet *slot = &ring->packets[index & ((1ull << ring->order) - 1)];

	memcpy(&slot->words[1], &packet->words[1], sizeof(*slot) - sizeof(slot->words[0]));
	/* The header and what shares its word, last: the device takes the packet by its type. */
	__atomic_store_n(&slot->words[0], packet->words[0], __ATOMIC_RELEASE);
	__atomic_store_n(&ring->indices->write_index, index + 1, __ATOMIC_RELEASE);
	return index + 1;
}

static uint16_t make_header(enum tandem_packet_type type, bool barrier)
{
	return (uint16_t)(TANDEM_FIELD_PUT(TANDEM_PACKET_TYPE, type) | (barrier ? TANDEM_PACKET_BARRIER : 0) |
			  TANDEM_FIELD_PUT(TANDEM_PACKET_ACQUIRE, TANDEM_FENCE_SYSTEM) |
			  TANDEM_FIELD_PUT(TANDEM_PACKET_RELEASE, TANDEM_FENCE_SYSTEM));
}

static int check_signal(const struct tandem_signal *signal)
{
	if ((uintptr_t)signal % SIGNAL_ALIGNMENT)
		return tandem_fail(TANDEM_ERROR_INVALID, "the signal at %p is not aligned to %d bytes", (const void *)signal,
				   SIGNAL_ALIGNMENT);
	return 0;
}

static uint32_t at_least_one(uint32_t value)
{
	return value ? value : 1;
}

static uint16_t dimensions(const struct tandem_launch *launch)
{
	for (int i = 2; i > 0; i--)
		if (launch->grid[i] > 1 || launch->group[i] > 1)
			return (uint16_t)(i + 1);
	return 1;
}

static int check_workgroup(const struct tandem_dispatch_packet *dispatch)
{
	uint64_t items = (uint64_t)dispatch->workgroup_size[0] * dispatch->workgroup_size[1] * dispatch->workgroup_size[2];

	if (items <= TANDEM_WORKGROUP_MAX)
		return 0;
	return tandem_fail(TANDEM_ERROR_INVALID, "a workgroup of %u x %u x %u has %llu work items; at most %d are possible",
			   dispatch->workgroup_size[0], dispatch->workgroup_size[1], dispatch->workgroup_size[2],
			   (unsigned long long)items, TANDEM_WORKGROUP_MAX);
}

static int check_stack(uint32_t needed, uint32_t available)
{
	if (needed <= available)
		return 0;
	return tandem_fail(TANDEM_ERROR_INVALID,
			   "the kernel needs %u bytes of stack for each lane, and the queue was made with scratch_lane_bytes = %u",
			   needed, available);
}

int tandem_packet_dispatch(const struct tandem_launch *launch, uint32_t scratch_lane_bytes, struct tandem_packet *packet)
{
	if (!launch->kernel)
		return tandem_fail(TANDEM_ERROR_INVALID, "the dispatch names no kernel");
	uint64_t stack = launch->private_bytes ? (uint64_t)launch->private_bytes + launch->kernel->private_bytes
					       : launch->kernel->private_bytes;
	struct tandem_dispatch_packet dispatch = {
		.header = make_header(TANDEM_PACKET_KERNEL_DISPATCH, launch->barrier),
		.setup = (uint16_t)TANDEM_FIELD_PUT(TANDEM_DISPATCH_DIMENSIONS, dimensions(launch)),
		.private_bytes = (uint32_t)stack,
		.group_bytes = launch->group_bytes,
		.kernel_object = (uintptr_t)launch->kernel,
		.kernarg_address = (uintptr_t)launch->arguments,
		.completion_signal = (uintptr_t)launch->completion,
	};

	for (int i = 0; i < 3; i++) {
		dispatch.grid_size[i] = at_least_one(launch->grid[i]);
		dispatch.workgroup_size[i] = (uint16_t)at_least_one(launch->group[i]);
	}
	int status = check_workgroup(&dispatch);

	if (!status)
		status = check_stack(stack > UINT32_MAX ? UINT32_MAX : (uint32_t)stack, scratch_lane_bytes);
	if (!status)
		status = check_signal(launch->completion);
	if (!status)
		memcpy(packet, &dispatch, sizeof(*packet));
	return status;
}

static int make_copy(enum tandem_copy_operation operation, uint64_t source, void *destination, uint64_t bytes,
		     struct tandem_signal *completion, struct tandem_packet *packet)
{
	struct tandem_copy_packet copy = {
		.header = make_header(TANDEM_PACKET_VENDOR, false),
		.operation = (uint16_t)operation,
		.source = source,
		.destination = (uintptr_t)destination,
		.bytes = bytes,
		.completion_signal = (uintptr_t)completion,
	};
	int status = check_signal(completion);

	if (!status)
		memcpy(packet, &copy, sizeof(*packet));
	return status;
}

int tandem_packet_copy(void *destination, const void *source, uint64_t bytes, struct tandem_signal *completion,
		       struct tandem_packet *packet)
{
	uintptr_t to = (uintptr_t)destination;
	uintptr_t from = (uintptr_t)source;

	if (bytes && (to - from < bytes || from - to < bytes))
		return tandem_fail(TANDEM_ERROR_INVALID, "the areas of a copy of %llu bytes from %p to %p overlap",
				   (unsigned long long)bytes, source, destination);
	return make_copy(TANDEM_COPY_LINEAR, from, destination, bytes, completion, packet);
}

int tandem_packet_fill(void *destination, uint64_t pattern, uint64_t bytes, struct tandem_signal *completion,
		       struct tandem_packet *packet)
{
	if (bytes % sizeof(pattern))
		return tandem_fail(TANDEM_ERROR_INVALID, "a fill of %llu bytes is no multiple of the pattern's 8",
				   (unsigned long long)bytes);
	return make_copy(TANDEM_COPY_FILL, pattern, destination, bytes, completion, packet);
}

int tandem_packet_barrier(enum tandem_barrier_kind kind, struct tandem_signal *const *signals, unsigned int count,
			  struct tandem_signal *completion, struct tandem_packet *packet)
{
	struct tandem_barrier_packet barrier = {
		.header = make_header((enum tandem_packet_type)kind, false),
		.completion_signal = (uintptr_t)completion,
	};
	const unsigned int room = sizeof(barrier.dependency) / sizeof(barrier.dependency[0]);
	int status = check_signal(completion);

	if (kind != TANDEM_BARRIER_ALL && kind != TANDEM_BARRIER_ANY)
		return tandem_fail(TANDEM_ERROR_INVALID, "%d is no kind of barrier", (int)kind);
	if (count > room)
		return tandem_fail(TANDEM_ERROR_INVALID, "a barrier packet has room for %u signals, not %u", room, count);
	for (unsigned int i = 0; i < count && !status; i++) {
		barrier.dependency[i] = (uintptr_t)signals[i];
		status = check_signal(signals[i]);
	}
	if (!status)
		memcpy(packet, &barrier, sizeof(*packet));
	return status;
}
