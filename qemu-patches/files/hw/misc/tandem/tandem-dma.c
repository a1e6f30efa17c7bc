/*
 * Tandem GPU: the memory that the GPU reaches.
 *
 * A MemoryListener on the device's bus address space keeps a table of the RAM
 * in it.  Everything the model asks for is answered from that table, so an
 * access can never end in another device's registers (which would take the
 * BQL, against the rule in tandem-exec.c) or in ROM: what is not RAM here
 * fails, and the model makes a fault or an error of it.  Bus mastering, memory
 * hot-plug and the BARs of other devices (peer video memory is RAM) need no
 * further code: they all change the address space.
 *
 * If there is an IOMMU in the bus address space the model asks it where each
 * address leads (tandem-ats.c), and what comes here is an address of memory:
 * then the table is that of the system's RAM.
 *
 * The table keeps references to its memory regions.  A new one takes effect in
 * commit(), under the device lock, after the model has dropped every pointer
 * that it got from the old one; only then are the old references given up.
 *
 * RAM that is discarded (ballooning) keeps its address: the pointer stays
 * valid and reads as zeros, for the GPU as for a vCPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "exec/ramlist.h"
#include "exec/target_page.h"
#include "system/address-spaces.h"
#include "tandem-gpu.h"

#define TANDEM_PAGE_MASK (TANDEM_PAGE_BYTES - 1)

/* The table -------------------------------------------------------------- */

/*
 * A device's registers seen as RAM (vfio) are no memory for us: atomics and
 * wide copies may do anything there.
 */
static bool tandem_dma_is_memory(MemoryRegionSection *section)
{
    return memory_region_is_ram(section->mr) &&
           !memory_region_is_ram_device(section->mr);
}

static TandemDma *tandem_dma_of(MemoryListener *listener)
{
    return container_of(listener, TandemDma, listener);
}

static TandemDma *tandem_dma_of_memory(MemoryListener *listener)
{
    return container_of(listener, TandemDma, memory_listener);
}

/* Only what is in use: an exchange costs the GPU its TLBs. */
static void tandem_dma_note_change(TandemDma *dma, GArray *sections)
{
    dma->changed |= sections == (dma->iommus ? dma->memory : dma->next);
}

static void tandem_dma_add(TandemDma *dma, GArray *sections,
                           MemoryRegionSection *section)
{
    TandemDmaSection new;

    if (!tandem_dma_is_memory(section)) {
        return;
    }
    memory_region_ref(section->mr);
    new = (TandemDmaSection) {
        .start = section->offset_within_address_space,
        .last = section->offset_within_address_space +
                int128_get64(int128_sub(section->size, int128_one())),
        .offset = section->offset_within_region,
        .mr = section->mr,
        .host = (uint8_t *)memory_region_get_ram_ptr(section->mr) +
                section->offset_within_region,
        .writable = !section->readonly,
    };
    g_array_append_val(sections, new);
    tandem_dma_note_change(dma, sections);
}

static void tandem_dma_del(TandemDma *dma, GArray *sections,
                           MemoryRegionSection *section)
{
    for (unsigned i = 0; i < sections->len; i++) {
        TandemDmaSection *old = &g_array_index(sections, TandemDmaSection, i);

        if (old->mr == section->mr &&
            old->start == section->offset_within_address_space) {
            g_array_remove_index(sections, i);
            memory_region_unref(section->mr); /* the table in use has its own */
            tandem_dma_note_change(dma, sections);
            return;
        }
    }
}

static void tandem_dma_region_add(MemoryListener *listener,
                                  MemoryRegionSection *section)
{
    TandemDma *dma = tandem_dma_of(listener);

    if (memory_region_is_iommu(section->mr)) {
        dma->iommus++;
        dma->changed = true;
    }
    tandem_dma_add(dma, dma->next, section);
}

static void tandem_dma_region_del(MemoryListener *listener,
                                  MemoryRegionSection *section)
{
    TandemDma *dma = tandem_dma_of(listener);

    if (memory_region_is_iommu(section->mr)) {
        dma->iommus--;
        dma->changed = true;
    }
    tandem_dma_del(dma, dma->next, section);
}

static void tandem_dma_memory_add(MemoryListener *listener,
                                  MemoryRegionSection *section)
{
    TandemDma *dma = tandem_dma_of_memory(listener);

    tandem_dma_add(dma, dma->memory, section);
}

static void tandem_dma_memory_del(MemoryListener *listener,
                                  MemoryRegionSection *section)
{
    TandemDma *dma = tandem_dma_of_memory(listener);

    tandem_dma_del(dma, dma->memory, section);
}

static gint tandem_dma_compare(gconstpointer a, gconstpointer b)
{
    uint64_t x = ((const TandemDmaSection *)a)->start;
    uint64_t y = ((const TandemDmaSection *)b)->start;

    return x < y ? -1 : x > y;
}

