// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sys/kernel/debug/tandem0: stats, address_spaces, counters, registers, and inject for the test
 * hooks. What stands there about VRAM comes from tandem_vram_debugfs.c, the driver's own hooks for
 * tests from tandem_test_debugfs.c.
 */
#include <linux/debugfs.h>
#include <linux/fault-inject.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "tandem_as.h"

static int tandem_debugfs_stats_show(struct seq_file *seq, void *unused)
{
	static const char *const vectors[TANDEM_VECTOR_COUNT] = { "command", "invalidate", "fault",
								  "event", "error" };
	struct tandem_device *tdev = seq->private;
	struct tandem_device_stats *stats = &tdev->stats;
	int i;

	seq_printf(seq, "epoch %u\n", tandem_epoch(tdev));
	seq_printf(seq, "atomics %s\n", tandem_atomics_name(tdev->atomics));
	for (i = 0; i < TANDEM_VECTOR_COUNT; i++)
		seq_printf(seq, "interrupts_%s %lld\n", vectors[i],
			   atomic64_read(&stats->interrupts[i]));
	seq_printf(seq, "fault_records %lld\n", atomic64_read(&stats->fault_records));
	seq_printf(seq, "fault_records_stale %lld\n", atomic64_read(&stats->fault_records_stale));
	seq_printf(seq, "fault_records_flushed %lld\n",
		   atomic64_read(&stats->fault_records_flushed));
	seq_printf(seq, "events %lld\n", atomic64_read(&stats->events));
	seq_printf(seq, "commands %lld\n", atomic64_read(&stats->commands));
	seq_printf(seq, "invalidations %lld\n", atomic64_read(&stats->invalidations));
	seq_printf(seq, "invalidate_sleeps %lld\n", atomic64_read(&stats->invalidate_sleeps));
	seq_printf(seq, "nonblock_refused %lld\n", atomic64_read(&stats->nonblock_refused));
	seq_printf(seq, "resets %lld\n", atomic64_read(&stats->resets));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tandem_debugfs_stats);

static void tandem_debugfs_address_space(struct seq_file *seq, struct tandem_as *as)
{
	seq_printf(seq, "pasid %u tgid %d comm %s state %d queues %u", as->pasid, as->tgid,
		   as->comm, READ_ONCE(as->state), as->queue_count);
	seq_printf(seq, " pages %lld tables %lld faults %lld invalidations %lld\n",
		   atomic64_read(&as->pt.pages), atomic64_read(&as->pt.tables),
		   atomic64_read(&as->stats.faults), atomic64_read(&as->stats.invalidations));
}

