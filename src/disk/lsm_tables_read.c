/* lsm_tables_read.c - blocks by the cache, a key, a blob. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lsm_tables_int.h"

/* ---- blocks ---- */

#define HEAD sizeof(struct sd_lsm_cached)

enum sd_err lsm_no_block(const struct lsm_tab *tab, const struct sd_lsm_handle *h, struct sd_error *e)
{
	return sd_fail(e, SD_EDAMAGED, "%s: block at %" PRIu64 " is no block", tab->name, h->at);
}

enum sd_err lsm_tab_own(struct lsm_tab *tab, const struct sd_lsm_handle *h, char *piece, size_t n, bool keep, struct sd_lsm_cached **out,
			struct sd_error *e)
{
	struct sd_lsm_cached *b = (struct sd_lsm_cached *)(void *)piece;
	if (!sd_lsm_table_block(&tab->table, &b->block, piece + HEAD, n)) {
		free(piece);
		return lsm_no_block(tab, h, e);
	}
	*out = sd_lsm_cache_put(sd_lsm_tables_cache(tab->of), tab->number, h->at, b, HEAD + n, keep);
	return SD_OK;
}

enum sd_err lsm_tab_load(struct lsm_tab *tab, const struct sd_lsm_source *from, const struct sd_lsm_handle *h, bool keep,
			 struct sd_lsm_cached **out, struct sd_error *e)
{
	char *piece = NULL;
	size_t n = 0;
	enum sd_err err = sd_lsm_table_load(&tab->table, from, h, HEAD, &piece, &n, e);
	return err ? err : lsm_tab_own(tab, h, piece, n, keep, out, e);
}

/* By the cache. */
static enum sd_err get_block(struct lsm_tab *tab, const struct sd_lsm_handle *h, struct sd_lsm_cached **out, bool *waited, struct sd_error *e)
{
	*out = sd_lsm_cache_get(sd_lsm_tables_cache(tab->of), tab->number, h->at, true);
	*waited = !*out;
	return *out ? SD_OK : lsm_tab_load(tab, &tab->table.from, h, true, out, e);
}

/* ---- a key ---- */

/* In the block that the index is at. Looking is over there: the key between two blocks is one that no entry has, or the last of the first. */
static enum sd_err in_block(struct lsm_tab *tab, const struct sd_lsm_handle *h, struct sd_slice internal, struct sd_lsm_hit *hit,
			    struct sd_error *e)
{
	struct sd_lsm_cached *b;
	enum sd_err err = get_block(tab, h, &b, &hit->waited, e);
	if (err)
		return err;
	hit->looked = true;
	struct sd_lsm_at at;
	memset(&at, 0, offsetof(struct sd_lsm_at, small));
	at.block = &b->block;
	at.kinds = sd_lsm_table_kinds(&tab->table);
	sd_lsm_at_seek(&at, internal);
	if (at.damaged)
		err = sd_fail(e, SD_EDAMAGED, "%s: block at %" PRIu64 " makes no sense", tab->name, h->at);
	hit->found = at.valid && sd_lsm_bytewise(sd_lsm_user(at.key), sd_lsm_user(internal)) == 0;
	if (hit->found) {
		hit->kind = sd_lsm_kind(at.key);
		hit->seq = sd_lsm_seq(at.key);
		hit->value = at.value;
		hit->held = b;
	} else {
		sd_lsm_cached_release(b);
	}
	sd_lsm_at_free(&at);
	return err;
}

static bool spared(struct lsm_tab *tab, uint64_t block, struct sd_slice user)
{
	const struct sd_lsm_table *t = &tab->table;
	struct sd_slice filter = {t->filter_bytes, t->filter_n};
	if (!filter.p)
		return false;
	bool may = t->own ? sd_lsm_own_filter_may(filter, sd_lsm_own_hash(user)) : sd_lsm_filter_may(filter, block, user);
	atomic_fetch_add_explicit(may ? &tab->passed : &tab->spared, 1, memory_order_relaxed);
	return !may;
}

/* A filter of our own speaks for the whole table; LevelDB has one for each block, which the index names. */
static enum sd_err in_table(struct lsm_tab *tab, struct sd_slice internal, struct sd_lsm_hit *hit, struct sd_error *e)
{
	const struct sd_lsm_table *t = &tab->table;
	if (t->own && (hit->filtered = spared(tab, 0, sd_lsm_user(internal))))
		return SD_OK;
	uint32_t i = sd_lsm_index_find(&t->index, internal);
	if (i == t->index.n)
		return SD_OK;
	const struct sd_lsm_handle *h = &t->index.handles[i];
	if (!t->own && (hit->filtered = spared(tab, h->at, sd_lsm_user(internal))))
		return SD_OK;
	enum sd_err err = in_block(tab, h, internal, hit, e);
	if (!err && !hit->found && t->filter_bytes)
		atomic_fetch_add_explicit(&tab->wrong, 1, memory_order_relaxed);
	return err;
}

enum sd_err sd_lsm_tables_lookup(struct sd_lsm_tables *t, uint64_t number, uint64_t size, struct sd_slice internal, struct sd_lsm_hit *hit,
				 struct sd_error *e)
{
	struct lsm_tab *tab;
	*hit = (struct sd_lsm_hit){0};
	enum sd_err err = lsm_tab_get(t, number, size, false, &tab, e);
	if (err)
		return err;
	err = in_table(tab, internal, hit, e);
	lsm_tab_put(tab);
	return err;
}

/* ---- a blob ---- */

static enum sd_err read_blob(struct lsm_tab *tab, const struct sd_lsm_blob_ref *ref, char *p, struct sd_error *e)
{
	size_t got = 0;
	enum sd_err err = sd_file_read(tab->file, p, (size_t)ref->n, ref->at, &got, e);
	return err || got == ref->n ? err : sd_fail(e, SD_EDAMAGED, "%s: blob at %" PRIu64 " ends behind the file", tab->name, ref->at);
}

enum sd_err sd_lsm_tables_blob(struct sd_lsm_tables *t, const struct sd_lsm_blob_ref *ref, struct sd_slice *value, void **memory,
			       struct sd_error *e)
{
	struct lsm_tab *tab;
	struct sd_slice key;
	void *expanded = NULL;
	enum sd_err err = lsm_tab_get(t, ref->file, 0, true, &tab, e);
	if (err)
		return err;
	char *p = ref->n <= SD_LSM_BLOCK_MAX ? malloc((size_t)ref->n + 1) : NULL;
	err = p ? read_blob(tab, ref, p, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err && (err = sd_lsm_blob_open(lsm_tables_zstd(t), p, (size_t)ref->n, &key, value, &expanded)))
		err = err == SD_ENOMEM ? sd_fail(e, err, "out of memory")
				       : sd_fail(e, err, "%s: blob at %" PRIu64 " has a bad checksum", tab->name, ref->at);
	if (err || expanded)
		free(p);
	*memory = err ? NULL : expanded ? expanded : p;
	lsm_tab_put(tab);
	return err;
}
