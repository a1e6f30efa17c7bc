/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device memory: what a process asks of the driver about where its pages are. The driver moves them; docs/device-memory.md. */
#include <errno.h>
#include <stdint.h>

#include "internal.h"

static uint64_t address_of(const void *address)
{
	return (uintptr_t)address;
}

int tandem_prefetch(struct tandem_device *device, const void *address, size_t bytes, enum tandem_location location,
		    uint64_t *moved)
{
	struct tandem_ioc_prefetch prefetch = {.start = address_of(address), .length = bytes, .location = location};
	int error = tandem_ioctl(device, TANDEM_IOC_PREFETCH, &prefetch);

	if (error)
		return tandem_fail_errno(error, "moving %zu bytes at %p to location %u", bytes, address, location);
	if (moved)
		*moved = prefetch.moved;
	return 0;
}

int tandem_range_set(struct tandem_device *device, const struct tandem_ioc_range *wishes)
{
	struct tandem_ioc_range copy = *wishes;
	int error = tandem_ioctl(device, TANDEM_IOC_RANGE_SET, &copy);

	if (error)
		return tandem_fail_errno(error, "setting location %u, flags 0x%x and granularity %u for %llu bytes at 0x%llx",
					 wishes->preferred, wishes->flags, wishes->granularity,
					 (unsigned long long)wishes->length, (unsigned long long)wishes->start);
	return 0;
}

int tandem_range_get(struct tandem_device *device, const void *address, struct tandem_ioc_range *wishes)
{
	struct tandem_ioc_range answer = {.start = address_of(address)};
	int error = tandem_ioctl(device, TANDEM_IOC_RANGE_GET, &answer);

	if (error)
		return tandem_fail_errno(error, "asking for the wishes at %p", address);
	*wishes = answer;
	return 0;
}

int tandem_pages(struct tandem_device *device, const void *address, size_t bytes, uint8_t *pages)
{
	struct tandem_ioc_pages where = {.start = address_of(address), .length = bytes, .pages = address_of(pages)};
	int error = tandem_ioctl(device, TANDEM_IOC_PAGES, &where);

	if (error)
		return tandem_fail_errno(error, "asking where %zu bytes at %p are", bytes, address);
	return 0;
}

int tandem_retry(struct tandem_device *device, unsigned int mode, enum tandem_retry_mode *now)
{
	struct tandem_ioc_retry retry = {.mode = mode};
	int error = tandem_ioctl(device, TANDEM_IOC_RETRY, &retry);

	if (error == EBUSY)
		return tandem_fail_errno(error, "setting retry mode %u: destroy the device's queues first", mode);
	if (error)
		return tandem_fail_errno(error, "setting retry mode %u", mode);
	if (now)
		*now = (enum tandem_retry_mode)retry.mode;
	return 0;
}
