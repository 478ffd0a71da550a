/* lsm_repair.c - every source becomes an iterator: a whole table its own, what was saved of others one over an array. What a reader would see
 * of all of them merged is written to the new store, by the store itself. */
#include "lsm_repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "core/lsm_batch.h"
#include "core/lsm_cursor.h"
#include "core/lsm_log.h"
#include "core/lsm_merge.h"
#include "core/lsm_version.h"
#include "lsm_tables.h"
#include "sdlab/kv.h"

#define FILE_MAX    (SIZE_MAX / 4)
#define BATCH_BYTES (4u << 20)

/* An entry that was saved; both slices in one piece of memory that key.p is. */
struct saved {
	struct sd_slice key, value;
};

struct repair {
	struct sd_world *world;
	const char *from;
	struct sd_lsm_repaired *out;
	struct sd_lsm_version version; /* when out->manifest */
	struct sd_lsm_tables *tables;
	bool own;
	struct saved *saved;
	size_t nsaved, saved_room;
	struct sd_lsm_range *ranges; /* from logs; their bytes are entries' of `saved_ranges` */
	size_t nranges, range_room;
	struct sd_lsm_iter **parts;
	struct sd_lsm_ranges **sets;
	size_t nparts, part_room, nsets, set_room;
};

static enum sd_err no_memory(struct sd_error *e)
{
	return sd_fail(e, SD_ENOMEM, "out of memory");
}

/* Room for one more of `size` bytes. */
static bool grow(void *list, size_t n, size_t *room, size_t size)
{
	void **p = list;
	if (n < *room)
		return true;
	size_t more = *room ? 2 * *room : 64;
	void *bigger = realloc(*p, more * size);
	if (!bigger)
		return false;
	*p = bigger;
	*room = more;
	return true;
}

static void lost(struct repair *r, const char *text)
{
	sd_text_format(&r->out->lost, "%s\n", text);
}

/* ---- what was saved, as an iterator ---- */

struct saved_iter {
	struct sd_lsm_iter base;
	const struct saved *list;
	size_t n, at;
};

static void saved_stand(struct sd_lsm_iter *i, size_t at)
{
	struct saved_iter *s = sd_container(i, struct saved_iter, base);
	s->at = at;
	i->valid = at < s->n;
	if (!i->valid)
		return;
	i->key = s->list[at].key;
	i->value = s->list[at].value;
}

static void saved_first(struct sd_lsm_iter *i)
{
	saved_stand(i, 0);
}

static void saved_last(struct sd_lsm_iter *i)
{
	saved_stand(i, sd_container(i, struct saved_iter, base)->n - 1);
}

static void saved_seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	const struct saved_iter *s = sd_container(i, struct saved_iter, base);
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_internal(s->list[middle].key, internal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	saved_stand(i, low);
}

static void saved_next(struct sd_lsm_iter *i)
{
	saved_stand(i, sd_container(i, struct saved_iter, base)->at + 1);
}

static void saved_prev(struct sd_lsm_iter *i)
{
	saved_stand(i, sd_container(i, struct saved_iter, base)->at - 1);
}

static void saved_free(struct sd_lsm_iter *i)
{
	free(sd_container(i, struct saved_iter, base));
}

static const struct sd_lsm_iter_ops saved_ops = {saved_first, saved_last, saved_seek, saved_next, saved_prev, saved_free};

static int by_key(const void *a, const void *b)
{
	return sd_lsm_internal(((const struct saved *)a)->key, ((const struct saved *)b)->key);
}

static enum sd_err add_part(struct repair *r, struct sd_lsm_iter *part, struct sd_error *e)
{
	if (!part || !grow(&r->parts, r->nparts, &r->part_room, sizeof(*r->parts))) {
		sd_lsm_iter_free(part);
		return no_memory(e);
	}
	r->parts[r->nparts++] = part;
	return SD_OK;
}

static enum sd_err add_saved_part(struct repair *r, struct sd_error *e)
{
	struct saved_iter *s = calloc(1, sizeof(*s));
	if (!s)
		return no_memory(e);
	if (r->nsaved > 0)
		qsort(r->saved, r->nsaved, sizeof(*r->saved), by_key);
	s->base.ops = &saved_ops;
	s->list = r->saved;
	s->n = r->nsaved;
	return add_part(r, &s->base, e);
}