static int tandem_debugfs_address_spaces_show(struct seq_file *seq, void *unused)
{
	struct tandem_device *tdev = seq->private;
	struct tandem_as *as;

	mutex_lock(&tdev->spaces_lock);
	list_for_each_entry(as, &tdev->spaces, node)
		tandem_debugfs_address_space(seq, as);
	mutex_unlock(&tdev->spaces_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tandem_debugfs_address_spaces);

static const char * const tandem_counter_names[TANDEM_COUNTER_COUNT] = {
	[TANDEM_COUNTER_INSTRUCTIONS] = "instructions",
	[TANDEM_COUNTER_LANE_INSTRUCTIONS] = "lane_instructions",
	[TANDEM_COUNTER_WAVES] = "waves",
	[TANDEM_COUNTER_LANES] = "lanes",
	[TANDEM_COUNTER_WORKGROUPS] = "workgroups",
	[TANDEM_COUNTER_PACKETS] = "packets",
	[TANDEM_COUNTER_L1_HITS] = "l1_hits",
	[TANDEM_COUNTER_L1_MISSES] = "l1_misses",
	[TANDEM_COUNTER_L2_HITS] = "l2_hits",
	[TANDEM_COUNTER_L2_MISSES] = "l2_misses",
	[TANDEM_COUNTER_WALKS] = "walks",
	[TANDEM_COUNTER_WALK_RESTARTS] = "walk_restarts",
	[TANDEM_COUNTER_FAULTS] = "faults",
	[TANDEM_COUNTER_FAULT_OVERFLOWS] = "fault_overflows",
	[TANDEM_COUNTER_REPLAYS] = "replays",
	[TANDEM_COUNTER_CANCELS] = "cancels",
	[TANDEM_COUNTER_INVALIDATES] = "invalidates",
	[TANDEM_COUNTER_ENTRIES_KILLED] = "entries_killed",
	[TANDEM_COUNTER_STORES_DRAINED] = "stores_drained",
	[TANDEM_COUNTER_ATOMICS] = "atomics",
	[TANDEM_COUNTER_LOADS] = "loads",
	[TANDEM_COUNTER_STORES] = "stores",
	[TANDEM_COUNTER_COPY_BYTES] = "copy_bytes",
	[TANDEM_COUNTER_COMMANDS] = "commands",
	[TANDEM_COUNTER_SUSPENDS] = "suspends",
	[TANDEM_COUNTER_ACCESS_EVENTS] = "access_events",
	[TANDEM_COUNTER_POISON_HITS] = "poison_hits",
	[TANDEM_COUNTER_ATS_REQUESTS] = "ats_requests",
	[TANDEM_COUNTER_ATS_STALE] = "ats_stale",
	[TANDEM_COUNTER_PAGE_REQUESTS] = "page_requests",
	[TANDEM_COUNTER_ATC_INVALIDATES] = "atc_invalidates",
};

static int tandem_debugfs_counters_show(struct seq_file *seq, void *unused)
{
	u64 counters[TANDEM_COUNTER_COUNT];
	int i;

	tandem_stats_counters(seq->private, counters, TANDEM_COUNTER_COUNT);
	for (i = 0; i < TANDEM_COUNTER_COUNT; i++)
		seq_printf(seq, "%s %llu\n", tandem_counter_names[i], counters[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tandem_debugfs_counters);

static const struct {
	u32 offset;
	u32 bytes;
	const char *name;
} tandem_registers[] = {
	{ TANDEM_REG_ID, 4, "id" },
	{ TANDEM_REG_ABI_VERSION, 4, "abi_version" },
	{ TANDEM_REG_COMPUTE_UNITS, 4, "compute_units" },
	{ TANDEM_REG_WAVES_PER_CU, 4, "waves_per_cu" },
	{ TANDEM_REG_ADDRESS_SPACES, 4, "address_spaces" },
	{ TANDEM_REG_MAX_QUEUES, 4, "max_queues" },
	{ TANDEM_REG_LDS_BYTES, 4, "lds_bytes" },
	{ TANDEM_REG_FEATURES, 4, "features" },
	{ TANDEM_REG_VRAM_BYTES, 8, "vram_bytes" },
	{ TANDEM_REG_CLOCK_NS, 8, "clock_ns" },
	{ TANDEM_REG_CONTROL, 4, "control" },
	{ TANDEM_REG_STATUS, 4, "status" },
	{ TANDEM_REG_ERROR, 4, "error" },
	{ TANDEM_REG_INTERRUPT_STATUS, 4, "interrupt_status" },
	{ TANDEM_REG_INTERRUPT_ENABLE, 4, "interrupt_enable" },
	{ TANDEM_REG_STATUS_PAGE, 8, "status_page" },
	{ TANDEM_REG_COMMAND_GET, 4, "command_get" },
	{ TANDEM_REG_COMMAND_PUT, 4, "command_put" },
	{ TANDEM_REG_INVALIDATE_GET, 4, "invalidate_get" },
	{ TANDEM_REG_INVALIDATE_PUT, 4, "invalidate_put" },
	{ TANDEM_REG_FAULT_GET, 4, "fault_get" },
	{ TANDEM_REG_FAULT_PUT, 4, "fault_put" },
	{ TANDEM_REG_EVENT_GET, 4, "event_get" },
	{ TANDEM_REG_EVENT_PUT, 4, "event_put" },
};

static int tandem_debugfs_registers_show(struct seq_file *seq, void *unused)
{
	struct tandem_device *tdev = seq->private;
	size_t i;

	down_read(&tdev->mmio_lock);
	for (i = 0; !tandem_device_is_gone(tdev) && i < ARRAY_SIZE(tandem_registers); i++) {
		u32 offset = tandem_registers[i].offset;

		seq_printf(seq, "0x%04x %s 0x%llx\n", offset, tandem_registers[i].name,
			   tandem_registers[i].bytes == 8 ? tandem_read64(tdev, offset) :
							    tandem_read32(tdev, offset));
	}
	up_read(&tdev->mmio_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tandem_debugfs_registers);

/*
 * Words of the inject file: any of the stalls, separated by blanks, replaces what was set; "none"
 * ends them; "reset" resets.
 */
static const struct {
	const char *word;
	u32 bits;
} tandem_injections[] = {
	{ "none", 0 },
	{ "stall-invalidate", TANDEM_TEST_STALL_INVALIDATE },
	{ "stall-command", TANDEM_TEST_STALL_COMMAND },
	{ "stall-fault", TANDEM_TEST_STALL_FAULT },
	{ "stall-response", TANDEM_TEST_STALL_RESPONSE },
};

static int tandem_debugfs_inject_word(const char *word, u32 *bits)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tandem_injections); i++) {
		if (!strcmp(word, tandem_injections[i].word)) {
			*bits |= tandem_injections[i].bits;
			return 0;
		}
	}
	return -EINVAL;
}

static int tandem_debugfs_inject_set(struct tandem_device *tdev, u32 bits)
{
	int ret = -ENODEV;

	if (!(tdev->config.features & TANDEM_FEATURE_TEST_HOOKS))
		return -EOPNOTSUPP;
	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev)) {
		tandem_write32(tdev, TANDEM_REG_TEST_CONTROL, bits);
		ret = 0;
	}
	up_read(&tdev->mmio_lock);
	return ret;
}