static GArray *tandem_dma_copy(GArray *from)
{
    GArray *copy = g_array_copy(from);

    for (unsigned i = 0; i < copy->len; i++) {
        memory_region_ref(g_array_index(copy, TandemDmaSection, i).mr);
    }
    return copy;
}

static void tandem_dma_free(GArray *sections)
{
    for (unsigned i = 0; i < sections->len; i++) {
        memory_region_unref(g_array_index(sections, TandemDmaSection, i).mr);
    }
    g_array_unref(sections);
}

/* BQL held: this is where a vCPU that moves a BAR waits for the GPU. */
static void tandem_dma_exchange(TandemDma *dma)
{
    TandemGpu *s = container_of(dma, TandemGpu, dma);
    bool translated = dma->iommus > 0;
    GArray *next = translated ? dma->memory : dma->next;
    GArray *old;

    if (!dma->changed) {
        return;
    }
    dma->changed = false;
    g_array_sort(next, tandem_dma_compare);

    tandem_enter(s);
    if (s->model) {
        tandem_model_memory_map_changed(s->model);
    }
    old = dma->sections;
    dma->sections = tandem_dma_copy(next);
    dma->last_hit = 0;
    if (s->model) {
        if (translated != dma->translated) {
            tandem_model_set_bus_translation(s->model, translated);
        }
        tandem_kick(s);
    }
    dma->translated = translated;
    tandem_leave(s);

    tandem_dma_free(old);
}

static void tandem_dma_commit(MemoryListener *listener)
{
    tandem_dma_exchange(tandem_dma_of(listener));
}

static void tandem_dma_memory_commit(MemoryListener *listener)
{
    tandem_dma_exchange(tandem_dma_of_memory(listener));
}

void tandem_dma_start(TandemGpu *s)
{
    TandemDma *dma = &s->dma;

    dma->next = g_array_new(false, false, sizeof(TandemDmaSection));
    dma->memory = g_array_new(false, false, sizeof(TandemDmaSection));
    dma->sections = g_array_new(false, false, sizeof(TandemDmaSection));
    dma->listener = (MemoryListener) {
        .name = "tandem-gpu",
        .region_add = tandem_dma_region_add,
        .region_del = tandem_dma_region_del,
        .commit = tandem_dma_commit,
    };
    dma->memory_listener = (MemoryListener) {
        .name = "tandem-gpu-memory",
        .region_add = tandem_dma_memory_add,
        .region_del = tandem_dma_memory_del,
        .commit = tandem_dma_memory_commit,
    };
    memory_listener_register(&dma->listener,
                             pci_get_address_space(PCI_DEVICE(s)));
    memory_listener_register(&dma->memory_listener, &address_space_memory);
}

/* Empties the tables: the listeners report every section as gone. */
void tandem_dma_stop(TandemGpu *s)
{
    memory_listener_unregister(&s->dma.memory_listener);
    memory_listener_unregister(&s->dma.listener);
    g_clear_pointer(&s->dma.next, tandem_dma_free);
    g_clear_pointer(&s->dma.memory, tandem_dma_free);
    g_clear_pointer(&s->dma.sections, tandem_dma_free);
}

/* Looking up ------------------------------------------------------------- */

static TandemDmaSection *tandem_dma_section(TandemDma *dma, unsigned i)
{
    return &g_array_index(dma->sections, TandemDmaSection, i);
}

static bool tandem_dma_holds(TandemDma *dma, unsigned i, uint64_t address)
{
    TandemDmaSection *section = tandem_dma_section(dma, i);

    return address >= section->start && address <= section->last;
}

