/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel file in memory, checked: everything the loader uses later has been shown to lie inside the file and inside the
 * image. Without a device, so that it is tested on the host.
 */
#ifndef TANDEM_IMAGE_H
#define TANDEM_IMAGE_H

#include <elf.h>

#include "tandem/tandem.h"

#define TANDEM_IMAGE_LIMIT (1ull << 30) /* bytes, of a file and of what it unfolds to */
#define TANDEM_IMAGE_SEGMENTS 32

struct tandem_image {
	const unsigned char *file; /* the caller's, must outlive this */
	size_t file_bytes;
	const char *name;          /* for messages, the caller's */
	uint64_t span;             /* bytes from address 0 of the image to its end, whole pages */
	Elf64_Phdr segments[TANDEM_IMAGE_SEGMENTS]; /* PT_LOAD only, ascending, not overlapping in pages */
	unsigned int segment_count;
	uint64_t relro_start, relro_bytes; /* read-only after relocation; 0 if there is none */
	const Elf64_Rela *relocations;     /* all R_RISCV_RELATIVE; may be misaligned: copy out */
	size_t relocation_count;
	const unsigned char *symbols;      /* Elf64_Sym, may be misaligned: copy out */
	size_t symbol_count;
	const char *strings;               /* ends with NUL */
	size_t string_bytes;
	uint64_t needs_address, needs_bytes; /* section .tandem.kernels in the image */
};

/* Checks the whole file. Returns TANDEM_ERROR_FILE with a sentence if anything is wrong with it. */
int tandem_image_parse(struct tandem_image *image, const void *file, size_t bytes, const char *name);

/* Symbol n: its name, or NULL if it is not defined in the image or its name lies outside the string table. */
const char *tandem_image_symbol(const struct tandem_image *image, size_t n, Elf64_Sym *symbol);

/* Copies the segments to base, which has image->span bytes of zeros, and applies the relocations. */
void tandem_image_place(const struct tandem_image *image, unsigned char *base);

#endif
