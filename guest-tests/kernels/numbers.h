/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Float and double mathematics that CPU and GPU compile from this one source: IEEE 754 operations only, none contracted,
 * so the results must agree to the bit (a NaN is a NaN).
 */
#ifndef TANDEM_TEST_NUMBERS_H
#define TANDEM_TEST_NUMBERS_H

#include <stdint.h>

enum { NUMBERS_RESULTS = 6 }; /* for each element, in each precision */

static inline double numbers_power_of_two(int64_t exponent)
{
	uint64_t bits = (uint64_t)(exponent + 1023) << 52;
	double value;

	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

/* e to the x, |x| < 700: what is left of x after multiples of ln 2, by its Taylor series. */
static inline double numbers_exp(double x)
{
	int64_t n = (int64_t)(x * 1.44269504088896338700 + (x < 0 ? -0.5 : 0.5));
	double r = (x - (double)n * 6.93147180369123816490e-01) - (double)n * 1.90821492927058770002e-10;
	double sum = 1;

	for (int k = 17; k > 0; k--)
		sum = 1 + sum * r / k;
	return sum * numbers_power_of_two(n);
}

/* The sine for |x| < 1000, after multiples of pi / 2. */
static inline double numbers_sin(double x)
{
	int64_t n = (int64_t)(x * 6.36619772367581382433e-01 + (x < 0 ? -0.5 : 0.5));
	double r = (x - (double)n * 1.57079632673412561417) - (double)n * 6.07710050650619224932e-11;
	int odd = n & 1;
	double term = odd ? 1 : r, sum = term;

	for (int k = odd ? 2 : 3; k < 24; k += 2) {
		term = -term * r * r / (double)(k * (k - 1));
		sum += term;
	}
	return n & 2 ? -sum : sum;
}

static inline double numbers_root(double x)
{
	double magnitude = x < 0 ? -x : x;
	double guess = __builtin_sqrt(magnitude);

	return guess - (guess > 0 ? (guess * guess - magnitude) / (2 * guess) : 0);
}

/* A chaotic sequence: a last bit that differs in any step is a different result. */
static inline double numbers_logistic(double x)
{
	double y = x < 0 ? -x : x;

	y = y - (double)(int64_t)y;
	for (int i = 0; i < 60; i++)
		y = 3.99 * y * (1 - y);
	return y;
}

static inline double numbers_horner(double x)
{
	double sum = 0.25;

	for (int i = 0; i < 12; i++)
		sum = __builtin_fma(sum, x, 1.0 / (i + 3));
	return sum;
}

/* Overflow, underflow to subnormals and back, division by zero, invalid operations. */
static inline double numbers_extremes(double x)
{
	double small = x * 1e-200 * 1e-115, big = x * 1e200 * 1e105;

	return small * 1e160 + (big - big) + 1 / (big * 1e10) + small / 3;
}

static inline void numbers_doubles(double *out, double x)
{
	out[0] = numbers_exp(x);
	out[1] = numbers_sin(x);
	out[2] = numbers_root(x);
	out[3] = numbers_logistic(x);
	out[4] = numbers_horner(x);
	out[5] = numbers_extremes(x);
}

static inline float numbers_logistic_float(float x)
{
	float y = x < 0 ? -x : x;

	y = y - (float)(int32_t)y;
	for (int i = 0; i < 30; i++)
		y = 3.9f * y * (1 - y);
	return y;
}

static inline float numbers_horner_float(float x)
{
	float sum = 0.25f;

	for (int i = 0; i < 9; i++)
		sum = __builtin_fmaf(sum, x, 1.0f / (float)(i + 3));
	return sum;
}

static inline void numbers_floats(float *out, float x)
{
	float magnitude = x < 0 ? -x : x;
	float small = x * 1e-30f * 1e-12f;

	out[0] = numbers_logistic_float(x);
	out[1] = numbers_horner_float(x);
	out[2] = __builtin_sqrtf(x) / (magnitude + 1); /* below 0: NaN */
	out[3] = small * 1e25f + small / 3;
	out[4] = (float)((double)x * x) - x * x;
	out[5] = 1 / (x * 1e30f * 1e30f) + (float)(int64_t)(x * 65536.0f);
}

#endif
