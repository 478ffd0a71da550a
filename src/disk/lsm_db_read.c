/* lsm_db_read.c - from the newest to the oldest: memtable, memtables that wait, level 0 newest first, then one table a level. What is
 * found first is what counts; a range that was removed and is newer hides what lies below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_blob.h"
#include "lsm_db_int.h"

#define SHORT_KEY 512

struct look {
	struct sd_kv *kv;
	struct sd_slice user, internal;
	uint64_t seq, hidden; /* hidden: what is older than this is gone */
	struct lsm_answer *a;
	struct sd_error *e;
};

/* ---- one source ---- */

static bool in_mem(struct look *l, struct sd_lsm_mem *mem, int level)
{
	struct sd_lsm_found found;
	if (!sd_lsm_mem_get(mem, l->user, l->seq, &found))
		return false;
	l->a->found = true;
	l->a->kind = found.kind;
	l->a->seq = found.seq;
	l->a->value = found.value;
	l->a->level = level;
	return true;
}

static void tell_spared(struct sd_kv_explain *x, unsigned level, uint64_t number, const struct sd_kv *kv)
{
	size_t n = strlen(x->spared_by);
	x->spared++;
	int more = snprintf(x->spared_by + n, sizeof(x->spared_by) - n, "%sL%u_%06" PRIu64 ".%s", n ? " " : "", level, number,
			    kv->own ? "sst" : "ldb");
	if (more < 0 || (size_t)more >= sizeof(x->spared_by) - n)
		x->spared_by[n] = '\0';
}

static enum sd_err see_ranges(struct look *l, const struct sd_lsm_file *f)
{
	struct sd_lsm_ranges *ranges = NULL;
	enum sd_err err = f->has_ranges ? sd_lsm_tables_ranges(l->kv->tables, f->number, f->size, &ranges, l->e) : SD_OK;
	uint64_t hides = ranges ? sd_lsm_ranges_hides(ranges, l->user, l->seq) : 0;
	if (hides > l->hidden)
		l->hidden = hides;
	sd_lsm_ranges_unref(ranges);
	return err;
}

static void take_hit(struct look *l, unsigned level, const struct sd_lsm_file *f)
{
	struct lsm_answer *a = l->a;
	a->found = true;
	a->kind = l->hidden > a->hit.seq ? SD_LSM_RANGE_GONE : a->hit.kind;
	a->seq = l->hidden > a->hit.seq ? l->hidden : a->hit.seq;
	a->value = a->hit.value;
	a->level = (int)level;
	a->table = f->number;
}

static enum sd_err in_table(struct look *l, unsigned level, const struct sd_lsm_file *f)
{
	struct lsm_answer *a = l->a;
	enum sd_err err = see_ranges(l, f);
	if (err)
		return err;
	err = sd_lsm_tables_lookup(l->kv->tables, f->number, f->size, l->internal, &a->hit, l->e);
	if (a->explain && !err) {
		a->explain->looked += a->hit.looked;
		if (a->hit.filtered)
			tell_spared(a->explain, level, f->number, l->kv);
	}
	if (!err && (a->hit.found || l->hidden))
		take_hit(l, level, f);
	if (!err && !a->hit.found && l->hidden) { /* all that is older is hidden, wherever it is */
		a->kind = SD_LSM_RANGE_GONE;
		a->seq = l->hidden;
	}
	if (err || !a->hit.found)
		sd_lsm_hit_release(&a->hit);
	return err;
}

/* ---- all of them ---- */

static bool spans(const struct sd_lsm_file *f, struct sd_slice user)
{
	return sd_lsm_bytewise(sd_lsm_user(f->smallest), user) <= 0 && sd_lsm_bytewise(user, sd_lsm_user(f->largest)) <= 0;
}

static enum sd_err in_level_0(struct look *l, const struct sd_lsm_level *level)
{
	enum sd_err err = SD_OK;
	for (size_t i = level->n; i-- > 0 && !err && !l->a->found;)
		if (spans(&level->files[i], l->user))
			err = in_table(l, 0, &level->files[i]);
	return err;
}

