/*
 * Tandem GPU: saved state, for snapshots and migration.
 *
 * Video memory is a RAM region and goes by itself; configuration space and
 * MSI-X are the PCI core's.  What is left is one stream of bytes that only the
 * model understands.  It can say what it holds while no process uses the GPU;
 * otherwise saving fails and the machine goes on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "hw/pci/msix.h"
#include "migration/vmstate.h"
#include "tandem-gpu.h"

/* More is no state of this device: the model's is some kilobytes. */
#define TANDEM_SAVED_BYTES_MAX (16 * 1024 * 1024)

static void tandem_append(void *to, const void *bytes, size_t count)
{
    g_byte_array_append(to, bytes, count);
}

static bool tandem_pre_save(void *opaque, Error **errp)
{
    TandemGpu *s = opaque;
    GByteArray *saved = g_byte_array_new();
    char text[256];
    bool done;

    tandem_enter(s);
    done = tandem_model_save(s->model, tandem_append, saved, text,
                             sizeof(text));
    tandem_leave(s);
    g_free(s->saved);
    s->saved_bytes = saved->len;
    s->saved = g_byte_array_free(saved, false);
    if (!done) {
        error_setg(errp, "%s: %s", tandem_gpu_name(s), text);
    }
    return done;
}

static int tandem_post_save(void *opaque)
{
    TandemGpu *s = opaque;

    g_clear_pointer(&s->saved, g_free);
    return 0;
}

static bool tandem_saved_bytes_fit(void *opaque, int version_id)
{
    return ((TandemGpu *)opaque)->saved_bytes <= TANDEM_SAVED_BYTES_MAX;
}

static bool tandem_post_load(void *opaque, int version_id, Error **errp)
{
    RCU_READ_LOCK_GUARD();
    TandemGpu *s = opaque;
    char text[256] = "its state is too long";
    bool done;

    tandem_enter(s);
    done = s->saved && tandem_model_load(s->model, s->saved, s->saved_bytes,
                                         text, sizeof(text));
    tandem_leave(s);
    g_clear_pointer(&s->saved, g_free);
    if (!done) {
        error_setg(errp, "%s: %s", tandem_gpu_name(s), text);
        return false;
    }
    tandem_gpu_loaded(s);
    return true;
}

const VMStateDescription tandem_gpu_vmstate = {
    .name = TYPE_TANDEM_GPU,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save_errp = tandem_pre_save,
    .post_save = tandem_post_save,
    .post_load_errp = tandem_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, TandemGpu),
        VMSTATE_MSIX(parent_obj, TandemGpu),
        VMSTATE_UINT32(exec.pending_vectors, TandemGpu),
        VMSTATE_UINT32(saved_bytes, TandemGpu),
        VMSTATE_VBUFFER_ALLOC_UINT32(saved, TandemGpu, 1,
                                     tandem_saved_bytes_fit, saved_bytes),
        VMSTATE_END_OF_LIST()
    },
};
