/* lsm_compact.c - tables in, tables out.
 *
 * Range tombstones do not travel with the entries: those of all inputs are one set, asked for each entry. When a table ends, it gets the
 * pieces of those that are still needed between the end of the table before and the beginning of the next, so that each key of the level is
 * under them in the one table that it belongs to.
 */
#include "lsm_compact.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_merge.h"
#include "lsm_blob_move.h"
#include "lsm_run.h"
#include "lsm_tables.h"
#include "world/file.h"

#define ZSTD_FROM 3 /* levels from this one on are compressed */

struct sd_lsm_compact {
	const struct sd_lsm_plan *plan;
	struct sd_lsm_compact_env env;
	struct sd_lsm_iter *in;
	struct sd_lsm_ranges *ranges;
	struct sd_lsm_sift sift;
	struct sd_lsm_blob_move move;
	struct sd_lsm_cut cut;
	size_t older_at;
	uint64_t read, written;
	/* the table in hand */
	struct sd_lsm_table_out out;
	struct sd_file *file;
	uint64_t number, at, last_end;
	bool all_end;		      /* its entries */
	uint64_t first_blob, last_blob; /* that it points to */
	struct sd_text low;	      /* user key: where it begins, unless it is the first */
	bool has_low;
	struct sd_lsm_range *all, *pieces; /* range tombstones, each in one; those of the table in hand, of which there are no more */
	size_t nall;
	/* what was made */
	struct sd_lsm_version made; /* in level 0 of it, which is only a list here */
	struct sd_lsm_dead *dead;
	size_t ndead, dead_room;
	bool full; /* out of memory where nobody could be told */
	bool done;
};

static enum sd_err no_memory(struct sd_error *e)
{
	sd_fail(e, SD_ENOMEM, "out of memory");
	return SD_ENOMEM;
}

/* ---- files ---- */

static bool name_of(const struct sd_lsm_compact *c, uint64_t number, struct sd_text *name)
{
	sd_text_format(name, "%s/%06" PRIu64 ".%s", c->env.dir, number, c->env.own ? "sst" : "ldb");
	return !name->full;
}

static void remove_file(const struct sd_lsm_compact *c, uint64_t number)
{
	struct sd_text name = {0};
	if (name_of(c, number, &name))
		sd_world_unlink(c->env.world, name.p);
	free(name.p);
}

static enum sd_err write_piece(void *arg, const void *p, size_t n, struct sd_error *e)
{
	struct sd_lsm_compact *c = arg;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = sd_file_write(c->file, &iov, 1, c->at, e);
	c->at += n;
	c->written += n;
	return err;
}

static enum sd_err begin_table(struct sd_lsm_compact *c, struct sd_error *e)
{
	struct sd_text name = {0};
	struct sd_lsm_table_conf conf = {
	    .block_bytes = c->env.block_bytes,
	    .no_filter = c->env.no_filter,
	    .own = c->env.own,
	    .zstd_level = c->env.own && !c->env.plain && c->plan->to >= ZSTD_FROM ? 1 : 0,
	    .sink = {write_piece, c},
	};
	c->number = c->env.new_number(c->env.arg);
	c->at = c->last_end = c->first_blob = c->last_blob = 0;
	c->all_end = true;
	enum sd_err err = name_of(c, c->number, &name)
			      ? sd_file_open(c->env.world, name.p, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &c->file, e)
			      : no_memory(e);
	free(name.p);
	if (!err)
		sd_lsm_table_begin(&c->out, &conf);
	return err;
}

/* ---- range tombstones ---- */

static uint64_t covers(void *arg, struct sd_slice user, uint64_t seq)
{
	struct sd_lsm_compact *c = arg;
	return sd_lsm_ranges_hides(c->ranges, user, seq);
}

static int by_from(const void *a, const void *b)
{
	const struct sd_lsm_range *x = a, *y = b;
	int c = sd_lsm_bytewise(x->from, y->from);
	return c ? c : (x->seq < y->seq) - (x->seq > y->seq);
}

static int by_seq(const void *a, const void *b)
{
	const struct sd_lsm_range *x = a, *y = b;
	return x->seq != y->seq ? (x->seq > y->seq) - (x->seq < y->seq) : sd_lsm_bytewise(x->from, y->from);
}

