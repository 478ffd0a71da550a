/* sim_file.c - the calls on files of the simulated world, and what goes wrong with them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"

struct sim_file {
	struct sd_file file;
	struct sim_node *node;
	struct sim_inode *inode;
	uint32_t life;
	unsigned flags;
	bool locked;
};

/* ---- what a call meets ---- */

/* Counts a change of the disk: true when the power goes with this one. */
static bool power_goes(struct sim_node *n)
{
	return n->cut_in && --n->cut_in == 0;
}

static bool is_ghost(const struct sim_file *f)
{
	return !f->node->up || f->life != f->node->life;
}

static struct sim_file *file_of(struct sd_file *f)
{
	return sd_container(f, struct sim_file, file);
}

static uint64_t used(const struct sim_node *n)
{
	uint64_t bytes = 0;
	for (struct sim_name *at = n->names; at; at = at->next)
		bytes += at->inode->size;
	return bytes;
}

static bool is_full(struct sim_node *n, const struct sim_inode *i, uint64_t size)
{
	uint64_t more = size > i->size ? size - i->size : 0;
	return n->disk.capacity && more && used(n) + more > n->disk.capacity;
}

static uint64_t total(const struct iovec *iov, int niov)
{
	uint64_t n = 0;
	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	return n;
}

/* ---- files ---- */

static void file_close(struct sd_file *file)
{
	struct sim_file *f = file_of(file);
	if (f->locked && !is_ghost(f))
		f->inode->lock_life = 0;
	sim_inode_unref(f->inode);
	free(f);
}

static ssize_t file_read(struct sd_file *file, void *buf, size_t n, uint64_t off)
{
	struct sim_file *f = file_of(file);
	struct sd_sim *s = f->node->sim;
	int err = is_ghost(f) ? EIO : sim_fault(f->node, SD_SIM_READ);
	if (err)
		return -err;
	if (off >= f->inode->size)
		return 0;
	if (n > f->inode->size - off)
		n = (size_t)(f->inode->size - off);
	memcpy(buf, f->inode->data + off, n);
	if (n && sim_ppm(s, f->node->disk.flip_read_ppm)) {
		uint64_t bit = sim_below(s, n * 8);
		((unsigned char *)buf)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		sim_record(s, "read with a flipped bit", f->node, NULL, (int64_t)(off * 8 + bit));
	}
	return (ssize_t)n;
}

/* How much of a write that fails was written all the same. */
static ssize_t fail_write(struct sim_file *f, const struct iovec *iov, int niov, uint64_t off, uint64_t n, int err)
{
	sim_inode_write(f->node->sim, f->inode, iov, niov, off, sim_below(f->node->sim, n + 1));
	return -err;
}

static ssize_t file_read_now(struct sd_file *file, void *buf, size_t n, uint64_t off)
{
	return sim_later(file_of(file)->node) ? -EAGAIN : file_read(file, buf, n, off);
}

static ssize_t file_write(struct sd_file *file, const struct iovec *iov, int niov, uint64_t off)
{
	struct sim_file *f = file_of(file);
	struct sim_node *n = f->node;
	uint64_t want = total(iov, niov);
	if (is_ghost(f))
		return -EIO;
	if (!(f->flags & SD_FILE_WRITE))
		return -EBADF;
	sim_record(n->sim, "write", n, NULL, (int64_t)want);
	int err = sim_fault(n, SD_SIM_WRITE);
	if (!err && is_full(n, f->inode, off + want))
		return -ENOSPC;
	if (err)
		return fail_write(f, iov, niov, off, want, err);
	if (power_goes(n)) {
		fail_write(f, iov, niov, off, want, EIO);
		sd_sim_power_cut(&n->world);
		return -EIO;
	}
	if (want > 1 && sim_ppm(n->sim, n->disk.short_write_ppm))
		want = 1 + sim_below(n->sim, want - 1);
	sim_inode_write(n->sim, f->inode, iov, niov, off, want);
	return (ssize_t)want;
}

static int file_sync(struct sd_file *file)
{
	struct sim_file *f = file_of(file);
	struct sim_node *n = f->node;
	if (is_ghost(f))
		return EIO;
	sim_record(n->sim, "sync", n, NULL, (int64_t)f->inode->ndirty);
	sd_world_sleep_ns(&n->world, n->disk.sync_ns + sim_tail(n->sim, n->disk.sync_tail_ns));
	int err = sim_fault(n, SD_SIM_SYNC);
	if (err) {
		sim_inode_lose(n->sim, f->inode);
		return err;
	}
	if (power_goes(n)) {
		if (sim_below(n->sim, 2))
			sim_inode_sync(f->inode); /* done, and nobody hears of it */
		sd_sim_power_cut(&n->world);
		return EIO;
	}
	sim_inode_sync(f->inode);
	return 0;
}

