/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libtandem-shadow.so: preloaded into a program, it lets the GPU read every page that the program has, again and again, and never
 * makes one. The program must not notice:
 *
 * - The queue is resident-only. What the GPU does not find it skips.
 * - Everything that the shadow needs is mapped before main() begins: one thread, which neither allocates nor maps, and takes no
 *   signal.
 * - A child of fork() gets a shadow of its own before fork() returns there; exec starts anew; exit needs nothing.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../kernels/shadow.h"
#include "report.h"
#include "tandem/tandem.h"

#define STACK_BYTES (128 * 1024)
#define LANE_BYTES 256
#define SCRATCH_WAVES 32
#define PAUSE_NS 2000000
#define MAPS_CHUNK 4096
/* Neither the loader's nor mmap()'s own choice: where the shadow's memory lies, no mapping of the program can touch it. */
#define QUIET_ADDRESS ((void *)0x100000000000)

/* One mapping, not inherited by children. */
struct shadow_memory {
	struct shadow_arguments arguments __attribute__((aligned(4096)));
	struct tandem_signal done __attribute__((aligned(4096)));
	char maps[MAPS_CHUNK];
};
_Static_assert(sizeof(struct shadow_arguments) <= SHADOW_PAGE_BYTES, "the arguments have room in a page");

static struct {
	struct shadow_memory *memory;
	struct tandem_device *device;
	struct tandem_queue *queue;
	struct tandem_module *module;
	struct tandem_launch launch;
	int maps;
} shadow;

static struct shadow_report *report;

/* Inherited by children, unlike the rest: there the C library takes the dead thread off its lists, which lead through here. */
static char stack[STACK_BYTES] __attribute__((aligned(4096)));

static void add(uint64_t *word, uint64_t value)
{
	__atomic_fetch_add(word, value, __ATOMIC_RELAXED);
}

static void complain(const char *what)
{
	add(&report->failures, 1);
	fprintf(stderr, "libtandem-shadow: %s: %s\n", what, tandem_error_text());
}

/* ---- what there is to read ---- */

/* The mapping that a line of /proc/self/maps is about: "start-end rwxp ...". */
static bool parse_line(const char *line, struct shadow_range *range)
{
	char *rest;

	range->start = strtoull(line, &rest, 16);
	range->end = strtoull(rest + 1, &rest, 16);
	/* [vsyscall] lies in the kernel's half. */
	return rest[1] == 'r' && range->end <= 1ull << 47;
}

/* Runs the kernel on the ranges that were gathered. False: the queue has stopped. */
static bool read_ranges(void)
{
	struct shadow_arguments *arguments = &shadow.memory->arguments;

	if (!arguments->ranges)
		return true;
	arguments->read = arguments->tried = 0;
	tandem_signal_init(&shadow.memory->done, 1);
	if (tandem_dispatch(shadow.queue, &shadow.launch) ||
	    tandem_wait(shadow.queue, &shadow.memory->done, TANDEM_FOREVER))
		return false;
	add(&report->read, arguments->read);
	add(&report->tried, arguments->tried);
	arguments->ranges = 0;
	return true;
}

static bool take_line(const char *line)
{
	struct shadow_arguments *arguments = &shadow.memory->arguments;
	struct shadow_range range;

	if (parse_line(line, &range))
		arguments->range[arguments->ranges++] = range;
	return arguments->ranges < SHADOW_RANGES || read_ranges();
}

/* Whole lines from the front of the text; returns what is left of it, or -1. */
static ssize_t take_lines(char *text, size_t bytes)
{
	char *line = text, *end;

	while ((end = memchr(line, '\n', bytes - (size_t)(line - text)))) {
		*end = '\0';
		if (!take_line(line))
			return -1;
		line = end + 1;
	}
	memmove(text, line, bytes - (size_t)(line - text));
	return (ssize_t)bytes - (line - text);
}

static bool read_everything(void)
{
	char *text = shadow.memory->maps;
	ssize_t kept = 0, count;

	lseek(shadow.maps, 0, SEEK_SET);
	while ((count = read(shadow.maps, text + kept, MAPS_CHUNK - (size_t)kept)) > 0) {
		kept = take_lines(text, (size_t)(kept + count));
		/* A line that is longer than the chunk cannot be: a path has at most 4095 bytes, and ours are short. */
		if (kept < 0 || kept == MAPS_CHUNK)
			return false;
	}
	return read_ranges();
}

static void *follow(void *unused)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	while (read_everything()) {
		add(&report->rounds, 1);
		nanosleep(&pause, NULL);
	}
	complain("the GPU does not read any more");
	return unused;
}

/* ---- beginning ---- */

static int map_memory(void)
{
	void *memory = mmap(QUIET_ADDRESS, sizeof(*shadow.memory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -1;
	shadow.memory = memory;
	return madvise(memory, sizeof(*shadow.memory), MADV_NOHUGEPAGE) | madvise(memory, sizeof(*shadow.memory), MADV_DONTFORK);
}

static int open_gpu(void)
{
	const struct tandem_queue_options options = {
		.ring_order = 2,
		.scratch_lane_bytes = LANE_BYTES,
		.scratch_waves = SCRATCH_WAVES,
		.flags = TANDEM_QUEUE_RESIDENT_ONLY,
	};
	int status = tandem_open(NULL, &shadow.device);

	if (!status)
		status = tandem_queue_create(shadow.device, &options, &shadow.queue);
	if (!status)
		status = tandem_module_find(shadow.device, "shadow.elf", &shadow.module);
	shadow.launch = (struct tandem_launch){
		.grid = {SHADOW_LANES},
		.group = {64},
		.arguments = &shadow.memory->arguments,
		.completion = &shadow.memory->done,
	};
	return status ? status : tandem_module_kernel(shadow.module, "shadow", &shadow.launch.kernel);
}

/* Signals of the process are for the program's threads. */
static int start_thread(void)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack, sizeof(stack));
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, &attributes, follow, NULL);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

static void begin(void)
{
	memset(&shadow, 0, sizeof(shadow));
	shadow.maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (shadow.maps < 0 || map_memory() || open_gpu() || start_thread()) {
		complain("the GPU cannot read along");
		return;
	}
	add(&report->processes, 1);
}

/* In the child: what it has of its parent's shadow is dead, and goes. */
static void begin_anew(void)
{
	if (shadow.maps >= 0)
		close(shadow.maps);
	tandem_close(shadow.device);
	begin();
}

static int open_report(void)
{
	const char *path = getenv("TANDEM_SHADOW_REPORT");
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (file < 0)
		return -1;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	return report == MAP_FAILED ? -1 : 0;
}

__attribute__((constructor)) static void enter(void)
{
	if (open_report()) {
		fprintf(stderr, "libtandem-shadow: TANDEM_SHADOW_REPORT must name a file of at least %zu bytes\n", sizeof(*report));
		return;
	}
	pthread_atfork(NULL, NULL, begin_anew);
	begin();
}