/* Pieces of one that were in neighbouring tables become one again, so that they do not get more with each merge. */
static enum sd_err join_pieces(struct sd_lsm_compact *c, struct sd_error *e)
{
	size_t n = sd_lsm_ranges_count(c->ranges);
	c->all = calloc(n + 1, sizeof(*c->all));
	c->pieces = calloc(n + 1, sizeof(*c->pieces));
	if (!c->all || !c->pieces)
		return no_memory(e);
	for (size_t i = 0; i < n; i++)
		c->all[i] = sd_lsm_ranges_at(c->ranges, i);
	qsort(c->all, n, sizeof(c->all[0]), by_seq);
	for (size_t i = 0; i < n; i++) {
		struct sd_lsm_range *last = c->nall > 0 ? &c->all[c->nall - 1] : NULL, at = c->all[i];
		if (!last || last->seq != at.seq || sd_lsm_bytewise(at.from, last->to) > 0)
			c->all[c->nall++] = at;
		else if (sd_lsm_bytewise(at.to, last->to) > 0)
			last->to = at.to;
	}
	return SD_OK;
}

/* What lies between low and high (NULL: no bound) of a range. False: nothing. */
static bool clip(const struct sd_lsm_range *r, const struct sd_slice *low, const struct sd_slice *high, struct sd_lsm_range *piece)
{
	*piece = (struct sd_lsm_range){r->from, r->to, r->seq};
	if (low && sd_lsm_bytewise(piece->from, *low) < 0)
		piece->from = *low;
	if (high && sd_lsm_bytewise(piece->to, *high) > 0)
		piece->to = *high;
	return sd_lsm_bytewise(piece->from, piece->to) < 0;
}

/* Is a piece all under the one before it, for everybody who reads? */
static bool same_as(const struct sd_lsm_compact *c, const struct sd_lsm_range *before, const struct sd_lsm_range *piece)
{
	return sd_lsm_bytewise(before->to, piece->to) >= 0 && before->seq >= piece->seq &&
	       sd_lsm_sift_seen_by(&c->sift.conf, piece->seq) >= before->seq;
}

/* The pieces of the table in hand, that are still needed. */
static size_t pieces_of(struct sd_lsm_compact *c, const struct sd_slice *high)
{
	struct sd_slice low = {c->low.p, c->low.n};
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < c->nall; i++) {
		struct sd_lsm_range *p = &c->pieces[n];
		if (clip(&c->all[i], c->has_low ? &low : NULL, high, p) &&
		    !sd_lsm_sift_range_goes(&c->sift.conf, p->seq, sd_lsm_plan_older_in(c->plan, p->from, p->to)))
			n++;
	}
	if (n > 1)
		qsort(c->pieces, n, sizeof(c->pieces[0]), by_from);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !same_as(c, &c->pieces[kept - 1], &c->pieces[i]))
			c->pieces[kept++] = c->pieces[i];
	return kept;
}

/* ---- blobs that nothing refers to any more ---- */

static void count_dead(struct sd_lsm_compact *c, const struct sd_lsm_blob_ref *ref)
{
	for (size_t i = 0; i < c->ndead; i++)
		if (c->dead[i].blob == ref->file) {
			c->dead[i].bytes += ref->n;
			return;
		}
	if (c->ndead == c->dead_room) {
		size_t room = c->dead_room ? 2 * c->dead_room : 8;
		struct sd_lsm_dead *more = realloc(c->dead, room * sizeof(*more));
		if (!more) {
			c->full = true;
			return;
		}
		c->dead = more;
		c->dead_room = room;
	}
	c->dead[c->ndead++] = (struct sd_lsm_dead){ref->file, ref->n};
}

static void drop(void *arg, enum sd_lsm_kind kind, struct sd_slice value)
{
	struct sd_lsm_compact *c = arg;
	struct sd_lsm_blob_ref ref;
	if (sd_lsm_blob_place(kind, value, &ref))
		count_dead(c, &ref);
}

/* ---- tables that come out ---- */

static enum sd_err note_made(struct sd_lsm_compact *c, struct sd_error *e)
{
	const struct sd_lsm_table_out *o = &c->out;
	struct sd_lsm_file f = {
	    .number = c->number,
	    .size = o->bytes,
	    .smallest = {o->first.p, o->first.n},
	    .largest = {o->last.p, o->last.n},
	    .entries = o->props.entries,
	    .gone = o->props.gone + o->props.ranges,
	    .oldest_seq = o->props.oldest_seq,
	    .newest_seq = o->props.newest_seq,
	    .ends_ms = c->all_end && o->props.ranges == 0 ? c->last_end : 0,
	    .has_ranges = o->props.ranges > 0,
	    .first_blob = c->first_blob,
	    .last_blob = c->last_blob,
	};
	return sd_lsm_version_add(&c->made, 0, &f) ? SD_OK : no_memory(e);
}

