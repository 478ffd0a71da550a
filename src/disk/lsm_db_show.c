/* lsm_db_show.c - figures. */
#include "lsm_db_int.h"

#include "core/lsm_pick.h"

static void put_levels(struct sd_kv *kv, const struct sd_lsm_version *v, struct sd_kv_stats *out)
{
	struct sd_lsm_pick_conf conf;
	struct sd_lsm_shape shape;
	uint64_t gone = 0;
	lsm_pick_conf(kv, v, &conf);
	sd_lsm_shape(v, &conf, &shape);
	out->debt_bytes = shape.owed;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++) {
		const struct sd_lsm_level *l = &v->levels[level];
		out->levels[level].tables = l->n;
		out->levels[level].bytes = sd_lsm_level_bytes(l);
		out->levels[level].goal = shape.target[level];
		for (size_t i = 0; i < l->n; i++) {
			out->levels[level].entries += l->files[i].entries;
			gone += l->files[i].gone;
		}
		out->keys += out->levels[level].entries;
	}
	out->keys = out->keys > 2 * gone ? out->keys - 2 * gone : 0;
	out->blob_files = v->nblobs;
	for (size_t i = 0; i < v->nblobs; i++) {
		out->blob_file_bytes += v->blobs[i].size;
		out->blob_dead_bytes += v->blobs[i].dead;
	}
}

static void put_memory(const struct sd_lsm_view *view, struct sd_kv_stats *out)
{
	out->memtable_bytes = sd_lsm_mem_bytes(view->mem.mem);
	out->memtable_entries = sd_lsm_mem_entries(view->mem.mem);
	out->immutables = view->nheld;
	out->keys += out->memtable_entries;
	for (unsigned i = 0; i < view->nheld; i++) {
		out->immutable_bytes += sd_lsm_mem_bytes(view->held[i].mem);
		out->keys += sd_lsm_mem_entries(view->held[i].mem);
	}
}

static void put_tables(struct sd_kv *kv, struct sd_kv_stats *out)
{
	struct sd_lsm_tables_stats t;
	struct sd_lsm_cache_stats c;
	sd_lsm_tables_stats(kv->tables, &t);
	sd_lsm_cache_stats(sd_lsm_tables_cache(kv->tables), &c);
	out->table_memory = t.memory;
	out->filter_asked = t.filter_spared + t.filter_passed;
	out->filter_spared = t.filter_spared;
	out->filter_wrong = t.filter_wrong;
	out->cache_bytes = c.bytes;
	out->cache_hits = c.hits;
	out->cache_misses = c.misses;
}

static void put_figures(struct sd_kv *kv, struct sd_kv_stats *out)
{
#define PUT(x) out->x = atomic_load_explicit(&kv->figures.x, memory_order_relaxed)
	PUT(gets), PUT(found), PUT(iterators), PUT(batches), PUT(writes), PUT(groups), PUT(syncs), PUT(user_bytes);
	PUT(logged_bytes), PUT(flushed_bytes), PUT(compacted_bytes), PUT(compaction_read_bytes), PUT(blob_bytes), PUT(flushes);
	PUT(compactions), PUT(moves), PUT(stalls), PUT(stall_us);
#undef PUT
}

void sd_kv_stats_get(struct sd_kv *kv, struct sd_kv_stats *out)
{
	struct sd_lsm_view *view = lsm_view_now(kv);
	*out = (struct sd_kv_stats){.memtable_limit = kv->conf.memtable_bytes, .last_seq = atomic_load(&kv->last_seq)};
	put_levels(kv, &view->tree->version, out);
	put_memory(view, out);
	put_tables(kv, out);
	put_figures(kv, out);
	sd_lock_enter(kv->lock);
	out->snapshots = kv->nsnapshots;
	out->log_bytes = kv->log ? atomic_load(&kv->log->bytes) : 0;
	sd_lock_leave(kv->lock);
	sd_lsm_view_unref(view);
}

double sd_kv_write_amplification(const struct sd_kv_stats *s)
{
	uint64_t written = s->logged_bytes + s->flushed_bytes + s->compacted_bytes + s->blob_bytes;
	return s->user_bytes ? (double)written / (double)s->user_bytes : 0;
}

/* ---- how much lies in a span ---- */

/* A table that lies over a bound counts by half: no block is read for this. */
static bool is_outside(const struct sd_lsm_file *f, const struct sd_slice *from, const struct sd_slice *to)
{
	return (from && sd_lsm_bytewise(sd_lsm_user(f->largest), *from) < 0) || (to && sd_lsm_bytewise(sd_lsm_user(f->smallest), *to) >= 0);
}

static bool is_inside(const struct sd_lsm_file *f, const struct sd_slice *from, const struct sd_slice *to)
{
	return (!from || sd_lsm_bytewise(sd_lsm_user(f->smallest), *from) >= 0) && (!to || sd_lsm_bytewise(sd_lsm_user(f->largest), *to) < 0);
}

uint64_t sd_kv_span_bytes(struct sd_kv *kv, const struct sd_slice *from, const struct sd_slice *to)
{
	struct sd_lsm_view *view = lsm_view_now(kv);
	uint64_t sum = 0;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < view->tree->version.levels[level].n; i++) {
			const struct sd_lsm_file *f = &view->tree->version.levels[level].files[i];
			if (!is_outside(f, from, to))
				sum += is_inside(f, from, to) ? f->size : f->size / 2;
		}
	sd_lsm_view_unref(view);
	return sum;
}