/* Copies an entry. */
static enum sd_err save(struct repair *r, struct sd_slice user, uint64_t tail, struct sd_slice value, struct sd_error *e)
{
	size_t n = user.n + SD_LSM_TAIL;
	char *p = grow(&r->saved, r->nsaved, &r->saved_room, sizeof(*r->saved)) ? malloc(n + value.n) : NULL;
	if (!p)
		return no_memory(e);
	if (user.n > 0)
		memcpy(p, user.p, user.n);
	sd_put_le(p + user.n, tail, SD_LSM_TAIL);
	if (value.n > 0)
		memcpy(p + n, value.p, value.n);
	r->saved[r->nsaved++] = (struct saved){{p, n}, {p + n, value.n}};
	return SD_OK; /* cppcheck-suppress memleak; the slices hold it */
}

/* ---- tables ---- */

/* The first internal key behind this one. */
static bool behind(struct sd_text *t, struct sd_slice internal)
{
	uint64_t tail = sd_lsm_tail(internal);
	char bytes[SD_LSM_TAIL + 1] = {0};
	bool next_user = tail == 0;
	t->n = 0;
	sd_text_add(t, internal.p, internal.n - SD_LSM_TAIL);
	sd_put_le(bytes + next_user, next_user ? UINT64_MAX : tail - 1, SD_LSM_TAIL);
	sd_text_add(t, bytes, SD_LSM_TAIL + (size_t)next_user);
	return !t->full;
}

/* Takes entries to the end, or to a block that is damaged. */
static enum sd_err save_entries(struct repair *r, struct sd_lsm_scan *s, enum sd_err err, struct sd_error *e)
{
	while (!err && sd_lsm_scan_valid(s)) {
		err = save(r, sd_lsm_user(s->data.key), sd_lsm_tail(s->data.key), s->data.value, e);
		if (!err)
			err = sd_lsm_scan_next(s, e);
	}
	return err;
}

/* Of a table that is not whole: the blocks that are. */
static enum sd_err save_table(struct repair *r, const struct sd_lsm_table *t, struct sd_error *e)
{
	struct sd_lsm_scan s = {.table = t};
	struct sd_text next = {0};
	struct sd_error why = {0};
	enum sd_err err = save_entries(r, &s, sd_lsm_scan_first(&s, &why), &why);
	while (err && err != SD_ENOMEM) {
		lost(r, why.text);
		r->out->lost_blocks++;
		if (!s.index.valid || s.index.damaged || s.index.key.n < SD_LSM_TAIL)
			break; /* nobody knows where the next one is */
		if (!behind(&next, s.index.key)) {
			err = SD_ENOMEM;
			break;
		}
		err = save_entries(r, &s, sd_lsm_scan_seek(&s, (struct sd_slice){next.p, next.n}, &why), &why);
	}
	sd_lsm_scan_free(&s);
	free(next.p);
	return err == SD_ENOMEM ? no_memory(e) : SD_OK;
}

/* Is every block of it good? */
static bool is_whole(const struct sd_lsm_table *t)
{
	struct sd_lsm_scan s = {.table = t};
	struct sd_error why = {0};
	enum sd_err err = sd_lsm_scan_first(&s, &why);
	while (!err && sd_lsm_scan_valid(&s))
		err = sd_lsm_scan_next(&s, &why);
	sd_lsm_scan_free(&s);
	return err == SD_OK;
}

static enum sd_err take_ranges(struct repair *r, uint64_t number, struct sd_error *e)
{
	struct sd_lsm_ranges *set = NULL;
	enum sd_err err = sd_lsm_tables_ranges(r->tables, number, 0, &set, e);
	if (err || !set)
		return err;
	if (!grow(&r->sets, r->nsets, &r->set_room, sizeof(*r->sets))) {
		sd_lsm_ranges_unref(set);
		return no_memory(e);
	}
	r->sets[r->nsets++] = set;
	return SD_OK;
}

static enum sd_err take_table(struct repair *r, uint64_t number, struct sd_error *e)
{
	const struct sd_lsm_table *t = NULL;
	struct sd_lsm_iter *part = NULL;
	struct sd_error why = {0};
	enum sd_err err = sd_lsm_tables_get(r->tables, number, 0, &t, &why);
	if (err == SD_ENOMEM)
		return no_memory(e);
	if (err) {
		r->out->lost_tables++;
		lost(r, why.text);
		return SD_OK;
	}
	r->out->tables++;
	err = take_ranges(r, number, e);
	if (!err && is_whole(t)) {
		err = sd_lsm_tables_iter(r->tables, number, 0, false, &part, e);
		if (!err)
			err = add_part(r, part, e);
	} else if (!err) {
		err = save_table(r, t, e);
	}
	sd_lsm_tables_put(t);
	return err;
}

