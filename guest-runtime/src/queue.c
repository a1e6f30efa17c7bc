/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A user-mode queue: ring, indices and lane stacks in the process's memory, and the doorbell that makes the device look. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "internal.h"
#include "packet.h"

#define DEFAULT_RING_ORDER 8
#define DEFAULT_LANE_BYTES 4096
#define MIN_SCRATCH_WAVES 32
#define MAX_SCRATCH_BYTES (1ull << 32)
#define PAGE_BYTES 4096ull
#define FULL_SPINS 64
#define FULL_SLEEP_NS 50000
#define FULL_SLEEPS_PER_CHECK 64

struct tandem_queue {
	struct tandem_device *device;
	struct tandem_queue *next; /* in the device's list */
	pthread_mutex_t lock;      /* one producer at a time; held while it waits for room */
	struct tandem_ring ring;
	void *ring_memory;
	size_t ring_bytes;
	void *scratch;
	size_t scratch_bytes;
	uint32_t lane_bytes;
	uint32_t number;
	volatile uint64_t *doorbell; /* NULL until the driver knows the queue */
};

struct tandem_queue **tandem_queue_next(struct tandem_queue *queue)
{
	return &queue->next;
}

struct tandem_device *tandem_queue_device(struct tandem_queue *queue)
{
	return queue->device;
}

uint32_t tandem_queue_number(const struct tandem_queue *queue)
{
	return queue->number;
}

const struct tandem_queue_indices *tandem_queue_progress(const struct tandem_queue *queue)
{
	return queue->ring.indices;
}

static struct tandem_queue_options with_defaults(const struct tandem_queue_options *options,
						 const struct tandem_ioc_query *info)
{
	struct tandem_queue_options chosen = options ? *options : (struct tandem_queue_options){0};

	if (!chosen.ring_order)
		chosen.ring_order = DEFAULT_RING_ORDER;
	if (!chosen.scratch_lane_bytes)
		chosen.scratch_lane_bytes = DEFAULT_LANE_BYTES;
	if (!chosen.scratch_waves)
		chosen.scratch_waves = info->compute_units * info->waves_per_cu;
	if (!options || !options->scratch_waves)
		chosen.scratch_waves = chosen.scratch_waves < MIN_SCRATCH_WAVES ? MIN_SCRATCH_WAVES : chosen.scratch_waves;
	return chosen;
}

/* What the driver would refuse with a bare EINVAL, in words. */
static int check_options(const struct tandem_queue_options *options)
{
	if (options->flags & ~TANDEM_QUEUE_RESIDENT_ONLY)
		return tandem_fail(TANDEM_ERROR_INVALID, "queue flags are 0x%x; TANDEM_QUEUE_RESIDENT_ONLY is all there is",
				   options->flags);
	if (options->ring_order > 16)
		return tandem_fail(TANDEM_ERROR_INVALID, "ring_order is %u; it can be 1 to 16", options->ring_order);
	if (options->scratch_lane_bytes % 16 || options->scratch_lane_bytes < 256)
		return tandem_fail(TANDEM_ERROR_INVALID, "scratch_lane_bytes is %u; it must be a multiple of 16 and 256 at least",
				   options->scratch_lane_bytes);
	if (options->scratch_waves < MIN_SCRATCH_WAVES)
		return tandem_fail(TANDEM_ERROR_INVALID, "scratch_waves is %u; it must be %d at least", options->scratch_waves,
				   MIN_SCRATCH_WAVES);
	if ((uint64_t)options->scratch_waves * TANDEM_WAVE_LANES * options->scratch_lane_bytes > MAX_SCRATCH_BYTES)
		return tandem_fail(TANDEM_ERROR_INVALID, "%u stacks of %u bytes are more than 4 GiB",
				   options->scratch_waves * TANDEM_WAVE_LANES, options->scratch_lane_bytes);
	return 0;
}

