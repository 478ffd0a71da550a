#include "world.h"

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

struct sd_world *sd_world_real(void)
{
	struct sd_world *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	sd_list_init(&w->inproc);
	signal(SIGPIPE, SIG_IGN);
	return w;
}

void sd_world_free(struct sd_world *w)
{
	if (!w)
		return;
	if (w->resolver)
		sd_helpers_free(w->resolver);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

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

int64_t sd_world_mono_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t sd_world_wall_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_REALTIME);
}

int64_t sd_world_thread_cpu_ns(struct sd_world *w)
{
	(void)w;
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void sd_world_random(struct sd_world *w, void *out, size_t n)
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

void sd_world_sleep_ns(struct sd_world *w, int64_t ns)
{
	(void)w;
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
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

enum sd_err sd_world_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
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

enum sd_err sd_world_write_file(struct sd_world *w, const char *name, const char *text, size_t n, struct sd_error *e)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return sd_fail(e, real_err(errno), "cannot write %s: %s", name, strerror(errno));
	bool ok = sd_world_print(w, fd, text, n);
	int err = errno;
	if (close(fd) < 0 && ok) {
		ok = false;
		err = errno;
	}
	return ok ? SD_OK : sd_fail(e, SD_EIO, "cannot write %s: %s", name, strerror(err));
}

enum sd_err sd_world_symlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e)
{
	(void)w;
	char now[4096];
	if (symlink(target, name) == 0)
		return SD_OK;
	if (errno != EEXIST)
		return sd_fail(e, real_err(errno), "cannot link %s: %s", name, strerror(errno));
	ssize_t n = readlink(name, now, sizeof(now) - 1);
	if (n >= 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0)
		return SD_OK;
	return sd_fail(e, SD_EEXISTS, "cannot link %s: something else has that name", name);
}

enum sd_err sd_world_hardlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e)
{
	(void)w;
	struct stat a, b;
	if (link(target, name) == 0)
		return SD_OK;
	if (errno == EEXIST && stat(target, &a) == 0 && stat(name, &b) == 0 && a.st_ino == b.st_ino &&
	    a.st_dev == b.st_dev)
		return SD_OK;
	if (errno == EEXIST)
		return sd_fail(e, SD_EEXISTS, "cannot link %s: something else has that name", name);
	return sd_fail(e, real_err(errno), "cannot link %s: %s", name, strerror(errno));
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

enum sd_err sd_world_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e)
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
		enum sd_err err = sd_world_mkdir(w, path, 0755, e);
		if (err)
			return err;
		*slash = '/';
		if (made_dir(path, mode))
			return SD_OK;
	}
	return sd_fail(e, real_err(errno), "cannot make folder %s: %s", name, strerror(errno));
}

enum sd_err sd_world_private_dir(struct sd_world *w, const char *name, struct sd_error *e)
{
	struct stat st;
	enum sd_err err = sd_world_mkdir(w, name, 0700, e);
	if (err)
		return err;
	if (lstat(name, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return sd_fail(e, SD_EPERM, "%s is not a folder that only this user may enter", name);
	return SD_OK;
}

enum sd_err sd_world_unlink(struct sd_world *w, const char *name)
{
	(void)w;
	return unlink(name) == 0 ? SD_OK : real_err(errno);
}

static int not_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

char **sd_world_list_dir(struct sd_world *w, const char *name)
{
	(void)w;
	struct dirent **found;
	int n = scandir(name, &found, not_dots, alphasort);
	if (n < 0)
		return NULL;
	char **names = calloc((size_t)n + 1, sizeof(*names));
	for (int i = 0, k = 0; i < n; i++) {
		if (names && (names[k] = strdup(found[i]->d_name)))
			k++;
		free(found[i]);
	}
	free(found);
	return names;
}

bool sd_world_print(struct sd_world *w, int fd, const char *text, size_t n)
{
	(void)w;
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

bool sd_world_is_terminal(struct sd_world *w, int fd)
{
	(void)w;
	return isatty(fd) == 1;
}

bool sd_world_self_path(struct sd_world *w, char *out, size_t n)
{
	(void)w;
	ssize_t got = readlink("/proc/self/exe", out, n);
	if (got <= 0 || (size_t)got >= n)
		return false;
	out[got] = '\0';
	return true;
}

/* ---- this process ---- */

int64_t sd_world_pid(struct sd_world *w)
{
	(void)w;
	return getpid();
}

unsigned sd_world_uid(struct sd_world *w)
{
	(void)w;
	return getuid();
}

size_t sd_world_raise_files(struct sd_world *w)
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

enum sd_err sd_world_drop_to_user(struct sd_world *w, const char *user, struct sd_error *e)
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

/* ---- threads ---- */

struct sd_thread {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

static void *thread_main(void *arg)
{
	struct sd_thread *t = arg;
	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

enum sd_err sd_thread_start(struct sd_world *w, const char *name, void (*fn)(void *arg), void *arg,
			    struct sd_thread **out, struct sd_error *e)
{
	(void)w;
	struct sd_thread *t = calloc(1, sizeof(*t));
	if (!t)
		return sd_fail(e, SD_ENOMEM, "cannot start a thread: out of memory");
	t->fn = fn;
	t->arg = arg;
	strncpy(t->name, name, sizeof(t->name) - 1);
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		free(t);
		return sd_fail(e, SD_ENOMEM, "cannot start a thread: %s", strerror(err));
	}
	*out = t;
	return SD_OK;
}

void sd_thread_join(struct sd_thread *t)
{
	pthread_join(t->id, NULL);
	free(t);
}
