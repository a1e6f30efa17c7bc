/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded lock-free queue for any number of producers and consumers among CPU threads and lanes; both sides compile this.
 *
 * A cell's turn says whose it is: equal to a producer's number, that producer may fill it; one more, the consumer of that
 * number may empty it. The release of turn by the one pairs with the acquire by the other: the value is there before its turn
 * is seen. Nobody ever waits in here; a full or empty queue is an answer.
 */
#ifndef TANDEM_TEST_EXCHANGE_H
#define TANDEM_TEST_EXCHANGE_H

#include "arguments.h"

static inline void exchange_init(struct exchange_queue *queue)
{
	queue->put = queue->get = 0;
	for (uint64_t i = 0; i < EXCHANGE_CELLS; i++)
		queue->cells[i].turn = i;
}

/* Takes the number whose cell is at its turn. Returns 0 if the cell is not yet there: full for a producer, empty for a consumer. */
static inline struct exchange_cell *exchange_claim(struct exchange_queue *queue, uint64_t *index, uint64_t ahead, uint64_t *number)
{
	uint64_t mine = __atomic_load_n(index, __ATOMIC_RELAXED);

	for (;;) {
		struct exchange_cell *cell = &queue->cells[mine % EXCHANGE_CELLS];
		int64_t distance = (int64_t)(__atomic_load_n(&cell->turn, __ATOMIC_ACQUIRE) - (mine + ahead));

		if (distance < 0)
			return 0;
		if (distance > 0) {
			uint64_t now = __atomic_load_n(index, __ATOMIC_RELAXED);

			/* A cell is never ahead of the index that led to it, unless an update was lost. */
			if (now == mine)
				return 0;
			mine = now;
		} else if (__atomic_compare_exchange_n(index, &mine, mine + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			*number = mine;
			return cell;
		}
	}
}

/* 0: full. */
static inline int exchange_push(struct exchange_queue *queue, uint64_t value)
{
	uint64_t number;
	struct exchange_cell *cell = exchange_claim(queue, &queue->put, 0, &number);

	if (!cell)
		return 0;
	cell->value = value;
	__atomic_store_n(&cell->turn, number + 1, __ATOMIC_RELEASE);
	return 1;
}

/* 0: empty. */
static inline int exchange_pop(struct exchange_queue *queue, uint64_t *value)
{
	uint64_t number;
	struct exchange_cell *cell = exchange_claim(queue, &queue->get, 1, &number);

	if (!cell)
		return 0;
	*value = cell->value;
	__atomic_store_n(&cell->turn, number + EXCHANGE_CELLS, __ATOMIC_RELEASE);
	return 1;
}

/* What the GPU makes of a request. */
static inline uint64_t exchange_answer(uint64_t request)
{
	request ^= request >> 31;
	request *= 0x7fb5d329728ea185ull;
	return request ^ request >> 27;
}

#endif
