/* lsm_db_compact.c - which tables are merged next (core/lsm_pick), carried out in slices (disk/lsm_compact), and put into a version.
 *
 * One is in hand at a time. Between two slices a memtable may be flushed.
 */
#include <stdlib.h>

#include "lsm_compact.h"
#include "lsm_db_int.h"

#define SLICE (UINT64_C(1) << 20)

struct lsm_merging {
	struct sd_lsm_plan plan;
	struct sd_lsm_compact *compact; /* NULL: tables only move */
	struct sd_lsm_compact_env env;
	uint64_t *snapshots, *sparse;
	struct sd_lsm_tree *tree; /* keeps the inputs where they are */
	uint64_t read;		  /* bytes, as the rate was told */
};

/* A range somebody wants merged; on the stack of who asks. */
struct lsm_wish {
	struct sd_lsm_asked asked;
	bool done;
};

static uint64_t new_number(void *kv)
{
	return lsm_new_number(kv);
}

static void end_merging(struct sd_kv *kv, bool keep)
{
	struct lsm_merging *m = kv->merging;
	sd_lsm_compact_free(m->compact, keep);
	sd_lsm_plan_free(&m->plan);
	sd_lsm_tree_unref(m->tree);
	free(m->snapshots);
	free(m->sparse);
	free(m);
	kv->merging = NULL;
}

void lsm_compact_end(struct sd_kv *kv)
{
	if (kv->merging)
		end_merging(kv, false);
}

/* ---- choosing ---- */

static struct lsm_wish *wish_of(struct sd_kv *kv)
{
	sd_lock_enter(kv->lock);
	struct lsm_wish *w = kv->wish;
	sd_lock_leave(kv->lock);
	return w;
}

static void fulfilled(struct sd_kv *kv)
{
	sd_lock_enter(kv->lock);
	kv->wish->done = true;
	kv->wish = NULL;
	sd_lock_leave(kv->lock);
}

static enum sd_err pick(struct sd_kv *kv, struct lsm_merging *m)
{
	struct sd_lsm_pick_conf conf;
	struct lsm_wish *wish = wish_of(kv);
	enum sd_err err = SD_ENOTFOUND;
	lsm_pick_conf(kv, &m->tree->version, &conf);
	if (wish && (err = sd_lsm_pick_asked(&m->tree->version, &conf, &wish->asked, &m->plan)) == SD_ENOTFOUND)
		fulfilled(kv);
	return err == SD_ENOTFOUND ? sd_lsm_pick(&m->tree->version, &conf, &m->plan) : err;
}

static uint64_t tables_from(const struct sd_lsm_plan *p, unsigned level)
{
	uint64_t n = 0;
	for (size_t i = 0; i < p->n; i++)
		n += p->in[i].level == level;
	return n;
}

static void say_begun(struct sd_kv *kv, const struct sd_lsm_plan *p)
{
	lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_COMPACTION,
					  .from_level = (int)p->from,
					  .level = (int)p->to,
					  .tables = tables_from(p, p->from),
					  .to_tables = p->to == p->from ? 0 : tables_from(p, p->to),
					  .bytes = p->bytes,
					  .text = sd_lsm_why_text(p->why)});
}

/* Blob files of which less than half is alive: all of them, since a table that is made now is taken not to point to any (lsm_pick.h). */
static bool find_sparse(struct lsm_merging *m)
{
	const struct sd_lsm_version *v = &m->tree->version;
	if (!(m->sparse = calloc(v->nblobs + 1, sizeof(*m->sparse))))
		return false;
	for (size_t i = 0; i < v->nblobs; i++)
		if (v->blobs[i].sparse_from)
			m->sparse[m->env.nsparse++] = v->blobs[i].number;
	m->env.sparse = m->sparse;
	return true;
}