/* Its name is synced with those of the others, at the end. */
static enum sd_err end_table(struct sd_lsm_compact *c, const struct sd_slice *high, struct sd_error *e)
{
	size_t n = pieces_of(c, high);
	if (n == 0 && (!c->file || c->out.entries == 0))
		return SD_OK;
	enum sd_err err = c->file ? SD_OK : begin_table(c, e);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		sd_lsm_table_add_range(&c->out, &c->pieces[i]);
	err = sd_lsm_table_end(&c->out, e);
	if (!err)
		err = sd_file_sync(c->file, e);
	if (!err)
		err = note_made(c, e);
	if (err)
		return err;
	sd_file_close(c->file);
	c->file = NULL;
	return SD_OK;
}

static enum sd_err cut_before(struct sd_lsm_compact *c, struct sd_slice user, struct sd_error *e)
{
	enum sd_err err = end_table(c, &user, e);
	c->low.n = 0;
	sd_text_add(&c->low, user.p, user.n);
	c->has_low = true;
	return err ? err : c->low.full ? no_memory(e) : SD_OK;
}

static void note_blob(struct sd_lsm_compact *c, struct sd_slice internal, struct sd_slice value)
{
	struct sd_lsm_blob_ref ref;
	if (!sd_lsm_blob_place(sd_lsm_kind(internal), value, &ref))
		return;
	c->first_blob = c->last_blob == 0 || ref.file < c->first_blob ? ref.file : c->first_blob;
	c->last_blob = ref.file > c->last_blob ? ref.file : c->last_blob;
}

static enum sd_err keep(void *arg, struct sd_slice internal, struct sd_slice value, bool fresh, struct sd_error *e)
{
	struct sd_lsm_compact *c = arg;
	struct sd_lsm_blob_ref was = {0};
	enum sd_err err = SD_OK;
	if (fresh && sd_lsm_cut_before(&c->cut, sd_lsm_user(internal), c->file ? sd_lsm_table_size(&c->out) : 0))
		err = cut_before(c, sd_lsm_user(internal), e);
	if (!err && !c->file)
		err = begin_table(c, e);
	if (!err)
		err = sd_lsm_blob_move_entry(&c->move, internal, &value, &was, e);
	if (err)
		return err;
	if (was.file) {
		count_dead(c, &was);
		c->read += was.n; /* a slice is not longer for it */
	}
	note_blob(c, internal, value);
	if (!sd_lsm_ends(sd_lsm_kind(internal)) || value.n < SD_LSM_ENDS)
		c->all_end = false;
	else if (sd_get_le(value.p, SD_LSM_ENDS) > c->last_end)
		c->last_end = sd_get_le(value.p, SD_LSM_ENDS);
	sd_lsm_table_add(&c->out, internal, value);
	if (c->out.err && e)
		*e = c->out.why;
	return c->out.err;
}

static bool older(void *arg, struct sd_slice user)
{
	struct sd_lsm_compact *c = arg;
	return sd_lsm_plan_older(c->plan, &c->older_at, user);
}

/* ---- what goes in ---- */

static enum sd_err read_ranges(struct sd_lsm_compact *c, struct sd_error *e)
{
	struct sd_lsm_ranges **sets = calloc(c->plan->n, sizeof(struct sd_lsm_ranges *));
	enum sd_err err = SD_OK;
	size_t n = 0;
	if (!sets)
		return no_memory(e);
	for (; !err && n < c->plan->n; n++)
		err = sd_lsm_tables_ranges(c->env.tables, c->plan->in[n].file.number, c->plan->in[n].file.size, &sets[n], e);
	if (!err && !sd_lsm_ranges_join(sets, n, &c->ranges))
		err = no_memory(e);
	for (size_t i = 0; i < n; i++)
		sd_lsm_ranges_unref(sets[i]);
	free(sets);
	return !err && c->ranges ? join_pieces(c, e) : err;
}

/* Tables of level 0 one by one, those of a level below as one run. */
static enum sd_err open_inputs(struct sd_lsm_compact *c, struct sd_error *e)
{
	const struct sd_lsm_plan *p = c->plan;
	struct sd_lsm_iter **parts = calloc(p->n, sizeof(struct sd_lsm_iter *));
	enum sd_err err = SD_OK;
	size_t n = 0, many;
	if (!parts)
		return no_memory(e);
	for (size_t i = 0; !err && i < p->n; i += many) {
		for (many = 1; p->in[i].level > 0 && i + many < p->n && p->in[i + many].level == p->in[i].level;)
			many++;
		parts[n] = sd_lsm_run_new(c->env.tables, &p->in[i], many);
		err = parts[n] ? SD_OK : no_memory(e);
		n += parts[n] != NULL;
	}
	if (!err && !(c->in = sd_lsm_merge_new(parts, n)))
		err = no_memory(e);
	else if (err)
		for (size_t i = 0; i < n; i++)
			sd_lsm_iter_free(parts[i]);
	free(parts);
	return err;
}

