/* sim_disk.c - disks that forget.
 *
 * A file has two contents: `data`, what a reader sees, and `disk`, what is there after a power cut whatever happens. Between
 * them stands the list of dirty sectors, with a version from between now and then where a sector was written twice.
 * Names have two states in the same way, and between these the list of changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"

#define SECTOR 512u

struct dirty {
	uint64_t sector;
	unsigned char *between; /* NULL: none */
};

struct inode {
	unsigned refs;
	bool folder;
	uint32_t cut_life, lock_life;
	unsigned char *data, *disk;
	uint64_t size, disk_size, cap; /* cap of both, in whole sectors; beyond their size they are zero */
	struct dirty *dirty;
	size_t ndirty, dirty_cap;
	uint8_t *is_dirty; /* a byte a sector */
};

struct sim_name {
	struct sim_name *next;
	struct inode *inode;
	char path[];
};

struct sim_change {
	struct sim_change *next;
	struct inode *inode; /* that path is from now on; NULL: nothing */
	char *path, *gone;   /* gone: the old name of a rename; NULL: none */
};

struct sim_file {
	struct sd_file file;
	struct sim_node *node;
	struct inode *inode;
	uint32_t life;
	unsigned flags;
	bool locked;
};

/* ---- inodes ---- */

static struct inode *inode_ref(struct inode *i)
{
	if (i)
		i->refs++;
	return i;
}

static void clean(struct inode *i)
{
	for (size_t k = 0; k < i->ndirty; k++)
		free(i->dirty[k].between);
	i->ndirty = 0;
	if (i->is_dirty)
		memset(i->is_dirty, 0, i->cap / SECTOR);
}

static void inode_unref(struct inode *i)
{
	if (!i || --i->refs > 0)
		return;
	clean(i);
	free(i->dirty);
	free(i->is_dirty);
	free(i->data);
	free(i->disk);
	free(i);
}

static void *grown(void *p, uint64_t from, uint64_t to)
{
	unsigned char *more = realloc(p, to);
	if (!more)
		abort(); /* the test's own memory */
	memset(more + from, 0, to - from);
	return more;
}

static void reserve(struct inode *i, uint64_t size)
{
	if (size <= i->cap)
		return;
	uint64_t cap = (size + size / 2 + 8 * SECTOR) / SECTOR * SECTOR;
	i->data = grown(i->data, i->cap, cap);
	i->disk = grown(i->disk, i->cap, cap);
	i->is_dirty = grown(i->is_dirty, i->cap / SECTOR, cap / SECTOR);
	i->cap = cap;
}

/* Before a sector changes. */
static void dirty_sector(struct sd_sim *s, struct inode *i, uint64_t sector)
{
	if (i->is_dirty[sector]) {
		/* which version lay there in between is one of those, not all */
		struct dirty *d = i->dirty;
		if (sim_below(s, 4))
			return;
		while (d->sector != sector)
			d++;
		if (!d->between)
			d->between = malloc(SECTOR);
		if (d->between)
			memcpy(d->between, i->data + sector * SECTOR, SECTOR);
		return;
	}
	if (i->ndirty == i->dirty_cap) {
		size_t cap = i->dirty_cap * 2 + 16;
		i->dirty = grown(i->dirty, i->dirty_cap * sizeof(*i->dirty), cap * sizeof(*i->dirty));
		i->dirty_cap = cap;
	}
	i->is_dirty[sector] = 1;
	i->dirty[i->ndirty++] = (struct dirty){.sector = sector};
}

static void dirty_range(struct sd_sim *s, struct inode *i, uint64_t from, uint64_t to)
{
	for (uint64_t k = from / SECTOR; k * SECTOR < to; k++)
		dirty_sector(s, i, k);
}

static void put_bytes(struct sd_sim *s, struct inode *i, const struct iovec *iov, int niov, uint64_t off, uint64_t n)
{
	uint64_t end = off + n;
	reserve(i, end);
	dirty_range(s, i, off, end);
	for (int k = 0; k < niov && off < end; k++) {
		uint64_t part = iov[k].iov_len < end - off ? iov[k].iov_len : end - off;
		memcpy(i->data + off, iov[k].iov_base, part);
		sim_mix(s, iov[k].iov_base, part);
		off += part;
	}
	if (end > i->size)
		i->size = end;
}

static void put_on_disk(struct inode *i, const struct dirty *d)
{
	memcpy(i->disk + d->sector * SECTOR, i->data + d->sector * SECTOR, SECTOR);
}

static void set_disk_size(struct inode *i, uint64_t size)
{
	if (size < i->disk_size)
		memset(i->disk + size, 0, i->disk_size - size);
	i->disk_size = size;
}

