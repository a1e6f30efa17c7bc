/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_QAPI_ERROR_H
#define SHIM_QAPI_ERROR_H

/* Errors of configuration are the qtest's subject; none occurs here. */
#define error_setg(errp, ...) ((void)(errp), fprintf(stderr, __VA_ARGS__), abort())

#endif
