/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Evaluates an expression that consists of the CPU's objects: each holds a pointer to one of the functions below, which calls
 * those of its operands in turn. The lanes' stacks grow as deep as the expression.
 */
#include "tandem/device.h"

#include "arguments.h"

/* The CPU asks for these by name and puts their addresses into its objects. */
#define EXPRESSION_FUNCTION __attribute__((used, visibility("default")))

static uint64_t evaluate(const struct expression *e, uint64_t x)
{
	return e->apply(e, x);
}

EXPRESSION_FUNCTION uint64_t apply_constant(const struct expression *self, uint64_t x)
{
	(void)x;
	return self->constant;
}

EXPRESSION_FUNCTION uint64_t apply_argument(const struct expression *self, uint64_t x)
{
	return x + self->constant;
}

EXPRESSION_FUNCTION uint64_t apply_sum(const struct expression *self, uint64_t x)
{
	return evaluate(self->left, x) + evaluate(self->right, x);
}

EXPRESSION_FUNCTION uint64_t apply_product(const struct expression *self, uint64_t x)
{
	return evaluate(self->left, x) * (evaluate(self->right, x) | 1);
}

EXPRESSION_FUNCTION uint64_t apply_rotate(const struct expression *self, uint64_t x)
{
	uint64_t value = evaluate(self->left, x), by = self->constant & 63;

	return value << by | value >> (-by & 63);
}

/* Lanes part here, and go down different ways at the same depth. */
EXPRESSION_FUNCTION uint64_t apply_choice(const struct expression *self, uint64_t x)
{
	return (x ^ self->constant) & 1 ? evaluate(self->left, x) : evaluate(self->right, x + 1);
}

/* An array of its own in each frame: what a callee does must not reach it. */
EXPRESSION_FUNCTION uint64_t apply_table(const struct expression *self, uint64_t x)
{
	volatile uint64_t table[8];

	for (uint64_t i = 0; i < 8; i++)
		table[i] = self->constant * (i + 1) + x;
	uint64_t value = evaluate(self->left, x);

	for (uint64_t i = 0; i < 8; i++)
		value = (value ^ table[i]) * 0x100000001b3ull;
	return value;
}

TANDEM_KERNEL void expression(const struct expression_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i < a->count)
		a->results[i] = evaluate(a->root, i);
}
