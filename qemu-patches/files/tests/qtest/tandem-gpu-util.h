/*
 * Tandem GPU tests: a driver in small.
 *
 * The GPU sits behind a PCI Express root port; interrupts are steered into a
 * page of memory, where a test can see them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_TANDEM_GPU_UTIL_H
#define TESTS_TANDEM_GPU_UTIL_H

#include <tandem/model.h>
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci.h"

#define RING_ORDER 6
#define RING_ENTRIES (1u << RING_ORDER)
#define TIMEOUT_US (20 * G_USEC_PER_SEC)
#define ALL_VECTORS ((1u << TANDEM_VECTOR_COUNT) - 1)
#define MSI_DATA 0x7a000000u
#define VRAM_BYTES (16 * MiB)
#define NO_MEMORY 0xfed00000ull /* the HPET: registers, not memory */

typedef struct Gpu {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *port;
    QPCIDevice *dev;
    QPCIBar regs;
    QPCIBar doorbells;
    bool deterministic;
    uint64_t status;
    uint64_t command;
    uint64_t invalidate;
    uint64_t fault;
    uint64_t event;
    uint64_t msi;
    uint32_t command_put;
    uint32_t invalidate_put;
    uint32_t event_get;
    uint64_t seqno;
    uint64_t invalidate_seqno;
} Gpu;

/* Lets the device work until the condition holds. */
#define gpu_wait_until(g, condition) \
    do { \
        int64_t give_up_ = g_get_monotonic_time() + TIMEOUT_US; \
        while (!(condition)) { \
            g_assert_cmpint(g_get_monotonic_time(), <, give_up_); \
            gpu_pass_time(g); \
        } \
    } while (0)

uint32_t gpu_read32(Gpu *g, uint64_t offset);
uint64_t gpu_read64(Gpu *g, uint64_t offset);
void gpu_write32(Gpu *g, uint64_t offset, uint32_t value);
void gpu_write64(Gpu *g, uint64_t offset, uint64_t value);
uint64_t gpu_page(Gpu *g, uint64_t bytes);
struct tandem_status_page gpu_status(Gpu *g);
void gpu_pass_time(Gpu *g);
/* Options begin with a comma, or are empty. */
void gpu_boot_behind(Gpu *g, const char *port_options, const char *options);
void gpu_boot(Gpu *g, const char *options);
void gpu_map(Gpu *g);
void gpu_enable(Gpu *g);
void gpu_start(Gpu *g, const char *options);
/* After a reset of the machine, as firmware and a driver do. */
void gpu_restart(Gpu *g);
void gpu_end(Gpu *g);
void gpu_put_command(Gpu *g, struct tandem_command *command);
void gpu_wait_command(Gpu *g);
void gpu_run_command(Gpu *g, struct tandem_command *command);
void gpu_run_nop(Gpu *g);
void gpu_assert_no_event(Gpu *g);
void gpu_assert_command_error(Gpu *g, enum tandem_command_error code);
struct tandem_event gpu_take_event(Gpu *g);
struct tandem_command gpu_bind_command(Gpu *g, uint32_t pasid);
struct tandem_command gpu_copy_command(uint64_t source, bool from_vram,
                                       uint64_t destination,
                                       bool to_vram, uint64_t bytes);
void gpu_copy(Gpu *g, uint64_t source, bool from_vram,
              uint64_t destination, bool to_vram, uint64_t bytes);
void gpu_assert_reset_values(Gpu *g);
void gpu_assert_recovers(Gpu *g);

/* Tests in the other files. */
void add_atomics_tests(void);
void add_copy_tests(void);
void add_life_tests(void);
void add_migrate_tests(void);
void add_peer_tests(void);

#endif