static void sync_inode(struct inode *i)
{
	set_disk_size(i, i->size);
	for (size_t k = 0; k < i->ndirty; k++)
		put_on_disk(i, &i->dirty[k]);
	clean(i);
}

/* A sync that failed: some of it was written, and nobody will write the rest. */
static void lose_inode(struct sd_sim *s, struct inode *i)
{
	if (sim_below(s, 2))
		set_disk_size(i, i->size > i->disk_size ? i->size : i->disk_size);
	for (size_t k = 0; k < i->ndirty; k++)
		if (sim_below(s, 2))
			put_on_disk(i, &i->dirty[k]);
	clean(i);
}

/* ---- a power cut ---- */

static void stale_bytes(struct sd_sim *s, unsigned char *to)
{
	for (unsigned k = 0; k < SECTOR; k += 8) {
		uint64_t r = sd_rng_next(&s->rng);
		memcpy(to + k, &r, 8);
	}
}

static void cut_sector(struct sim_node *n, struct inode *i, const struct dirty *d)
{
	struct sd_sim *s = n->sim;
	unsigned char *to = i->disk + d->sector * SECTOR;
	uint64_t fate = sim_below(s, d->between ? 3 : 2);
	if (fate == 1)
		put_on_disk(i, d);
	else if (fate == 2 && d->between)
		memcpy(to, d->between, SECTOR);
	else if (d->sector * SECTOR >= i->disk_size && n->disk.stale && sim_below(s, 4) == 0)
		stale_bytes(s, to);
}

static uint64_t cut_size(struct sd_sim *s, const struct inode *i)
{
	uint64_t a = i->disk_size < i->size ? i->disk_size : i->size, b = i->disk_size + i->size - a;
	switch (sim_below(s, 3)) {
	case 0:
		return i->disk_size;
	case 1:
		return i->size;
	default:
		return a + sim_below(s, b - a + 1);
	}
}

static void cut_inode(struct sim_node *n, struct inode *i)
{
	if (i->cut_life == n->life || i->folder)
		return;
	i->cut_life = n->life;
	uint64_t size = cut_size(n->sim, i);
	for (size_t k = 0; k < i->ndirty; k++)
		cut_sector(n, i, &i->dirty[k]);
	clean(i);
	if (!i->cap)
		return;
	memset(i->disk + size, 0, i->cap - size);
	i->size = i->disk_size = size;
	memcpy(i->data, i->disk, i->cap);
}

/* ---- names ---- */

static struct sim_name **find_name(struct sim_name **list, const char *path)
{
	while (*list && strcmp((*list)->path, path) < 0)
		list = &(*list)->next;
	return list;
}

static struct inode *name_get(struct sim_name *list, const char *path)
{
	struct sim_name *at = *find_name(&list, path);
	return at && strcmp(at->path, path) == 0 ? at->inode : NULL;
}

static void name_set(struct sim_name **list, const char *path, struct inode *inode)
{
	struct sim_name **at = find_name(list, path), *old = *at;
	inode_ref(inode);
	if (old && strcmp(old->path, path) == 0) {
		inode_unref(old->inode);
		old->inode = inode;
		if (inode)
			return;
		*at = old->next;
		free(old);
	} else if (inode) {
		size_t len = strlen(path) + 1;
		struct sim_name *name = malloc(sizeof(*name) + len);
		if (!name)
			abort();
		*name = (struct sim_name){old, inode};
		memcpy(name->path, path, len);
		*at = name;
	}
}

static void names_free(struct sim_name **list)
{
	while (*list) {
		struct sim_name *at = *list;
		*list = at->next;
		inode_unref(at->inode);
		free(at);
	}
}

/* The folder of a path: its length, 0 for the one everything starts from. */
static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) : 0;
}

static bool has_folder(struct sim_name *list, const char *path)
{
	char folder[256];
	size_t n = folder_len(path);
	if (n == 0)
		return true;
	snprintf(folder, sizeof(folder), "%.*s", (int)n, path);
	const struct inode *i = name_get(list, folder);
	return i && i->folder;
}

/* Without ./ and doubled or last slashes; false when it is too long. */
static bool tidy(const char *name, char out[256])
{
	size_t n = 0;
	for (const char *c = name; *c; c++) {
		if (c[0] == '.' && (c[1] == '/' || !c[1]) && (c == name || c[-1] == '/'))
			continue;
		if (*c == '/' && ((n == 0 && c != name) || (n && out[n - 1] == '/')))
			continue;
		if (n == 255)
			return false;
		out[n++] = *c;
	}
	while (n && out[n - 1] == '/')
		n--;
	out[n] = '\0';
	return true;
}