/* Device lock held.  NULL if there is no memory at address. */
static TandemDmaSection *tandem_dma_find(TandemDma *dma, uint64_t address)
{
    unsigned low = 0;
    unsigned high = dma->sections->len;

    if (dma->last_hit < high && tandem_dma_holds(dma, dma->last_hit, address)) {
        return tandem_dma_section(dma, dma->last_hit);
    }
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (tandem_dma_holds(dma, middle, address)) {
            dma->last_hit = middle;
            return tandem_dma_section(dma, middle);
        }
        if (address < tandem_dma_section(dma, middle)->start) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Bytes from address to the end of its section, at most bytes (not 0). */
static uint64_t tandem_dma_run(TandemDmaSection *section, uint64_t address,
                               uint64_t bytes)
{
    return MIN(bytes - 1, section->last - address) + 1;
}

/* Host operations of the model ------------------------------------------- */

/*
 * After each store: QEMU's own throwing away of translated code, and its dirty
 * logs.  The look at the dirty bits must follow the store:
 *
 *   GPU                          log reader (or vCPU that translates code)
 *   store                        clear the dirty bit
 *   barrier                      (an atomic exchange: a barrier)
 *   look at the dirty bit        read the page
 *
 * Either we see the bit cleared and set it (and drop the code), or the other
 * side reads the new bytes.  Looking first and storing then could lose both.
 * The common case, all bits set, ends after the look at the bitmap.
 */

/*
 * RCU read lock held.  True if QEMU has nothing to do for a store within one
 * page: nobody logs this RAM but the translator, and it has made no code from
 * the page since somebody wrote to it.
 * memory_region_invalidate_and_set_dirty() comes to the same answer by way of
 * every client's bitmap, which takes a tenth of the time of a kernel that
 * stores much.
 */
static bool tandem_dma_is_known_dirty(MemoryRegion *mr, uint64_t offset,
                                      uint64_t bytes)
{
    ram_addr_t first = memory_region_get_ram_addr(mr) + offset;
    unsigned long page = first >> TARGET_PAGE_BITS;
    DirtyMemoryBlocks *code;

    if (memory_region_get_dirty_log_mask(mr) != (1 << DIRTY_MEMORY_CODE) ||
        (first + bytes - 1) >> TARGET_PAGE_BITS != page) {
        return false;
    }
    code = qatomic_rcu_read(&ram_list.dirty_memory[DIRTY_MEMORY_CODE]);
    return test_bit(page % DIRTY_MEMORY_BLOCK_SIZE,
                    code->blocks[page / DIRTY_MEMORY_BLOCK_SIZE]);
}

/* RCU read lock held, barrier done. */
static void tandem_dma_note_dirty(MemoryRegion *mr, uint64_t offset,
                                  uint64_t bytes)
{
    if (!tandem_dma_is_known_dirty(mr, offset, bytes)) {
        memory_region_invalidate_and_set_dirty(mr, offset, bytes);
    }
}

void tandem_dma_written(MemoryRegion *mr, uint64_t offset, uint64_t bytes)
{
    RCU_READ_LOCK_GUARD();
    smp_mb(); /* store, then dirty bits: see above */
    tandem_dma_note_dirty(mr, offset, bytes);
}

bool tandem_dma_read(void *opaque, uint64_t address, void *buffer,
                     uint64_t bytes)
{
    TandemGpu *s = opaque;
    uint8_t *to = buffer;

    while (bytes) {
        TandemDmaSection *section = tandem_dma_find(&s->dma, address);
        uint64_t run;

        if (!section) {
            return false;
        }
        run = tandem_dma_run(section, address, bytes);
        memcpy(to, section->host + (address - section->start), run);
        to += run;
        address += run;
        bytes -= run;
    }
    return true;
}

bool tandem_dma_write(void *opaque, uint64_t address, const void *buffer,
                      uint64_t bytes)
{
    TandemGpu *s = opaque;
    const uint8_t *from = buffer;

    while (bytes) {
        TandemDmaSection *section = tandem_dma_find(&s->dma, address);
        uint64_t at, run;

        if (!section || !section->writable) {
            return false;
        }
        at = address - section->start;
        run = tandem_dma_run(section, address, bytes);
        memcpy(section->host + at, from, run);
        tandem_dma_written(section->mr, section->offset + at, run);
        from += run;
        address += run;
        bytes -= run;
    }
    return true;
}

/*
 * Whole pages only: an access within a page never leaves its section, and
 * what is naturally aligned on the bus is so on the host.
 */
void *tandem_dma_map(void *opaque, uint64_t address, uint64_t *bytes,
                     bool write)
{
    TandemGpu *s = opaque;
    TandemDmaSection *section = tandem_dma_find(&s->dma, address);
    uint64_t run;
    uint8_t *host;

    if (!section || (write && !section->writable) || !*bytes) {
        return NULL;
    }
    host = section->host + (address - section->start);
    run = tandem_dma_run(section, address, *bytes) & ~TANDEM_PAGE_MASK;
    if (!run || (address & TANDEM_PAGE_MASK) ||
        ((uintptr_t)host & TANDEM_PAGE_MASK)) {
        return NULL;
    }
    *bytes = run;
    return host;
}

/*
 * The model stores only through pointers of the table in use: commit() has
 * it write its queued stores before the table is exchanged.
 */
void tandem_dma_stored(void *opaque, const struct tandem_stored_range *ranges,
                       uint32_t count)
{
    TandemGpu *s = opaque;

    RCU_READ_LOCK_GUARD();
    smp_mb(); /* all these stores, then dirty bits: see above */
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = ranges[i].address, bytes = ranges[i].bytes;
        TandemDmaSection *section = tandem_dma_find(&s->dma, address);

        assert(section && bytes && bytes - 1 <= section->last - address);
        tandem_dma_note_dirty(section->mr,
                              section->offset + (address - section->start),
                              bytes);
    }
}

/* VRAM may hold code, too: a guest can map its BAR executable. */
void tandem_dma_vram_stored(void *opaque, uint64_t offset, uint64_t bytes)
{
    TandemGpu *s = opaque;

    assert(bytes && offset < s->config.vram_bytes &&
           bytes <= s->config.vram_bytes - offset);
    tandem_dma_written(&s->vram, offset, bytes);
}
