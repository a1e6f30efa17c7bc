// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/hmm_dmirror0 and so on, one for each GPU: open, close, mmap and the requests of Linux's
 * hmm-tests. They are there if the module was loaded with hmm_dmirror=1.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>

#include "tandem_dmirror.h"

static bool tandem_dmirror_on;
module_param_named(hmm_dmirror, tandem_dmirror_on, bool, 0444);
MODULE_PARM_DESC(hmm_dmirror, "Test: offer /dev/hmm_dmirrorN, on which Linux's hmm-tests run");

static int tandem_dmirror_open(struct inode *inode, struct file *file)
{
	struct tandem_device *tdev = container_of(file->private_data, struct tandem_device,
						  dmirror);
	struct tandem_ioc_init args = { .translation = TANDEM_TRANSLATION_MIRROR };
	struct tandem_as *as = tandem_as_create(tdev);
	int ret;

	if (!as)
		return -ENOMEM;
	ret = tandem_as_init(as, &args);
	if (ret) {
		tandem_as_put(as);
		return ret;
	}
	file->private_data = as;
	return 0;
}

static int tandem_dmirror_close(struct inode *inode, struct file *file)
{
	struct tandem_as *as = file->private_data;

	tandem_as_teardown(as);
	tandem_as_put(as);
	return 0;
}

/* Pages that are neither anonymous nor a file's: hmm-tests want to see how they are reported. */
static int tandem_dmirror_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long va;

	for (va = vma->vm_start; va < vma->vm_end; va += PAGE_SIZE) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		int ret;

		if (!page || fatal_signal_pending(current)) {
			if (page)
				__free_page(page);
			return page ? -EINTR : -ENOMEM;
		}
		ret = vm_insert_page(vma, va, page);
		/* The mapping has its own reference, or nobody has one. */
		put_page(page);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int tandem_dmirror_dispatch(struct tandem_as *as, unsigned int request,
				   struct tandem_dmirror_request *args)
{
	switch (request) {
	case TANDEM_DMIRROR_READ:
		return tandem_dmirror_read(as, args, true);
	case TANDEM_DMIRROR_READ_UNLOCKED:
		return tandem_dmirror_read(as, args, false);
	case TANDEM_DMIRROR_WRITE:
		return tandem_dmirror_write(as, args);
	case TANDEM_DMIRROR_MIGRATE_TO_DEV:
		return tandem_dmirror_to_dev(as, args);
	case TANDEM_DMIRROR_MIGRATE_TO_SYS:
		return tandem_dmirror_to_sys(as, args);
	case TANDEM_DMIRROR_SNAPSHOT:
		return tandem_dmirror_snapshot(as, args);
	case TANDEM_DMIRROR_EXCLUSIVE:
		return tandem_dmirror_exclusive(as, args);
	case TANDEM_DMIRROR_CHECK_EXCLUSIVE:
		return tandem_dmirror_check_exclusive(as, args);
	case TANDEM_DMIRROR_RELEASE:
		return tandem_vram_bring_home(&as->tdev->vram);
	case TANDEM_DMIRROR_FLAGS:
		WRITE_ONCE(as->deny_huge, args->npages & TANDEM_DMIRROR_FAIL_ALLOC);
		return 0;
	default:
		return -EINVAL;
	}
}

static bool tandem_dmirror_range_is_bad(const struct tandem_dmirror_request *args)
{
	u64 end;

	return !PAGE_ALIGNED(args->addr) || !args->npages ||
	       args->npages > U64_MAX >> PAGE_SHIFT ||
	       check_add_overflow(args->addr, args->npages << PAGE_SHIFT, &end);
}

static long tandem_dmirror_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	struct tandem_as *as = file->private_data;
	struct tandem_dmirror_request args;
	int ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (tandem_dmirror_range_is_bad(&args))
		return -EINVAL;
	args.cpages = 0;
	args.faults = 0;
	ret = tandem_as_enter(as);
	ret = ret ?: tandem_dmirror_dispatch(as, request, &args);
	if (!ret && copy_to_user(user, &args, sizeof(args)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations tandem_dmirror_fops = {
	.owner = THIS_MODULE,
	.open = tandem_dmirror_open,
	.release = tandem_dmirror_close,
	.mmap = tandem_dmirror_mmap,
	.unlocked_ioctl = tandem_dmirror_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

int tandem_dmirror_add(struct tandem_device *tdev)
{
	struct miscdevice *misc = &tdev->dmirror;

	if (!tandem_dmirror_on)
		return 0;
	snprintf(tdev->dmirror_name, sizeof(tdev->dmirror_name), "hmm_dmirror%d", tdev->index);
	misc->minor = MISC_DYNAMIC_MINOR;
	misc->name = tdev->dmirror_name;
	misc->fops = &tandem_dmirror_fops;
	misc->parent = tdev->dev;
	misc->mode = 0600;
	return misc_register(misc);
}

void tandem_dmirror_remove(struct tandem_device *tdev)
{
	if (tandem_dmirror_on)
		misc_deregister(&tdev->dmirror);
}