static void change(struct sim_node *n, const char *path, struct inode *inode, const char *gone)
{
	struct sim_change *c = calloc(1, sizeof(*c));
	if (!c || !(c->path = strdup(path)) || (gone && !(c->gone = strdup(gone))))
		abort();
	c->inode = inode_ref(inode);
	*n->changes_tail = c;
	n->changes_tail = &c->next;
	name_set(&n->names, path, inode);
	if (gone)
		name_set(&n->names, gone, NULL);
}

static void apply(struct sim_node *n, const struct sim_change *c)
{
	name_set(&n->synced, c->path, c->inode);
	if (c->gone)
		name_set(&n->synced, c->gone, NULL);
}

static void change_free(struct sim_change *c)
{
	inode_unref(c->inode);
	free(c->path);
	free(c->gone);
	free(c);
}

static bool in_folder(const char *path, const char *folder)
{
	size_t n = folder_len(path);
	return n == strlen(folder) && memcmp(path, folder, n) == 0;
}

static void sync_folder(struct sim_node *n, const char *folder)
{
	struct sim_change **at = &n->changes;
	while (*at) {
		struct sim_change *c = *at;
		if (!in_folder(c->path, folder)) {
			at = &c->next;
			continue;
		}
		apply(n, c);
		*at = c->next;
		change_free(c);
	}
	n->changes_tail = at;
}

/* All changes are there, or the first ones, or some. */
static void cut_names(struct sim_node *n)
{
	struct sd_sim *s = n->sim;
	uint64_t how = sim_below(s, 3), count = 0, keep;
	for (struct sim_change *c = n->changes; c; c = c->next)
		count++;
	keep = how == 1 ? sim_below(s, count + 1) : count;
	for (uint64_t i = 0; n->changes; i++) {
		struct sim_change *c = n->changes;
		n->changes = c->next;
		if (i < keep && (how != 2 || sim_below(s, 2)))
			apply(n, c);
		change_free(c);
	}
	n->changes_tail = &n->changes;
}

/* What is in a folder that is not there is not there; parents come before their children in the order of names. */
static void drop_orphans(struct sim_node *n)
{
	struct sim_name **at = &n->synced;
	while (*at) {
		struct sim_name *name = *at;
		if (has_folder(n->synced, name->path)) {
			at = &name->next;
			continue;
		}
		*at = name->next;
		inode_unref(name->inode);
		free(name);
	}
}

void sim_disk_power_cut(struct sim_node *n)
{
	cut_names(n);
	drop_orphans(n);
	for (struct sim_name *at = n->synced; at; at = at->next)
		cut_inode(n, at->inode);
	names_free(&n->names);
	for (struct sim_name *at = n->synced; at; at = at->next)
		name_set(&n->names, at->path, at->inode);
}

void sim_disk_free(struct sim_node *n)
{
	while (n->changes) {
		struct sim_change *c = n->changes;
		n->changes = c->next;
		change_free(c);
	}
	names_free(&n->names);
	names_free(&n->synced);
}

uint64_t sd_sim_unsynced(const struct sd_world *node)
{
	struct sim_node *n = sim_node(node);
	uint64_t sum = 0;
	for (struct sim_change *c = n->changes; c; c = c->next)
		sum++;
	for (struct sim_name *at = n->names; at; at = at->next)
		sum += at->inode->ndirty;
	return sum;
}

bool sd_sim_flip(struct sd_world *node, const char *name, uint64_t bit)
{
	struct sim_node *n = sim_node(node);
	char path[256];
	struct inode *i = tidy(name, path) ? name_get(n->names, path) : NULL;
	if (!i || bit / 8 >= i->size)
		return false;
	i->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	i->disk[bit / 8] ^= (unsigned char)(1u << bit % 8);
	sim_record(n->sim, "flipped bit", n, NULL, (int64_t)bit);
	return true;
}

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

static bool is_full(struct sim_node *n, const struct inode *i, uint64_t size)
{
	uint64_t used = size > i->size ? size - i->size : 0;
	if (!n->disk.capacity || !used)
		return false;
	for (struct sim_name *at = n->names; at; at = at->next)
		used += at->inode->size;
	return used > n->disk.capacity;
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
	inode_unref(f->inode);
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
	put_bytes(f->node->sim, f->inode, iov, niov, off, sim_below(f->node->sim, n + 1));
	return -err;
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
	put_bytes(n->sim, f->inode, iov, niov, off, want);
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
		lose_inode(n->sim, f->inode);
		return err;
	}
	if (power_goes(n)) {
		if (sim_below(n->sim, 2))
			sync_inode(f->inode); /* done, and nobody hears of it */
		sd_sim_power_cut(&n->world);
		return EIO;
	}
	sync_inode(f->inode);
	return 0;
}

