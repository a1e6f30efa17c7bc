// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What debugfs shows of VRAM (vram), and how to make things fail for tests: fail_vram (allocations,
 * the kernel's own fault injection), test_copy_fail and test_poison (the device's test hooks).
 */
#include <linux/debugfs.h>
#include <linux/fault-inject.h>
#include <linux/seq_file.h>

#include "tandem_device.h"

static int tandem_vram_show(struct seq_file *seq, void *unused)
{
	struct tandem_device *tdev = seq->private;
	struct tandem_vram *vram = &tdev->vram;
	unsigned int i, huge = 0, cut = 0;
	unsigned long flags;
	u64 reserved, used, retired, left;

	spin_lock_irqsave(&vram->lock, flags);
	left = vram->free_pages;
	for (i = 0; i < vram->block_count; i++) {
		left += vram->blocks[i].loose;
		huge += vram->blocks[i].state == TANDEM_BLOCK_HUGE;
		cut += vram->blocks[i].state == TANDEM_BLOCK_CUT;
	}
	used = vram->used_pages;
	retired = vram->retired_pages;
	reserved = vram->promised_pages + vram->claimed_pages;
	spin_unlock_irqrestore(&vram->lock, flags);

	seq_printf(seq, "total_pages %llu\n", vram->pages);
	seq_printf(seq, "free_pages %llu\n", left);
	seq_printf(seq, "used_pages %llu\n", used);
	seq_printf(seq, "reserved_pages %llu\n", reserved);
	seq_printf(seq, "retired_pages %llu\n", retired);
	seq_printf(seq, "huge_blocks %u\n", huge);
	seq_printf(seq, "cut_blocks %u\n", cut);
	seq_printf(seq, "pages_to_vram %lld\n", atomic64_read(&vram->stats.pages_to_vram));
	seq_printf(seq, "pages_to_system %lld\n", atomic64_read(&vram->stats.pages_to_system));
	seq_printf(seq, "pages_evicted %lld\n", atomic64_read(&vram->stats.pages_evicted));
	seq_printf(seq, "pages_failed %lld\n", atomic64_read(&vram->stats.pages_failed));
	seq_printf(seq, "copy_retries %lld\n", atomic64_read(&vram->stats.copy_retries));
	seq_printf(seq, "poison_events %lld\n", atomic64_read(&vram->stats.poison_events));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tandem_vram);

/* A register of the test hooks, of 4 or 8 bytes. */
static int tandem_test_write(struct tandem_device *tdev, u32 reg, u64 value)
{
	int ret = -ENODEV;

	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev)) {
		if (reg == TANDEM_REG_TEST_POISON)
			tandem_write64(tdev, reg, value);
		else
			tandem_write32(tdev, reg, value);
		ret = 0;
	}
	up_read(&tdev->mmio_lock);
	return ret;
}

/* So many of the COPY and FILL commands that follow fail half-way. */
static int tandem_copy_fail_set(void *data, u64 value)
{
	return value > U32_MAX ? -EINVAL :
				 tandem_test_write(data, TANDEM_REG_TEST_COPY_FAIL, value);
}

/* How many are left to fail. */
static int tandem_copy_fail_get(void *data, u64 *value)
{
	struct tandem_device *tdev = data;

	*value = 0;
	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev))
		*value = tandem_read32(tdev, TANDEM_REG_TEST_COPY_FAIL);
	up_read(&tdev->mmio_lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(tandem_copy_fail_fops, tandem_copy_fail_get, tandem_copy_fail_set,
			 "%llu\n");

/* The page of VRAM at this offset is poisoned from now on. */
static int tandem_poison_set(void *data, u64 offset)
{
	struct tandem_device *tdev = data;

	return offset >= tdev->config.vram_bytes ?
		       -EINVAL :
		       tandem_test_write(tdev, TANDEM_REG_TEST_POISON, offset);
}
DEFINE_DEBUGFS_ATTRIBUTE(tandem_poison_fops, NULL, tandem_poison_set, "%llu\n");

void tandem_vram_debugfs_init(struct tandem_device *tdev, struct dentry *dir)
{
	if (!tandem_vram_is_there(&tdev->vram))
		return;
	debugfs_create_file("vram", 0444, dir, tdev, &tandem_vram_fops);
#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
	fault_create_debugfs_attr("fail_vram", dir, &tandem_fail_vram);
#endif
	if (!(tdev->config.features & TANDEM_FEATURE_TEST_HOOKS))
		return;
	debugfs_create_file_unsafe("test_copy_fail", 0600, dir, tdev, &tandem_copy_fail_fops);
	debugfs_create_file_unsafe("test_poison", 0200, dir, tdev, &tandem_poison_fops);
}
