/* real_host.c - the process and machine that everything runs on: what the program's own commands need of them, and no
 * simulated world has. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"

static enum sd_err only_real(struct sd_error *e)
{
	return sd_fail(e, SD_EUNSUPPORTED, "not in a simulated world");
}

enum sd_err sd_world_write_file(struct sd_world *w, const char *name, const char *text, size_t n, struct sd_error *e)
{
	if (!w->real)
		return only_real(e);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return file_result(errno, e, "write", name);
	bool ok = real_write_all(fd, text, n);
	int err = errno;
	if (close(fd) < 0 && ok) {
		ok = false;
		err = errno;
	}
	return ok ? SD_OK : sd_fail(e, SD_EIO, "cannot write %s: %s", name, strerror(err));
}

enum sd_err sd_world_symlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e)
{
	if (!w->real)
		return only_real(e);
	char now[4096];
	if (symlink(target, name) == 0)
		return SD_OK;
	if (errno != EEXIST)
		return file_result(errno, e, "link", name);
	ssize_t n = readlink(name, now, sizeof(now) - 1);
	if (n >= 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0)
		return SD_OK;
	return sd_fail(e, SD_EEXISTS, "cannot link %s: something else has that name", name);
}

enum sd_err sd_world_hardlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e)
{
	if (!w->real)
		return only_real(e);
	struct stat a, b;
	if (link(target, name) == 0)
		return SD_OK;
	if (errno == EEXIST && stat(target, &a) == 0 && stat(name, &b) == 0 && a.st_ino == b.st_ino &&
	    a.st_dev == b.st_dev)
		return SD_OK;
	if (errno == EEXIST)
		return sd_fail(e, SD_EEXISTS, "cannot link %s: something else has that name", name);
	return file_result(errno, e, "link", name);
}

enum sd_err sd_world_private_dir(struct sd_world *w, const char *name, struct sd_error *e)
{
	if (!w->real)
		return only_real(e);
	struct stat st;
	enum sd_err err = sd_world_mkdir(w, name, 0700, e);
	if (err)
		return err;
	if (lstat(name, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return sd_fail(e, SD_EPERM, "%s is not a folder that only this user may enter", name);
	return SD_OK;
}

enum sd_err sd_world_input(struct sd_world *w, void *buf, size_t n, size_t *got, struct sd_error *e)
{
	ssize_t r = 0;
	*got = 0;
	if (!w->real)
		return SD_OK;
	do
		r = read(STDIN_FILENO, buf, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return sd_fail(e, SD_EIO, "cannot read standard input: %s", strerror(errno));
	*got = (size_t)r;
	return SD_OK;
}

bool sd_world_is_terminal(struct sd_world *w, int fd)
{
	if (!w->real)
		return false;
	return isatty(fd) == 1;
}

bool sd_world_self_path(struct sd_world *w, char *out, size_t n)
{
	if (!w->real)
		return false;
	ssize_t got = readlink("/proc/self/exe", out, n);
	if (got <= 0 || (size_t)got >= n)
		return false;
	out[got] = '\0';
	return true;
}

/* ---- this process ---- */

int64_t sd_world_pid(struct sd_world *w)
{
	if (!w->real)
		return 1;
	return getpid();
}

unsigned sd_world_uid(struct sd_world *w)
{
	if (!w->real)
		return 1000;
	return getuid();
}