/* ---- logs ---- */

static enum sd_err take_write(struct repair *r, const struct sd_lsm_batch_at *b, struct sd_error *e)
{
	enum sd_err err = save(r, b->key, b->seq << 8 | b->kind, b->value, e);
	if (err || b->kind != SD_LSM_RANGE_GONE)
		return err;
	struct saved at = r->saved[--r->nsaved]; /* it is no entry */
	if (!grow(&r->ranges, r->nranges, &r->range_room, sizeof(*r->ranges))) {
		free((void *)(uintptr_t)at.key.p);
		return no_memory(e);
	}
	r->ranges[r->nranges++] = (struct sd_lsm_range){sd_lsm_user(at.key), at.value, b->seq};
	return SD_OK;
}

static enum sd_err take_record(struct repair *r, const char *name, size_t at, struct sd_slice record, struct sd_error *e)
{
	struct sd_lsm_batch_at b;
	enum sd_err err = SD_OK;
	bool good = sd_lsm_batch_open(&b, record);
	while (good && !err && sd_lsm_batch_next(&b))
		err = take_write(r, &b, e);
	if (err || (good && !b.damaged))
		return err;
	r->out->lost_records++;
	sd_text_format(&r->out->lost, "%s: record at %zu is no batch of writes\n", name, at);
	return SD_OK;
}

/* Where reading goes on behind a piece that is not whole: behind the length it says, or at the next block. */
static size_t beyond(const struct sd_lsm_log_in *in)
{
	size_t bad = in->bad, block = bad - bad % SD_LSM_LOG_BLOCK + SD_LSM_LOG_BLOCK;
	size_t next = in->n - bad >= 7 ? bad + 7 + (size_t)sd_get_le((const char *)in->p + bad + 4, 2) : block;
	return next < block ? next : block;
}

static enum sd_err take_records(struct repair *r, const char *name, struct sd_lsm_log_in *in, struct sd_error *e)
{
	struct sd_slice record;
	enum sd_err err = SD_OK;
	while (!err) {
		enum sd_lsm_log_step step = sd_lsm_log_next(in, &record);
		if (step == SD_LSM_LOG_END)
			break;
		if (step == SD_LSM_LOG_RECORD) {
			err = take_record(r, name, in->record_at, record, e);
			continue;
		}
		r->out->lost_records++;
		sd_text_format(&r->out->lost, "%s: %s at %zu\n", name, step == SD_LSM_LOG_TORN ? "torn tail" : "damaged record", in->bad);
		if (step == SD_LSM_LOG_TORN || beyond(in) >= in->n)
			break;
		in->at = beyond(in);
	}
	return err;
}

static enum sd_err take_log(struct repair *r, const char *name, struct sd_error *e)
{
	struct sd_text path = {0};
	struct sd_error why = {0};
	char *bytes = NULL;
	size_t n = 0;
	sd_text_format(&path, "%s/%s", r->from, name);
	enum sd_err err = path.full ? SD_ENOMEM : sd_world_read_file(r->world, path.p, FILE_MAX, &bytes, &n, &why);
	free(path.p);
	if (err == SD_ENOMEM)
		return no_memory(e);
	if (err) {
		r->out->lost_records++;
		lost(r, why.text);
		return SD_OK;
	}
	struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n};
	r->out->logs++;
	err = take_records(r, name, &in, e);
	sd_lsm_log_in_free(&in);
	free(bytes);
	return err;
}

/* ---- which of them count ---- */

static char *read_small(struct repair *r, const char *name, size_t most, size_t *n)
{
	struct sd_text path = {0};
	char *bytes = NULL;
	sd_text_format(&path, "%s/%s", r->from, name);
	if (path.full || sd_world_read_file(r->world, path.p, most, &bytes, n, NULL))
		bytes = NULL;
	free(path.p);
	return bytes;
}

static bool apply_all(struct repair *r, struct sd_lsm_log_in *in)
{
	struct sd_slice record;
	struct sd_error why = {0};
	enum sd_lsm_log_step step;
	while ((step = sd_lsm_log_next(in, &record)) == SD_LSM_LOG_RECORD)
		if (sd_lsm_version_apply(&r->version, record, &why))
			return false;
	return step != SD_LSM_LOG_DAMAGED && !sd_lsm_version_end(&r->version, &why);
}

