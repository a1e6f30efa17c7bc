/*
 * Tandem GPU: what the hardware holds, for people: "info tandem" and its QMP
 * twin, the counters as a QOM property, the switch of the trace file, and
 * pages that go bad at run time.
 *
 * All of it works while the GPU runs: each look is a short visit under the
 * device lock (see tandem_enter()).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-tandem.h"
#include "qapi/type-helpers.h"
#include "qapi/visitor.h"
#include "qobject/qdict.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "tandem-gpu.h"

#define TANDEM_DEFAULT_TOPIC "summary"

/* info tandem ------------------------------------------------------------ */

typedef struct TandemQuery {
    const char *topic;
    GString *text;
    unsigned gpus;
} TandemQuery;

static void tandem_query_write(void *to, const char *text)
{
    g_string_append(to, text);
}

static bool tandem_query_gpu(TandemGpu *s, TandemQuery *query)
{
    bool known = true;

    g_string_append_printf(query->text, "%s%s:\n", query->gpus ? "\n" : "",
                           tandem_gpu_name(s));
    tandem_enter(s);
    if (s->model) {
        known = tandem_model_describe(s->model, query->topic,
                                      tandem_query_write, query->text);
    }
    tandem_leave(s);
    return known;
}

/* Stops (returns 1) at the first GPU that does not know the topic. */
static int tandem_query_object(Object *obj, void *opaque)
{
    TandemGpu *s = (TandemGpu *)object_dynamic_cast(obj, TYPE_TANDEM_GPU);
    TandemQuery *query = opaque;

    if (!s) {
        return 0;
    }
    if (!tandem_query_gpu(s, query)) {
        return 1;
    }
    query->gpus++;
    return 0;
}

HumanReadableText *qmp_x_query_tandem(const char *topic, Error **errp)
{
    g_autoptr(GString) text = g_string_new("");
    TandemQuery query = {
        .topic = topic ? : TANDEM_DEFAULT_TOPIC,
        .text = text,
    };

    if (object_child_foreach_recursive(object_get_root(), tandem_query_object,
                                       &query)) {
        error_setg(errp, "unknown topic '%s': choose summary, tlbs, "
                   "address-spaces, queues, waves, faults, counters or all",
                   query.topic);
        return NULL;
    }
    if (!query.gpus) {
        error_setg(errp, "this machine has no Tandem GPU");
        return NULL;
    }
    return human_readable_text_from_str(text);
}

static void hmp_info_tandem(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(HumanReadableText) text =
        qmp_x_query_tandem(qdict_get_try_str(qdict, "topic"), &err);

    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_puts(mon, text->human_readable_text);
}

static void tandem_monitor_register(void)
{
    monitor_register_hmp("tandem", true, hmp_info_tandem);
}

type_init(tandem_monitor_register)

/* QOM properties --------------------------------------------------------- */

/* One moment's values, then the visit without the lock. */
static void tandem_read_counters(TandemGpu *s, uint64_t *values)
{
    tandem_enter(s);
    for (int i = 0; i < TANDEM_COUNTER_COUNT; i++) {
        values[i] = s->model ? tandem_model_counter(s->model, i) : 0;
    }
    tandem_leave(s);
}

static void tandem_get_counters(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    uint64_t values[TANDEM_COUNTER_COUNT];

    tandem_read_counters(TANDEM_GPU(obj), values);
    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return;
    }
    for (int i = 0; i < TANDEM_COUNTER_COUNT; i++) {
        if (!visit_type_uint64(v, tandem_model_counter_name(i), &values[i],
                               errp)) {
            goto out;
        }
    }
    visit_check_struct(v, errp);
out:
    visit_end_struct(v, NULL);
}

static bool tandem_get_recording(Object *obj, Error **errp)
{
    TandemGpu *s = TANDEM_GPU(obj);
    bool on;

    tandem_enter(s);
    on = s->trace.file_on;
    tandem_leave(s);
    return on;
}

static void tandem_set_recording(Object *obj, bool on, Error **errp)
{
    TandemGpu *s = TANDEM_GPU(obj);

    tandem_enter(s);
    s->trace.file_on = on;
    if (s->model) {
        tandem_trace_refresh(s);
    }
    tandem_leave(s);
}

/* At run time; the property poison is for the start. */
static void tandem_set_poison_page(Object *obj, Visitor *v, const char *name,
                                   void *opaque, Error **errp)
{
    uint64_t offset;

    if (visit_type_size(v, name, &offset, errp)) {
        tandem_gpu_poison(TANDEM_GPU(obj), offset, errp);
    }
}

void tandem_monitor_class_init(ObjectClass *klass)
{
    object_class_property_add(klass, "poison-page", "size", NULL,
                              tandem_set_poison_page, NULL, NULL);
    object_class_property_set_description(klass, "poison-page",
        "the page of video memory at this offset is poisoned from now on "
        "(write only, at run time)");
    object_class_property_add(klass, "counters", "dict", tandem_get_counters,
                              NULL, NULL, NULL);
    object_class_property_set_description(klass, "counters",
        "performance counters since reset (read only)");
    object_class_property_add_bool(klass, "trace-recording",
                                   tandem_get_recording, tandem_set_recording);
    object_class_property_set_description(klass, "trace-recording",
        "records go into the trace file; may be switched at run time");
}
