/*
 * Tandem GPU: where the coherence checker's reports go (property "check"):
 * into a file (property "check-log"), to which several GPUs may append, or
 * without one to standard error.  A report is a few lines and an empty one;
 * its first line begins with the GPU's name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "tandem-gpu.h"

bool tandem_check_open(TandemGpu *s, Error **errp)
{
    if (!s->config.check || !s->check_log) {
        return true;
    }
    s->check_fd = qemu_create(s->check_log, O_WRONLY | O_APPEND, 0644, errp);
    return s->check_fd >= 0;
}

/* The model makes no more reports.  May be called twice. */
void tandem_check_close(TandemGpu *s)
{
    if (s->check_fd >= 0) {
        close(s->check_fd);
        s->check_fd = -1;
    }
}

/*
 * Host operation of the model: device lock held.  There are few reports, so
 * they are written at once: they must be there when the test that caused them
 * ends.
 */
void tandem_check_report(void *opaque, const struct tandem_check_report *report)
{
    TandemGpu *s = opaque;
    g_autofree char *text = g_strdup_printf("%s: %s\n", tandem_gpu_name(s),
                                            report->text);
    ssize_t length = strlen(text);

    if (s->check_fd < 0) {
        error_report("%s", text);
    } else if (qemu_write_full(s->check_fd, text, length) < length) {
        error_report("%s: a report of the checker cannot be written to '%s': "
                     "%s", tandem_gpu_name(s), s->check_log, strerror(errno));
    }
}