static int file_size(struct sd_file *file, uint64_t *size)
{
	struct sim_file *f = file_of(file);
	*size = f->inode->size;
	return is_ghost(f) ? EIO : 0;
}

static void set_size(struct sd_sim *s, struct inode *i, uint64_t size)
{
	reserve(i, size);
	if (size < i->size) {
		dirty_range(s, i, size, i->size);
		memset(i->data + size, 0, i->size - size);
	}
	i->size = size;
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
		set_size(n->sim, f->inode, size);
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
    .write = file_write,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .lock = file_lock,
    .map = file_map,
};

/* The file of a name, made if it is to be. */
static int find_or_make(struct sim_node *n, const char *path, unsigned flags, struct inode **out)
{
	*out = name_get(n->names, path);
	if (*out)
		return flags & SD_FILE_NEW ? EEXIST : (*out)->folder && flags & SD_FILE_WRITE ? EISDIR : 0;
	if (!(flags & SD_FILE_CREATE) || !has_folder(n->names, path))
		return ENOENT;
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return ENOMEM;
	sim_record(n->sim, "new file", n, NULL, 0);
	sim_mix(n->sim, path, strlen(path));
	change(n, path, *out, NULL);
	return 0;
}

int sim_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out)
{
	struct sim_node *n = sim_node(w);
	struct inode *i;
	char path[256];
	int err = n->up ? sim_fault(n, SD_SIM_OPEN) : EIO;
	if (!err && !tidy(name, path))
		err = ENAMETOOLONG;
	if (!err)
		err = find_or_make(n, path, flags, &i);
	struct sim_file *f = err ? NULL : calloc(1, sizeof(*f));
	if (!f)
		return err ? err : ENOMEM;
	f->file.ops = &file_ops;
	f->node = n;
	f->inode = inode_ref(i);
	f->life = n->life;
	f->flags = flags;
	if (flags & SD_FILE_TRUNCATE)
		set_size(n->sim, i, 0);
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
	if (!tidy(name, path) || !name_get(n->names, path))
		return ENOENT;
	change(n, path, NULL, NULL);
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
	struct inode *i = tidy(from, a) ? name_get(n->names, a) : NULL;
	if (!i || !tidy(to, b) || !has_folder(n->names, b))
		return ENOENT;
	if (strcmp(a, b) != 0)
		change(n, b, i, a);
	return end_change(n, cut);
}

int sim_sync_dir(struct sd_world *w, const char *dir)
{
	struct sim_node *n = sim_node(w);
	char path[256];
	bool cut;
	int err = begin_change(n, "sync of a folder", &cut);
	if (err)
		return err;
	const struct inode *i = tidy(dir, path) ? name_get(n->names, path) : NULL;
	if (path[0] && (!i || !i->folder))
		return ENOENT;
	sd_world_sleep_ns(w, n->disk.sync_ns + sim_tail(n->sim, n->disk.sync_tail_ns));
	if (!cut || sim_below(n->sim, 2))
		sync_folder(n, path);
	return end_change(n, cut);
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
	if (!n->up || !tidy(name, path))
		return sd_fail(e, SD_EIO, "cannot make folder %s", name);
	for (size_t at = 1; path[0] && at <= strlen(path); at++) {
		if (path[at] && path[at] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)at, path);
		struct inode *i = name_get(n->names, part);
		if (i && !i->folder)
			return sd_fail(e, SD_EEXISTS, "cannot make folder %s: Not a directory", name);
		if (i)
			continue;
		i = calloc(1, sizeof(*i));
		if (!i)
			return sd_fail(e, SD_ENOMEM, "cannot make folder %s: out of memory", name);
		i->folder = true;
		change(n, part, i, NULL);
	}
	return SD_OK;
}

char **sim_list_dir(struct sd_world *w, const char *name)
{
	struct sim_node *n = sim_node(w);
	char path[256];
	size_t count = 0, k = 0;
	if (!n->up || !tidy(name, path) || (path[0] && !name_get(n->names, path)))
		return NULL;
	for (struct sim_name *at = n->names; at; at = at->next)
		count += in_folder(at->path, path);
	char **list = calloc(count + 1, sizeof(*list));
	for (struct sim_name *at = n->names; list && at; at = at->next)
		if (in_folder(at->path, path) && (list[k] = strdup(at->path + (path[0] ? strlen(path) + 1 : 0))))
			k++;
	return list;
}
