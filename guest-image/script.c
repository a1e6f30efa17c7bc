// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a sealed guest's orders come from: the second BAR of an ivshmem device. The pvpanic device is the way to stop the
 * machine at an instruction of the guest's own choice: QEMU stops in the middle of the store if it was told to (-action
 * panic=pause), and takes no notice otherwise. So a guest that was snapshot there does what one does that was not.
 */
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PCI_DEVICES "/sys/bus/pci/devices"
#define IVSHMEM_ID "0x1af4 0x1110"
#define PVPANIC_ID "0x1b36 0x0011"
#define PVPANIC_PANICKED 1

static const volatile struct script_header *script;
static size_t script_used;

bool script_wanted(void)
{
    return getenv("TANDEM_SEALED") != NULL;
}

static void read_word(const char *device, const char *file, char *word, size_t size)
{
    char path[300];

    word[0] = '\0';
    snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", device, file);
    FILE *stream = fopen(path, "r");
    if (!stream)
        return;
    if (!fgets(word, (int)size, stream))
        word[0] = '\0';
    fclose(stream);
    word[strcspn(word, "\n")] = '\0';
}

static bool has_id(const char *device, const char *wanted)
{
    char vendor[16], id[16], both[40];

    read_word(device, "vendor", vendor, sizeof(vendor));
    read_word(device, "device", id, sizeof(id));
    snprintf(both, sizeof(both), "%s %s", vendor, id);
    return strcmp(both, wanted) == 0;
}

/* The BAR of the first PCI device with this vendor and device, or NULL with errno. */
static void *map_bar(const char *id, int bar)
{
    DIR *directory = opendir(PCI_DEVICES);
    struct dirent *entry;
    char path[300] = "";
    struct stat status;
    void *memory = NULL;

    while (directory && !path[0] && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && has_id(entry->d_name, id))
            snprintf(path, sizeof(path), PCI_DEVICES "/%s/resource%d", entry->d_name, bar);
    if (directory)
        closedir(directory);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0)
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

int script_open(void)
{
    volatile uint8_t *panic_events = map_bar(PVPANIC_ID, 0);

    if (!panic_events)
        return -ENODEV;
    script = map_bar(IVSHMEM_ID, 2);
    if (!script)
        return -ENODEV;
    *panic_events = PVPANIC_PANICKED; /* the machine may stop here; what follows reads what the host has written by then */
    return script->magic == SCRIPT_MAGIC ? 0 : -EPROTO;
}

int script_next(struct frame *frame)
{
    const char *frames = (const char *)(script + 1);
    int used = frame_take(frames + script_used, script->length - script_used, frame);

    if (used <= 0)
        return 0;
    script_used += (size_t)used;
    return 1;
}
