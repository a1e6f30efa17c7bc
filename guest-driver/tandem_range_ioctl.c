// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process's wishes for ranges of its addresses (RANGE_SET, RANGE_GET). What they lead to stands
 * in tandem_policy.c; ACCESSED_BY and the first COUNTED do something at once.
 */
#include "tandem_as.h"

#define TANDEM_RANGE_FIELDS (TANDEM_RANGE_PREFERRED | TANDEM_RANGE_FLAGS | \
			     TANDEM_RANGE_GRANULARITY)
#define TANDEM_RANGE_ALL    (TANDEM_RANGE_ACCESSED_BY | TANDEM_RANGE_READ_MOSTLY | \
			     TANDEM_RANGE_COUNTED)

static bool tandem_granularity_is_good(u32 granularity)
{
	return !granularity || (granularity >= TANDEM_GRANULARITY_MIN &&
				granularity <= TANDEM_GRANULARITY_MAX);
}

static int tandem_range_check(const struct tandem_ioc_range *args)
{
	if (args->reserved[0] || args->reserved[1] || !args->fields ||
	    args->fields & ~TANDEM_RANGE_FIELDS)
		return -EINVAL;
	if (args->fields & TANDEM_RANGE_PREFERRED && args->preferred > TANDEM_LOCATION_DEVICE)
		return -EINVAL;
	if (args->fields & TANDEM_RANGE_FLAGS && args->flags & ~TANDEM_RANGE_ALL)
		return -EINVAL;
	if (!tandem_granularity_is_good(args->granularity))
		return -EINVAL;
	return tandem_memory_range_is_bad(args->start, args->length) ? -EINVAL : 0;
}

int tandem_range_set(struct tandem_as *as, const struct tandem_ioc_range *args)
{
	int ret = tandem_range_check(args);

	if (ret)
		return ret;
	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	ret = tandem_policy_set(&as->policy, args);
	if (ret || !(args->fields & TANDEM_RANGE_FLAGS))
		return ret;
	if (args->flags & TANDEM_RANGE_COUNTED)
		tandem_hw_count_accesses(as->tdev);
	if (args->flags & TANDEM_RANGE_ACCESSED_BY)
		ret = tandem_memory_map_present(as, args->start, args->start + args->length);
	else
		tandem_retry_revoke(as, args->start, args->start + args->length);
	return ret;
}

int tandem_range_get(struct tandem_as *as, struct tandem_ioc_range *args)
{
	if (args->granularity || args->reserved[0] || args->reserved[1] || args->fields ||
	    !PAGE_ALIGNED(args->start) || args->start >= TANDEM_VA_LIMIT)
		return -EINVAL;
	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	tandem_policy_get(&as->policy, args);
	return 0;
}
