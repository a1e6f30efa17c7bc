/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fault report of a queue that a wavefront stopped: the sentence of tandem_queue_describe(), then which work item it was, the
 * code around the instruction, and the lane's registers.
 */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "disassemble.h"
#include "internal.h"

#define REGISTERS 32
#define COLUMNS 4
#define INSTRUCTION_BYTES 4
#define TEXT_BYTES 96

/* Text that grows at its end, as far as there is room. */
struct page {
	char *text;
	size_t bytes;
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) print(struct page *page, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int added = vsnprintf(page->text + page->used, page->bytes - page->used, format, arguments);

	va_end(arguments);
	if (added > 0)
		page->used += (size_t)added < page->bytes - page->used ? (size_t)added : page->bytes - page->used - 1;
}

/* A load would end the process if the address is wrong; the kernel only says so. */
static bool read_word(uint64_t address, uint32_t *word)
{
	struct iovec here = {word, sizeof(*word)}, there = {(void *)(uintptr_t)address, sizeof(*word)};

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)sizeof(*word);
}

static uint64_t address_of(uint64_t pc, unsigned int n)
{
	return pc + (uint64_t)n * INSTRUCTION_BYTES - TANDEM_REPORT_CODE / 2 * INSTRUCTION_BYTES;
}

void tandem_report_read_code(uint64_t pc, struct tandem_report_code *code)
{
	for (unsigned int n = 0; n < TANDEM_REPORT_CODE; n++)
		code->readable[n] = read_word(address_of(pc, n), &code->word[n]);
}

static void print_place(struct page *page, const struct tandem_wave_report *report)
{
	print(page, "  work item (%u, %u, %u) of workgroup (%u, %u, %u), packet %llu\n", report->local_id[0], report->local_id[1],
	      report->local_id[2], report->group_id[0], report->group_id[1], report->group_id[2],
	      (unsigned long long)report->packet);
	print(page, "  lane %u of wavefront %u on compute unit %u; lanes at this instruction 0x%08x, lanes not ended 0x%08x\n",
	      report->lane, report->wave, report->compute_unit, report->active_lanes, report->live_lanes);
}

static void print_code(struct page *page, uint64_t pc, const struct tandem_report_code *code)
{
	print(page, "  code\n");
	for (unsigned int n = 0; n < TANDEM_REPORT_CODE; n++) {
		const bool here = n == TANDEM_REPORT_CODE / 2;
		unsigned long long address = address_of(pc, n);
		char text[TEXT_BYTES];

		if (code->readable[n]) {
			tandem_disassemble(code->word[n], address, text, sizeof(text));
			print(page, "  %s 0x%llx  %08x  %s\n", here ? "=>" : "  ", address, code->word[n], text);
		} else if (here) {
			print(page, "  => 0x%llx  nothing is mapped here\n", address);
		}
	}
}

static void print_registers(struct page *page, const uint64_t *values, const char *(*name)(unsigned int))
{
	for (unsigned int row = 0; row < REGISTERS / COLUMNS; row++)
		for (unsigned int column = 0; column < COLUMNS; column++) {
			/* Numbered down the columns, as debuggers do. */
			unsigned int number = column * (REGISTERS / COLUMNS) + row;

			print(page, "%s%-4s %016llx%s", column ? "  " : "    ", name(number), (unsigned long long)values[number],
			      column == COLUMNS - 1 ? "\n" : "");
		}
}

static bool any(const uint64_t *values)
{
	for (unsigned int number = 0; number < REGISTERS; number++)
		if (values[number])
			return true;
	return false;
}

void tandem_report_format(const struct tandem_wave_report *report, const struct tandem_report_code *code, char *text,
			  size_t bytes)
{
	struct page page = {text, bytes, 0};

	if (!bytes)
		return;
	print_place(&page, report);
	print_code(&page, report->pc, code);
	print(&page, "  registers of the lane\n");
	print_registers(&page, report->x, tandem_x_name);
	if (!any(report->f))
		print(&page, "  all float registers are 0, fcsr 0x%02x\n", report->fcsr);
	else {
		print(&page, "  float registers, fcsr 0x%02x\n", report->fcsr);
		print_registers(&page, report->f, tandem_f_name);
	}
}

int tandem_queue_report(struct tandem_queue *queue, struct tandem_wave_report *report)
{
	struct tandem_wave_report answer;
	struct tandem_ioc_queue_report args = {
		.queue = tandem_queue_number(queue),
		.bytes = sizeof(answer),
		.report = (uintptr_t)&answer,
	};
	int error = tandem_ioctl(tandem_queue_device(queue), TANDEM_IOC_QUEUE_REPORT, &args);

	if (error == ENODATA)
		return tandem_fail(TANDEM_ERROR_NOT_FOUND, "queue %u: no wavefront made it fail, so there is no report", args.queue);
	if (error)
		return tandem_fail_errno(error, "asking for the report of queue %u", args.queue);
	if (args.bytes < sizeof(answer) || answer.version != TANDEM_WAVE_REPORT_VERSION)
		return tandem_fail(TANDEM_ERROR_UNSUPPORTED, "queue %u: its report is of version %u, this library knows %u",
				   args.queue, answer.version, TANDEM_WAVE_REPORT_VERSION);
	*report = answer;
	return 0;
}

char *tandem_queue_explain(struct tandem_queue *queue, char *text, size_t bytes)
{
	struct tandem_wave_report report;
	struct tandem_report_code code;
	size_t used;

	if (!bytes)
		return text;
	tandem_queue_describe(queue, text, bytes);
	used = strlen(text);
	if (used + 1 < bytes) {
		text[used++] = '\n';
		text[used] = '\0';
	}
	if (tandem_queue_report(queue, &report) == 0) {
		tandem_report_read_code(report.pc, &code);
		tandem_report_format(&report, &code, text + used, bytes - used);
	}
	return text;
}