static enum sd_err begin_compact(struct sd_kv *kv, struct lsm_merging *m, struct sd_error *e)
{
	if (!lsm_snapshots(kv, &m->snapshots, &m->env.nsnapshots) || !find_sparse(m))
		return lsm_no_memory(e);
	m->env.world = kv->world;
	m->env.dir = kv->path;
	m->env.tables = kv->tables;
	m->env.own = kv->own;
	m->env.plain = kv->conf.compression == SD_KV_PLAIN;
	m->env.no_filter = kv->conf.no_filter;
	m->env.table_bytes = lsm_table_bytes(kv, &m->tree->version);
	m->env.block_bytes = kv->conf.block_bytes;
	m->env.snapshots = m->snapshots;
	m->env.now_ms = kv->own ? (int64_t)lsm_now_ms(kv) : 0;
	m->env.new_number = new_number;
	m->env.arg = kv;
	return sd_lsm_compact_begin(&m->plan, &m->env, &m->compact, e);
}

static enum sd_err begin_merging(struct sd_kv *kv, struct sd_error *e)
{
	struct lsm_merging *m = kv->merging = calloc(1, sizeof(*m));
	if (!m)
		return lsm_no_memory(e);
	struct sd_lsm_view *view = lsm_view_now(kv);
	m->tree = sd_lsm_tree_ref(view->tree);
	sd_lsm_view_unref(view);
	enum sd_err err = pick(kv, m);
	if (!err && !m->plan.move) {
		say_begun(kv, &m->plan);
		err = begin_compact(kv, m, e);
	} else if (err == SD_ENOMEM) {
		lsm_no_memory(e);
	}
	if (err)
		end_merging(kv, false);
	return err;
}

/* ---- its end ---- */

static void put_inputs(const struct lsm_merging *m, struct sd_text *edit, bool own)
{
	for (size_t i = 0; i < m->plan.n; i++) {
		const struct sd_lsm_input *in = &m->plan.in[i];
		sd_lsm_edit_remove(edit, in->level, in->file.number);
		if (m->plan.move)
			sd_lsm_edit_add(edit, m->plan.to, &in->file, own);
	}
}

/* A blob file without a live byte goes; the worker is the only one who changes blobs. */
static void put_dead(struct sd_kv *kv, const struct sd_lsm_compact_result *r, struct sd_text *edit)
{
	struct sd_lsm_view *view = lsm_view_now(kv);
	const struct sd_lsm_version *v = &view->tree->version;
	for (size_t i = 0; i < r->ndead; i++)
		for (size_t k = 0; k < v->nblobs; k++) {
			if (v->blobs[k].number != r->dead[i].blob)
				continue;
			if (r->dead[i].bytes >= v->blobs[k].size - v->blobs[k].dead)
				sd_lsm_edit_remove_blob(edit, r->dead[i].blob);
			else
				sd_lsm_edit_dead_blob(edit, r->dead[i].blob, r->dead[i].bytes);
		}
	sd_lsm_view_unref(view);
}

static void say_made(struct sd_kv *kv, const struct lsm_merging *m, const struct sd_lsm_compact_result *r)
{
	char name[SD_LSM_NAME];
	struct sd_kv_event ended = {.kind = SD_KV_EVENT_COMPACTED, .level = (int)m->plan.to, .from_level = (int)m->plan.from,
				    .tables = r->nmade, .gone = m->plan.n};
	for (size_t i = 0; i < r->nmade; i++) {
		const struct sd_lsm_file *f = &r->made[i];
		lsm_table_name(kv, f->number, name);
		lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_TABLE, .name = name, .level = (int)m->plan.to,
						  .from_level = (int)m->plan.from, .number = f->number, .keys = f->entries, .bytes = f->size,
						  .filter_rate = kv->conf.no_filter ? 0 : 0.01});
		ended.keys += f->entries;
		ended.bytes += f->size;
	}
	lsm_say(kv, &ended);
}

static void count_merging(struct sd_kv *kv, const struct lsm_merging *m, const struct sd_lsm_compact_result *r)
{
	lsm_count(m->plan.move ? &kv->figures.moves : &kv->figures.compactions, 1);
	lsm_count(&kv->figures.compacted_bytes, r->written);
	lsm_count(&kv->figures.blob_bytes, r->blob_bytes);
	lsm_count(&kv->figures.compaction_read_bytes, r->read);
	if (!m->plan.move)
		say_made(kv, m, r);
}

