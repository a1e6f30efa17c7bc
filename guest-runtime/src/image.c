/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads a kernel's ELF file. The file is hostile: each size and offset is checked, without wrapping, before it is used. */
#include "image.h"

#include <stdio.h>
#include <string.h>

#include "internal.h"

#define PAGE_BYTES 4096ull
#define NEEDS_SECTION ".tandem.kernels"

static bool inside(uint64_t offset, uint64_t bytes, uint64_t limit)
{
	return bytes <= limit && offset <= limit - bytes;
}

static uint64_t page_down(uint64_t address)
{
	return address & ~(PAGE_BYTES - 1);
}

static uint64_t page_up(uint64_t address)
{
	return page_down(address + PAGE_BYTES - 1);
}

#define REFUSE(image, ...) tandem_fail_more((tandem_fail(0, __VA_ARGS__), TANDEM_ERROR_FILE), "%s", (image)->name)

static const char *machine_name(unsigned int machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_386:
		return "x86";
	case EM_AARCH64:
		return "AArch64";
	case EM_ARM:
		return "Arm";
	case EM_AMDGPU:
		return "AMD GPU";
	case EM_CUDA:
		return "CUDA";
	default:
		return "another machine";
	}
}

static int check_identity(const struct tandem_image *image, const Elf64_Ehdr *header)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return REFUSE(image, "not an ELF file");
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return REFUSE(image, "not a 64-bit ELF file");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB)
		return REFUSE(image, "not little-endian");
	if (header->e_ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT)
		return REFUSE(image, "unknown ELF version");
	if (header->e_machine != EM_RISCV)
		return REFUSE(image, "made for %s (ELF machine %u); the GPU runs RISC-V (%u)", machine_name(header->e_machine),
			      header->e_machine, EM_RISCV);
	if (header->e_type == ET_REL)
		return REFUSE(image, "an object file that was not linked yet: use tandem-kcc without -c");
	if (header->e_type != ET_DYN)
		return REFUSE(image, "not position-independent (ELF type %u, not ET_DYN): use tandem-kcc", header->e_type);
	return 0;
}

static int check_abi(const struct tandem_image *image, const Elf64_Ehdr *header)
{
	if (header->e_flags & EF_RISCV_RVC)
		return REFUSE(image, "holds compressed instructions, which the GPU has not: compile with -march=rv64imafd");
	if ((header->e_flags & EF_RISCV_FLOAT_ABI) == EF_RISCV_FLOAT_ABI_QUAD)
		return REFUSE(image, "made for 128-bit floating point, which the GPU has not");
	return 0;
}

static int check_tables(const struct tandem_image *image, const Elf64_Ehdr *header)
{
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0)
		return REFUSE(image, "no usable program headers");
	if (!inside(header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), image->file_bytes))
		return REFUSE(image, "cut off: the program headers lie beyond its end");
	if (header->e_shnum == 0)
		return REFUSE(image, "has no section headers, so its kernels have no names");
	if (header->e_shentsize != sizeof(Elf64_Shdr))
		return REFUSE(image, "no usable section headers");
	if (!inside(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr), image->file_bytes))
		return REFUSE(image, "cut off: the section headers lie beyond its end");
	return 0;
}

static int take_segment(struct tandem_image *image, const Elf64_Phdr *segment)
{
	if (segment->p_memsz == 0)
		return 0;
	if (image->segment_count == TANDEM_IMAGE_SEGMENTS)
		return REFUSE(image, "more than %d segments", TANDEM_IMAGE_SEGMENTS);
	if (!inside(segment->p_offset, segment->p_filesz, image->file_bytes))
		return REFUSE(image, "cut off: segment %u lies beyond its end", image->segment_count);
	if (segment->p_filesz > segment->p_memsz)
		return REFUSE(image, "segment %u has more bytes in the file than in memory", image->segment_count);
	if (!inside(segment->p_vaddr, segment->p_memsz, TANDEM_IMAGE_LIMIT))
		return REFUSE(image, "segment %u is larger than the limit of %llu MiB", image->segment_count,
			      TANDEM_IMAGE_LIMIT >> 20);
	if (page_down(segment->p_vaddr) < image->span)
		return REFUSE(image, "segment %u shares a page with the one before, or comes before it", image->segment_count);
	if ((segment->p_flags & PF_W) && (segment->p_flags & PF_X))
		return REFUSE(image, "segment %u is both writable and executable", image->segment_count);
	image->span = page_up(segment->p_vaddr + segment->p_memsz);
	image->segments[image->segment_count++] = *segment;
	return 0;
}

