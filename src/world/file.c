/* file.c - files of the real world. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"

struct sd_file {
	int fd;
	char name[];
};

static enum sd_err file_err(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return SD_ENOTFOUND;
	case EEXIST:
		return SD_EEXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return SD_ENOSPC;
	default:
		return real_err(err);
	}
}

static enum sd_err fail(struct sd_error *e, const char *what, const char *name)
{
	int err = errno;
	return sd_fail(e, file_err(err), "cannot %s %s: %s", what, name, strerror(err));
}

static int open_flags(unsigned flags)
{
	return (flags & SD_FILE_WRITE ? O_RDWR : O_RDONLY) | (flags & SD_FILE_CREATE ? O_CREAT : 0) |
	       (flags & SD_FILE_NEW ? O_EXCL : 0) | (flags & SD_FILE_TRUNCATE ? O_TRUNC : 0) | O_CLOEXEC;
}

enum sd_err sd_file_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out,
			 struct sd_error *e)
{
	(void)w;
	size_t n = strlen(name) + 1;
	struct sd_file *f = malloc(sizeof(*f) + n);
	if (!f)
		return sd_fail(e, SD_ENOMEM, "cannot open %s: out of memory", name);
	memcpy(f->name, name, n);
	f->fd = open(name, open_flags(flags), 0600);
	if (f->fd < 0) {
		enum sd_err err = fail(e, "open", name);
		free(f);
		return err;
	}
	*out = f;
	return SD_OK;
}

void sd_file_close(struct sd_file *f)
{
	if (!f)
		return;
	close(f->fd);
	free(f);
}

const char *sd_file_name(const struct sd_file *f)
{
	return f->name;
}

enum sd_err sd_file_read(struct sd_file *f, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	*got = 0;
	while (*got < n) {
		ssize_t r = pread(f->fd, (char *)buf + *got, n - *got, (off_t)(off + *got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fail(e, "read", f->name);
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return SD_OK;
}

/* Takes n written bytes off the front of the pieces; returns the first that has some left. */
static int advance(struct iovec *iov, int niov, size_t n)
{
	int i = 0;
	while (i < niov && n >= iov[i].iov_len)
		n -= iov[i++].iov_len;
	if (i < niov) {
		iov[i].iov_base = (char *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
	}
	return i;
}

enum sd_err sd_file_write(struct sd_file *f, struct iovec *iov, int niov, uint64_t off, struct sd_error *e)
{
	while (niov > 0) {
		ssize_t put = pwritev(f->fd, iov, niov < 1024 ? niov : 1024, (off_t)off);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail(e, "write", f->name);
		int done = advance(iov, niov, (size_t)put);
		if (put == 0 && done == 0)
			return sd_fail(e, SD_EIO, "cannot write %s: nothing is taken", f->name);
		iov += done;
		niov -= done;
		off += (uint64_t)put;
	}
	return SD_OK;
}

enum sd_err sd_file_sync(struct sd_file *f, struct sd_error *e)
{
	return fdatasync(f->fd) == 0 ? SD_OK : fail(e, "sync", f->name);
}

enum sd_err sd_file_size(struct sd_file *f, uint64_t *size, struct sd_error *e)
{
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return fail(e, "look at", f->name);
	*size = (uint64_t)st.st_size;
	return SD_OK;
}

enum sd_err sd_file_truncate(struct sd_file *f, uint64_t size, struct sd_error *e)
{
	return ftruncate(f->fd, (off_t)size) == 0 ? SD_OK : fail(e, "cut", f->name);
}

enum sd_err sd_file_allocate(struct sd_file *f, uint64_t size, struct sd_error *e)
{
	if (fallocate(f->fd, 0, 0, (off_t)size) == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return SD_OK;
	return fail(e, "make room for", f->name);
}

enum sd_err sd_file_lock(struct sd_file *f, struct sd_error *e)
{
	if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
		return SD_OK;
	if (errno == EWOULDBLOCK)
		return sd_fail(e, SD_EINUSE, "%s is in use by another process", f->name);
	return fail(e, "lock", f->name);
}

const void *sd_file_map(struct sd_file *f, size_t n, struct sd_error *e)
{
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, f->fd, 0);
	if (p != MAP_FAILED)
		return p;
	fail(e, "map", f->name);
	return NULL;
}

void sd_file_unmap(struct sd_world *w, const void *p, size_t n)
{
	(void)w;
	if (p)
		munmap((void *)(uintptr_t)p, n);
}

enum sd_err sd_dir_sync(struct sd_world *w, const char *dir, struct sd_error *e)
{
	(void)w;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(e, "open", dir);
	enum sd_err err = fsync(fd) == 0 ? SD_OK : fail(e, "sync", dir);
	close(fd);
	return err;
}

enum sd_err sd_world_rename(struct sd_world *w, const char *from, const char *to, struct sd_error *e)
{
	(void)w;
	return rename(from, to) == 0 ? SD_OK : fail(e, "rename", from);
}
