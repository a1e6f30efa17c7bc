/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server: each lane takes requests of CPU threads out of one queue and puts answers into another, until it is told to stop. */
#include "tandem/device.h"

#include "exchange.h"

TANDEM_KERNEL void serve(const struct exchange_arguments *a)
{
	while (!__atomic_load_n(a->stop, __ATOMIC_ACQUIRE)) {
		uint64_t request;

		if (!exchange_pop(a->requests, &request))
			continue;
		while (!exchange_push(a->answers, exchange_answer(request)))
			;
	}
}