static void *map_pages(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* The indices get a page of their own before the ring: the device polls them, and the packets come and go. */
static int allocate(struct tandem_queue *queue, const struct tandem_queue_options *options)
{
	queue->ring_bytes = PAGE_BYTES + whole_pages((uint64_t)TANDEM_PACKET_BYTES << options->ring_order);
	queue->scratch_bytes =
		whole_pages((uint64_t)options->scratch_waves * TANDEM_WAVE_LANES * options->scratch_lane_bytes);
	queue->ring_memory = map_pages(queue->ring_bytes);
	queue->scratch = map_pages(queue->scratch_bytes);
	if (!queue->ring_memory || !queue->scratch)
		return tandem_fail(TANDEM_ERROR_MEMORY, "no memory for a ring of %zu and stacks of %zu bytes", queue->ring_bytes,
				   queue->scratch_bytes);
	tandem_ring_init(&queue->ring, (char *)queue->ring_memory + PAGE_BYTES, queue->ring_memory, options->ring_order);
	queue->lane_bytes = options->scratch_lane_bytes;
	return 0;
}

static int announce(struct tandem_queue *queue, const struct tandem_queue_options *options)
{
	struct tandem_ioc_queue_create create = {
		.ring = (uintptr_t)queue->ring.packets,
		.indices = (uintptr_t)queue->ring.indices,
		.scratch = (uintptr_t)queue->scratch,
		.ring_order = options->ring_order,
		.scratch_lane_bytes = options->scratch_lane_bytes,
		.scratch_waves = options->scratch_waves,
		.retry_limit = options->retry_limit,
		.flags = options->flags,
	};
	int error = tandem_ioctl(queue->device, TANDEM_IOC_QUEUE_CREATE, &create);

	if (error)
		return tandem_fail_errno(error, "creating a queue");
	queue->number = create.queue;
	queue->doorbell = &queue->device->doorbells[create.doorbell];
	return 0;
}

static void release(struct tandem_queue *queue)
{
	if (queue->ring_memory)
		munmap(queue->ring_memory, queue->ring_bytes);
	if (queue->scratch)
		munmap(queue->scratch, queue->scratch_bytes);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

int tandem_queue_create(struct tandem_device *device, const struct tandem_queue_options *options, struct tandem_queue **queue)
{
	struct tandem_queue_options chosen = with_defaults(options, &device->info);
	int status = check_options(&chosen);

	if (status)
		return status;
	struct tandem_queue *made = calloc(1, sizeof(*made));

	if (!made)
		return tandem_fail_errno(ENOMEM, "creating a queue");
	made->device = device;
	pthread_mutex_init(&made->lock, NULL);
	status = allocate(made, &chosen);
	if (!status)
		status = announce(made, &chosen);
	if (status) {
		release(made);
		return status;
	}
	tandem_device_add_queue(device, made);
	*queue = made;
	return 0;
}

void tandem_queue_destroy(struct tandem_queue *queue)
{
	if (!queue)
		return;
	struct tandem_ioc_queue_destroy destroy = {.queue = queue->number};

	/* It can only fail if the address space is gone, and then nothing runs either. */
	tandem_ioctl(queue->device, TANDEM_IOC_QUEUE_DESTROY, &destroy);
	tandem_device_remove_queue(queue->device, queue);
	release(queue);
}

static void sleep_while_full(void)
{
	const struct timespec pause = {.tv_nsec = FULL_SLEEP_NS};

	nanosleep(&pause, NULL);
}

static int wait_for_room(struct tandem_queue *queue)
{
	for (unsigned int round = 0; !tandem_ring_has_room(&queue->ring); round++) {
		if (round < FULL_SPINS) {
			sched_yield();
			continue;
		}
		if (round % FULL_SLEEPS_PER_CHECK == 0 && tandem_queue_failed(queue))
			return tandem_queue_failure(queue);
		sleep_while_full();
	}
	return 0;
}

static int submit(struct tandem_queue *queue, const struct tandem_packet *packet)
{
	pthread_mutex_lock(&queue->lock);
	int status = wait_for_room(queue);

	/* The doorbell under the lock, too: the device must never see the index go back. */
	if (!status)
		*queue->doorbell = tandem_ring_publish(&queue->ring, packet);
	pthread_mutex_unlock(&queue->lock);
	return status;
}

int tandem_submit(struct tandem_queue *queue, const void *packet)
{
	struct tandem_packet copy;

	memcpy(&copy, packet, sizeof(copy));
	return submit(queue, &copy);
}

int tandem_dispatch(struct tandem_queue *queue, const struct tandem_launch *launch)
{
	struct tandem_packet packet;
	int status = tandem_packet_dispatch(launch, queue->lane_bytes, &packet);

	return status ? status : submit(queue, &packet);
}

int tandem_run(struct tandem_queue *queue, const struct tandem_launch *launch, int64_t timeout_ns)
{
	struct tandem_launch with_signal = *launch;
	struct tandem_signal *done;

	if (launch->completion)
		return tandem_fail(TANDEM_ERROR_INVALID, "tandem_run() brings its own completion signal");
	int status = tandem_signal_create(1, &done);

	if (status)
		return status;
	with_signal.completion = done;
	status = tandem_dispatch(queue, &with_signal);
	if (!status)
		status = tandem_wait(queue, done, timeout_ns);
	/* A dispatch that is still running will write to the signal: then it stays allocated for good. */
	if (status != TANDEM_ERROR_TIMEOUT)
		tandem_signal_destroy(done);
	return status;
}

int tandem_copy(struct tandem_queue *queue, void *destination, const void *source, uint64_t bytes,
		struct tandem_signal *completion)
{
	struct tandem_packet packet;
	int status = tandem_packet_copy(destination, source, bytes, completion, &packet);

	return status ? status : submit(queue, &packet);
}

int tandem_fill(struct tandem_queue *queue, void *destination, uint64_t pattern, uint64_t bytes,
		struct tandem_signal *completion)
{
	struct tandem_packet packet;
	int status = tandem_packet_fill(destination, pattern, bytes, completion, &packet);

	return status ? status : submit(queue, &packet);
}

int tandem_barrier(struct tandem_queue *queue, enum tandem_barrier_kind kind, struct tandem_signal *const *signals,
		   unsigned int count, struct tandem_signal *completion)
{
	struct tandem_packet packet;
	int status = tandem_packet_barrier(kind, signals, count, completion, &packet);

	return status ? status : submit(queue, &packet);
}
