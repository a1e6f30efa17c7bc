/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The open device: one address space of the GPU, its doorbell page, and what was made in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "tandem_pci.h"

#define DEFAULT_PATH "/dev/tandem0"

int tandem_ioctl(const struct tandem_device *device, unsigned long request, void *argument)
{
	int result;

	do {
		result = ioctl(device->file, request, argument);
	} while (result < 0 && errno == EINTR && request != TANDEM_IOC_WAIT);
	return result < 0 ? errno : 0;
}

static const char *const translation_names[] = {
	[TANDEM_TRANSLATION_MIRROR] = "mirror",
	[TANDEM_TRANSLATION_SVA] = "sva",
	[TANDEM_TRANSLATION_SOFTTLB] = "softtlb",
};

static int translation_by_name(const char *name, uint32_t *translation)
{
	for (uint32_t i = TANDEM_TRANSLATION_MIRROR; i <= TANDEM_TRANSLATION_SOFTTLB; i++) {
		if (strcmp(name, translation_names[i]) == 0) {
			*translation = i;
			return 0;
		}
	}
	return tandem_fail(TANDEM_ERROR_INVALID, "TANDEM_TRANSLATION is \"%s\"; it can be mirror, sva or softtlb", name);
}

static int choose_translation(const struct tandem_open_options *options, uint32_t *translation)
{
	const char *name = getenv("TANDEM_TRANSLATION");

	*translation = options && options->translation ? options->translation : 0;
	if (*translation)
		return 0;
	*translation = TANDEM_TRANSLATION_MIRROR;
	return name && *name ? translation_by_name(name, translation) : 0;
}

static int choose_flags(const struct tandem_open_options *options, uint32_t *flags)
{
	const char *migrate = getenv("TANDEM_MIGRATE");

	*flags = options ? options->flags : 0;
	if (!migrate || !*migrate || strcmp(migrate, "0") == 0)
		return 0;
	if (strcmp(migrate, "1"))
		return tandem_fail(TANDEM_ERROR_INVALID, "TANDEM_MIGRATE is \"%s\"; it can be 0 or 1", migrate);
	*flags |= TANDEM_INIT_MIGRATE;
	return 0;
}

static const char *choose_path(const struct tandem_open_options *options)
{
	const char *path = getenv("TANDEM_DEVICE");

	if (options && options->path)
		return options->path;
	return path && *path ? path : DEFAULT_PATH;
}

static int check_versions(const struct tandem_ioc_query *info, const char *path)
{
	if (info->uapi_version >> 16 != TANDEM_UAPI_MAJOR)
		return tandem_fail(TANDEM_ERROR_UNSUPPORTED, "%s: the driver speaks version %u of its interface, this library %u",
				   path, info->uapi_version >> 16, TANDEM_UAPI_MAJOR);
	if (info->abi_version >> 16 != TANDEM_ABI_MAJOR)
		return tandem_fail(TANDEM_ERROR_UNSUPPORTED, "%s: the hardware has version %u of its interface, this library %u",
				   path, info->abi_version >> 16, TANDEM_ABI_MAJOR);
	return 0;
}

/* What INIT would answer with EOPNOTSUPP, said better. */
static int check_translation(const struct tandem_ioc_query *info, uint32_t translation, const char *path)
{
	if (translation < TANDEM_TRANSLATION_MIRROR || translation > TANDEM_TRANSLATION_SOFTTLB)
		return tandem_fail(TANDEM_ERROR_INVALID, "translation %u; it can be mirror (1), sva (2) or softtlb (3)", translation);
	if (info->translations & 1u << translation)
		return 0;
	return tandem_fail(TANDEM_ERROR_UNSUPPORTED, "%s cannot share memory by the translation \"%s\" on this machine%s", path,
			   translation_names[translation],
			   translation == TANDEM_TRANSLATION_SVA ? ": it has no IOMMU with PASID, ATS and PRI (a guest gets one by "
								   "--translation sva or --iommu passthrough), or the GPU no AtomicOps" :
								   "");
}