static int file_size(struct sd_file *file, uint64_t *size)
{
	struct sim_file *f = file_of(file);
	*size = f->inode->size;
	return is_ghost(f) ? EIO : 0;
}

static int resize(struct sim_file *f, uint64_t size)
{
	struct sim_node *n = f->node;
	if (is_ghost(f))
		return EIO;
	int err = sim_fault(n, SD_SIM_ALLOCATE);
	if (err)
		return err;
	if (is_full(n, f->inode, size))
		return ENOSPC;
	sim_record(n->sim, "length", n, NULL, (int64_t)size);
	bool cut = power_goes(n);
	if (!cut || sim_below(n->sim, 2))
		sim_inode_resize(n->sim, f->inode, size);
	if (cut)
		sd_sim_power_cut(&n->world);
	return cut ? EIO : 0;
}

static int file_truncate(struct sd_file *file, uint64_t size)
{
	return resize(file_of(file), size);
}

static int file_allocate(struct sd_file *file, uint64_t size)
{
	struct sim_file *f = file_of(file);
	return size > f->inode->size ? resize(f, size) : 0;
}

static int file_lock(struct sd_file *file)
{
	struct sim_file *f = file_of(file);
	if (is_ghost(f))
		return EIO;
	if (f->inode->lock_life == f->life + 1 && !f->locked)
		return EWOULDBLOCK;
	f->inode->lock_life = f->life + 1;
	f->locked = true;
	return 0;
}

static bool file_is_at(struct sd_file *file, const char *name)
{
	struct sim_file *f = file_of(file);
	char path[SIM_PATH];
	return is_ghost(f) || !sim_path(name, path) || sim_name_get(f->node, path) == f->inode;
}

static int file_map(struct sd_file *file, size_t n, const void **out)
{
	struct sim_file *f = file_of(file);
	unsigned char *copy = is_ghost(f) ? NULL : calloc(1, n ? n : 1);
	if (!copy)
		return is_ghost(f) ? EIO : ENOMEM;
	if (n > f->inode->size)
		n = (size_t)f->inode->size;
	if (n)
		memcpy(copy, f->inode->data, n);
	*out = copy;
	return 0;
}

void sim_unmap(struct sd_world *w, const void *p, size_t n)
{
	(void)w;
	(void)n;
	free((void *)(uintptr_t)p);
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
    .lock = file_lock,
    .is_at = file_is_at,
    .map = file_map,
};

/* The file of a name, made if it is to be. */
static int find_or_make(struct sim_node *n, const char *path, unsigned flags, struct sim_inode **out)
{
	*out = sim_name_get(n, path);
	if (*out)
		return flags & SD_FILE_NEW ? EEXIST : (*out)->folder && flags & SD_FILE_WRITE ? EISDIR : 0;
	if (!(flags & SD_FILE_CREATE) || !sim_has_folder(n, path))
		return ENOENT;
	*out = sim_inode_new(false);
	if (!*out)
		return ENOMEM;
	sim_record(n->sim, "new file", n, NULL, 0);
	sim_mix(n->sim, path, strlen(path));
	sim_name_change(n, path, *out, NULL);
	return 0;
}

int sim_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out)
{
	struct sim_node *n = sim_node(w);
	struct sim_inode *i;
	char path[256];
	int err = n->up ? sim_fault(n, SD_SIM_OPEN) : EIO;
	if (!err && !sim_path(name, path))
		err = ENAMETOOLONG;
	if (!err)
		err = find_or_make(n, path, flags, &i);
	struct sim_file *f = err ? NULL : calloc(1, sizeof(*f));
	if (!f)
		return err ? err : ENOMEM;
	f->file.ops = &file_ops;
	f->node = n;
	f->inode = sim_inode_ref(i);
	f->life = n->life;
	f->flags = flags;
	if (flags & SD_FILE_TRUNCATE)
		sim_inode_resize(n->sim, i, 0);
	*out = &f->file;
	return 0;
}

/* Begins a change of names: the errno it ends with, or 0 to go on, and whether the power goes. */
static int begin_change(struct sim_node *n, const char *what, bool *cut)
{
	int err = n->up ? sim_fault(n, SD_SIM_NAME) : EIO;
	*cut = !err && power_goes(n);
	if (!err)
		sim_record(n->sim, what, n, NULL, 0);
	return err;
}

static int end_change(struct sim_node *n, bool cut)
{
	if (cut)
		sd_sim_power_cut(&n->world);
	return cut ? EIO : 0;
}

