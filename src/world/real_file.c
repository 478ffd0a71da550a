/* real_file.c - files of the kernel's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "real.h"
#include "real_window.h"

struct real_file {
	struct sd_file file;
	int fd;
	struct real_window window;
};

static int fd_of(struct sd_file *f)
{
	return sd_container(f, struct real_file, file)->fd;
}

static struct real_window *window_of(struct sd_file *f)
{
	return &sd_container(f, struct real_file, file)->window;
}

static void file_expect(struct sd_file *f, uint64_t from, uint64_t to)
{
	real_window_open(window_of(f), fd_of(f), from, to);
}

static void file_close(struct sd_file *f)
{
	real_window_close(window_of(f));
	close(fd_of(f));
	free(sd_container(f, struct real_file, file));
}

static ssize_t file_read(struct sd_file *f, void *buf, size_t n, uint64_t off)
{
	ssize_t got = pread(fd_of(f), buf, n, (off_t)off);
	return got < 0 ? -errno : got;
}

static ssize_t file_read_now(struct sd_file *f, void *buf, size_t n, uint64_t off)
{
	struct iovec v = {buf, n};
	ssize_t got = preadv2(fd_of(f), &v, 1, (off_t)off, RWF_NOWAIT);
	if (got >= 0)
		return got;
	return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR ? -EAGAIN : -errno;
}

static ssize_t file_write(struct sd_file *f, const struct iovec *iov, int niov, uint64_t off)
{
	if (real_window_write(window_of(f), fd_of(f), iov, niov, off))
		return (ssize_t)iov->iov_len;
	ssize_t put = niov == 1 ? pwrite(fd_of(f), iov->iov_base, iov->iov_len, (off_t)off) : pwritev(fd_of(f), iov, niov, (off_t)off);
	return put < 0 ? -errno : put;
}

static int file_sync(struct sd_file *f)
{
	return fdatasync(fd_of(f)) < 0 ? errno : 0;
}

static int file_size(struct sd_file *f, uint64_t *size)
{
	struct stat st;
	if (fstat(fd_of(f), &st) < 0)
		return errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

static int file_truncate(struct sd_file *f, uint64_t size)
{
	real_window_close(window_of(f));
	return ftruncate(fd_of(f), (off_t)size) < 0 ? errno : 0;
}

static int file_allocate(struct sd_file *f, uint64_t size)
{
	if (fallocate(fd_of(f), 0, 0, (off_t)size) == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	return errno;
}

static int file_lock(struct sd_file *f)
{
	return flock(fd_of(f), LOCK_EX | LOCK_NB) < 0 ? errno : 0;
}

static bool file_is_at(struct sd_file *f, const char *name)
{
	struct stat here, there;
	if (stat(name, &there) < 0)
		return errno != ENOENT && errno != ENOTDIR;
	return fstat(fd_of(f), &here) < 0 || (here.st_ino == there.st_ino && here.st_dev == there.st_dev);
}

static int file_map(struct sd_file *f, size_t n, const void **out)
{
	*out = mmap(NULL, n, PROT_READ, MAP_SHARED, fd_of(f), 0);
	return *out == MAP_FAILED ? errno : 0;
}

static const struct sd_file_ops file_ops = {
    .close = file_close,
    .read = file_read,
    .read_now = file_read_now,
    .write = file_write,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .expect = file_expect,
    .lock = file_lock,
    .is_at = file_is_at,
    .map = file_map,
};

static int open_flags(unsigned flags)
{
	return (flags & SD_FILE_WRITE ? O_RDWR : O_RDONLY) | (flags & SD_FILE_CREATE ? O_CREAT : 0) |
	       (flags & SD_FILE_NEW ? O_EXCL : 0) | (flags & SD_FILE_TRUNCATE ? O_TRUNC : 0) | O_CLOEXEC;
}

int real_file_fd(struct sd_file *f)
{
	return fd_of(f);
}

int real_file_of(int fd, struct sd_file **out)
{
	struct real_file *f = calloc(1, sizeof(*f));
	if (!f)
		return ENOMEM;
	f->file.ops = &file_ops;
	f->fd = fd;
	*out = &f->file;
	return 0;
}

int real_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out)
{
	(void)w;
	struct real_file *f = calloc(1, sizeof(*f));
	if (!f)
		return ENOMEM;
	f->file.ops = &file_ops;
	f->fd = open(name, open_flags(flags), 0600);
	if (f->fd < 0) {
		int err = errno;
		free(f);
		return err;
	}
	*out = &f->file;
	return 0;
}

int real_unlink(struct sd_world *w, const char *name)
{
	(void)w;
	return unlink(name) < 0 ? errno : 0;
}

int real_rename(struct sd_world *w, const char *from, const char *to)
{
	(void)w;
	return rename(from, to) < 0 ? errno : 0;
}

int real_sync_dir(struct sd_world *w, const char *dir)
{
	(void)w;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int err = fsync(fd) < 0 ? errno : 0;
	close(fd);
	return err;
}

int real_disk_room(struct sd_world *w, const char *dir, uint64_t *bytes)
{
	struct statvfs st;
	(void)w;
	if (statvfs(dir, &st) < 0)
		return errno;
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

void real_unmap(struct sd_world *w, const void *p, size_t n)
{
	(void)w;
	munmap((void *)(uintptr_t)p, n);
}
