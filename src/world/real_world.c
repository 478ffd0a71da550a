/* real_world.c - the kernel's world: clocks, chance, whole files, rights. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "real.h"

enum sd_err real_err(int err)
{
	switch (err) {
	case 0:
		return SD_OK;
	case EAGAIN:
	case EINTR:
	case EINPROGRESS:
		return SD_EAGAIN;
	case ENOMEM:
	case ENOBUFS:
		return SD_ENOMEM;
	case EMFILE:
	case ENFILE:
		return SD_ENOFILES;
	case ECONNREFUSED:
	case ENOENT:
		return SD_EREFUSED;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return SD_ERESET;
	case ETIMEDOUT:
		return SD_ETIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EADDRNOTAVAIL:
		return SD_EUNREACHABLE;
	case EADDRINUSE:
		return SD_EINUSE;
	case EACCES:
	case EPERM:
		return SD_EPERM;
	default:
		return SD_EIO;
	}
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t real_mono_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_MONOTONIC);
}

static int64_t real_wall_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_REALTIME);
}

static int64_t real_thread_cpu_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void real_random(struct sd_world *w, void *out, size_t n)
{
	(void)w;
	char *p = out;
	while (n > 0) {
		ssize_t got = getrandom(p, n < 256 ? n : 256, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* no kernel we run on lacks it */
		p += got;
		n -= (size_t)got;
	}
}

static void real_sleep_ns(struct sd_world *w, int64_t ns)
{
	(void)w;
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Asking for the time is a system call: most of the work is to be ours, as that of a program that computes. */
#define COMPUTE_ROUNDS 2000

static void real_compute_ns(struct sd_world *w, int64_t ns)
{
	volatile uint64_t x = 88172645463325252u;
	int64_t end = real_thread_cpu_ns(w) + ns;
	do {
		for (int i = 0; i < COMPUTE_ROUNDS; i++)
			x = x * 6364136223846793005u + 1442695040888963407u;
	} while (real_thread_cpu_ns(w) < end);
}

/* ---- files ---- */

static enum sd_err read_all(int fd, const char *name, size_t max, char **out, size_t *len, struct sd_error *e)
{
	size_t cap = 4096, n = 0;
	char *buf = malloc(cap + 1);
	for (;;) {
		if (!buf)
			return sd_fail(e, SD_ENOMEM, "cannot read %s: out of memory", name);
		ssize_t got = read(fd, buf + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(buf);
			return sd_fail(e, SD_EIO, "cannot read %s: %s", name, strerror(errno));
		}
		n += (size_t)got;
		if (got == 0 || n > max)
			break;
		if (n == cap) {
			char *more = realloc(buf, (cap *= 2) + 1);
			if (!more)
				free(buf);
			buf = more;
		}
	}
	if (n > max) {
		free(buf);
		return sd_fail(e, SD_ETOOBIG, "cannot read %s: larger than %zu bytes", name, max);
	}
	buf[n] = '\0';
	*out = buf;
	*len = n;
	return SD_OK;
}

static enum sd_err real_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
				  struct sd_error *e)
{
	(void)w;
	if (strcmp(name, "-") == 0)
		return read_all(0, "standard input", max, out, len, e);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return sd_fail(e, errno == ENOENT ? SD_ENOTFOUND : SD_EIO, "cannot open %s: %s", name,
			       strerror(errno));
	enum sd_err err = read_all(fd, name, max, out, len, e);
	close(fd);
	return err;
}

static bool real_file_mode(struct sd_world *w, const char *name, unsigned *mode)
{
	struct stat st;
	(void)w;
	if (stat(name, &st) != 0)
		return false;
	*mode = st.st_mode & 07777;
	return true;
}

/* Makes it, or finds it there; false: errno says why not. */
static bool made_dir(const char *path, unsigned mode)
{
	struct stat st;
	if (mkdir(path, mode) == 0)
		return true;
	if (errno != EEXIST)
		return false;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return true;
	errno = ENOTDIR;
	return false;
}

