/*
 * Tandem GPU: the link between GPUs.
 *
 * GPUs with the property fabric=N form one link.  Each knows the video memory
 * of the others by their numbers; the model reads and writes it through host
 * pointers, as it does its own.  Who is on the link changes only under the
 * BQL.  Then each GPU is told anew, one after the other, each under its own
 * device lock: nobody ever holds two.  A GPU that leaves is off everybody's
 * table, and no pointer into its memory is left, before its memory goes.
 *
 * What one GPU knows of another one's poisoned pages may be old for a moment:
 * news travel on links, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "tandem-gpu.h"

/* BQL */
static QLIST_HEAD(, TandemGpu) tandem_link =
    QLIST_HEAD_INITIALIZER(tandem_link);

/* Who is there ------------------------------------------------------------ */

bool tandem_fabric_check(TandemGpu *s, Error **errp)
{
    TandemGpu *other;

    if (s->config.fabric == TANDEM_FABRIC_NONE) {
        return true;
    }
    QLIST_FOREACH(other, &tandem_link, fabric.next) {
        if (other->config.fabric == s->config.fabric) {
            error_setg(errp, "fabric=%u is %s's number: each GPU on the link "
                       "needs one of its own", s->config.fabric,
                       tandem_gpu_name(other));
            return false;
        }
    }
    return true;
}

/* One visit, and the list is ours. */
static GArray *tandem_fabric_poison_of(TandemGpu *s)
{
    GArray *pages = g_array_new(false, false, sizeof(uint64_t));

    tandem_enter(s);
    if (s->model) {
        g_array_set_size(pages,
                         tandem_model_poisoned_pages(s->model, NULL, 0));
        tandem_model_poisoned_pages(s->model, (uint64_t *)pages->data,
                                    pages->len);
    }
    tandem_leave(s);
    return pages;
}

static TandemPeer tandem_fabric_peer(TandemGpu *other)
{
    if (!other->config.vram_bytes) {
        return (TandemPeer) { 0 };
    }
    return (TandemPeer) {
        .vram = &other->vram,
        .host = memory_region_get_ram_ptr(&other->vram),
        .bytes = other->config.vram_bytes,
    };
}

/*
 * The model drops its pointers, and writes the stores that it still holds,
 * while the old table is there to be told of them.
 */
static void tandem_fabric_tell(TandemGpu *s)
{
    TandemPeer table[TANDEM_FABRIC_LIMIT] = { };
    struct tandem_model_peer peers[TANDEM_FABRIC_LIMIT];
    GArray *poison[TANDEM_FABRIC_LIMIT];
    TandemGpu *other;
    unsigned count = 0;

    QLIST_FOREACH(other, &tandem_link, fabric.next) {
        if (other == s) {
            continue;
        }
        table[other->config.fabric] = tandem_fabric_peer(other);
        poison[count] = tandem_fabric_poison_of(other);
        peers[count] = (struct tandem_model_peer) {
            .number = other->config.fabric,
            .poisoned = (uint64_t *)poison[count]->data,
            .poisoned_pages = poison[count]->len,
        };
        count++;
    }

    tandem_enter(s);
    if (s->model) {
        tandem_model_set_peers(s->model, peers, count);
        tandem_kick(s);
    }
    memcpy(s->fabric.peers, table, sizeof(table));
    tandem_leave(s);

    while (count--) {
        g_array_unref(poison[count]);
    }
}

static void tandem_fabric_tell_others(TandemGpu *s)
{
    TandemGpu *other;

    QLIST_FOREACH(other, &tandem_link, fabric.next) {
        if (other != s) {
            tandem_fabric_tell(other);
        }
    }
}

void tandem_fabric_tell_poison(TandemGpu *s)
{
    if (qatomic_xchg(&s->fabric.poison_untold, false)) {
        tandem_fabric_tell_others(s);
    }
}

static void tandem_fabric_poison_bh(void *opaque)
{
    tandem_fabric_tell_poison(opaque);
}

void tandem_fabric_join(TandemGpu *s)
{
    if (s->config.fabric == TANDEM_FABRIC_NONE) {
        return;
    }
    s->fabric.poison_bh =
        qemu_bh_new_guarded(tandem_fabric_poison_bh, s,
                            &DEVICE(s)->mem_reentrancy_guard);
    QLIST_INSERT_HEAD(&tandem_link, s, fabric.next);
    s->fabric.joined = true;
    tandem_fabric_tell(s);
    tandem_fabric_tell_others(s);
}

/* The device thread is gone, and the video memory still there. */
void tandem_fabric_leave(TandemGpu *s)
{
    if (s->fabric.joined) {
        QLIST_REMOVE(s, fabric.next);
        s->fabric.joined = false;
        tandem_fabric_tell_others(s);
    }
}

/* No visitor finds a model any more: nothing is scheduled again. */
void tandem_fabric_release(TandemGpu *s)
{
    g_clear_pointer(&s->fabric.poison_bh, qemu_bh_delete);
}

/* Host operations of the model ------------------------------------------- */

void *tandem_fabric_map(void *opaque, uint32_t peer, uint64_t offset,
                        uint64_t *bytes, bool write)
{
    TandemGpu *s = opaque;
    TandemPeer *there = &s->fabric.peers[peer];

    if (offset >= there->bytes || !*bytes) {
        return NULL;
    }
    *bytes = MIN(*bytes, there->bytes - offset);
    return there->host + offset;
}

void tandem_fabric_stored(void *opaque, uint32_t peer, uint64_t offset,
                          uint64_t bytes)
{
    TandemGpu *s = opaque;
    TandemPeer *there = &s->fabric.peers[peer];

    assert(bytes && offset < there->bytes && bytes <= there->bytes - offset);
    tandem_dma_written(there->vram, offset, bytes);
}

/* Parallel: scheduling takes no lock.  Deterministic: see tandem_leave(). */
void tandem_fabric_poison_changed(void *opaque)
{
    TandemGpu *s = opaque;

    if (s->config.fabric == TANDEM_FABRIC_NONE) {
        return;
    }
    qatomic_set(&s->fabric.poison_untold, true);
    if (s->exec.mode == TANDEM_EXECUTION_PARALLEL && s->fabric.poison_bh) {
        qemu_bh_schedule(s->fabric.poison_bh);
    }
}
