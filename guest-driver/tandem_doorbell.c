// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The doorbell page of an address space, mapped into its process.
 *
 * The mapping hangs on a file of its own, with an inode of its own: a mapping does not keep
 * /dev/tandem0 open, so close() really closes, and taking the page away touches this address space
 * only. Once it is over, a private page of memory takes the doorbells' place: a late write is lost
 * instead of killing the process, and cannot reach the PASID's next owner.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "tandem_as.h"

static int tandem_doorbell_file_release(struct inode *inode, struct file *file)
{
	tandem_as_put(file->private_data);
	return 0;
}

static const struct file_operations tandem_doorbell_fops = {
	.owner = THIS_MODULE,
	.release = tandem_doorbell_file_release,
};

int tandem_doorbell_init(struct tandem_as *as)
{
	struct file *file;

	as->doorbell_dummy = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!as->doorbell_dummy)
		return -ENOMEM;
	file = anon_inode_create_getfile("[tandem-doorbell]", &tandem_doorbell_fops, as, O_RDWR,
					 NULL);
	if (IS_ERR(file)) {
		__free_page(as->doorbell_dummy);
		as->doorbell_dummy = NULL;
		return PTR_ERR(file);
	}
	tandem_as_get(as);
	as->doorbell_file = file;
	as->doorbell_open = true;
	return 0;
}

/*
 * When this returns the process cannot reach the doorbells. Must come before the PASID is given
 * away or the device runs again.
 */
void tandem_doorbell_zap(struct tandem_as *as)
{
	mutex_lock(&as->doorbell_lock);
	as->doorbell_open = false;
	mutex_unlock(&as->doorbell_lock);
	if (as->doorbell_file)
		unmap_mapping_range(as->doorbell_file->f_mapping, 0, TANDEM_DOORBELL_PAGE_SIZE, 1);
}

void tandem_doorbell_fini(struct tandem_as *as)
{
	if (as->doorbell_file)
		fput(as->doorbell_file);
	as->doorbell_file = NULL;
}

static vm_fault_t tandem_doorbell_fault(struct vm_fault *vmf)
{
	struct tandem_as *as = vmf->vma->vm_private_data;
	unsigned long pfn;
	vm_fault_t ret;

	mutex_lock(&as->doorbell_lock);
	if (as->doorbell_open)
		pfn = PHYS_PFN(as->tdev->doorbells) + as->pasid;
	else
		pfn = page_to_pfn(as->doorbell_dummy);
	ret = vmf_insert_pfn(vmf->vma, vmf->address, pfn);
	mutex_unlock(&as->doorbell_lock);
	return ret;
}

static int tandem_doorbell_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return -EINVAL;
}

static const struct vm_operations_struct tandem_doorbell_vm_ops = {
	.fault = tandem_doorbell_fault,
	.may_split = tandem_doorbell_may_split,
};

int tandem_doorbell_mmap(struct tandem_as *as, struct vm_area_struct *vma)
{
	static_assert(TANDEM_DOORBELL_PAGE_SIZE == PAGE_SIZE);

	if (vma->vm_pgoff != TANDEM_MMAP_DOORBELLS || vma_pages(vma) != 1)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_ops = &tandem_doorbell_vm_ops;
	vma->vm_private_data = as;
	vma_set_file(vma, as->doorbell_file);
	return 0;
}