int sim_unlink(struct sd_world *w, const char *name)
{
	struct sim_node *n = sim_node(w);
	char path[256];
	bool cut;
	int err = begin_change(n, "unlink", &cut);
	if (err)
		return err;
	if (!sim_path(name, path) || !sim_name_get(n, path))
		return ENOENT;
	sim_name_change(n, path, NULL, NULL);
	return end_change(n, cut);
}

int sim_rename(struct sd_world *w, const char *from, const char *to)
{
	struct sim_node *n = sim_node(w);
	char a[256], b[256];
	bool cut;
	int err = begin_change(n, "rename", &cut);
	if (err)
		return err;
	struct sim_inode *i = sim_path(from, a) ? sim_name_get(n, a) : NULL;
	if (!i || !sim_path(to, b) || !sim_has_folder(n, b))
		return ENOENT;
	if (strcmp(a, b) != 0)
		sim_name_change(n, b, i, a);
	return end_change(n, cut);
}

int sim_disk_room(struct sd_world *w, const char *dir, uint64_t *bytes)
{
	struct sim_node *n = sim_node(w);
	char path[SIM_PATH];
	if (!n->up)
		return EIO;
	if (!sim_path(dir, path) || (path[0] && !sim_name_get(n, path)))
		return ENOENT;
	uint64_t is = used(n);
	*bytes = !n->disk.capacity ? UINT64_MAX : n->disk.capacity > is ? n->disk.capacity - is : 0;
	return 0;
}

int sim_sync_dir(struct sd_world *w, const char *dir)
{
	struct sim_node *n = sim_node(w);
	char path[256];
	bool cut;
	int err = begin_change(n, "sync of a folder", &cut);
	if (err)
		return err;
	const struct sim_inode *i = sim_path(dir, path) ? sim_name_get(n, path) : NULL;
	if (path[0] && (!i || !i->folder))
		return ENOENT;
	sd_world_sleep_ns(w, n->disk.sync_ns + sim_tail(n->sim, n->disk.sync_tail_ns));
	if (!cut || sim_below(n->sim, 2))
		sim_names_sync(n, path);
	return end_change(n, cut);
}

/* One user, whose files are private. */
bool sim_file_mode(struct sd_world *w, const char *name, unsigned *mode)
{
	struct sd_file *f;
	if (sd_file_open(w, name, 0, &f, NULL))
		return false;
	sd_file_close(f);
	*mode = 0600;
	return true;
}

enum sd_err sim_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
			  struct sd_error *e)
{
	struct sd_file *f;
	enum sd_err err = sd_file_open(w, name, 0, &f, e);
	if (err)
		return err;
	uint64_t size = file_of(f)->inode->size;
	if (size > max)
		err = sd_fail(e, SD_ETOOBIG, "cannot read %s: larger than %zu bytes", name, max);
	*out = err ? NULL : malloc(size + 1);
	if (!err && !*out)
		err = sd_fail(e, SD_ENOMEM, "cannot read %s: out of memory", name);
	if (!err)
		err = sd_file_read(f, *out, size, 0, len, e);
	sd_file_close(f);
	if (err || !*out) {
		free(*out);
		return err;
	}
	(*out)[*len] = '\0';
	return SD_OK;
}

enum sd_err sim_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e)
{
	struct sim_node *n = sim_node(w);
	char path[256], part[256];
	(void)mode;
	if (!n->up || !sim_path(name, path))
		return sd_fail(e, SD_EIO, "cannot make folder %s", name);
	for (size_t at = 1; path[0] && at <= strlen(path); at++) {
		if (path[at] && path[at] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)at, path);
		struct sim_inode *i = sim_name_get(n, part);
		if (i && !i->folder)
			return sd_fail(e, SD_EEXISTS, "cannot make folder %s: Not a directory", name);
		if (i)
			continue;
		i = sim_inode_new(true);
		if (!i)
			return sd_fail(e, SD_ENOMEM, "cannot make folder %s: out of memory", name);
		sim_name_change(n, part, i, NULL);
	}
	return SD_OK;
}

char **sim_list_dir(struct sd_world *w, const char *name)
{
	struct sim_node *n = sim_node(w);
	char path[256];
	size_t count = 0, k = 0;
	if (!n->up || !sim_path(name, path) || (path[0] && !sim_name_get(n, path)))
		return NULL;
	for (struct sim_name *at = n->names; at; at = at->next)
		count += sim_in_folder(at->path, path);
	char **list = calloc(count + 1, sizeof(*list));
	for (struct sim_name *at = n->names; list && at; at = at->next)
		if (sim_in_folder(at->path, path) && (list[k] = strdup(at->path + (path[0] ? strlen(path) + 1 : 0))))
			k++;
	if (k == count)
		return list;
	while (k > 0)
		free(list[--k]);
	free(list);
	return NULL;
}
