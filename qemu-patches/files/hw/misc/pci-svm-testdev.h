/*
 * PCI test device for shared virtual memory: its registers.
 *
 * Included by the device and by its tests, and usable from a guest that maps
 * the BAR: everything is little-endian, a register is accessed whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_PCI_SVM_TESTDEV_H
#define HW_MISC_PCI_SVM_TESTDEV_H

#define SVM_TESTDEV_VENDOR_ID       0x1234
#define SVM_TESTDEV_DEVICE_ID       0x5356
#define SVM_TESTDEV_BAR             0
#define SVM_TESTDEV_BAR_BYTES       4096

#define SVM_TESTDEV_MAGIC           0x00 /* 32, RO */
#define SVM_TESTDEV_MAGIC_VALUE     0x314d5653 /* "SVM1" */
#define SVM_TESTDEV_COMMAND         0x04 /* 32, WO: enum below; done at once */
#define SVM_TESTDEV_PASID           0x08 /* 32: any value is sent as it is */
#define SVM_TESTDEV_NO_PASID        0xffffffff
#define SVM_TESTDEV_FLAGS           0x0c /* 32 */
#define SVM_TESTDEV_FLAG_READ       (1u << 0)
#define SVM_TESTDEV_FLAG_WRITE      (1u << 1)
#define SVM_TESTDEV_FLAG_EXEC       (1u << 2)
#define SVM_TESTDEV_FLAG_PRIV       (1u << 3)
#define SVM_TESTDEV_FLAG_LAST       (1u << 4)
#define SVM_TESTDEV_FLAG_GROUP(g)   (((g) & 0x1ffu) << 16)
#define SVM_TESTDEV_ADDRESS         0x10 /* 64 */
#define SVM_TESTDEV_LENGTH          0x18 /* 64: bytes to translate */
#define SVM_TESTDEV_DATA            0x20 /* 64: what DMA wrote or read */
/* Result of the last command: see each; below zero an errno (32, RO) */
#define SVM_TESTDEV_RESULT          0x28

/* Answers to the last translation request */
#define SVM_TESTDEV_ATS_ERRORS      0x2c /* 32, RO */
#define SVM_TESTDEV_ATS_SELECT      0x30 /* 32: which of RESULT answers */
#define SVM_TESTDEV_ATS_PERM        0x34 /* 32, RO: FLAG_READ and FLAG_WRITE */
#define SVM_TESTDEV_ATS_ADDRESS     0x38 /* 64, RO */
#define SVM_TESTDEV_ATS_MASK        0x40 /* 64, RO: page size - 1 */
#define SVM_TESTDEV_ATS_ANSWERS     16

/* The last page group response */
#define SVM_TESTDEV_RESPONSE_COUNT  0x48 /* 32, RO */
#define SVM_TESTDEV_RESPONSE_PASID  0x4c /* 32, RO */
#define SVM_TESTDEV_RESPONSE_GROUP  0x50 /* 32, RO */
#define SVM_TESTDEV_RESPONSE_CODE   0x54 /* 32, RO: IOMMUPRIResponseCode */

/* Device-IOTLB invalidations; SELECT 0 is the last one, 1 that before it */
#define SVM_TESTDEV_INVAL_COUNT     0x58 /* 32, RO */
#define SVM_TESTDEV_INVAL_SELECT    0x5c /* 32 */
#define SVM_TESTDEV_INVAL_PASID     0x60 /* 32, RO */
#define SVM_TESTDEV_INVAL_FLAGS     0x64 /* 32, RO */
#define SVM_TESTDEV_INVAL_ALL       (1u << 0) /* the whole address space */
#define SVM_TESTDEV_INVAL_ADDRESS   0x68 /* 64, RO */
#define SVM_TESTDEV_INVAL_MASK      0x70 /* 64, RO: bytes - 1 */
#define SVM_TESTDEV_INVAL_LOG       16

enum SvmTestdevCommand {
    /*
     * ATS: LENGTH bytes at ADDRESS; without FLAG_WRITE "No Write" is set.
     * RESULT: answers.
     */
    SVM_TESTDEV_CMD_TRANSLATE = 1,
    /* Untranslated DMA of 8 bytes. RESULT: MemTxResult. */
    SVM_TESTDEV_CMD_DMA_READ,
    SVM_TESTDEV_CMD_DMA_WRITE,
    /* PRI: page at ADDRESS, with FLAGS. RESULT: 0. */
    SVM_TESTDEV_CMD_PAGE_REQUEST,
    /* Forgets responses and invalidations. */
    SVM_TESTDEV_CMD_CLEAR,
};

#endif
