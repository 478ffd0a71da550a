/* file.c - the calls on files, with whole reads and writes and what a person is told, over the worlds' single ones. */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world_int.h"

static enum sd_err err_of(int err)
{
	switch (err) {
	case 0:
		return SD_OK;
	case ENOENT:
	case ENOTDIR:
		return SD_ENOTFOUND;
	case EEXIST:
		return SD_EEXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return SD_ENOSPC;
	case ENOMEM:
		return SD_ENOMEM;
	case EAGAIN:
		return SD_EAGAIN;
	case EMFILE:
	case ENFILE:
		return SD_ENOFILES;
	case EACCES:
	case EPERM:
	case EROFS:
		return SD_EPERM;
	default:
		return SD_EIO;
	}
}

enum sd_err file_result(int err, struct sd_error *e, const char *what, const char *name)
{
	return err ? sd_fail(e, err_of(err), "cannot %s %s: %s", what, name, strerror(err)) : SD_OK;
}

enum sd_err sd_file_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out,
			 struct sd_error *e)
{
	char *copy = strdup(name);
	int err = copy ? w->ops->open(w, name, flags, out) : ENOMEM;
	if (err) {
		free(copy);
		return file_result(err, e, "open", name);
	}
	(*out)->name = copy;
	return SD_OK;
}

void sd_file_close(struct sd_file *f)
{
	if (!f)
		return;
	free(f->name);
	f->ops->close(f);
}

const char *sd_file_name(const struct sd_file *f)
{
	return f->name;
}

enum sd_err sd_file_read(struct sd_file *f, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	*got = 0;
	while (*got < n) {
		ssize_t r = f->ops->read(f, (char *)buf + *got, n - *got, off + *got);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return file_result((int)-r, e, "read", f->name);
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
		ssize_t put = f->ops->write(f, iov, niov < 1024 ? niov : 1024, off);
		if (put == -EINTR)
			continue;
		if (put < 0)
			return file_result((int)-put, e, "write", f->name);
		int done = advance(iov, niov, (size_t)put);
		if (put == 0 && done == 0)
			return file_result(EIO, e, "write", f->name);
		iov += done;
		niov -= done;
		off += (uint64_t)put;
	}
	return SD_OK;
}

enum sd_err sd_file_sync(struct sd_file *f, struct sd_error *e)
{
	return file_result(f->ops->sync(f), e, "sync", f->name);
}

enum sd_err sd_file_size(struct sd_file *f, uint64_t *size, struct sd_error *e)
{
	return file_result(f->ops->size(f, size), e, "look at", f->name);
}

enum sd_err sd_file_truncate(struct sd_file *f, uint64_t size, struct sd_error *e)
{
	return file_result(f->ops->truncate(f, size), e, "cut", f->name);
}

enum sd_err sd_file_allocate(struct sd_file *f, uint64_t size, struct sd_error *e)
{
	return file_result(f->ops->allocate(f, size), e, "make room for", f->name);
}

void sd_file_expect(struct sd_file *f, uint64_t from, uint64_t to)
{
	if (f->ops->expect)
		f->ops->expect(f, from, to);
}

enum sd_err sd_file_lock(struct sd_file *f, struct sd_error *e)
{
	int err = f->ops->lock(f);
	if (err == EWOULDBLOCK)
		return sd_fail(e, SD_EINUSE, "%s is in use by another process", f->name);
	return file_result(err, e, "lock", f->name);
}

bool sd_file_is_in_place(struct sd_file *f)
{
	return f->ops->is_at(f, f->name);
}

const void *sd_file_map(struct sd_file *f, size_t n, struct sd_error *e)
{
	const void *p = NULL;
	return file_result(f->ops->map(f, n, &p), e, "map", f->name) == SD_OK ? p : NULL;
}

void sd_file_unmap(struct sd_world *w, const void *p, size_t n)
{
	if (p)
		w->ops->unmap(w, p, n);
}

enum sd_err sd_disk_free(struct sd_world *w, const char *dir, uint64_t *bytes, struct sd_error *e)
{
	return file_result(w->ops->disk_room(w, dir, bytes), e, "look at", dir);
}

enum sd_err sd_dir_sync(struct sd_world *w, const char *dir, struct sd_error *e)
{
	return file_result(w->ops->sync_dir(w, dir), e, "sync", dir);
}

enum sd_err sd_world_rename(struct sd_world *w, const char *from, const char *to, struct sd_error *e)
{
	return file_result(w->ops->rename(w, from, to), e, "rename", from);
}

enum sd_err sd_world_unlink(struct sd_world *w, const char *name)
{
	return err_of(w->ops->unlink(w, name));
}
