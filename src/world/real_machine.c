/* real_machine.c - the limits of the machine. A simulated one has none that are known. */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "real.h"

#define MAX_FILE (1u << 20)
#define PIECE    (1u << 20)
#define PIECES   8 /* between two syncs of sd_machine_disk_rate */

/* ---- what the kernel says ---- */

/* NULL: cannot be read. */
static char *slurp(struct sd_world *w, const char *name)
{
	char *text;
	size_t n;
	return sd_world_read_file(w, name, MAX_FILE, &text, &n, NULL) == SD_OK ? text : NULL;
}

static int64_t number_in(struct sd_world *w, const char *name, unsigned i)
{
	char *text = slurp(w, name);
	int64_t v = sd_text_number(text, i);
	free(text);
	return v;
}

static void read_limit(__rlimit_resource_t what, int64_t *soft, int64_t *hard)
{
	struct rlimit r;
	*soft = *hard = SD_UNKNOWN;
	if (getrlimit(what, &r) < 0)
		return;
	*soft = r.rlim_cur >= INT64_MAX ? SD_UNLIMITED : (int64_t)r.rlim_cur;
	*hard = r.rlim_max >= INT64_MAX ? SD_UNLIMITED : (int64_t)r.rlim_max;
}

static int64_t cores_allowed(void)
{
	/* Larger than any machine, and still small: 8192 bits. */
	cpu_set_t set[8];
	return sched_getaffinity(0, sizeof(set), set) == 0 ? CPU_COUNT_S(sizeof(set), set) : SD_UNKNOWN;
}

static int64_t ask_sysconf(int name)
{
	long v = sysconf(name);
	return v > 0 ? v : SD_UNKNOWN;
}

/* ---- control groups ---- */

static char *file_in(struct sd_world *w, const char *dir, const char *name)
{
	char path[1200];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return slurp(w, path);
}