static enum sd_err install(struct sd_kv *kv, struct sd_error *e)
{
	struct lsm_merging *m = kv->merging;
	struct sd_lsm_compact_result r = {0};
	struct sd_text edit = {0};
	if (m->compact)
		sd_lsm_compact_result(m->compact, &r);
	put_inputs(m, &edit, kv->own);
	for (size_t i = 0; i < r.nmade; i++)
		sd_lsm_edit_add(&edit, m->plan.to, &r.made[i], kv->own);
	if (r.blob_bytes > 0)
		sd_lsm_edit_add_blob(&edit, r.blob, r.blob_bytes);
	put_dead(kv, &r, &edit);
	enum sd_err err = lsm_install(kv, &edit, 0, e);
	if (!err)
		count_merging(kv, m, &r);
	/* made tables that no version has are left over already; after a failed manifest nobody knows whether it has them */
	end_merging(kv, true);
	free(edit.p);
	return err;
}

/* ---- a step ---- */

/* No faster than the rate; a stop does not wait. */
static void hold_back(struct sd_kv *kv, uint64_t bytes)
{
	kv->paced.bytes_per_s = atomic_load_explicit(&kv->rate, memory_order_relaxed);
	uint64_t ns = sd_lsm_rate_take(&kv->paced, sd_world_mono_ns(kv->world), bytes);
	if (ns > 0 && kv->due) {
		sd_lock_enter(kv->lock);
		if (!kv->stopping)
			sd_cond_wait_for(kv->due, kv->lock, (int64_t)ns);
		sd_lock_leave(kv->lock);
	}
}

enum sd_err lsm_compact_step(struct sd_kv *kv, bool *did, struct sd_error *e)
{
	bool done = true;
	enum sd_err err = kv->merging ? SD_OK : begin_merging(kv, e);
	*did = !err;
	if (err)
		return err == SD_ENOTFOUND ? SD_OK : err;
	struct lsm_merging *m = kv->merging;
	if (m->compact)
		err = sd_lsm_compact_step(m->compact, SLICE, &done, e);
	if (err)
		end_merging(kv, false);
	else if (done)
		err = install(kv, e);
	if (!err)
		hold_back(kv, SLICE);
	return err;
}

/* ---- somebody wants it ---- */

static bool is_fulfilled(const struct sd_kv *kv, uint64_t wish)
{
	(void)kv;
	return ((const struct lsm_wish *)(uintptr_t)wish)->done;
}

static bool wish_is_free(const struct sd_kv *kv, uint64_t unused)
{
	(void)unused;
	return kv->wish == NULL;
}

/* One wish at a time; the others wait for their turn. */
static enum sd_err make_wish(struct sd_kv *kv, struct lsm_wish *wish, struct sd_error *e)
{
	for (;;) {
		enum sd_err err = lsm_wait_until(kv, wish_is_free, 0, e);
		if (err)
			return err;
		sd_lock_enter(kv->lock);
		bool mine = !kv->wish;
		if (mine)
			kv->wish = wish;
		lsm_wake_work(kv);
		sd_lock_leave(kv->lock);
		if (mine)
			return SD_OK;
	}
}

/* The worker may be looking at it: it is taken back when nobody works. */
static void take_back(struct sd_kv *kv, struct lsm_wish *wish)
{
	sd_lock_enter(kv->lock);
	while (kv->wish == wish && kv->working && kv->done)
		sd_cond_wait_for(kv->done, kv->lock, 1000000000);
	if (kv->wish == wish)
		kv->wish = NULL;
	sd_lock_leave(kv->lock);
}

enum sd_err sd_kv_compact(struct sd_kv *kv, const struct sd_slice *from, const struct sd_slice *to, struct sd_error *e)
{
	struct lsm_wish wish = {.asked = {.from = from, .to = to}};
	enum sd_err err = sd_kv_flush(kv, e);
	if (!err)
		err = make_wish(kv, &wish, e);
	if (!err) {
		err = lsm_wait_until(kv, is_fulfilled, (uint64_t)(uintptr_t)&wish, e);
		take_back(kv, &wish);
	}
	return err;
}
