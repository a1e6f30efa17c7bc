/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets and the ring they go into, without a device: pure functions on memory, so that they are tested on the host.
 *
 * Order. The device may read slot n once write_index > n, and reads the header with acquire. A packet is written body first,
 * then its header with release, then write_index with release, then the doorbell: so at no time does the device find
 * the slot's last inhabitant, or half a packet. One producer at a time: the queue's lock sees to it.
 */
#ifndef TANDEM_PACKET_H
#define TANDEM_PACKET_H

#include "tandem/tandem.h"

/* Any packet, as words. */
struct tandem_packet {
	uint64_t words[TANDEM_PACKET_BYTES / 8];
};

struct tandem_ring {
	struct tandem_packet *packets;
	struct tandem_queue_indices *indices;
	uint32_t order; /* log2 of the packets */
};

/* Empty, each header INVALID. */
void tandem_ring_init(struct tandem_ring *ring, void *packets, struct tandem_queue_indices *indices, uint32_t order);

bool tandem_ring_has_room(const struct tandem_ring *ring);

/* Puts a packet into the next slot, which must be free. Returns the new write index, for the doorbell. */
uint64_t tandem_ring_publish(struct tandem_ring *ring, const struct tandem_packet *packet);

/* Make packets. They check what can be checked without the device and return a status, with a sentence. */
int tandem_packet_dispatch(const struct tandem_launch *launch, uint32_t scratch_lane_bytes, struct tandem_packet *packet);
int tandem_packet_copy(void *destination, const void *source, uint64_t bytes, struct tandem_signal *completion,
		       struct tandem_packet *packet);
int tandem_packet_fill(void *destination, uint64_t pattern, uint64_t bytes, struct tandem_signal *completion,
		       struct tandem_packet *packet);
int tandem_packet_barrier(enum tandem_barrier_kind kind, struct tandem_signal *const *signals, unsigned int count,
			  struct tandem_signal *completion, struct tandem_packet *packet);

#endif
