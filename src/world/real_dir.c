/* real_dir.c - names below a folder, by openat2 where the kernel has it, else segment by segment without links.
 *
 * Everything is opened without waiting: a FIFO would hold whoever opens it until somebody writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "real.h"

#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

struct real_dir {
	struct sd_dir dir;
	int fd;
	bool walk;
};

static struct real_dir *dir_of(struct sd_dir *d)
{
	return sd_container(d, struct real_dir, dir);
}

static int open_beneath(int fd, const char *name, bool now)
{
	struct open_how how = {.flags = READ_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	how.resolve |= now ? RESOLVE_CACHED : 0u;
	return (int)syscall(SYS_openat2, fd, *name ? name : ".", &how, sizeof(how));
}

/* Each segment is opened below the one before it, and none may be a link. */
static int open_walking(int fd, const char *name)
{
	char segment[NAME_MAX + 1];
	int at = -1;
	while (*name) {
		size_t n = strcspn(name, "/");
		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			break;
		}
		memcpy(segment, name, n);
		segment[n] = '\0';
		name += n + (name[n] == '/');
		int next = openat(at < 0 ? fd : at, segment, (*name ? O_PATH | O_DIRECTORY | O_CLOEXEC : READ_FLAGS) | O_NOFOLLOW);
		int err = errno;
		if (at >= 0)
			close(at);
		errno = err;
		if (next < 0 || !*name)
			return next;
		at = next;
	}
	if (at >= 0)
		close(at);
	return *name ? -1 : openat(fd, ".", READ_FLAGS);
}

/* What a caller is told of a link that leads out, or of one where none is followed: that it may not go there. A race that
 * the kernel could not decide is tried once more by whoever may wait. */
static int find_errno(bool now)
{
	switch (errno) {
	case EXDEV:
	case ELOOP:
		return EPERM;
	case EINVAL:
		return now ? EAGAIN : EINVAL; /* openat2 that does not know RESOLVE_CACHED */
	case EAGAIN:
		return now ? EAGAIN : EIO;
	case ENXIO:
	case ENAMETOOLONG:
		return ENOENT;
	default:
		return errno;
	}
}

static void tell(const struct stat *st, struct sd_file_info *info)
{
	info->kind = S_ISREG(st->st_mode) ? SD_KIND_FILE : S_ISDIR(st->st_mode) ? SD_KIND_FOLDER : SD_KIND_OTHER;
	info->id = (uint64_t)st->st_ino ^ (uint64_t)st->st_dev << 48;
	info->size = (uint64_t)st->st_size;
	info->modified_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int dir_find(struct sd_dir *dir, const char *name, bool now, struct sd_file **out, struct sd_file_info *info)
{
	struct real_dir *d = dir_of(dir);
	struct stat st;
	if (d->walk && now)
		return EAGAIN;
	int fd = d->walk ? open_walking(d->fd, name) : open_beneath(d->fd, name, now);
	if (fd < 0)
		return find_errno(now);
	int err = fstat(fd, &st) < 0 ? errno : 0;
	if (!err)
		tell(&st, info);
	if (!err && info->kind == SD_KIND_FILE)
		err = real_file_of(fd, out);
	if (err || info->kind != SD_KIND_FILE)
		close(fd);
	return err;
}

static void dir_close(struct sd_dir *dir)
{
	close(dir_of(dir)->fd);
	free(dir_of(dir));
}

static const struct sd_dir_ops dir_ops = {.close = dir_close, .find = dir_find};

/* Any failure to open the folder itself that way says that the kernel, or a filter in front of it, has no openat2. */
static bool must_walk(int fd)
{
	int again = open_beneath(fd, "", false);
	if (again >= 0)
		close(again);
	return again < 0;
}

int real_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out)
{
	(void)w;
	struct real_dir *d = calloc(1, sizeof(*d));
	if (!d)
		return ENOMEM;
	d->dir.ops = &dir_ops;
	d->fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0) {
		int err = errno;
		free(d);
		return err;
	}
	d->walk = flags & SD_DIR_NO_LINKS || must_walk(d->fd);
	*out = &d->dir;
	return 0;
}
