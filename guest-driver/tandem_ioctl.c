// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/tandem0: open, close, mmap and the requests of uapi/tandem_uapi.h. Values from user space
 * are checked once, here or in the function that a request leads to.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "tandem_as.h"
#include "tandem_queue.h"

static int tandem_open(struct inode *inode, struct file *file)
{
	struct tandem_device *tdev = container_of(file->private_data, struct tandem_device, misc);
	struct tandem_as *as = tandem_as_create(tdev);

	if (!as)
		return -ENOMEM;
	file->private_data = as;
	return nonseekable_open(inode, file);
}

static int tandem_release(struct inode *inode, struct file *file)
{
	struct tandem_as *as = file->private_data;

	tandem_as_teardown(as);
	tandem_as_put(as);
	return 0;
}

static int tandem_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tandem_as *as = file->private_data;
	int ret = tandem_as_enter(as);

	return ret ? ret : tandem_doorbell_mmap(as, vma);
}

static int tandem_ioctl_query(struct tandem_as *as, struct tandem_ioc_query *args)
{
	struct tandem_device *tdev = as->tdev;
	const struct tandem_config *config = &tdev->config;

	if (args->reserved)
		return -EINVAL;
	args->vram_kind = tdev->vram.kind;
	args->fabric = tdev->vram.fabric;
	args->uapi_version = TANDEM_UAPI_MAJOR << 16 | TANDEM_UAPI_MINOR;
	args->abi_version = config->abi_version;
	args->compute_units = config->compute_units;
	args->waves_per_cu = config->waves_per_cu;
	args->lds_bytes = config->lds_bytes;
	args->wave_lanes = TANDEM_WAVE_LANES;
	args->max_queues = config->max_queues;
	args->translations = BIT(TANDEM_TRANSLATION_MIRROR) |
			     (tandem_sva_is_there(tdev) ? BIT(TANDEM_TRANSLATION_SVA) : 0);
	args->vram_bytes = config->vram_bytes;
	args->features = config->features;
	down_read(&tdev->mmio_lock);
	args->clock_ns = tandem_device_is_gone(tdev) ? 0 : tandem_read64(tdev, TANDEM_REG_CLOCK_NS);
	up_read(&tdev->mmio_lock);
	return tandem_device_is_gone(tdev) ? -ENODEV : 0;
}

static int tandem_ioctl_init(struct tandem_as *as, struct tandem_ioc_init *args)
{
	if (args->flags & ~TANDEM_INIT_MIGRATE || args->reserved[0] || args->reserved[1])
		return -EINVAL;
	switch (args->translation) {
	case TANDEM_TRANSLATION_MIRROR:
		return tandem_as_init(as, args);
	case TANDEM_TRANSLATION_SVA:
		return args->flags ? -EOPNOTSUPP : tandem_as_init(as, args);
	case TANDEM_TRANSLATION_SOFTTLB:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static int tandem_ioctl_destroy(struct tandem_as *as, struct tandem_ioc_queue_destroy *args)
{
	return args->reserved0 ? -EINVAL : tandem_queue_destroy(as, args->queue);
}

static int tandem_ioctl_stats(struct tandem_as *as, struct tandem_ioc_stats *args)
{
	tandem_stats_as(as, args);
	return 0;
}

union tandem_ioctl_args {
	struct tandem_ioc_query query;
	struct tandem_ioc_init init;
	struct tandem_ioc_queue_create create;
	struct tandem_ioc_queue_destroy destroy;
	struct tandem_ioc_queue_status status;
	struct tandem_ioc_queue_report report;
	struct tandem_ioc_wait wait;
	struct tandem_ioc_stats stats;
	struct tandem_ioc_prefetch prefetch;
	struct tandem_ioc_pages pages;
	struct tandem_ioc_range range;
	struct tandem_ioc_retry retry;
};

static int tandem_ioctl_dispatch(struct tandem_as *as, unsigned int request,
				 union tandem_ioctl_args *args)
{
	int ret;

	if (request == TANDEM_IOC_QUERY)
		return tandem_ioctl_query(as, &args->query);
	if (request == TANDEM_IOC_INIT)
		return tandem_ioctl_init(as, &args->init);

	ret = tandem_as_enter(as);
	/*
	 * What a lost address space has to say about itself can still be asked, and its queues be
	 * cleaned up.
	 */
	if (ret == -EIO && (request == TANDEM_IOC_QUEUE_STATUS ||
			    request == TANDEM_IOC_QUEUE_REPORT ||
			    request == TANDEM_IOC_QUEUE_DESTROY || request == TANDEM_IOC_STATS))
		ret = 0;
	if (ret)
		return ret;
	switch (request) {
	case TANDEM_IOC_QUEUE_CREATE:
		return tandem_queue_create(as, &args->create);
	case TANDEM_IOC_QUEUE_DESTROY:
		return tandem_ioctl_destroy(as, &args->destroy);
	case TANDEM_IOC_QUEUE_STATUS:
		return tandem_queue_status(as, &args->status);
	case TANDEM_IOC_QUEUE_REPORT:
		return tandem_queue_read_report(as, &args->report);
	case TANDEM_IOC_WAIT:
		return tandem_wait_signal(as, &args->wait);
	case TANDEM_IOC_PREFETCH:
		return tandem_memory_prefetch(as, &args->prefetch);
	case TANDEM_IOC_RANGE_SET:
		return tandem_range_set(as, &args->range);
	case TANDEM_IOC_RANGE_GET:
		return tandem_range_get(as, &args->range);
	case TANDEM_IOC_PAGES:
		return tandem_memory_pages(as, &args->pages);
	case TANDEM_IOC_RETRY:
		return tandem_retry_ioctl(as, &args->retry);
	default:
		return tandem_ioctl_stats(as, &args->stats);
	}
}

static bool tandem_ioctl_is_known(unsigned int request)
{
	switch (request) {
	case TANDEM_IOC_QUERY:
	case TANDEM_IOC_INIT:
	case TANDEM_IOC_QUEUE_CREATE:
	case TANDEM_IOC_QUEUE_DESTROY:
	case TANDEM_IOC_QUEUE_STATUS:
	case TANDEM_IOC_QUEUE_REPORT:
	case TANDEM_IOC_WAIT:
	case TANDEM_IOC_STATS:
	case TANDEM_IOC_PREFETCH:
	case TANDEM_IOC_RANGE_SET:
	case TANDEM_IOC_RANGE_GET:
	case TANDEM_IOC_PAGES:
	case TANDEM_IOC_RETRY:
		return true;
	default:
		return false;
	}
}

/*
 * WAIT tells what it saw and how much time is left whatever its end; the others only when they
 * succeed.
 */
static long tandem_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	union tandem_ioctl_args args;
	size_t bytes = _IOC_SIZE(request);
	int ret;

	if (!tandem_ioctl_is_known(request))
		return -ENOTTY;
	if (copy_from_user(&args, user, bytes))
		return -EFAULT;
	ret = tandem_ioctl_dispatch(file->private_data, request, &args);
	if ((!ret || request == TANDEM_IOC_WAIT) && copy_to_user(user, &args, bytes))
		return -EFAULT;
	return ret;
}

const struct file_operations tandem_fops = {
	.owner = THIS_MODULE,
	.open = tandem_open,
	.release = tandem_release,
	.mmap = tandem_mmap,
	.unlocked_ioctl = tandem_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
