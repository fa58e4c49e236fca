/* SPDX-License-Identifier: MIT */
/* GPUs, network and storage devices and the CPUs near each; and the choice of some by a text. The
 * list is a plain value; choosing is pure. */
#ifndef LP_PLACEMENT_DEVICE_H
#define LP_PLACEMENT_DEVICE_H

#include "placement/cpuset.h"
#include "placement/environment.h"

enum lp_device_kind { LP_DEVICE_GPU, LP_DEVICE_NETWORK, LP_DEVICE_STORAGE };

struct lp_device {
    enum lp_device_kind kind;
    char name[64];    /* the OS's: "eth0", "nvme0n1", "cuda0", "card1"; "" if it has none */
    char other_names[96]; /* further ones, with spaces between: "nvml0 renderD128"; "" */
    char vendor[16];  /* "nvidia", "amd", "intel", or the PCI vendor in hexadecimal; "" */
    char pci[24];     /* "0000:3b:00.0", or "" */
    char uuid[64];    /* as its driver says it: "GPU-...", or "" */
    char model[96];   /* for people, or "" */
    unsigned index;   /* among the visible devices of its kind, in PCI order: what `gpu = 0` means;
                         undefined for an invisible one */
    unsigned vendor_index; /* among the visible devices of its vendor: what "amd:1" means */
    bool visible;     /* not hidden by CUDA_VISIBLE_DEVICES and its like */
    bool local_known; /* false: the firmware or a virtual machine does not say; local is then NULL */
    lp_cpuset *local;
};

struct lp_devices {
    unsigned count;
    struct lp_device *entries; /* by kind, then in PCI order */
    char hidden_by[96];        /* the variables that hide GPUs, with commas; "" */
};

void lp_devices_fini(struct lp_devices *devices);

/* Puts the entries in order and numbers them, all visible: for who has filled them in. */
void lp_devices_number(struct lp_devices *devices);

/* Applies CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES and ZE_AFFINITY_MASK to
 * the GPUs: sets visible, and numbers what is left in the order that the variable gives. An entry that
 * names no device hides those behind it, as CUDA does, with a warning in the log; "" and -1 hide
 * all. */
void lp_devices_hide(struct lp_devices *devices, const struct lp_environment *environment);

/* The indexes in `entries` of the devices that text chooses, in its order, without repetition:
 * elements between commas, each an index, "vendor:index", a PCI address (domain optional, case
 * ignored), a UUID or a unique beginning of one, or an OS name; "all": every visible one. Returns
 * how many; -ENODEV with a sentence that names the element and what there is; -EINVAL for text that
 * can mean nothing; `chosen` has room for devices->count. Invisible ones are -ENODEV, and the
 * sentence says which variable hides them. */
int lp_devices_choose(const struct lp_devices *devices, enum lp_device_kind kind, const char *text,
                      unsigned *chosen);

#endif
