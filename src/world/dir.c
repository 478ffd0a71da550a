/* dir.c - the calls of dir.h over the worlds' own. */
#include "dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world_int.h"

enum sd_err sd_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out, struct sd_error *e)
{
	char *copy = strdup(name);
	int err = copy ? w->ops->dir_open(w, name, flags, out) : ENOMEM;
	if (err) {
		free(copy);
		return file_result(err, e, "open folder", name);
	}
	(*out)->name = copy;
	return SD_OK;
}

void sd_dir_close(struct sd_dir *d)
{
	if (!d)
		return;
	free(d->name);
	d->ops->close(d);
}

const char *sd_dir_name(const struct sd_dir *d)
{
	return d->name;
}

/* Whatever a kernel makes of others, these never reach it: absolute names, and segments that are empty, "." or "..". */
static bool is_below(const char *name)
{
	if (!*name)
		return true;
	for (;;) {
		size_t n = strcspn(name, "/");
		if (n == 0 || (n <= 2 && memcmp(name, "..", n) == 0))
			return false;
		if (!name[n])
			return true;
		name += n + 1;
	}
}

enum sd_err sd_dir_find(struct sd_dir *d, const char *name, bool now, struct sd_file **out, struct sd_file_info *info,
			struct sd_error *e)
{
	*out = NULL;
	if (!is_below(name))
		return sd_fail(e, SD_EPERM, "cannot open %s: it is not below %s", name, d->name);
	int err = d->ops->find(d, name, now, out, info);
	if (err || !*out)
		return file_result(err, e, "open", name);
	(*out)->name = strdup(name);
	if ((*out)->name)
		return SD_OK;
	(*out)->ops->close(*out);
	*out = NULL;
	return file_result(ENOMEM, e, "open", name);
}

enum sd_err sd_file_read_now(struct sd_file *f, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	ssize_t r = f->ops->read_now(f, buf, n, off);
	*got = r > 0 ? (size_t)r : 0;
	return r < 0 ? file_result((int)-r, e, "read", f->name) : SD_OK;
}
