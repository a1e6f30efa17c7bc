/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list that tandem-fabric.c keeps; a member is taken out once. */
#ifndef SHIM_QEMU_QUEUE_H
#define SHIM_QEMU_QUEUE_H

#define QLIST_HEAD(name, type) struct name { struct type *first; }
#define QLIST_HEAD_INITIALIZER(head) { NULL }
#define QLIST_ENTRY(type) struct { struct type *next; struct type **place; }
#define QLIST_FOREACH(var, head, field) for ((var) = (head)->first; (var); (var) = (var)->field.next)

#define QLIST_INSERT_HEAD(head, element, field)                                  \
	do {                                                                     \
		(element)->field.next = (head)->first;                           \
		(element)->field.place = &(head)->first;                         \
		if ((head)->first)                                               \
			(head)->first->field.place = &(element)->field.next;     \
		(head)->first = (element);                                       \
	} while (0)

#define QLIST_REMOVE(element, field)                                             \
	do {                                                                     \
		if ((element)->field.next)                                       \
			(element)->field.next->field.place = (element)->field.place; \
		*(element)->field.place = (element)->field.next;                 \
	} while (0)

#endif
