/* lsm_tables.c - which files are open: shards by number, bounds over all of them.
 *
 * The list has a reference to each file that is open, and so has everybody who uses it; who gives back the last one closes it. To make
 * room, the list gives up the file that was not asked for longest, of those that only the list has.
 */
#include "lsm_tables.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_tables_int.h"
#include "world/file.h"

#define SHARDS	16
#define BUCKETS 64
#define FILES	1000

struct shard {
	struct sd_lock *lock;
	struct lsm_tab *buckets[BUCKETS];
} __attribute__((aligned(64)));

struct sd_lsm_tables {
	struct sd_world *world;
	char *dir;
	bool own;
	size_t files;
	uint64_t memory_limit;
	struct sd_lsm_cache *cache;
	struct sd_lsm_zstd *zstd;
	struct shard shards[SHARDS];
	_Atomic uint64_t clock;	     /* counts files that were opened: the age of those asked for since is this */
	_Atomic uint64_t open;	     /* in the list */
	_Atomic uint64_t memory;     /* of those */
	_Atomic uint64_t opened, early;
	_Atomic uint64_t spared, passed, wrong; /* of files that are closed */
	_Atomic(char *) ahead[LSM_AHEAD_KEPT];	/* nobody's; NULL: none */
};

struct sd_lsm_tables *sd_lsm_tables_new(const struct sd_lsm_tables_conf *conf)
{
	struct sd_lsm_tables *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->world = conf->world;
	t->own = conf->own;
	t->files = conf->files ? conf->files : FILES;
	t->memory_limit = conf->memory ? conf->memory : UINT64_MAX;
	t->dir = strdup(conf->dir);
	t->cache = sd_lsm_cache_new(conf->cache_bytes);
	t->zstd = sd_lsm_zstd_new();
	bool good = t->dir && t->cache && t->zstd;
	for (int i = 0; i < SHARDS; i++)
		good = (t->shards[i].lock = sd_lock_new()) && good;
	if (good)
		return t;
	sd_lsm_tables_free(t);
	return NULL;
}

struct sd_lsm_cache *sd_lsm_tables_cache(struct sd_lsm_tables *t)
{
	return t->cache;
}

struct sd_lsm_zstd *lsm_tables_zstd(struct sd_lsm_tables *t)
{
	return t->zstd;
}

char *lsm_tables_take_ahead(struct sd_lsm_tables *t)
{
	char *p = NULL;
	for (size_t i = 0; i < LSM_AHEAD_KEPT && !p; i++)
		p = atomic_exchange(&t->ahead[i], NULL);
	return p ? p : malloc(LSM_AHEAD);
}

void lsm_tables_give_ahead(struct sd_lsm_tables *t, char *p)
{
	for (size_t i = 0; i < LSM_AHEAD_KEPT && p; i++)
		p = atomic_exchange(&t->ahead[i], p);
	free(p);
}

/* ---- one file ---- */

static void close_tab(struct lsm_tab *tab)
{
	struct sd_lsm_tables *t = tab->of;
	atomic_fetch_add(&t->spared, atomic_load(&tab->spared));
	atomic_fetch_add(&t->passed, atomic_load(&tab->passed));
	atomic_fetch_add(&t->wrong, atomic_load(&tab->wrong));
	sd_lsm_ranges_unref(tab->ranges);
	sd_lsm_table_close(&tab->table);
	sd_file_close(tab->file);
	free(tab);
}

void lsm_tab_put(struct lsm_tab *tab)
{
	if (atomic_fetch_sub_explicit(&tab->refs, 1, memory_order_acq_rel) == 1)
		close_tab(tab);
}

static enum sd_err read_at(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	struct lsm_tab *tab = arg;
	size_t got;
	enum sd_err err = sd_file_read(tab->file, buf, n, off, &got, e);
	return err ? err : got == n ? SD_OK : sd_fail(e, SD_EDAMAGED, "%s ends too early", tab->name);
}

static enum sd_err open_named(struct lsm_tab *tab, const char *end, struct sd_error *e)
{
	struct sd_text full = {0};
	int n = snprintf(tab->name, sizeof(tab->name), "%06" PRIu64 ".%s", tab->number, end);
	sd_text_format(&full, "%s/%s", tab->of->dir, tab->name);
	enum sd_err err = full.full || n < 0 ? sd_fail(e, SD_ENOMEM, "out of memory") : sd_file_open(tab->of->world, full.p, 0, &tab->file, e);
	free(full.p);
	return err;
}

