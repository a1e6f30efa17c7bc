// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Module, PCI probe and removal. Removal is allowed while processes use the device: they get ENODEV
 * and live on; what they hold (struct tandem_device, struct tandem_as) is plain memory by then and
 * goes with their last reference.
 */
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "tandem_as.h"
#include "tandem_dmirror.h"
#include "tandem_iova.h"

unsigned int tandem_deadline_ms = 2000;
module_param_named(deadline_ms, tandem_deadline_ms, uint, 0644);
MODULE_PARM_DESC(deadline_ms,
		 "Time for an invalidation or a command, in ms, after which the device is reset");

unsigned int tandem_spin_us = 50;
module_param_named(spin_us, tandem_spin_us, uint, 0644);
MODULE_PARM_DESC(spin_us, "Time to poll for a completion before going to sleep, in us");

unsigned int tandem_nonblock_us = 1000;
module_param_named(nonblock_us, tandem_nonblock_us, uint, 0644);
MODULE_PARM_DESC(nonblock_us, "Time that a notifier which must not sleep polls, in us");

unsigned int tandem_fault_around = 65536;
module_param_named(fault_around, tandem_fault_around, uint, 0444);
MODULE_PARM_DESC(fault_around,
		 "Bytes looked at around a faulting page: power of two, 4 KiB to 2 MiB");

unsigned int tandem_retry_ms = 1000;
module_param_named(retry_ms, tandem_retry_ms, uint, 0644);
MODULE_PARM_DESC(
	retry_ms,
	"Time for one fault against colliding notifiers, in ms, before the device asks again");

unsigned int tandem_queues_per_file = 64;
module_param_named(queues_per_file, tandem_queues_per_file, uint, 0644);
MODULE_PARM_DESC(queues_per_file, "Queues that one open file may have");

unsigned int tandem_access_threshold = 256;
module_param_named(access_threshold, tandem_access_threshold, uint, 0444);
MODULE_PARM_DESC(access_threshold,
		 "Accesses to 64 KiB beyond VRAM after which it moves if its range is COUNTED; 0: none");

module_param_named(thrash_limit, tandem_thrash_limit, uint, 0644);
MODULE_PARM_DESC(thrash_limit,
		 "Returns of a block by CPU faults after which it stays in memory; 0: no limit");
module_param_named(thrash_ms, tandem_thrash_ms, uint, 0644);
MODULE_PARM_DESC(thrash_ms, "Time in which these are counted, in ms");
module_param_named(thrash_pin_ms, tandem_thrash_pin_ms, uint, 0644);
MODULE_PARM_DESC(thrash_pin_ms, "Time that such a block stays in memory, in ms");

struct workqueue_struct *tandem_wq;
static DEFINE_IDA(tandem_indices);

static void tandem_device_release(struct kref *ref)
{
	struct tandem_device *tdev = container_of(ref, struct tandem_device, ref);

	xa_destroy(&tdev->by_pasid);
	bitmap_free(tdev->pasid_map);
	bitmap_free(tdev->queue_map);
	kvfree(tdev->queues);
	kfree(tdev);
}

void tandem_device_get(struct tandem_device *tdev)
{
	kref_get(&tdev->ref);
}

void tandem_device_put(struct tandem_device *tdev)
{
	kref_put(&tdev->ref, tandem_device_release);
}

static struct tandem_device *tandem_device_create(struct pci_dev *pdev)
{
	struct tandem_device *tdev = kzalloc(sizeof(*tdev), GFP_KERNEL);

	if (!tdev)
		return NULL;
	tdev->index = ida_alloc(&tandem_indices, GFP_KERNEL);
	if (tdev->index < 0) {
		kfree(tdev);
		return NULL;
	}
	kref_init(&tdev->ref);
	tdev->pdev = pdev;
	tdev->dev = &pdev->dev;
	tdev->hw = TANDEM_HW_DOWN;
	tdev->epoch = 1;
	snprintf(tdev->name, sizeof(tdev->name), TANDEM_NAME "%d", tdev->index);
	spin_lock_init(&tdev->hw_lock);
	spin_lock_init(&tdev->queue_lock);
	init_rwsem(&tdev->mmio_lock);
	tandem_gates_init(&tdev->gates);
	mutex_init(&tdev->spaces_lock);
	INIT_LIST_HEAD(&tdev->spaces);
	xa_init(&tdev->by_pasid);
	INIT_WORK(&tdev->recovery, tandem_recovery_work);
	return tdev;
}

/* ---- probe, in steps ---- */