static enum sd_err real_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e)
{
	char path[4096];
	size_t n = strlen(name);
	if (n == 0 || n >= sizeof(path))
		return sd_fail(e, SD_EINVAL, "cannot make folder \"%s\": bad name", name);
	memcpy(path, name, n + 1);
	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	if (made_dir(path, mode))
		return SD_OK;
	char *slash = strrchr(path, '/');
	if (errno == ENOENT && slash && slash != path) {
		*slash = '\0';
		enum sd_err err = real_mkdir(w, path, 0755, e);
		if (err)
			return err;
		*slash = '/';
		if (made_dir(path, mode))
			return SD_OK;
	}
	if (errno == ENOTDIR) /* something is there */
		return sd_fail(e, SD_EIO, "cannot make folder %s: %s", name, strerror(errno));
	return file_result(errno, e, "make folder", name);
}

static int not_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* All names or none: whoever finds some of its files missing would take them for lost. */
static char **forget_names(char **names)
{
	for (char **at = names; at && *at; at++)
		free(*at);
	free(names);
	return NULL;
}

static char **real_list_dir(struct sd_world *w, const char *name)
{
	(void)w;
	struct dirent **found;
	int n = scandir(name, &found, not_dots, alphasort);
	if (n < 0)
		return NULL;
	char **names = calloc((size_t)n + 1, sizeof(*names));
	int k = 0;
	for (int i = 0; i < n; i++) {
		if (names && k == i && (names[k] = strdup(found[i]->d_name)))
			k++;
		free(found[i]);
	}
	free(found);
	return k == n ? names : forget_names(names);
}

bool real_write_all(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, text, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		text += put;
		n -= (size_t)put;
	}
	return true;
}

static bool real_print(struct sd_world *w, int fd, const char *text, size_t n)
{
	(void)w;
	return real_write_all(fd, text, n);
}

/* ---- this process ---- */

static size_t real_raise_files(struct sd_world *w)
{
	(void)w;
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return 1024;
	if (r.rlim_cur < r.rlim_max) {
		rlim_t before = r.rlim_cur;
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) < 0)
			r.rlim_cur = before;
	}
	return (size_t)r.rlim_cur;
}

static enum sd_err real_drop_to_user(struct sd_world *w, const char *user, struct sd_error *e)
{
	(void)w;
	struct passwd pw, *found = NULL;
	char buf[4096];
	if (getpwnam_r(user, &pw, buf, sizeof(buf), &found) != 0 || !found)
		return sd_fail(e, SD_ENOTFOUND, "no user called \"%s\"", user);
	if (getuid() == pw.pw_uid)
		return SD_OK;
	if (setgroups(0, NULL) < 0 || setgid(pw.pw_gid) < 0 || setuid(pw.pw_uid) < 0)
		return sd_fail(e, SD_EPERM, "cannot become user \"%s\": %s", user, strerror(errno));
	if (pw.pw_uid != 0 && setuid(0) == 0)
		return sd_fail(e, SD_EPERM, "could become root again after becoming \"%s\"", user);
	return SD_OK;
}

/* ---- the whole ---- */

static void real_free(struct sd_world *w)
{
	struct real_world *rw = real_world(w);
	if (rw->resolver)
		sd_helpers_free(rw->resolver);
	pthread_mutex_destroy(&rw->lock);
	free(rw);
}

static const struct sd_world_ops real_ops = {
    .free = real_free,
    .mono_ns = real_mono_ns,
    .wall_ns = real_wall_ns,
    .thread_cpu_ns = real_thread_cpu_ns,
    .random = real_random,
    .sleep_ns = real_sleep_ns,
    .compute_ns = real_compute_ns,
    .print = real_print,
    .loop_new = real_loop_new,
    .helpers_new = real_helpers_new,
    .helpers_free = real_helpers_free,
    .submit = real_submit,
    .resolve = real_resolve,
    .raise_files = real_raise_files,
    .drop_to_user = real_drop_to_user,
    .read_file = real_read_file,
    .file_mode = real_file_mode,
    .mkdir = real_mkdir,
    .list_dir = real_list_dir,
    .open = real_open,
    .unlink = real_unlink,
    .rename = real_rename,
    .sync_dir = real_sync_dir,
    .disk_room = real_disk_room,
    .dir_open = real_dir_open,
    .unmap = real_unmap,
};

struct sd_world *sd_world_real(void)
{
	struct real_world *rw = calloc(1, sizeof(*rw));
	if (!rw)
		return NULL;
	rw->world = (struct sd_world){&real_ops, true};
	pthread_mutex_init(&rw->lock, NULL);
	sd_list_init(&rw->inproc);
	signal(SIGPIPE, SIG_IGN);
	return &rw->world;
}
