/*
 * Tandem GPU: the QMP command when the device is not built in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-tandem.h"

HumanReadableText *qmp_x_query_tandem(const char *topic, Error **errp)
{
    error_setg(errp, "this QEMU was built without the Tandem GPU");
    return NULL;
}