/* Two tables of a level may share a user key; versions of it that are older are in the second. */
static enum sd_err in_level(struct look *l, const struct sd_lsm_level *level, unsigned number)
{
	enum sd_err err = SD_OK;
	size_t low = 0, high = level->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_internal(level->files[middle].largest, l->internal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < level->n && !err && !l->a->found && spans(&level->files[low], l->user); low++)
		err = in_table(l, number, &level->files[low]);
	return err;
}

static enum sd_err look_down(struct look *l, struct sd_lsm_view *view)
{
	const struct sd_lsm_version *v = &view->tree->version;
	if (in_mem(l, view->mem.mem, -1))
		return SD_OK;
	for (unsigned i = 0; i < view->nheld; i++)
		if (in_mem(l, view->held[i].mem, -2))
			return SD_OK;
	enum sd_err err = in_level_0(l, &v->levels[0]);
	for (unsigned level = 1; level < SD_LSM_LEVELS && !err && !l->a->found; level++)
		err = v->levels[level].n > 0 ? in_level(l, &v->levels[level], level) : SD_OK;
	return err;
}

enum sd_err lsm_find(struct sd_kv *kv, struct sd_lsm_view *view, struct sd_slice user, uint64_t seq, struct lsm_answer *a,
		     struct sd_error *e)
{
	char bytes[SHORT_KEY + SD_LSM_TAIL], *p = bytes;
	if (user.n > SHORT_KEY && !(p = malloc(user.n + SD_LSM_TAIL)))
		return lsm_no_memory(e);
	if (user.n > 0)
		memcpy(p, user.p, user.n);
	sd_put_le(p + user.n, seq << 8 | SD_LSM_KIND_SEEK, SD_LSM_TAIL);
	struct look l = {.kv = kv, .user = user, .internal = {p, user.n + SD_LSM_TAIL}, .seq = seq, .a = a, .e = e};
	enum sd_err err = look_down(&l, view);
	if (p != bytes)
		free(p);
	return err;
}

struct sd_lsm_iter *lsm_mem_iter(struct sd_kv *kv, struct sd_lsm_mem *mem)
{
	bool ok = true;
	if (sd_lsm_mem_waits(mem)) {
		sd_lock_enter(kv->order);
		ok = sd_lsm_mem_order(mem);
		sd_lock_leave(kv->order);
	}
	return ok ? sd_lsm_mem_iter(mem) : NULL;
}

/* ---- values ---- */

bool lsm_is_there(struct sd_kv *kv, enum sd_lsm_kind kind, struct sd_slice stored, struct sd_slice *value, int64_t *until_ms)
{
	*value = stored;
	*until_ms = 0;
	if (kind == SD_LSM_GONE || kind == SD_LSM_RANGE_GONE)
		return false;
	if (kind != SD_LSM_ENDING && kind != SD_LSM_ENDING_BLOB)
		return true;
	if (stored.n < 8)
		return false;
	*until_ms = (int64_t)sd_get_le(stored.p, 8);
	*value = (struct sd_slice){stored.p + 8, stored.n - 8};
	uint64_t now = lsm_now_ms(kv);
	bool there = (uint64_t)*until_ms > now;
	if (!there)
		atomic_store_explicit(&kv->ended_ms, now, memory_order_relaxed);
	return there;
}

enum sd_err lsm_fetch_blob(struct sd_kv *kv, struct sd_slice place, struct sd_slice *value, void **memory, struct sd_error *e)
{
	struct sd_lsm_blob_ref ref;
	if (!sd_lsm_blob_ref_get(place, &ref))
		return sd_fail(e, SD_EDAMAGED, "a table says of a blob what makes no sense");
	return sd_lsm_tables_blob(kv->tables, &ref, value, memory, e);
}

void sd_kv_value_free(struct sd_kv_value *v)
{
	free(v->p);
	*v = (struct sd_kv_value){0};
}

static enum sd_err hand_out(struct sd_kv_value *v, struct sd_slice value, struct sd_error *e)
{
	if (value.n + 1 > v->room) {
		size_t room = value.n + 1 > 2 * v->room ? value.n + 1 : 2 * v->room;
		char *p = realloc(v->p, room);
		if (!p)
			return lsm_no_memory(e);
		v->p = p;
		v->room = room;
	}
	if (value.n > 0)
		memcpy(v->p, value.p, value.n);
	v->p[value.n] = '\0';
	v->n = value.n;
	return SD_OK;
}

