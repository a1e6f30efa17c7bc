/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_QOM_OBJECT_H
#define SHIM_QOM_OBJECT_H

typedef struct ObjectClass ObjectClass;

#define OBJECT_DECLARE_SIMPLE_TYPE(Type, MACRO) typedef struct Type Type;

#endif