static const unsigned char *segment_bytes(const struct tandem_image *image, uint64_t address, uint64_t bytes)
{
	for (unsigned int i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (address >= segment->p_vaddr && inside(address - segment->p_vaddr, bytes, segment->p_filesz))
			return image->file + segment->p_offset + (address - segment->p_vaddr);
	}
	return NULL;
}

/* True if [address, address+bytes) lies in one segment, in memory; in a writable one if asked for. */
static bool in_segment(const struct tandem_image *image, uint64_t address, uint64_t bytes, uint32_t flags)
{
	for (unsigned int i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (address >= segment->p_vaddr && inside(address - segment->p_vaddr, bytes, segment->p_memsz))
			return (segment->p_flags & flags) == flags;
	}
	return false;
}

static const char *relocation_name(uint32_t type, char *text, size_t bytes)
{
	static const char *const names[] = {
		[R_RISCV_NONE] = "R_RISCV_NONE",
		[R_RISCV_32] = "R_RISCV_32",
		[R_RISCV_64] = "R_RISCV_64",
		[R_RISCV_RELATIVE] = "R_RISCV_RELATIVE",
		[R_RISCV_COPY] = "R_RISCV_COPY",
		[R_RISCV_JUMP_SLOT] = "R_RISCV_JUMP_SLOT",
		[R_RISCV_TLS_DTPMOD32] = "R_RISCV_TLS_DTPMOD32",
		[R_RISCV_TLS_DTPMOD64] = "R_RISCV_TLS_DTPMOD64",
		[R_RISCV_TLS_DTPREL32] = "R_RISCV_TLS_DTPREL32",
		[R_RISCV_TLS_DTPREL64] = "R_RISCV_TLS_DTPREL64",
		[R_RISCV_TLS_TPREL32] = "R_RISCV_TLS_TPREL32",
		[R_RISCV_TLS_TPREL64] = "R_RISCV_TLS_TPREL64",
	};

	if (type < sizeof(names) / sizeof(names[0]) && names[type])
		return names[type];
	snprintf(text, bytes, "number %u", type);
	return text;
}

static int check_relocations(const struct tandem_image *image)
{
	for (size_t i = 0; i < image->relocation_count; i++) {
		Elf64_Rela relocation;
		char text[24];

		memcpy(&relocation, &image->relocations[i], sizeof(relocation));
		uint32_t type = (uint32_t)ELF64_R_TYPE(relocation.r_info);

		if (type != R_RISCV_RELATIVE)
			return REFUSE(image, "relocation %zu is %s; only R_RISCV_RELATIVE can be applied, because there is nothing to "
				      "link against", i, relocation_name(type, text, sizeof(text)));
		if (!in_segment(image, relocation.r_offset, sizeof(uint64_t), PF_W))
			return REFUSE(image, "relocation %zu is at 0x%llx, outside its writable data", i,
				      (unsigned long long)relocation.r_offset);
	}
	return 0;
}

struct dynamic_values {
	uint64_t rela, rela_bytes, rela_entry;
};

static int read_dynamic_entry(const struct tandem_image *image, const Elf64_Dyn *entry, struct dynamic_values *values)
{
	switch (entry->d_tag) {
	case DT_RELA:
		values->rela = entry->d_un.d_ptr;
		return 0;
	case DT_RELASZ:
		values->rela_bytes = entry->d_un.d_val;
		return 0;
	case DT_RELAENT:
		values->rela_entry = entry->d_un.d_val;
		return 0;
	case DT_NEEDED:
		return REFUSE(image, "needs a shared library; there are none on the GPU");
	case DT_REL:
	case DT_JMPREL:
	case 36: /* DT_RELR, newer than some elf.h */
		return REFUSE(image, "has relocations in a form that the loader does not take (dynamic tag %lld): use tandem-kcc",
			      (long long)entry->d_tag);
	default:
		return 0;
	}
}

