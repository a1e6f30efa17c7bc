/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linked into every kernel by tandem-kcc: the four functions that a compiler may call though the source never does. Each
 * lane runs them for itself. They must not be turned into calls of themselves, hence no_builtin.
 */
#include <stddef.h>
#include <stdint.h>

#define FREESTANDING __attribute__((no_builtin, visibility("hidden")))

void *memcpy(void *destination, const void *source, size_t bytes);
void *memmove(void *destination, const void *source, size_t bytes);
void *memset(void *destination, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

/* Aligned words may alias any type. */
typedef uint64_t __attribute__((may_alias)) word;

static int all_aligned(const void *a, const void *b)
{
	return (((uintptr_t)a | (uintptr_t)b) & (sizeof(word) - 1)) == 0;
}

FREESTANDING void *memcpy(void *destination, const void *source, size_t bytes)
{
	unsigned char *to = destination;
	const unsigned char *from = source;

	if (all_aligned(to, from))
		for (; bytes >= sizeof(word); bytes -= sizeof(word), to += sizeof(word), from += sizeof(word))
			*(word *)to = *(const word *)from;
	while (bytes--)
		*to++ = *from++;
	return destination;
}

FREESTANDING void *memmove(void *destination, const void *source, size_t bytes)
{
	unsigned char *to = destination;
	const unsigned char *from = source;

	if ((uintptr_t)to - (uintptr_t)from >= bytes)
		return memcpy(destination, source, bytes);
	while (bytes--)
		to[bytes] = from[bytes];
	return destination;
}

FREESTANDING void *memset(void *destination, int value, size_t bytes)
{
	unsigned char *to = destination;
	const word pattern = (unsigned char)value * 0x0101010101010101ull;

	if (all_aligned(to, to))
		for (; bytes >= sizeof(word); bytes -= sizeof(word), to += sizeof(word))
			*(word *)to = pattern;
	while (bytes--)
		*to++ = (unsigned char)value;
	return destination;
}

FREESTANDING int memcmp(const void *left, const void *right, size_t bytes)
{
	const unsigned char *a = left;
	const unsigned char *b = right;

	for (; bytes; bytes--, a++, b++)
		if (*a != *b)
			return *a < *b ? -1 : 1;
	return 0;
}