/* Tables were called .sst before LevelDB 1.14. */
static enum sd_err open_file(struct lsm_tab *tab, struct sd_error *e)
{
	const char *end = tab->blobs ? "blob" : tab->of->own ? "sst" : "ldb";
	enum sd_err err = open_named(tab, end, e);
	if (err == SD_ENOTFOUND && !tab->of->own && !tab->blobs && (err = open_named(tab, "sst", e)) == SD_ENOTFOUND)
		snprintf(tab->name, sizeof(tab->name), "%06" PRIu64 ".ldb", tab->number);
	return err == SD_ENOTFOUND ? sd_fail(e, SD_EDAMAGED, "%s is missing", tab->name) : err;
}

static enum sd_err open_blobs(struct lsm_tab *tab, struct sd_error *e)
{
	char head[SD_LSM_BLOB_HEAD];
	enum sd_err err = read_at(tab, head, sizeof(head), 0, e);
	return err ? err : sd_lsm_blob_head(head, tab->name, e);
}

static enum sd_err open_table(struct lsm_tab *tab, uint64_t file_size, struct sd_error *e)
{
	struct sd_lsm_source from = {read_at, tab, file_size, tab->name, tab->of->zstd};
	enum sd_err err = sd_lsm_table_open(&tab->table, &from, e);
	const struct sd_lsm_table *table = &tab->table;
	if (!err && table->nranges > 0 && !sd_lsm_ranges_new(table->ranges, table->nranges, &tab->ranges))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	return err;
}

/* The file behind tab->number, without waiting for anybody; on an error nothing is open. */
static enum sd_err open_tab(struct sd_lsm_tables *t, uint64_t number, uint64_t size, bool blobs, struct lsm_tab **out, struct sd_error *e)
{
	struct lsm_tab *tab = calloc(1, sizeof(*tab));
	uint64_t has = 0;
	if (!tab)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	tab->of = t;
	tab->number = number;
	tab->blobs = blobs;
	atomic_init(&tab->refs, 1);
	enum sd_err err = open_file(tab, e);
	if (!err)
		err = sd_file_size(tab->file, &has, e);
	if (!err && size && has != size)
		err = sd_fail(e, SD_EDAMAGED, "%s has %" PRIu64 " bytes, and should have %" PRIu64, tab->name, has, size);
	if (!err)
		err = blobs ? open_blobs(tab, e) : open_table(tab, has, e);
	if (err) {
		close_tab(tab);
		return err;
	}
	atomic_fetch_add(&t->opened, 1);
	*out = tab;
	return SD_OK;
}

/* ---- the list ---- */

static struct shard *shard_of(struct sd_lsm_tables *t, uint64_t number)
{
	return &t->shards[number % SHARDS];
}

static struct lsm_tab **find(struct shard *s, uint64_t number)
{
	struct lsm_tab **p = &s->buckets[number / SHARDS % BUCKETS];
	while (*p && (*p)->number != number)
		p = &(*p)->next;
	return p;
}

static uint64_t memory_of(const struct lsm_tab *tab)
{
	return tab->table.memory + sizeof(*tab);
}

static struct lsm_tab *look(struct sd_lsm_tables *t, uint64_t number)
{
	struct shard *s = shard_of(t, number);
	sd_lock_enter(s->lock);
	struct lsm_tab *tab = *find(s, number);
	if (tab) {
		atomic_fetch_add_explicit(&tab->refs, 1, memory_order_relaxed);
		tab->used = atomic_load_explicit(&t->clock, memory_order_relaxed);
	}
	sd_lock_leave(s->lock);
	return tab;
}

/* Puts it in, unless another thread was faster; what is in the list comes back, with a reference. */
static struct lsm_tab *insert(struct sd_lsm_tables *t, struct lsm_tab *tab)
{
	struct shard *s = shard_of(t, tab->number);
	sd_lock_enter(s->lock);
	struct lsm_tab **p = find(s, tab->number), *was = *p, *in = was ? was : tab;
	atomic_fetch_add_explicit(&in->refs, 1, memory_order_relaxed);
	if (!was) {
		*p = tab;
		tab->next = NULL;
		tab->used = atomic_fetch_add(&t->clock, 1) + 1;
		atomic_fetch_add(&t->open, 1);
		atomic_fetch_add(&t->memory, memory_of(tab));
	}
	sd_lock_leave(s->lock);
	if (was)
		lsm_tab_put(tab);
	return in;
}

/* The file of the list that only the list has and that was not asked for longest. */
static bool least_used(struct sd_lsm_tables *t, uint64_t *number)
{
	uint64_t oldest = UINT64_MAX;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		sd_lock_enter(s->lock);
		for (size_t b = 0; b < BUCKETS; b++)
			for (const struct lsm_tab *tab = s->buckets[b]; tab; tab = tab->next)
				if (tab->used < oldest && atomic_load_explicit(&tab->refs, memory_order_relaxed) == 1) {
					oldest = tab->used;
					*number = tab->number;
				}
		sd_lock_leave(s->lock);
	}
	return oldest != UINT64_MAX;
}

