/* machine_text.h - what a kernel writes about its machine: /proc, cgroups, mounts.
 *
 * Text in, numbers out; the reading of files is done elsewhere (world/machine.h). What is missing or cannot be understood
 * is SD_UNKNOWN, for a machine may lack any of these files. Formats: proc(5), cgroups(7), and the kernel's
 * Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
 */
#ifndef SD_CORE_MACHINE_TEXT_H
#define SD_CORE_MACHINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_UNKNOWN   INT64_C(-1)
#define SD_UNLIMITED INT64_MAX

/* The number with index i (from 0) in text like that of ip_local_port_range; larger ones than fit are SD_UNLIMITED. text
 * may be NULL here and below: the file is not there. */
int64_t sd_text_number(const char *text, unsigned i);
/* Bytes of a line "KEY:   123 kB" of /proc/meminfo. */
int64_t sd_meminfo_bytes(const char *text, const char *key);
/* A limit of a cgroup: "max", "-1" and the huge number of version 1 are SD_UNLIMITED. */
int64_t sd_cgroup_limit(const char *text);
/* Thousandths of a core: of cpu.max (version 2), and of cpu.cfs_quota_us and cpu.cfs_period_us (version 1). */
int64_t sd_cgroup_cpu_max(const char *text);
int64_t sd_cgroup_cpu_quota(const char *quota, const char *period);
/* The tighter of two limits, either of which may be unknown. */
int64_t sd_limit_min(int64_t a, int64_t b);

/* Where the files of a control group are. */
struct sd_cgroup_place {
	char dir[1024];
	size_t top; /* bytes of dir that are the mount point: the limits of every folder from dir up to it hold */
	bool v2;
};
/* From /proc/self/cgroup and /proc/self/mountinfo: the group that holds the controller ("memory"), version 1 before 2, for
 * a controller is in one of them. False: there is none. */
bool sd_cgroup_find(const char *cgroup, const char *mountinfo, const char *controller, struct sd_cgroup_place *out);

/* The type of the filesystem that an absolute path without links is on. False: unknown. */
bool sd_mount_type(const char *mountinfo, const char *path, char *out, size_t n);

#endif