static int64_t cpu_limit(struct sd_world *w, const char *dir, bool v2)
{
	char *quota = file_in(w, dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
	char *period = v2 ? NULL : file_in(w, dir, "cpu.cfs_period_us");
	int64_t v = v2 ? sd_cgroup_cpu_max(quota) : sd_cgroup_cpu_quota(quota, period);
	free(quota);
	free(period);
	return v;
}

static int64_t limit_in(struct sd_world *w, const char *dir, const char *name)
{
	char *text = file_in(w, dir, name);
	int64_t v = sd_cgroup_limit(text);
	free(text);
	return v;
}

static int64_t memory_limit(struct sd_world *w, const char *dir, bool v2)
{
	return limit_in(w, dir, v2 ? "memory.max" : "memory.limit_in_bytes");
}

static int64_t tasks_limit(struct sd_world *w, const char *dir, bool v2)
{
	(void)v2;
	return limit_in(w, dir, "pids.max");
}

/* The tightest limit from our group up to the top: what a group may is less when its parent may less. A top without a file
 * has no limit. */
static int64_t group_limit(struct sd_world *w, const char *cgroup, const char *mounts, const char *controller,
			   int64_t (*read)(struct sd_world *w, const char *dir, bool v2))
{
	struct sd_cgroup_place at;
	int64_t limit = SD_UNLIMITED;
	if (!sd_cgroup_find(cgroup, mounts, controller, &at))
		return SD_UNKNOWN;
	for (;;) {
		limit = sd_limit_min(limit, read(w, at.dir, at.v2));
		char *slash = strlen(at.dir) > at.top ? strrchr(at.dir, '/') : NULL;
		if (!slash)
			return limit;
		*slash = '\0';
	}
}

static void read_groups(struct sd_world *w, struct sd_machine *m)
{
	char *cgroup = slurp(w, "/proc/self/cgroup"), *mounts = slurp(w, "/proc/self/mountinfo");
	m->cores_quota_milli = group_limit(w, cgroup, mounts, "cpu", cpu_limit);
	m->memory_group = group_limit(w, cgroup, mounts, "memory", memory_limit);
	m->tasks_group = group_limit(w, cgroup, mounts, "pids", tasks_limit);
	free(cgroup);
	free(mounts);
}

static void read_memory(struct sd_world *w, struct sd_machine *m)
{
	char *text = slurp(w, "/proc/meminfo");
	m->memory_total = sd_meminfo_bytes(text, "MemTotal");
	m->memory_available = sd_meminfo_bytes(text, "MemAvailable");
	free(text);
}

void sd_machine_read(struct sd_world *w, struct sd_machine *out)
{
	struct utsname u;
	struct timespec ts;
	int64_t hard;
	memset(out, 0xff, sizeof(*out)); /* SD_UNKNOWN everywhere */
	out->kernel[0] = '\0';
	if (!w->real)
		return;
	if (uname(&u) == 0)
		snprintf(out->kernel, sizeof(out->kernel), "%.60s %.60s %.60s", u.sysname, u.release, u.machine);
	read_limit(RLIMIT_NOFILE, &out->files_soft, &out->files_hard);
	read_limit(RLIMIT_NPROC, &out->tasks_user, &hard);
	out->files_system = number_in(w, "/proc/sys/fs/file-max", 0);
	out->files_in_use = number_in(w, "/proc/sys/fs/file-nr", 0);
	out->tasks_system = number_in(w, "/proc/sys/kernel/threads-max", 0);
	out->tasks_pids = number_in(w, "/proc/sys/kernel/pid_max", 0);
	out->port_low = number_in(w, "/proc/sys/net/ipv4/ip_local_port_range", 0);
	out->port_high = number_in(w, "/proc/sys/net/ipv4/ip_local_port_range", 1);
	out->backlog = number_in(w, "/proc/sys/net/core/somaxconn", 0);
	out->cores_online = ask_sysconf(_SC_NPROCESSORS_ONLN);
	out->cores_allowed = cores_allowed();
	out->clock_step_ns =
	    clock_getres(CLOCK_MONOTONIC, &ts) == 0 ? (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec : SD_UNKNOWN;
	read_memory(w, out);
	read_groups(w, out);
}

static int64_t microseconds(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

void sd_process_use(struct sd_world *w, struct sd_process_use *out)
{
	struct rusage u;
	*out = (struct sd_process_use){0};
	if (!w->real)
		return;
	int64_t pages = number_in(w, "/proc/self/statm", 1);
	out->resident = pages > 0 ? pages * ask_sysconf(_SC_PAGESIZE) : 0;
	if (getrusage(RUSAGE_SELF, &u) < 0)
		return;
	out->peak = (int64_t)u.ru_maxrss * 1024;
	out->user_us = microseconds(u.ru_utime);
	out->system_us = microseconds(u.ru_stime);
}

void sd_machine_fs(struct sd_world *w, const char *dir, struct sd_machine_fs *out)
{
	struct statvfs st;
	*out = (struct sd_machine_fs){.free = SD_UNKNOWN};
	if (!w->real)
		return;
	char *mounts = slurp(w, "/proc/self/mountinfo"), *path = realpath(dir, NULL);
	if (!path || !sd_mount_type(mounts, path, out->type, sizeof(out->type)))
		out->type[0] = '\0';
	if (statvfs(dir, &st) == 0 && st.f_bavail <= INT64_MAX / (st.f_frsize ? st.f_frsize : 1))
		out->free = (int64_t)(st.f_bavail * st.f_frsize);
	free(mounts);
	free(path);
}

/* ---- what the disk does ---- */

/* A file with a name: some filesystems do less for one that nobody could find again. */
struct scratch {
	int fd;
	char path[4096];
	sigset_t before;
};

static enum sd_err scratch_open(struct sd_world *w, struct scratch *s, const char *dir, struct sd_error *e)
{
	sigset_t ends;
	if (!w->real)
		return sd_fail(e, SD_EUNSUPPORTED, "cannot write in %s: not in a simulated world", dir);
	int n = snprintf(s->path, sizeof(s->path), "%s/.sdlab-machine.XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(s->path))
		return sd_fail(e, SD_EINVAL, "cannot write in %.100s...: the name is too long", dir);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ends, &s->before);
	s->fd = mkostemp(s->path, O_CLOEXEC);
	if (s->fd >= 0)
		return SD_OK;
	int err = errno;
	pthread_sigmask(SIG_SETMASK, &s->before, NULL);
	return file_result(err, e, "write in", dir);
}

static void scratch_close(struct scratch *s)
{
	close(s->fd);
	unlink(s->path);
	pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

/* Appends; false: errno says why not. */
static bool append(const struct scratch *s, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = write(s->fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

static enum sd_err write_fail(const char *dir, struct sd_error *e)
{
	int err = errno;
	return sd_fail(e, SD_EIO, "cannot write in %s: %s", dir, strerror(err));
}

enum sd_err sd_machine_can_write(struct sd_world *w, const char *dir, struct sd_error *e)
{
	struct scratch s = {.fd = -1};
	enum sd_err err = scratch_open(w, &s, dir, e);
	if (!err)
		scratch_close(&s);
	return err;
}

enum sd_err sd_machine_disk(struct sd_world *w, const char *dir, size_t n, int64_t budget_ns, int64_t *samples_ns,
			    size_t *taken, struct sd_error *e)
{
	struct scratch s = {.fd = -1};
	char block[4096];
	*taken = 0;
	enum sd_err err = scratch_open(w, &s, dir, e);
	if (err)
		return err;
	sd_world_random(w, block, sizeof(block)); /* what compresses to nothing would not be written */
	int64_t start = sd_world_mono_ns(w), before = start;
	for (; *taken < n && (*taken == 0 || before - start < budget_ns) && !err; ++*taken) {
		if (!append(&s, block, sizeof(block)) || fdatasync(s.fd) < 0) {
			err = write_fail(dir, e);
			break;
		}
		int64_t now = sd_world_mono_ns(w);
		samples_ns[*taken] = now - before;
		before = now;
	}
	scratch_close(&s);
	return err;
}

enum sd_err sd_machine_disk_rate(struct sd_world *w, const char *dir, int64_t bytes, int64_t budget_ns, int64_t *rate,
				 struct sd_error *e)
{
	struct scratch s = {.fd = -1};
	char *piece = malloc(PIECE);
	enum sd_err err = piece ? scratch_open(w, &s, dir, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	if (err) {
		free(piece);
		return err;
	}
	sd_world_random(w, piece, PIECE);
	int64_t done = 0, took = 0, start = sd_world_mono_ns(w);
	while (done < bytes && took < budget_ns && !err) {
		for (int i = 0; i < PIECES && done < bytes && !err; i++, done += PIECE)
			if (!append(&s, piece, PIECE))
				err = write_fail(dir, e);
		if (!err && fdatasync(s.fd) < 0)
			err = write_fail(dir, e);
		took = sd_world_mono_ns(w) - start;
	}
	scratch_close(&s);
	free(piece);
	*rate = took > 0 ? (int64_t)((double)done * 1e9 / (double)took) : SD_UNKNOWN;
	return err;
}
