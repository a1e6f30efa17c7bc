/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of libtandem share. */
#ifndef TANDEM_INTERNAL_H
#define TANDEM_INTERNAL_H

#include <pthread.h>

#include "tandem/tandem.h"

struct tandem_device {
	int file;
	uint32_t pasid;
	uint32_t bus_pasid;
	struct tandem_ioc_query info;
	volatile uint64_t *doorbells; /* one page, mapped from the device */
	pthread_mutex_t lock;         /* guards the two lists; taken before nothing else */
	struct tandem_queue *queues;
	struct tandem_module *modules;
};

/* Leaves a sentence for tandem_error_text() and returns status. */
int tandem_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts text before the sentence that is there. Returns status. */
int tandem_fail_more(int status, const char *prefix, ...) __attribute__((format(printf, 2, 3)));

/* The same for a system call that failed with errno value `error`, doing `what`. */
int tandem_fail_errno(int error, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* An ioctl, tried again after EINTR unless it is a wait. Returns 0 or a positive errno value. */
int tandem_ioctl(const struct tandem_device *device, unsigned long request, void *argument);

void tandem_device_add_queue(struct tandem_device *device, struct tandem_queue *queue);
void tandem_device_remove_queue(struct tandem_device *device, struct tandem_queue *queue);
void tandem_device_add_module(struct tandem_device *device, struct tandem_module *module);
void tandem_device_remove_module(struct tandem_device *device, struct tandem_module *module);

/* "name+0x10 in file.elf" for an address of a loaded module. Returns false if it lies in none. */
bool tandem_device_symbolise(struct tandem_device *device, uint64_t address, char *text, size_t bytes);

struct tandem_queue **tandem_queue_next(struct tandem_queue *queue);
struct tandem_module **tandem_module_next(struct tandem_module *module);
bool tandem_module_symbolise(const struct tandem_module *module, uint64_t address, char *text, size_t bytes);

/* True if the queue is in its error state; writes the sentence. */
bool tandem_queue_failed(struct tandem_queue *queue);
int tandem_queue_failure(struct tandem_queue *queue);
struct tandem_device *tandem_queue_device(struct tandem_queue *queue);

#endif