static int bind_device(struct tandem_device *device, uint32_t translation, uint32_t flags, const char *path)
{
	struct tandem_ioc_init init = {.translation = translation, .flags = flags};
	int error = tandem_ioctl(device, TANDEM_IOC_QUERY, &device->info);

	if (error)
		return tandem_fail_errno(error, "asking %s what it is", path);
	int status = check_versions(&device->info, path);

	if (!status)
		status = check_translation(&device->info, translation, path);
	if (status)
		return status;
	error = tandem_ioctl(device, TANDEM_IOC_INIT, &init);
	if (error)
		return tandem_fail_errno(error, "making an address space on %s (translation %s, flags 0x%x)", path,
					 translation_names[translation], flags);
	device->pasid = init.pasid;
	device->bus_pasid = init.bus_pasid;
	void *page = mmap(NULL, TANDEM_DOORBELL_PAGE_SIZE, PROT_WRITE, MAP_SHARED, device->file, TANDEM_MMAP_DOORBELLS);

	if (page == MAP_FAILED)
		return tandem_fail_errno(errno, "mapping the doorbell page of %s", path);
	device->doorbells = page;
	return 0;
}

int tandem_open(const struct tandem_open_options *options, struct tandem_device **device)
{
	const char *path = choose_path(options);
	uint32_t translation, flags;
	int status = choose_translation(options, &translation);

	if (!status)
		status = choose_flags(options, &flags);
	if (status)
		return status;
	struct tandem_device *made = calloc(1, sizeof(*made));

	if (!made)
		return tandem_fail_errno(ENOMEM, "opening %s", path);
	pthread_mutex_init(&made->lock, NULL);
	made->file = open(path, O_RDWR | O_CLOEXEC);
	if (made->file < 0)
		status = tandem_fail_errno(errno, "opening %s", path);
	else
		status = bind_device(made, translation, flags, path);
	if (status) {
		tandem_close(made);
		return status;
	}
	*device = made;
	return 0;
}

void tandem_close(struct tandem_device *device)
{
	if (!device)
		return;
	while (device->queues)
		tandem_queue_destroy(device->queues);
	while (device->modules)
		tandem_module_unload(device->modules);
	if (device->doorbells)
		munmap((void *)(uintptr_t)device->doorbells, TANDEM_DOORBELL_PAGE_SIZE);
	if (device->file >= 0)
		close(device->file);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

int tandem_query(struct tandem_device *device, struct tandem_ioc_query *info)
{
	struct tandem_ioc_query answer = {0};
	int error = tandem_ioctl(device, TANDEM_IOC_QUERY, &answer);

	if (error)
		return tandem_fail_errno(error, "querying the device");
	*info = answer;
	return 0;
}

int tandem_get_stats(struct tandem_device *device, struct tandem_ioc_stats *stats)
{
	struct tandem_ioc_stats answer = {0};
	int error = tandem_ioctl(device, TANDEM_IOC_STATS, &answer);

	if (error)
		return tandem_fail_errno(error, "reading statistics");
	*stats = answer;
	return 0;
}

uint32_t tandem_pasid(const struct tandem_device *device)
{
	return device->pasid;
}

uint32_t tandem_bus_pasid(const struct tandem_device *device)
{
	return device->bus_pasid;
}

int tandem_file(const struct tandem_device *device)
{
	return device->file;
}

void tandem_device_add_queue(struct tandem_device *device, struct tandem_queue *queue)
{
	pthread_mutex_lock(&device->lock);
	*tandem_queue_next(queue) = device->queues;
	device->queues = queue;
	pthread_mutex_unlock(&device->lock);
}

void tandem_device_remove_queue(struct tandem_device *device, struct tandem_queue *queue)
{
	struct tandem_queue **link = &device->queues;

	pthread_mutex_lock(&device->lock);
	while (*link && *link != queue)
		link = tandem_queue_next(*link);
	if (*link)
		*link = *tandem_queue_next(queue);
	pthread_mutex_unlock(&device->lock);
}

void tandem_device_add_module(struct tandem_device *device, struct tandem_module *module)
{
	pthread_mutex_lock(&device->lock);
	*tandem_module_next(module) = device->modules;
	device->modules = module;
	pthread_mutex_unlock(&device->lock);
}

void tandem_device_remove_module(struct tandem_device *device, struct tandem_module *module)
{
	struct tandem_module **link = &device->modules;

	pthread_mutex_lock(&device->lock);
	while (*link && *link != module)
		link = tandem_module_next(*link);
	if (*link)
		*link = *tandem_module_next(module);
	pthread_mutex_unlock(&device->lock);
}

bool tandem_device_symbolise(struct tandem_device *device, uint64_t address, char *text, size_t bytes)
{
	bool found = false;

	pthread_mutex_lock(&device->lock);
	for (struct tandem_module *module = device->modules; module && !found; module = *tandem_module_next(module))
		found = tandem_module_symbolise(module, address, text, bytes);
	pthread_mutex_unlock(&device->lock);
	return found;
}