static int read_dynamic(struct tandem_image *image, const Elf64_Phdr *segment)
{
	struct dynamic_values values = {0};

	if (!inside(segment->p_offset, segment->p_filesz, image->file_bytes))
		return REFUSE(image, "cut off: the dynamic section lies beyond its end");
	for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= segment->p_filesz; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn entry;

		memcpy(&entry, image->file + segment->p_offset + at, sizeof(entry));
		if (entry.d_tag == DT_NULL)
			break;
		int status = read_dynamic_entry(image, &entry, &values);

		if (status)
			return status;
	}
	if (!values.rela_bytes)
		return 0;
	if (values.rela_entry != sizeof(Elf64_Rela) || values.rela_bytes % sizeof(Elf64_Rela))
		return REFUSE(image, "its relocation table has entries of a strange size");
	image->relocations = (const void *)segment_bytes(image, values.rela, values.rela_bytes);
	if (!image->relocations)
		return REFUSE(image, "its relocation table lies outside its segments");
	image->relocation_count = values.rela_bytes / sizeof(Elf64_Rela);
	return check_relocations(image);
}

static int read_relro(struct tandem_image *image, const Elf64_Phdr *segment)
{
	/* The linker pads memsz to the page; what counts is whole pages inside the image. */
	if (!inside(segment->p_vaddr, segment->p_memsz, image->span))
		return REFUSE(image, "its read-only-after-relocation range lies outside its segments");
	image->relro_start = page_down(segment->p_vaddr);
	image->relro_bytes = page_down(segment->p_vaddr + segment->p_memsz) - image->relro_start;
	return 0;
}

static int read_segments(struct tandem_image *image, const Elf64_Ehdr *header, uint32_t type)
{
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		int status = 0;

		memcpy(&segment, image->file + header->e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type != type)
			continue;
		switch (type) {
		case PT_LOAD:
			status = take_segment(image, &segment);
			break;
		case PT_DYNAMIC:
			status = read_dynamic(image, &segment);
			break;
		case PT_GNU_RELRO:
			status = read_relro(image, &segment);
			break;
		case PT_TLS:
			status = REFUSE(image, "has thread-local variables; lanes have none");
			break;
		case PT_INTERP:
			status = REFUSE(image, "wants a dynamic linker (PT_INTERP); there is none on the GPU");
			break;
		}
		if (status)
			return status;
	}
	return 0;
}

static Elf64_Shdr section_at(const struct tandem_image *image, const Elf64_Ehdr *header, unsigned int n)
{
	Elf64_Shdr section;

	memcpy(&section, image->file + header->e_shoff + (uint64_t)n * sizeof(section), sizeof(section));
	return section;
}

static int take_symbols(struct tandem_image *image, const Elf64_Ehdr *header, const Elf64_Shdr *table)
{
	if (table->sh_entsize != sizeof(Elf64_Sym) || table->sh_link >= header->e_shnum ||
	    !inside(table->sh_offset, table->sh_size, image->file_bytes))
		return REFUSE(image, "its symbol table is damaged");
	Elf64_Shdr strings = section_at(image, header, table->sh_link);

	if (strings.sh_type != SHT_STRTAB || strings.sh_size == 0 ||
	    !inside(strings.sh_offset, strings.sh_size, image->file_bytes) ||
	    image->file[strings.sh_offset + strings.sh_size - 1] != '\0')
		return REFUSE(image, "the names of its symbols are damaged");
	image->symbols = image->file + table->sh_offset;
	image->symbol_count = table->sh_size / sizeof(Elf64_Sym);
	image->strings = (const char *)image->file + strings.sh_offset;
	image->string_bytes = strings.sh_size;
	return 0;
}

