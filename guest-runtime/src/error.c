/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors as values: a status, and a sentence for each thread that says what it was. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define TEXT_BYTES 768

static _Thread_local char error_text[TEXT_BYTES];

const char *tandem_error_text(void)
{
	return error_text;
}

const char *tandem_strerror(int status)
{
	static const char *const words[-TANDEM_ERROR_LIMIT] = {
		[0] = "success",
		[-TANDEM_ERROR_NO_DEVICE] = "no GPU",
		[-TANDEM_ERROR_ACCESS] = "not allowed",
		[-TANDEM_ERROR_BUSY] = "busy",
		[-TANDEM_ERROR_UNSUPPORTED] = "not supported here",
		[-TANDEM_ERROR_INVALID] = "invalid argument",
		[-TANDEM_ERROR_MEMORY] = "out of memory",
		[-TANDEM_ERROR_EXHAUSTED] = "none left",
		[-TANDEM_ERROR_TIMEOUT] = "timed out",
		[-TANDEM_ERROR_QUEUE] = "the queue failed",
		[-TANDEM_ERROR_LOST] = "the device was reset",
		[-TANDEM_ERROR_FILE] = "not a usable kernel file",
		[-TANDEM_ERROR_NOT_FOUND] = "not found",
		[-TANDEM_ERROR_SYSTEM] = "system call failed",
	};

	if (status > 0 || status <= TANDEM_ERROR_LIMIT)
		return "unknown status";
	return words[-status];
}

int tandem_fail(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error_text, sizeof(error_text), format, arguments);
	va_end(arguments);
	return status;
}

int tandem_fail_more(int status, const char *prefix, ...)
{
	char before[TEXT_BYTES];
	char after[TEXT_BYTES];
	va_list arguments;

	memcpy(after, error_text, sizeof(after));
	va_start(arguments, prefix);
	vsnprintf(before, sizeof(before), prefix, arguments);
	va_end(arguments);
	size_t used = strnlen(before, sizeof(error_text) - 3);

	memcpy(error_text, before, used);
	snprintf(error_text + used, sizeof(error_text) - used, ": %s", after);
	return status;
}

static int status_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return TANDEM_ERROR_NO_DEVICE;
	case EPERM:
	case EACCES:
		return TANDEM_ERROR_ACCESS;
	case EBUSY:
		return TANDEM_ERROR_BUSY;
	case EOPNOTSUPP:
	case ENOTTY:
		return TANDEM_ERROR_UNSUPPORTED;
	case EINVAL:
	case EFAULT:
		return TANDEM_ERROR_INVALID;
	case ENOMEM:
	case EAGAIN:
		return TANDEM_ERROR_MEMORY;
	case ENOSPC:
		return TANDEM_ERROR_EXHAUSTED;
	case ETIMEDOUT:
		return TANDEM_ERROR_TIMEOUT;
	case EIO:
		return TANDEM_ERROR_LOST;
	default:
		return TANDEM_ERROR_SYSTEM;
	}
}

int tandem_fail_errno(int error, const char *what, ...)
{
	char doing[TEXT_BYTES / 2];
	va_list arguments;

	va_start(arguments, what);
	vsnprintf(doing, sizeof(doing), what, arguments);
	va_end(arguments);
	return tandem_fail(status_of(error), "%s: %s", doing, strerror(error));
}