static int tandem_probe_pci(struct tandem_device *tdev)
{
	struct pci_dev *pdev = tdev->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	tdev->regs = pcim_iomap_region(pdev, TANDEM_BAR_REGS, TANDEM_NAME);
	if (IS_ERR(tdev->regs))
		return dev_err_probe(tdev->dev, PTR_ERR(tdev->regs), "no registers in BAR %d\n",
				     TANDEM_BAR_REGS);
	ret = pcim_request_region(pdev, TANDEM_BAR_DOORBELLS, TANDEM_NAME);
	if (ret)
		return ret;
	tdev->doorbells = pci_resource_start(pdev, TANDEM_BAR_DOORBELLS);
	/* The device's caches of translations take addresses of so many bits, whosever they are. */
	ret = dma_set_mask_and_coherent(tdev->dev, DMA_BIT_MASK(TANDEM_VA_BITS));
	if (ret)
		return ret;
	pci_set_master(pdev);
	return 0;
}

static void tandem_config_read(struct tandem_device *tdev)
{
	struct tandem_config *config = &tdev->config;

	config->abi_version = tandem_read32(tdev, TANDEM_REG_ABI_VERSION);
	config->compute_units = tandem_read32(tdev, TANDEM_REG_COMPUTE_UNITS);
	config->waves_per_cu = tandem_read32(tdev, TANDEM_REG_WAVES_PER_CU);
	config->lds_bytes = tandem_read32(tdev, TANDEM_REG_LDS_BYTES);
	config->address_spaces = tandem_read32(tdev, TANDEM_REG_ADDRESS_SPACES);
	config->max_queues = tandem_read32(tdev, TANDEM_REG_MAX_QUEUES);
	config->features = tandem_read32(tdev, TANDEM_REG_FEATURES);
	config->vram_bytes = tandem_read64(tdev, TANDEM_REG_VRAM_BYTES);
}

/*
 * The doorbell pages of all address spaces must be in BAR 2, and the numbers be ones that can be
 * worked with.
 */
static int tandem_probe_config(struct tandem_device *tdev)
{
	struct tandem_config *config = &tdev->config;
	u64 pages = pci_resource_len(tdev->pdev, TANDEM_BAR_DOORBELLS) / TANDEM_DOORBELL_PAGE_SIZE;

	if (tandem_read32(tdev, TANDEM_REG_ID) != TANDEM_ID_VALUE)
		return dev_err_probe(tdev->dev, -ENODEV, "not a Tandem GPU\n");
	tandem_config_read(tdev);
	if (config->abi_version >> 16 != TANDEM_ABI_MAJOR)
		return dev_err_probe(tdev->dev, -ENODEV,
				     "hardware ABI %u.%u, this driver knows %u\n",
				     config->abi_version >> 16, config->abi_version & 0xffff,
				     TANDEM_ABI_MAJOR);
	if (config->address_spaces < 2 || config->address_spaces > pages || !config->max_queues)
		return dev_err_probe(tdev->dev, -ENODEV,
				     "%u address spaces, %u queues, %llu doorbell pages\n",
				     config->address_spaces, config->max_queues, pages);
	return 0;
}

static int tandem_probe_tables(struct tandem_device *tdev)
{
	tdev->pasid_map = bitmap_zalloc(tdev->config.address_spaces, GFP_KERNEL);
	tdev->queue_map = bitmap_zalloc(tdev->config.max_queues, GFP_KERNEL);
	tdev->queues = kvcalloc(tdev->config.max_queues, sizeof(*tdev->queues), GFP_KERNEL);
	return tdev->pasid_map && tdev->queue_map && tdev->queues ? 0 : -ENOMEM;
}

/* Does an IOMMU translate? Then the mirror needs addresses from it, aligned to 2 MiB. */
static int tandem_probe_dma(struct tandem_device *tdev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(tdev->dev);
	struct tandem_iova *iova;

	tdev->translated = domain && iommu_is_dma_domain(domain);
	if (!tdev->translated)
		return 0;
	iova = tandem_iova_alloc(tdev->dev);
	if (!iova)
		return dev_err_probe(tdev->dev, -EOPNOTSUPP,
				     "the IOMMU has no address ranges of 2 MiB for this device\n");
	tandem_iova_free(tdev->dev, iova);
	return 0;
}

static int tandem_probe_misc(struct tandem_device *tdev)
{
	tdev->misc.minor = MISC_DYNAMIC_MINOR;
	tdev->misc.name = tdev->name;
	tdev->misc.fops = &tandem_fops;
	tdev->misc.parent = tdev->dev;
	tdev->misc.mode = 0666;
	return misc_register(&tdev->misc);
}