static ssize_t tandem_debugfs_inject_write(struct file *file, const char __user *user, size_t count,
					   loff_t *position)
{
	struct tandem_device *tdev = file->private_data;
	char buffer[64], *rest = buffer, *word;
	u32 bits = 0;
	int ret;

	if (count >= sizeof(buffer))
		return -EINVAL;
	if (copy_from_user(buffer, user, count))
		return -EFAULT;
	buffer[count] = 0;
	strim(buffer);
	if (!strcmp(buffer, "reset")) {
		tandem_hw_reset(tdev, tandem_epoch(tdev), "asked for");
		return count;
	}
	while ((word = strsep(&rest, " "))) {
		ret = *word ? tandem_debugfs_inject_word(word, &bits) : 0;
		if (ret)
			return ret;
	}
	ret = tandem_debugfs_inject_set(tdev, bits);
	return ret ? ret : count;
}

static const struct file_operations tandem_debugfs_inject_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = tandem_debugfs_inject_write,
};

void tandem_debugfs_init(struct tandem_device *tdev)
{
	struct dentry *dir = debugfs_create_dir(tdev->name, NULL);

	tdev->debugfs = dir;
	debugfs_create_file("stats", 0444, dir, tdev, &tandem_debugfs_stats_fops);
	debugfs_create_file("address_spaces", 0444, dir, tdev, &tandem_debugfs_address_spaces_fops);
	debugfs_create_file("counters", 0444, dir, tdev, &tandem_debugfs_counters_fops);
	debugfs_create_file("registers", 0400, dir, tdev, &tandem_debugfs_registers_fops);
#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
	fault_create_debugfs_attr("fail_page_table", dir, &tandem_fail_page_table);
#endif
	tandem_vram_debugfs_init(tdev, dir);
	tandem_test_debugfs_init(tdev, dir);
	debugfs_create_file("inject", 0200, dir, tdev, &tandem_debugfs_inject_fops);
}

/* Waits for whoever is in one of the files; nobody can open a gate afterwards. */
void tandem_debugfs_fini(struct tandem_device *tdev)
{
	debugfs_remove(tdev->debugfs);
	tandem_gates_set(&tdev->gates, 0);
}
