/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loaded kernel files: memory with the right protections, descriptors for the device, names for people. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "internal.h"

struct symbol {
	const char *name; /* in module->strings */
	uint64_t offset;
	uint64_t bytes;
	bool is_function;
	bool is_kernel; /* a global function that the file exports */
};

struct kernel {
	_Alignas(64) struct tandem_kernel_descriptor descriptor; /* the device reads it in one access, never across a page */
	const char *name;
};

struct tandem_module {
	struct tandem_device *device;
	struct tandem_module *next; /* in the device's list */
	char *name;
	unsigned char *base;
	uint64_t span;
	char *strings;
	struct symbol *symbols;
	size_t symbol_count;
	struct kernel *kernels;
	size_t kernel_count;
};

struct tandem_module **tandem_module_next(struct tandem_module *module)
{
	return &module->next;
}

/* ---- symbols ---- */

static int copy_symbols(struct tandem_module *module, const struct tandem_image *image)
{
	module->strings = malloc(image->string_bytes);
	module->symbols = calloc(image->symbol_count ? image->symbol_count : 1, sizeof(*module->symbols));
	if (!module->strings || !module->symbols)
		return tandem_fail_errno(ENOMEM, "loading %s", module->name);
	memcpy(module->strings, image->strings, image->string_bytes);
	for (size_t i = 0; i < image->symbol_count; i++) {
		Elf64_Sym symbol;
		const char *name = tandem_image_symbol(image, i, &symbol);
		unsigned char type = ELF64_ST_TYPE(symbol.st_info);

		if (!name || !*name || (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
			continue;
		module->symbols[module->symbol_count++] = (struct symbol){
			.name = module->strings + (name - image->strings),
			.offset = symbol.st_value,
			.bytes = symbol.st_size,
			.is_function = type == STT_FUNC,
			.is_kernel = type == STT_FUNC && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL &&
				     ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT,
		};
	}
	return 0;
}

static const struct symbol *find_symbol(const struct tandem_module *module, const char *name)
{
	for (size_t i = 0; i < module->symbol_count; i++)
		if (strcmp(module->symbols[i].name, name) == 0)
			return &module->symbols[i];
	return NULL;
}

bool tandem_module_symbolise(const struct tandem_module *module, uint64_t address, char *text, size_t bytes)
{
	uint64_t offset = address - (uintptr_t)module->base;
	const struct symbol *best = NULL;

	if (offset >= module->span)
		return false;
	for (size_t i = 0; i < module->symbol_count; i++) {
		const struct symbol *symbol = &module->symbols[i];

		if (symbol->is_function && symbol->offset <= offset && (!best || symbol->offset > best->offset))
			best = symbol;
	}
	if (best)
		snprintf(text, bytes, "%s+0x%llx in %s", best->name, (unsigned long long)(offset - best->offset), module->name);
	else
		snprintf(text, bytes, "0x%llx in %s", (unsigned long long)offset, module->name);
	return true;
}

/* ---- kernels ---- */

/* One record of .tandem.kernels, as tandem/device.h lays it out. */
struct needs {
	uint64_t entry;
	uint32_t group_bytes;
	uint32_t private_bytes;
};

static void apply_needs(const struct tandem_module *module, const struct tandem_image *image,
			struct tandem_kernel_descriptor *descriptor)
{
	for (uint64_t at = 0; at + sizeof(struct needs) <= image->needs_bytes; at += sizeof(struct needs)) {
		struct needs needs;

		memcpy(&needs, module->base + image->needs_address + at, sizeof(needs));
		if (needs.entry != descriptor->entry)
			continue;
		descriptor->group_bytes = needs.group_bytes;
		descriptor->private_bytes = needs.private_bytes;
	}
}

static uint64_t global_pointer(const struct tandem_module *module)
{
	const struct symbol *symbol = find_symbol(module, "__global_pointer$");

	return symbol ? (uintptr_t)module->base + symbol->offset : 0;
}

static int make_kernels(struct tandem_module *module, const struct tandem_image *image)
{
	size_t count = 0;

	for (size_t i = 0; i < module->symbol_count; i++)
		count += module->symbols[i].is_kernel;
	if (!count)
		return tandem_fail(TANDEM_ERROR_FILE, "%s: no kernel in it: mark one with TANDEM_KERNEL", module->name);
	module->kernels = aligned_alloc(_Alignof(struct kernel), count * sizeof(*module->kernels));
	if (!module->kernels)
		return tandem_fail_errno(ENOMEM, "loading %s", module->name);
	for (size_t i = 0; i < module->symbol_count; i++) {
		if (!module->symbols[i].is_kernel)
			continue;
		struct kernel *kernel = &module->kernels[module->kernel_count++];

		kernel->name = module->symbols[i].name;
		kernel->descriptor = (struct tandem_kernel_descriptor){
			.magic = TANDEM_KERNEL_MAGIC,
			.abi_major = TANDEM_ABI_MAJOR,
			.entry = (uintptr_t)module->base + module->symbols[i].offset,
			.global_pointer = global_pointer(module),
		};
		apply_needs(module, image, &kernel->descriptor);
	}
	return 0;
}

static void list_kernels(const struct tandem_module *module, char *text, size_t bytes)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < module->kernel_count && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", module->kernels[i].name);
}

int tandem_module_kernel(struct tandem_module *module, const char *name, const struct tandem_kernel_descriptor **kernel)
{
	char names[256];

	for (size_t i = 0; i < module->kernel_count; i++) {
		if (strcmp(module->kernels[i].name, name) == 0) {
			*kernel = &module->kernels[i].descriptor;
			return 0;
		}
	}
	list_kernels(module, names, sizeof(names));
	return tandem_fail(TANDEM_ERROR_NOT_FOUND, "%s has no kernel \"%s\"; it has: %s", module->name, name, names);
}

int tandem_module_symbol(struct tandem_module *module, const char *name, void **address, size_t *bytes)
{
	const struct symbol *symbol = find_symbol(module, name);

	if (!symbol)
		return tandem_fail(TANDEM_ERROR_NOT_FOUND, "%s has no symbol \"%s\"", module->name, name);
	*address = module->base + symbol->offset;
	if (bytes)
		*bytes = symbol->bytes;
	return 0;
}

/* ---- memory ---- */

static int protect(const struct tandem_module *module, uint64_t start, uint64_t bytes, uint32_t flags)
{
	/* No PROT_EXEC: this is not the CPU's code. The GPU needs reading only. */
	int protection = PROT_READ | (flags & PF_W ? PROT_WRITE : 0);

	if (bytes && mprotect(module->base + start, bytes, protection))
		return tandem_fail_errno(errno, "protecting the segments of %s", module->name);
	return 0;
}

static int protect_segments(const struct tandem_module *module, const struct tandem_image *image)
{
	int status = 0;

	for (unsigned int i = 0; i < image->segment_count && !status; i++) {
		const Elf64_Phdr *segment = &image->segments[i];
		uint64_t start = segment->p_vaddr & ~4095ull;

		status = protect(module, start, ((segment->p_vaddr + segment->p_memsz + 4095) & ~4095ull) - start, segment->p_flags);
	}
	if (!status)
		status = protect(module, image->relro_start, image->relro_bytes, PF_R);
	return status;
}

static int place(struct tandem_module *module, const struct tandem_image *image)
{
	void *memory = mmap(NULL, image->span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return tandem_fail_errno(errno, "mapping %llu bytes for %s", (unsigned long long)image->span, module->name);
	module->base = memory;
	module->span = image->span;
	tandem_image_place(image, module->base);
	return 0;
}

static void discard(struct tandem_module *module)
{
	if (module->base)
		munmap(module->base, module->span);
	free(module->kernels);
	free(module->symbols);
	free(module->strings);
	free(module->name);
	free(module);
}

static int build(struct tandem_module *module, const void *file, size_t bytes)
{
	struct tandem_image image;
	int status = tandem_image_parse(&image, file, bytes, module->name);

	if (!status)
		status = place(module, &image);
	if (!status)
		status = copy_symbols(module, &image);
	if (!status)
		status = make_kernels(module, &image);
	if (!status)
		status = protect_segments(module, &image);
	return status;
}

int tandem_module_load_memory(struct tandem_device *device, const void *image, size_t bytes, const char *name,
			      struct tandem_module **module)
{
	struct tandem_module *made = calloc(1, sizeof(*made));

	if (!made)
		return tandem_fail_errno(ENOMEM, "loading %s", name);
	made->device = device;
	made->name = strdup(name);
	int status = made->name ? build(made, image, bytes) : tandem_fail_errno(ENOMEM, "loading %s", name);

	if (status) {
		discard(made);
		return status;
	}
	tandem_device_add_module(device, made);
	*module = made;
	return 0;
}

void tandem_module_unload(struct tandem_module *module)
{
	if (!module)
		return;
	tandem_device_remove_module(module->device, module);
	discard(module);
}

/* ---- files ---- */

static int read_whole(int file, const char *path, size_t bytes, unsigned char *memory)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t count = read(file, memory + done, bytes - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return tandem_fail_errno(errno, "reading %s", path);
		if (count == 0)
			return tandem_fail(TANDEM_ERROR_FILE, "%s: became shorter while it was read", path);
		done += (size_t)count;
	}
	return 0;
}

static int load_open_file(struct tandem_device *device, int file, const char *path, struct tandem_module **module)
{
	struct stat about;

	if (fstat(file, &about))
		return tandem_fail_errno(errno, "reading %s", path);
	if (!S_ISREG(about.st_mode))
		return tandem_fail(TANDEM_ERROR_FILE, "%s: not a regular file", path);
	if ((uint64_t)about.st_size > TANDEM_IMAGE_LIMIT)
		return tandem_fail(TANDEM_ERROR_FILE, "%s: larger than the limit of %llu MiB", path, TANDEM_IMAGE_LIMIT >> 20);
	unsigned char *memory = malloc((size_t)about.st_size + 1);

	if (!memory)
		return tandem_fail_errno(ENOMEM, "reading %s", path);
	int status = read_whole(file, path, (size_t)about.st_size, memory);

	if (!status)
		status = tandem_module_load_memory(device, memory, (size_t)about.st_size, path, module);
	free(memory);
	return status;
}

int tandem_module_load(struct tandem_device *device, const char *path, struct tandem_module **module)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0 && errno == ENOENT)
		return tandem_fail(TANDEM_ERROR_NOT_FOUND, "%s: no such file", path);
	if (file < 0)
		return tandem_fail_errno(errno, "opening %s", path);
	int status = load_open_file(device, file, path, module);

	close(file);
	return status;
}