/* What a get gives to whoever asked. */
struct taker {
	enum sd_err (*take)(struct taker *t, struct sd_slice value, struct sd_error *e);
	struct sd_kv_value *into; /* NULL: nothing is wanted but whether it is there */
	void *p;
	size_t room, *n;
};

static enum sd_err take_answer(struct sd_kv *kv, struct lsm_answer *a, struct taker *t, struct sd_error *e)
{
	struct sd_slice value;
	int64_t until_ms;
	void *memory = NULL;
	enum sd_err err = SD_OK;
	if (!a->found || !lsm_is_there(kv, a->kind, a->value, &value, &until_ms))
		return SD_ENOTFOUND;
	lsm_count(&kv->figures.found, 1);
	if (t->into) {
		t->into->until_ms = until_ms;
		t->into->seq = a->seq;
	}
	if (t->take && lsm_is_blob(a->kind))
		err = lsm_fetch_blob(kv, value, &value, &memory, e);
	if (!err && t->take)
		err = t->take(t, value, e);
	free(memory);
	return err;
}

static enum sd_err get(struct sd_kv *kv, const struct sd_kv_snapshot *snapshot, struct sd_slice key, struct taker *t, struct sd_error *e)
{
	struct lsm_answer a = {0};
	struct sd_lsm_view *view = lsm_view_now(kv); /* before the sequence number: what it is about may not be there any more in a later view */
	uint64_t seq = snapshot ? snapshot->seq : atomic_load_explicit(&kv->last_seq, memory_order_acquire);
	enum sd_err err = lsm_find(kv, view, key, seq, &a, e);
	if (!err)
		err = take_answer(kv, &a, t, e);
	lsm_answer_end(&a);
	sd_lsm_view_unref(view);
	lsm_count(&kv->figures.gets, 1);
	if (err == SD_ENOTFOUND && e) {
		e->code = err;
		e->text[0] = '\0';
	}
	return err;
}

static enum sd_err take_value(struct taker *t, struct sd_slice value, struct sd_error *e)
{
	return hand_out(t->into, value, e);
}

enum sd_err sd_kv_get(struct sd_kv *kv, const struct sd_kv_snapshot *snapshot, struct sd_slice key, struct sd_kv_value *v,
		      struct sd_error *e)
{
	struct taker t = {.take = v ? take_value : NULL, .into = v};
	return get(kv, snapshot, key, &t, e);
}

static enum sd_err take_bytes(struct taker *t, struct sd_slice value, struct sd_error *e)
{
	*t->n = value.n;
	if (value.n > t->room)
		return sd_fail(e, SD_ERANGE, "the value has %zu bytes; there is room for %zu", value.n, t->room);
	if (value.n > 0)
		memcpy(t->p, value.p, value.n);
	return SD_OK;
}

enum sd_err sd_kv_get_into(struct sd_kv *kv, const struct sd_kv_snapshot *snapshot, struct sd_slice key, void *p, size_t room, size_t *n,
			   struct sd_error *e)
{
	struct taker t = {.take = take_bytes, .p = p, .room = room, .n = n};
	return get(kv, snapshot, key, &t, e);
}

/* ---- where it comes from ---- */

enum sd_err sd_kv_explain(struct sd_kv *kv, struct sd_slice key, struct sd_kv_explain *out, struct sd_error *e)
{
	*out = (struct sd_kv_explain){0};
	struct lsm_answer a = {.explain = out};
	struct sd_lsm_view *view = lsm_view_now(kv);
	struct sd_slice value;
	int64_t until_ms;
	enum sd_err err = lsm_find(kv, view, key, atomic_load(&kv->last_seq), &a, e);
	if (!err && a.found) {
		out->there = lsm_is_there(kv, a.kind, a.value, &value, &until_ms);
		out->seq = a.seq;
		if (a.level < 0)
			snprintf(out->where, sizeof(out->where), "%smemtable", a.level == -1 ? "" : "immutable ");
		else
			snprintf(out->where, sizeof(out->where), "L%d_%06" PRIu64 ".%s", a.level, a.table, kv->own ? "sst" : "ldb");
	}
	lsm_answer_end(&a);
	sd_lsm_view_unref(view);
	return err;
}