static int tandem_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct tandem_device *tdev = tandem_device_create(pdev);
	int ret;

	if (!tdev)
		return -ENOMEM;
	ret = tandem_probe_pci(tdev);
	if (ret)
		goto err_put;
	ret = tandem_probe_config(tdev);
	if (ret)
		goto err_put;
	tandem_atomics_probe(tdev);
	ret = tandem_probe_tables(tdev);
	if (ret)
		goto err_put;
	ret = tandem_probe_dma(tdev);
	if (ret)
		goto err_put;
	ret = tandem_rings_alloc(tdev);
	if (ret)
		goto err_rings;
	ret = tandem_check_init(tdev);
	if (ret)
		goto err_rings;
	/*
	 * Whatever ran before us (a crashed kernel, another driver) left the device in an unknown
	 * state.
	 */
	tandem_write32(tdev, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
	/* Before it runs: the first thing that it says may be which pages are poisoned. */
	ret = tandem_pagemap_init(tdev);
	if (ret)
		goto err_check;
	ret = tandem_irq_init(tdev);
	if (ret)
		goto err_pagemap;
	ret = tandem_device_start(tdev);
	if (ret)
		goto err_irq;
	pci_set_drvdata(pdev, tdev);
	tandem_debugfs_init(tdev);
	ret = tandem_probe_misc(tdev);
	if (ret)
		goto err_start;
	ret = tandem_dmirror_add(tdev);
	if (ret)
		goto err_misc;
	dev_info(tdev->dev,
		 "%s: %u compute units, %u address spaces, %u queues, %llu MiB of VRAM\n",
		 tdev->name, tdev->config.compute_units, tdev->config.address_spaces,
		 tdev->config.max_queues, tdev->config.vram_bytes >> 20);
	return 0;

err_misc:
	misc_deregister(&tdev->misc);
err_start:
	tandem_debugfs_fini(tdev);
	tandem_hw_gone(tdev);
err_irq:
	tandem_irq_fini(tdev);
	cancel_work_sync(&tdev->recovery);
err_pagemap:
	tandem_pagemap_fini(tdev);
err_check:
	tandem_check_fini(tdev);
err_rings:
	tandem_rings_free(tdev);
err_put:
	ida_free(&tandem_indices, tdev->index);
	tandem_device_put(tdev);
	return ret;
}

/* ---- removal ---- */

static struct tandem_as *tandem_first_space(struct tandem_device *tdev)
{
	struct tandem_as *as;

	mutex_lock(&tdev->spaces_lock);
	as = list_first_entry_or_null(&tdev->spaces, struct tandem_as, node);
	if (as)
		tandem_as_get(as);
	mutex_unlock(&tdev->spaces_lock);
	return as;
}

static void tandem_remove(struct pci_dev *pdev)
{
	struct tandem_device *tdev = pci_get_drvdata(pdev);
	struct tandem_as *as;

	tandem_dmirror_remove(tdev);
	misc_deregister(&tdev->misc);
	tandem_debugfs_fini(tdev);
	/* While the copy engine still works. */
	tandem_vram_evacuate(&tdev->vram);
	tandem_hw_gone(tdev);
	tandem_irq_fini(tdev);
	cancel_work_sync(&tdev->recovery);
	/*
	 * GONE is set: no new address space can be enlisted. Those that are give their tables back
	 * before the device goes.
	 */
	while ((as = tandem_first_space(tdev))) {
		tandem_as_lose(as);
		tandem_as_teardown(as);
		tandem_as_put(as);
	}
	/* No table has an entry of a page of VRAM any more. */
	tandem_pagemap_fini(tdev);
	tandem_check_fini(tdev);
	tandem_rings_free(tdev);
	pci_clear_master(pdev);
	/* Who still has a file of ours open does not keep the name. */
	ida_free(&tandem_indices, tdev->index);
	tandem_device_put(tdev);
}

/*
 * The next kernel must not find a device that writes to memory. Processes are frozen or gone by
 * now.
 */
static void tandem_shutdown(struct pci_dev *pdev)
{
	tandem_hw_gone(pci_get_drvdata(pdev));
	pci_clear_master(pdev);
}

static const struct pci_device_id tandem_ids[] = {
	{ PCI_DEVICE(TANDEM_PCI_VENDOR_ID, TANDEM_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, tandem_ids);

static struct pci_driver tandem_driver = {
	.name = TANDEM_NAME,
	.id_table = tandem_ids,
	.probe = tandem_probe,
	.remove = tandem_remove,
	.shutdown = tandem_shutdown,
};

static int __init tandem_module_init(void)
{
	int ret;

	if (!is_power_of_2(tandem_fault_around) || tandem_fault_around < PAGE_SIZE ||
	    tandem_fault_around > SZ_2M) {
		pr_err(TANDEM_NAME ": fault_around must be a power of two from 4096 to 2097152\n");
		return -EINVAL;
	}
	tandem_wq = alloc_workqueue(TANDEM_NAME, WQ_UNBOUND, 0);
	if (!tandem_wq)
		return -ENOMEM;
	ret = pci_register_driver(&tandem_driver);
	if (ret)
		destroy_workqueue(tandem_wq);
	return ret;
}

static void __exit tandem_module_exit(void)
{
	pci_unregister_driver(&tandem_driver);
	/* Runs what is left of address spaces that were let go. */
	destroy_workqueue(tandem_wq);
	ida_destroy(&tandem_indices);
}

module_init(tandem_module_init);
module_exit(tandem_module_exit);

MODULE_DESCRIPTION("Tandem GPU: shared virtual memory");
MODULE_AUTHOR("The Tandem authors");
MODULE_LICENSE("GPL");