/* Where the guest has the kernels that come with Tandem. Looked at last: a program's own file of the same name wins. */
#define INSTALLED_KERNELS "/tandem/kernels"

static bool exists(const char *directory, size_t length, const char *between, const char *name, char *path)
{
	int written = snprintf(path, PATH_MAX, "%.*s%s/%s", (int)length, directory, between, name);

	return written > 0 && written < PATH_MAX && access(path, F_OK) == 0;
}

static bool find_in_path(const char *list, const char *name, char *path)
{
	while (list && *list) {
		size_t length = strcspn(list, ":");

		if (length && exists(list, length, "", name, path))
			return true;
		list += length + (list[length] == ':');
	}
	return false;
}

static bool find_beside_executable(const char *name, char *path)
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (length <= 0)
		return false;
	own[length] = '\0';
	char *slash = strrchr(own, '/');
	size_t directory = slash ? (size_t)(slash - own) : 0;

	return exists(own, directory, "", name, path) || exists(own, directory, "/../kernels", name, path);
}

int tandem_module_find(struct tandem_device *device, const char *name, struct tandem_module **module)
{
	char path[PATH_MAX];

	if (strchr(name, '/'))
		return tandem_module_load(device, name, module);
	if (find_in_path(getenv("TANDEM_KERNEL_PATH"), name, path) || find_beside_executable(name, path) ||
	    find_in_path(INSTALLED_KERNELS, name, path))
		return tandem_module_load(device, path, module);
	return tandem_fail(TANDEM_ERROR_NOT_FOUND, "%s: not in TANDEM_KERNEL_PATH (\"%s\"), beside the executable, in ../kernels "
			   "from there or in " INSTALLED_KERNELS, name,
			   getenv("TANDEM_KERNEL_PATH") ? getenv("TANDEM_KERNEL_PATH") : "");
}