static void read_manifest(struct repair *r)
{
	size_t n = 0;
	char *name = read_small(r, "CURRENT", 64, &n), *bytes = NULL;
	if (name && n > 1 && name[n - 1] == '\n' && !strchr(name, '/')) {
		name[n - 1] = '\0';
		bytes = read_small(r, name, FILE_MAX, &n);
	}
	if (bytes) {
		struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n, .edits = true};
		r->out->manifest = apply_all(r, &in);
		sd_lsm_log_in_free(&in);
	}
	if (!r->out->manifest)
		lost(r, "the manifest cannot be read: every table and log counts, and what was removed may be there again");
	free(bytes);
	free(name);
}

/* "000012.log": 12; 0: it is none. */
static uint64_t number_of(const char *name, const char *end)
{
	char *dot;
	uint64_t number = *name >= '0' && *name <= '9' ? strtoull(name, &dot, 10) : 0;
	return number > 0 && strcmp(dot, end) == 0 ? number : 0;
}

static bool log_counts(const struct repair *r, uint64_t number)
{
	return !r->out->manifest || number >= r->version.log || number == r->version.previous_log;
}

static enum sd_err take_folder(struct repair *r, char **names, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (char **p = names; *p && !err; p++) {
		uint64_t table = number_of(*p, ".sst"), log = number_of(*p, ".log");
		table = table ? table : number_of(*p, ".ldb");
		if (table && !r->out->manifest)
			err = take_table(r, table, e);
		else if (log && log_counts(r, log))
			err = take_log(r, *p, e);
	}
	for (unsigned i = 0; i < SD_LSM_LEVELS && r->out->manifest; i++)
		for (size_t k = 0; k < r->version.levels[i].n && !err; k++)
			err = take_table(r, r->version.levels[i].files[k].number, e);
	return err;
}

/* ---- the new store ---- */

/* Where a value begins that ends, and what it says of the end. */
static int64_t take_end(enum sd_lsm_kind kind, struct sd_slice *value)
{
	if (!sd_lsm_ends(kind) || value->n < SD_LSM_ENDS)
		return 0;
	int64_t ms = (int64_t)sd_get_le(value->p, SD_LSM_ENDS);
	*value = (struct sd_slice){value->p + SD_LSM_ENDS, value->n - SD_LSM_ENDS};
	return ms;
}

static enum sd_err put(struct repair *r, struct sd_kv_batch *batch, const struct sd_lsm_cursor *c, struct sd_error *e)
{
	struct sd_slice value = c->value;
	struct sd_error why = {0};
	void *memory = NULL;
	int64_t until_ms = take_end(c->kind, &value);
	if (c->kind == SD_LSM_BLOB || c->kind == SD_LSM_ENDING_BLOB) {
		struct sd_lsm_blob_ref ref;
		bool good = sd_lsm_blob_ref_get(value, &ref);
		enum sd_err err = good ? sd_lsm_tables_blob(r->tables, &ref, &value, &memory, &why)
				       : sd_fail(&why, SD_EDAMAGED, "a key does not say where its value is");
		if (err == SD_ENOMEM)
			return no_memory(e);
		if (err) {
			r->out->lost_values++;
			lost(r, why.text);
			return SD_OK;
		}
	}
	sd_kv_batch_put_until(batch, c->key, value, until_ms);
	r->out->keys++;
	free(memory);
	return SD_OK;
}

static enum sd_err copy(struct repair *r, struct sd_lsm_cursor *c, struct sd_kv *kv, struct sd_error *e)
{
	struct sd_kv_batch *batch = sd_kv_batch_new(false);
	enum sd_err err = batch ? SD_OK : no_memory(e);
	for (sd_lsm_cursor_first(c); !err && c->valid; sd_lsm_cursor_next(c)) {
		err = put(r, batch, c, e);
		if (!err && sd_kv_batch_bytes(batch) >= BATCH_BYTES) {
			err = sd_kv_write(kv, batch, e);
			sd_kv_batch_clear(batch);
		}
	}
	if (!err && c->err)
		err = c->why ? sd_fail(e, c->err, "%s", c->why->text) : sd_fail(e, c->err, "%s", sd_err_text(c->err));
	if (!err)
		err = sd_kv_write(kv, batch, e);
	sd_kv_batch_free(batch);
	return err;
}

