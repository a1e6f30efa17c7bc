// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernel commands: posted (nobody waits) or synchronous (with the device's verdict).
 */
#include "tandem_device.h"

/* May sleep for a slot. The fence is reached at once if the device is of another epoch. */
struct tandem_fence tandem_command_post(struct tandem_device *tdev, struct tandem_command *command,
					u32 epoch)
{
	tandem_ring_reserve(&tdev->command, TANDEM_MAY_SLEEP);
	atomic64_inc(&tdev->stats.commands);
	return tandem_ring_submit(&tdev->command, command, epoch);
}

static int tandem_command_errno(u16 code)
{
	switch (code) {
	case TANDEM_COMMAND_OK:
		return 0;
	case TANDEM_COMMAND_COPY_FAILED:
		return -EIO;
	case TANDEM_COMMAND_DRAINING:
		return -EINPROGRESS;
	case TANDEM_COMMAND_NOT_MAPPED:
		return -ENOENT;
	case TANDEM_COMMAND_POISONED:
		return -EHWPOISON;
	default:
		return -EINVAL;
	}
}

/*
 * -EIO: the device was reset before the command was done, or the epoch is over. Not interruptible;
 * the deadline bounds it.
 */
int tandem_command_sync(struct tandem_device *tdev, struct tandem_command *command, u32 epoch)
{
	struct tandem_fence fence;

	command->flags |= TANDEM_COMMAND_INTERRUPT;
	fence = tandem_command_post(tdev, command, epoch);
	tandem_ring_wait(&tdev->command, fence, TANDEM_MAY_SLEEP);
	if (!fence.seqno || tandem_epoch(tdev) != epoch)
		return -EIO;
	/* A command's error event precedes its completion: it is in the ring by now. */
	tandem_event_drain(tdev);
	return tandem_command_errno(tandem_event_command_error(tdev, fence.seqno));
}
