/* sim_inode.c - what is in the files of a simulated disk, and what a power cut leaves of it. */
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"

struct sim_inode *sim_inode_new(bool folder)
{
	struct sim_inode *i = calloc(1, sizeof(*i));
	if (i)
		i->folder = folder;
	return i;
}

struct sim_inode *sim_inode_ref(struct sim_inode *i)
{
	if (i)
		i->refs++;
	return i;
}

static void clean(struct sim_inode *i)
{
	for (size_t k = 0; k < i->ndirty; k++)
		free(i->dirty[k].between);
	i->ndirty = 0;
	if (i->is_dirty)
		memset(i->is_dirty, 0, i->cap / SIM_SECTOR);
}

void sim_inode_unref(struct sim_inode *i)
{
	if (!i || --i->refs > 0)
		return;
	clean(i);
	free(i->dirty);
	free(i->is_dirty);
	free(i->data);
	free(i->disk);
	free(i->cut);
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

static void reserve(struct sim_inode *i, uint64_t size)
{
	if (size <= i->cap)
		return;
	uint64_t cap = (size + size / 2 + 8 * SIM_SECTOR) / SIM_SECTOR * SIM_SECTOR;
	i->data = grown(i->data, i->cap, cap);
	i->disk = grown(i->disk, i->cap, cap);
	if (i->cut)
		i->cut = grown(i->cut, i->cap, cap);
	i->is_dirty = grown(i->is_dirty, i->cap / SIM_SECTOR, cap / SIM_SECTOR);
	i->cap = cap;
}

/* Before a sector changes. */
static void dirty_sector(struct sd_sim *s, struct sim_inode *i, uint64_t sector)
{
	if (i->is_dirty[sector]) {
		/* which version lay there in between is one of those, not all */
		struct sim_dirty *d = i->dirty;
		if (sim_below(s, 4))
			return;
		while (d->sector != sector)
			d++;
		if (!d->between)
			d->between = malloc(SIM_SECTOR);
		if (d->between)
			memcpy(d->between, i->data + sector * SIM_SECTOR, SIM_SECTOR);
		return;
	}
	if (i->ndirty == i->dirty_cap) {
		size_t cap = i->dirty_cap * 2 + 16;
		i->dirty = grown(i->dirty, i->dirty_cap * sizeof(*i->dirty), cap * sizeof(*i->dirty));
		i->dirty_cap = cap;
	}
	i->is_dirty[sector] = 1;
	i->dirty[i->ndirty++] = (struct sim_dirty){.sector = sector};
}

static void dirty_range(struct sd_sim *s, struct sim_inode *i, uint64_t from, uint64_t to)
{
	for (uint64_t k = from / SIM_SECTOR; k * SIM_SECTOR < to; k++)
		dirty_sector(s, i, k);
}

void sim_inode_write(struct sd_sim *s, struct sim_inode *i, const struct iovec *iov, int niov, uint64_t off, uint64_t n)
{
	uint64_t end = off + n;
	i->changed_ns = s->now_ns + s->slept_ns;
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

void sim_inode_resize(struct sd_sim *s, struct sim_inode *i, uint64_t size)
{
	i->changed_ns = s->now_ns + s->slept_ns;
	reserve(i, size);
	if (size < i->size) {
		dirty_range(s, i, size, i->size);
		memset(i->data + size, 0, i->size - size);
	}
	i->size = size;
}

static void put_on_disk(struct sim_inode *i, const struct sim_dirty *d)
{
	memcpy(i->disk + d->sector * SIM_SECTOR, i->data + d->sector * SIM_SECTOR, SIM_SECTOR);
}

static void set_disk_size(struct sim_inode *i, uint64_t size)
{
	if (size < i->disk_size) {
		if (!i->cut)
			i->cut = grown(NULL, 0, i->cap);
		memcpy(i->cut + size, i->disk + size, i->disk_size - size);
		memset(i->disk + size, 0, i->disk_size - size);
	}
	i->disk_size = size;
}

void sim_inode_sync(struct sim_inode *i)
{
	set_disk_size(i, i->size);
	for (size_t k = 0; k < i->ndirty; k++)
		put_on_disk(i, &i->dirty[k]);
	clean(i);
}

void sim_inode_lose(struct sd_sim *s, struct sim_inode *i)
{
	if (sim_below(s, 2))
		set_disk_size(i, i->size > i->disk_size ? i->size : i->disk_size);
	for (size_t k = 0; k < i->ndirty; k++)
		if (sim_below(s, 2))
			put_on_disk(i, &i->dirty[k]);
	clean(i);
}

/* ---- a power cut ---- */

/* Somebody else's, or the file's own from before it was cut. */
static void stale_bytes(struct sd_sim *s, const struct sim_inode *i, uint64_t sector)
{
	unsigned char *to = i->disk + sector * SIM_SECTOR;
	if (i->cut && sim_below(s, 4)) {
		memcpy(to, i->cut + sector * SIM_SECTOR, SIM_SECTOR);
		return;
	}
	for (unsigned k = 0; k < SIM_SECTOR; k += 8) {
		uint64_t r = sd_rng_next(&s->rng);
		memcpy(to + k, &r, 8);
	}
}

static void cut_sector(struct sim_node *n, struct sim_inode *i, const struct sim_dirty *d)
{
	struct sd_sim *s = n->sim;
	unsigned char *to = i->disk + d->sector * SIM_SECTOR;
	uint64_t fate = sim_below(s, d->between ? 3 : 2);
	if (fate == 1)
		put_on_disk(i, d);
	else if (fate == 2 && d->between)
		memcpy(to, d->between, SIM_SECTOR);
	else if (d->sector * SIM_SECTOR >= i->disk_size && n->disk.stale && sim_below(s, 4) == 0)
		stale_bytes(s, i, d->sector);
}

static uint64_t cut_size(struct sd_sim *s, const struct sim_inode *i)
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

void sim_inode_cut(struct sim_node *n, struct sim_inode *i)
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
	i->disk_size = i->size > i->disk_size ? i->size : i->disk_size;
	set_disk_size(i, size);
	memset(i->disk + size, 0, i->cap - size);
	i->size = size;
	memcpy(i->data, i->disk, i->cap);
}
