/* machine.h - the limits of the machine we run on: what the kernel says, and what its disk does. */
#ifndef SD_WORLD_MACHINE_H
#define SD_WORLD_MACHINE_H

#include "core/machine_text.h"
#include "world.h"

/* Each may be SD_UNKNOWN, and a limit SD_UNLIMITED; a text may be empty. */
struct sd_machine {
	char kernel[200]; /* "Linux 6.1.0 x86_64" */
	int64_t files_soft, files_hard, files_system, files_in_use; /* a process may; all may; all have */
	int64_t tasks_user, tasks_system, tasks_pids, tasks_group; /* RLIMIT_NPROC, threads-max, pid_max, cgroup */
	int64_t port_low, port_high, backlog;
	int64_t cores_online, cores_allowed, cores_quota_milli; /* allowed: by affinity */
	int64_t memory_total, memory_available, memory_group;
	int64_t clock_step_ns;
};
void sd_machine_read(struct sd_world *w, struct sd_machine *out);

/* What this process uses: bytes in memory, and processor time of all its threads since it began. 0: unknown. */
struct sd_process_use {
	int64_t resident, peak /* resident at most, ever */, user_us, system_us;
};
void sd_process_use(struct sd_world *w, struct sd_process_use *out);

struct sd_machine_fs {
	char type[32]; /* "ext4" */
	int64_t free;  /* bytes that we may still use */
};
void sd_machine_fs(struct sd_world *w, const char *dir, struct sd_machine_fs *out);

/* May a file be made in this folder? */
enum sd_err sd_machine_can_write(struct sd_world *w, const char *dir, struct sd_error *e);

/* What a commit costs: appends 4 KiB to a new file in dir and waits until they are on the disk (fdatasync), up to n times and
 * until budget_ns is over, at least once. *taken times are in samples_ns. The file is gone afterwards; signals that would
 * end the process wait until it is. */
enum sd_err sd_machine_disk(struct sd_world *w, const char *dir, size_t n, int64_t budget_ns, int64_t *samples_ns,
			    size_t *taken, struct sd_error *e);
/* How fast a log can grow: writes up to `bytes` to a new file, synced every 8 MiB, until budget_ns is over. *rate is in
 * bytes a second. */
enum sd_err sd_machine_disk_rate(struct sd_world *w, const char *dir, int64_t bytes, int64_t budget_ns, int64_t *rate,
				 struct sd_error *e);

#endif