enum sd_err sd_lsm_compact_begin(const struct sd_lsm_plan *plan, const struct sd_lsm_compact_env *env, struct sd_lsm_compact **out,
				 struct sd_error *e)
{
	struct sd_lsm_compact *c = calloc(1, sizeof(*c));
	if (!c)
		return no_memory(e);
	c->plan = plan;
	c->env = *env;
	c->cut = (struct sd_lsm_cut){.plan = plan, .table_bytes = env->table_bytes};
	c->move.conf = (struct sd_lsm_blob_move_conf){.world = env->world, .dir = env->dir, .tables = env->tables, .from = env->sparse,
						      .nfrom = env->nsparse, .zstd_level = env->plain ? 0 : 1,
						      .new_number = env->new_number, .arg = env->arg};
	enum sd_err err = env->own ? read_ranges(c, e) : SD_OK;
	if (!err)
		err = open_inputs(c, e);
	c->sift.conf = (struct sd_lsm_sift_conf){
	    .snapshots = env->snapshots,
	    .nsnapshots = env->nsnapshots,
	    .now_ms = env->now_ms,
	    .covers = c->ranges ? covers : NULL,
	    .older = older,
	    .keep = keep,
	    .drop = drop,
	    .arg = c,
	};
	/* What goes into level 0 is known by a number lower than those of what is flushed from now on. */
	if (!err && plan->one)
		err = begin_table(c, e);
	if (err) {
		sd_lsm_compact_free(c, false);
		return err;
	}
	c->in->ops->first(c->in);
	*out = c;
	return SD_OK;
}

static enum sd_err iter_error(const struct sd_lsm_iter *i, struct sd_error *e)
{
	if (!i->err)
		return SD_OK;
	return i->why ? sd_fail(e, i->err, "%s", i->why->text) : sd_fail(e, i->err, "%s", sd_err_text(i->err));
}

static enum sd_err finish(struct sd_lsm_compact *c, struct sd_error *e)
{
	enum sd_err err = sd_lsm_sift_end(&c->sift, e);
	if (!err && c->full)
		err = no_memory(e);
	if (!err)
		err = end_table(c, NULL, e);
	if (!err)
		err = sd_lsm_blob_move_end(&c->move, e);
	if (!err && c->made.levels[0].n > 0)
		err = sd_dir_sync(c->env.world, c->env.dir, e);
	c->done = !err;
	return err;
}

enum sd_err sd_lsm_compact_step(struct sd_lsm_compact *c, uint64_t bytes, bool *done, struct sd_error *e)
{
	uint64_t until = c->read + bytes;
	enum sd_err err = SD_OK;
	while (!err && c->in->valid && c->read < until) {
		c->read += c->in->key.n + c->in->value.n;
		err = sd_lsm_sift_take(&c->sift, c->in->key, c->in->value, e);
		if (!err)
			c->in->ops->next(c->in);
	}
	if (!err)
		err = iter_error(c->in, e);
	if (!err && !c->in->valid && !c->done)
		err = finish(c, e);
	*done = c->done;
	return err;
}

void sd_lsm_compact_result(const struct sd_lsm_compact *c, struct sd_lsm_compact_result *r)
{
	*r = (struct sd_lsm_compact_result){
	    .made = c->made.levels[0].files,
	    .nmade = c->made.levels[0].n,
	    .dead = c->dead,
	    .ndead = c->ndead,
	    .blob = c->move.number,
	    .blob_bytes = c->move.bytes,
	    .read = c->plan->bytes,
	    .written = c->written,
	    .taken = c->sift.taken,
	    .kept = c->sift.kept,
	};
}

void sd_lsm_compact_free(struct sd_lsm_compact *c, bool keep_made)
{
	if (!c)
		return;
	if (c->file) {
		sd_file_close(c->file);
		remove_file(c, c->number);
	}
	for (size_t i = 0; !keep_made && i < c->made.levels[0].n; i++)
		remove_file(c, c->made.levels[0].files[i].number);
	if (c->in)
		sd_lsm_iter_free(c->in);
	sd_lsm_blob_move_free(&c->move, keep_made);
	sd_lsm_table_free(&c->out);
	sd_lsm_sift_free(&c->sift);
	sd_lsm_ranges_unref(c->ranges);
	sd_lsm_version_free(&c->made);
	free(c->low.p);
	free(c->all);
	free(c->pieces);
	free(c->dead);
	free(c);
}
