// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What tests ask of the driver itself, by files test_* in debugfs of a device with test hooks:
 * forget the faults that wait, or wait until none does; drop translations that are good; evict a
 * block; stand still at a gate.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "tandem_as.h"

#define TANDEM_TEST_LINE 96

/* One line of the caller's, without its end. */
static int tandem_test_line(char *line, const char __user *user, size_t count)
{
	if (count >= TANDEM_TEST_LINE)
		return -EINVAL;
	if (copy_from_user(line, user, count))
		return -EFAULT;
	line[count] = 0;
	strim(line);
	return 0;
}

/* ---- faults ---- */

static int tandem_test_fault_flush(void *data, u64 unused)
{
	tandem_fault_flush(data);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(tandem_test_fault_flush_fops, NULL, tandem_test_fault_flush, "%llu\n");

static int tandem_test_fault_drain(void *data, u64 timeout_ms)
{
	return timeout_ms > INT_MAX ? -EINVAL : tandem_fault_settle(data, timeout_ms);
}
DEFINE_DEBUGFS_ATTRIBUTE(tandem_test_fault_drain_fops, NULL, tandem_test_fault_drain, "%llu\n");

/* ---- translations: "PASID all" or "PASID START BYTES" ---- */

static int tandem_test_invalidate_parse(const char *line, u32 *pasid, u64 *start, u64 *end)
{
	int used = 0;
	u64 bytes;

	*start = 0;
	*end = TANDEM_VA_LIMIT;
	if (sscanf(line, "%u all%n", pasid, &used) == 1 && used == strlen(line))
		return 0;
	if (sscanf(line, "%u %lli %lli%n", pasid, start, &bytes, &used) != 3 ||
	    used != strlen(line) || tandem_memory_range_is_bad(*start, bytes))
		return -EINVAL;
	*end = *start + bytes;
	return 0;
}

static ssize_t tandem_test_invalidate_write(struct file *file, const char __user *user,
					    size_t count, loff_t *position)
{
	struct tandem_device *tdev = file->private_data;
	char line[TANDEM_TEST_LINE];
	struct tandem_as *as;
	u64 start, end;
	u32 pasid;
	int ret;

	ret = tandem_test_line(line, user, count) ?:
	      tandem_test_invalidate_parse(line, &pasid, &start, &end);
	if (ret)
		return ret;
	as = tandem_as_by_pasid(tdev, pasid);
	if (!as)
		return -ENOENT;
	tandem_invalidate_good(as, start, end);
	tandem_as_put(as);
	return count;
}

static const struct file_operations tandem_test_invalidate_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = tandem_test_invalidate_write,
};

/* ---- eviction: "any", "offset OFFSET" or "va PASID ADDRESS" ---- */

/* The page of VRAM that the address space has mapped there, or the first of the huge one. */
static int tandem_test_page_at(struct tandem_device *tdev, u32 pasid, u64 va, u64 *index)
{
	struct tandem_as *as = tandem_as_by_pasid(tdev, pasid);
	int ret = -ENOENT;
	u64 pte;

	if (!as)
		return ret;
	pte = va < TANDEM_VA_LIMIT ? tandem_mirror_entry(as, va) : 0;
	if (pte & TANDEM_PTE_VALID &&
	    FIELD_GET(TANDEM_PTE_APERTURE, pte) == TANDEM_APERTURE_VRAM) {
		*index = (pte & TANDEM_PTE_ADDRESS) >> PAGE_SHIFT;
		ret = 0;
	}
	tandem_as_put(as);
	return ret;
}

static int tandem_test_evict_parse(struct tandem_device *tdev, const char *line, u64 *index)
{
	u64 address;
	u32 pasid;

	*index = TANDEM_EVICT_ANY;
	if (!strcmp(line, "any"))
		return 0;
	if (sscanf(line, "offset %lli", &address) == 1) {
		*index = address >> PAGE_SHIFT;
		return *index < tdev->vram.pages ? 0 : -EINVAL;
	}
	if (sscanf(line, "va %u %lli", &pasid, &address) == 2)
		return tandem_test_page_at(tdev, pasid, address, index);
	return -EINVAL;
}

static ssize_t tandem_test_evict_write(struct file *file, const char __user *user, size_t count,
				       loff_t *position)
{
	struct tandem_device *tdev = file->private_data;
	char line[TANDEM_TEST_LINE];
	u64 index;
	int ret;

	ret = tandem_test_line(line, user, count) ?:
	      tandem_test_evict_parse(tdev, line, &index) ?:
	      tandem_vram_evict(&tdev->vram, index);
	return ret ? ret : count;
}

static const struct file_operations tandem_test_evict_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = tandem_test_evict_write,
};

/* ---- gates: names of those to be closed; the others open. Read: how many stand there ---- */

static const char * const tandem_gate_names[TANDEM_GATE_COUNT] = {
	[TANDEM_GATE_TEARDOWN] = "teardown",
};

static int tandem_test_gates_show(struct seq_file *seq, void *unused)
{
	struct tandem_device *tdev = seq->private;
	int i;

	for (i = 0; i < TANDEM_GATE_COUNT; i++)
		seq_printf(seq, "%s %d\n", tandem_gate_names[i],
			   atomic_read(&tdev->gates.standing[i]));
	return 0;
}

static int tandem_test_gates_open(struct inode *inode, struct file *file)
{
	return single_open(file, tandem_test_gates_show, inode->i_private);
}

static ssize_t tandem_test_gates_write(struct file *file, const char __user *user, size_t count,
				       loff_t *position)
{
	struct tandem_device *tdev = ((struct seq_file *)file->private_data)->private;
	char line[TANDEM_TEST_LINE], *rest = line, *word;
	unsigned long closed = 0;
	int ret, gate;

	ret = tandem_test_line(line, user, count);
	if (ret)
		return ret;
	while ((word = strsep(&rest, " "))) {
		if (!*word || !strcmp(word, "none"))
			continue;
		gate = match_string(tandem_gate_names, TANDEM_GATE_COUNT, word);
		if (gate < 0)
			return -EINVAL;
		closed |= BIT(gate);
	}
	tandem_gates_set(&tdev->gates, closed);
	return count;
}

static const struct file_operations tandem_test_gates_fops = {
	.owner = THIS_MODULE,
	.open = tandem_test_gates_open,
	.read = seq_read,
	.write = tandem_test_gates_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void tandem_test_debugfs_init(struct tandem_device *tdev, struct dentry *dir)
{
	if (!(tdev->config.features & TANDEM_FEATURE_TEST_HOOKS))
		return;
	debugfs_create_file_unsafe("test_fault_flush", 0200, dir, tdev,
				   &tandem_test_fault_flush_fops);
	debugfs_create_file_unsafe("test_fault_drain", 0200, dir, tdev,
				   &tandem_test_fault_drain_fops);
	debugfs_create_file("test_invalidate", 0200, dir, tdev, &tandem_test_invalidate_fops);
	debugfs_create_file("test_gates", 0600, dir, tdev, &tandem_test_gates_fops);
	if (tandem_vram_is_there(&tdev->vram))
		debugfs_create_file("test_evict", 0200, dir, tdev, &tandem_test_evict_fops);
}