/* Takes it out of the list, idle: only when nobody else has it. */
static bool take_out(struct sd_lsm_tables *t, uint64_t number, bool idle)
{
	struct shard *s = shard_of(t, number);
	sd_lock_enter(s->lock);
	struct lsm_tab **p = find(s, number), *tab = *p;
	if (tab && idle && atomic_load_explicit(&tab->refs, memory_order_acquire) != 1)
		tab = NULL;
	if (tab)
		*p = tab->next;
	sd_lock_leave(s->lock);
	if (!tab)
		return false;
	atomic_fetch_sub(&t->open, 1);
	atomic_fetch_sub(&t->memory, memory_of(tab));
	lsm_tab_put(tab);
	return true;
}

/* False: all are in use. */
static bool make_room(struct sd_lsm_tables *t)
{
	uint64_t number;
	while (least_used(t, &number))
		if (take_out(t, number, true)) {
			atomic_fetch_add(&t->early, 1);
			return true;
		}
	return false;
}

enum sd_err lsm_tab_get(struct sd_lsm_tables *t, uint64_t number, uint64_t size, bool blobs, struct lsm_tab **out, struct sd_error *e)
{
	if ((*out = look(t, number)))
		return SD_OK;
	while (atomic_load(&t->open) >= t->files && make_room(t)) {
	}
	enum sd_err err;
	struct lsm_tab *tab = NULL;
	while ((err = open_tab(t, number, size, blobs, &tab, e)) == SD_ENOFILES && make_room(t)) {
	}
	if (!err && tab)
		*out = insert(t, tab);
	while (!err && atomic_load(&t->memory) > t->memory_limit && make_room(t)) {
	}
	return err;
}

enum sd_err sd_lsm_tables_get(struct sd_lsm_tables *t, uint64_t number, uint64_t size, const struct sd_lsm_table **out, struct sd_error *e)
{
	struct lsm_tab *tab;
	enum sd_err err = lsm_tab_get(t, number, size, false, &tab, e);
	if (!err)
		*out = &tab->table;
	return err;
}

void sd_lsm_tables_put(const struct sd_lsm_table *table)
{
	lsm_tab_put((struct lsm_tab *)(uintptr_t)table);
}

enum sd_err sd_lsm_tables_ranges(struct sd_lsm_tables *t, uint64_t number, uint64_t size, struct sd_lsm_ranges **out, struct sd_error *e)
{
	struct lsm_tab *tab;
	enum sd_err err = lsm_tab_get(t, number, size, false, &tab, e);
	*out = NULL;
	if (err)
		return err;
	if (tab->ranges)
		*out = sd_lsm_ranges_ref(tab->ranges);
	lsm_tab_put(tab);
	return SD_OK;
}

void sd_lsm_tables_forget(struct sd_lsm_tables *t, uint64_t number)
{
	take_out(t, number, false);
}

void sd_lsm_tables_free(struct sd_lsm_tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t b = 0; b < BUCKETS; b++)
			while (t->shards[i].buckets[b]) {
				struct lsm_tab *tab = t->shards[i].buckets[b];
				t->shards[i].buckets[b] = tab->next;
				lsm_tab_put(tab);
			}
		sd_lock_free(t->shards[i].lock);
	}
	sd_lsm_cache_free(t->cache);
	sd_lsm_zstd_free(t->zstd);
	for (size_t i = 0; i < LSM_AHEAD_KEPT; i++)
		free(atomic_load(&t->ahead[i]));
	free(t->dir);
	free(t);
}

void sd_lsm_tables_stats(struct sd_lsm_tables *t, struct sd_lsm_tables_stats *out)
{
	*out = (struct sd_lsm_tables_stats){.open = atomic_load(&t->open),
					    .opened = atomic_load(&t->opened),
					    .closed_early = atomic_load(&t->early),
					    .filter_spared = atomic_load(&t->spared),
					    .filter_passed = atomic_load(&t->passed),
					    .filter_wrong = atomic_load(&t->wrong)};
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		sd_lock_enter(s->lock);
		for (size_t b = 0; b < BUCKETS; b++)
			for (const struct lsm_tab *tab = s->buckets[b]; tab; tab = tab->next) {
				out->memory += memory_of(tab);
				out->filter_spared += atomic_load(&tab->spared);
				out->filter_passed += atomic_load(&tab->passed);
				out->filter_wrong += atomic_load(&tab->wrong);
			}
		sd_lock_leave(s->lock);
	}
}