/* All ranges in one set. */
static enum sd_err join_ranges(struct repair *r, struct sd_lsm_ranges **out, struct sd_error *e)
{
	struct sd_lsm_ranges *set = NULL;
	if (!grow(&r->sets, r->nsets, &r->set_room, sizeof(*r->sets)) || !sd_lsm_ranges_new(r->ranges, r->nranges, &set))
		return no_memory(e);
	if (set)
		r->sets[r->nsets++] = set;
	return sd_lsm_ranges_join(r->sets, r->nsets, out) ? SD_OK : no_memory(e);
}

static enum sd_err write_store(struct repair *r, struct sd_kv *kv, struct sd_error *e)
{
	struct sd_lsm_cursor cursor = {0};
	struct sd_lsm_cursor_conf conf = {.seq = SD_LSM_SEQ_MAX};
	enum sd_err err = add_saved_part(r, e);
	if (!err)
		err = join_ranges(r, &conf.ranges, e);
	if (err)
		return err;
	conf.in = sd_lsm_merge_new(r->parts, r->nparts);
	r->nparts = 0; /* it has them */
	if (!conf.in) {
		sd_lsm_ranges_unref(conf.ranges);
		return no_memory(e);
	}
	sd_lsm_cursor_open(&cursor, &conf);
	err = copy(r, &cursor, kv, e);
	sd_lsm_cursor_close(&cursor);
	if (!err)
		err = sd_kv_flush(kv, e);
	return err ? err : sd_kv_sync(kv, e);
}

static enum sd_err make_store(struct repair *r, const char *to, struct sd_error *e)
{
	struct sd_kv *kv = NULL;
	struct sd_error why = {0};
	struct sd_kv_conf conf = {
	    .mode = SD_KV_MAKE,
	    .format = r->own ? SD_KV_SDLAB : SD_KV_LEVELDB,
	    .sync = SD_KV_NO,
	    .background = SD_KV_BY_HAND,
	    .world = r->world,
	};
	enum sd_err err = sd_kv_open(to, &conf, &kv, e);
	if (err)
		return err;
	err = write_store(r, kv, e);
	enum sd_err closed = sd_kv_close(kv, &why);
	return err || !closed ? err : sd_fail(e, closed, "%s", why.text);
}

/* ---- all of it ---- */

static bool has(char **names, const char *name)
{
	for (char **p = names; *p; p++)
		if (strcmp(*p, name) == 0)
			return true;
	return false;
}

static void let_go(struct repair *r)
{
	for (size_t i = 0; i < r->nparts; i++)
		sd_lsm_iter_free(r->parts[i]);
	for (size_t i = 0; i < r->nsets; i++)
		sd_lsm_ranges_unref(r->sets[i]);
	for (size_t i = 0; i < r->nsaved; i++)
		free((void *)(uintptr_t)r->saved[i].key.p);
	for (size_t i = 0; i < r->nranges; i++)
		free((void *)(uintptr_t)r->ranges[i].from.p);
	free(r->parts);
	free(r->sets);
	free(r->saved);
	free(r->ranges);
	sd_lsm_version_free(&r->version);
	sd_lsm_tables_free(r->tables);
}

enum sd_err sd_lsm_repair(struct sd_world *w, const char *from, const char *to, struct sd_lsm_repaired *out, struct sd_error *e)
{
	struct repair r = {.world = w, .from = from, .out = out};
	char **names = sd_world_list_dir(w, from);
	*out = (struct sd_lsm_repaired){0};
	if (!names)
		return sd_fail(e, SD_ENOTFOUND, "cannot read %s: no such folder, or it may not be read", from);
	r.own = has(names, "SDLAB");
	r.tables = sd_lsm_tables_new(&(struct sd_lsm_tables_conf){.world = w, .dir = from, .own = r.own});
	enum sd_err err = r.tables ? SD_OK : no_memory(e);
	if (!err) {
		read_manifest(&r);
		err = take_folder(&r, names, e);
	}
	if (!err && out->tables + out->logs + out->lost_tables == 0 && !out->manifest)
		err = sd_fail(e, SD_ENOTFOUND, "%s has no table and no log of a store", from);
	if (!err)
		err = make_store(&r, to, e);
	for (char **p = names; *p; p++)
		free(*p);
	free(names);
	let_go(&r);
	return err;
}