/* The full table if it is there, since it names static functions, too; else the exported names. */
static int read_symbols(struct tandem_image *image, const Elf64_Ehdr *header)
{
	static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		for (unsigned int i = 0; i < header->e_shnum; i++) {
			Elf64_Shdr section = section_at(image, header, i);

			if (section.sh_type == kinds[kind])
				return take_symbols(image, header, &section);
		}
	}
	return REFUSE(image, "has no symbols, so its kernels have no names");
}

static bool section_is_named(const struct tandem_image *image, const Elf64_Shdr *names, const Elf64_Shdr *section,
			     const char *name)
{
	size_t bytes = strlen(name) + 1;

	return inside(section->sh_name, bytes, names->sh_size) &&
	       memcmp(image->file + names->sh_offset + section->sh_name, name, bytes) == 0;
}

static int read_needs(struct tandem_image *image, const Elf64_Ehdr *header)
{
	if (header->e_shstrndx >= header->e_shnum)
		return REFUSE(image, "its section names are damaged");
	Elf64_Shdr names = section_at(image, header, header->e_shstrndx);

	if (!inside(names.sh_offset, names.sh_size, image->file_bytes))
		return REFUSE(image, "cut off: its section names lie beyond its end");
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		Elf64_Shdr section = section_at(image, header, i);

		if (!section_is_named(image, &names, &section, NEEDS_SECTION))
			continue;
		if (!in_segment(image, section.sh_addr, section.sh_size, PF_R))
			return REFUSE(image, "its section " NEEDS_SECTION " lies outside its segments");
		image->needs_address = section.sh_addr;
		image->needs_bytes = section.sh_size;
	}
	return 0;
}

static int read_header(const struct tandem_image *image, Elf64_Ehdr *header)
{
	if (image->file_bytes > TANDEM_IMAGE_LIMIT)
		return REFUSE(image, "larger than the limit of %llu MiB", TANDEM_IMAGE_LIMIT >> 20);
	if (image->file_bytes < SELFMAG || memcmp(image->file, ELFMAG, SELFMAG) != 0)
		return REFUSE(image, "not an ELF file");
	if (image->file_bytes < sizeof(*header))
		return REFUSE(image, "cut off: %zu bytes are less than an ELF header", image->file_bytes);
	memcpy(header, image->file, sizeof(*header));
	return 0;
}

int tandem_image_parse(struct tandem_image *image, const void *file, size_t bytes, const char *name)
{
	static const uint32_t segment_types[] = {PT_INTERP, PT_TLS, PT_LOAD, PT_GNU_RELRO, PT_DYNAMIC};
	Elf64_Ehdr header;

	*image = (struct tandem_image){.file = file, .file_bytes = bytes, .name = name};
	int status = read_header(image, &header);

	if (!status)
		status = check_identity(image, &header);
	if (!status)
		status = check_abi(image, &header);
	if (!status)
		status = check_tables(image, &header);
	for (size_t i = 0; !status && i < sizeof(segment_types) / sizeof(segment_types[0]); i++)
		status = read_segments(image, &header, segment_types[i]);
	if (!status && !image->segment_count)
		status = REFUSE(image, "nothing in it is to be loaded");
	if (!status)
		status = read_symbols(image, &header);
	if (!status)
		status = read_needs(image, &header);
	return status;
}

const char *tandem_image_symbol(const struct tandem_image *image, size_t n, Elf64_Sym *symbol)
{
	memcpy(symbol, image->symbols + n * sizeof(*symbol), sizeof(*symbol));
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE || symbol->st_name >= image->string_bytes ||
	    !in_segment(image, symbol->st_value, symbol->st_size, 0))
		return NULL;
	return image->strings + symbol->st_name;
}

void tandem_image_place(const struct tandem_image *image, unsigned char *base)
{
	for (unsigned int i = 0; i < image->segment_count; i++)
		memcpy(base + image->segments[i].p_vaddr, image->file + image->segments[i].p_offset,
		       image->segments[i].p_filesz);
	for (size_t i = 0; i < image->relocation_count; i++) {
		Elf64_Rela relocation;

		memcpy(&relocation, &image->relocations[i], sizeof(relocation));
		uint64_t value = (uintptr_t)base + (uint64_t)relocation.r_addend;

		memcpy(base + relocation.r_offset, &value, sizeof(value));
	}
}
