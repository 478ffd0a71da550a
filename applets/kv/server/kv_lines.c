/* kv_lines.c - what the store says happened, as lines of the log; and COMPACT, whose answer is those of its own time. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/count.h"
#include "core/text.h"
#include "../kv_event.h"
#include "kv_server.h"

#define MB 1e6

/* From the thread on which it happened to the one that asked. */
struct kv_lines {
	struct sd_lock *lock;
	bool collecting;
	struct sd_text text; /* a line each */
	size_t n;
};

struct kv_compacting {
	struct sd_work work;
	struct kv_server *s;
	struct sd_resp_later *later; /* NULL: who asked is gone */
	enum sd_err err;
	struct sd_error e;
};

/* ---- lines ---- */

static void collect(struct kv_lines *l, const char *line)
{
	sd_lock_enter(l->lock);
	if (l->collecting) {
		sd_text_format(&l->text, "%s\n", line);
		l->n++;
	}
	sd_lock_leave(l->lock);
}

static void line(struct kv_server *s, enum sd_level level, const char *name, const struct sd_kv_event *e, bool of_compact,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

static void line(struct kv_server *s, enum sd_level level, const char *name, const struct sd_kv_event *e, bool of_compact,
		 const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct sd_field fields[] = {{"level", NULL, e->level},	       {"tables", NULL, (int64_t)e->tables},
				    {"keys", NULL, (int64_t)e->keys}, {"bytes", NULL, (int64_t)e->bytes}, {0}};
	sd_event(s->run->log, level, name, fields, "%s", text);
	if (of_compact)
		collect(s->lines, text);
}

typedef unsigned long long ull;

/* The largest of 1024 each of which there is a whole number, as Redis writes them: 256KB, 4MB. */
static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};

static int whole_unit(uint64_t *size)
{
	int unit = 0;
	for (; unit < 4 && *size && *size % 1024 == 0; unit++)
		*size /= 1024;
	return unit;
}

static void on_opened(struct kv_server *s, const struct sd_kv_event *e)
{
	uint64_t limit = (uint64_t)sd_conf_int(s->run->conf, "memtable");
	line(s, SD_INFO, "log_opened", e, false, "WAL opened: %s/%s", sd_conf_string(s->run->conf, "data-dir"), e->name ? e->name : "-");
	line(s, SD_INFO, "loaded", e, false, "Loaded %llu SSTables, %llu keys", (ull)e->tables, (ull)e->keys);
	int unit = whole_unit(&limit);
	line(s, SD_INFO, "memtable", e, false, "Memtable: 0 entries (limit: %llu%s)", (ull)limit, units[unit]);
}

static void on_torn(struct kv_server *s, const struct sd_kv_event *e)
{
	line(s, SD_WARN, "log_cut", e, false, "%s: its end was not whole, cut at %llu", e->name ? e->name : "a log", (ull)e->bytes);
}

static void on_replayed(struct kv_server *s, const struct sd_kv_event *e)
{
	line(s, SD_INFO, "replaying", e, false, "Replaying WAL: %llu operations...", (ull)e->keys);
	line(s, SD_INFO, "replayed", e, false, "Recovery complete");
}

static void on_full(struct kv_server *s, const struct sd_kv_event *e)
{
	bool full = e->bytes >= (uint64_t)sd_conf_int(s->run->conf, "memtable");
	if (full)
		line(s, SD_INFO, "memtable_full", e, false, "Memtable full (%.1fMB), flushing to SSTable...", (double)e->bytes / MB);
	else /* somebody asked for it */
		line(s, SD_INFO, "memtable_flushed", e, false, "Flushing memtable (%.1fMB) to SSTable...", (double)e->bytes / MB);
}

static void worded(struct kv_server *s, const char *name, const struct sd_kv_event *e)
{
	char text[400];
	if (kv_event_text(e, text, sizeof(text)))
		line(s, SD_INFO, name, e, true, "%s", text);
}

static void on_table(struct kv_server *s, const struct sd_kv_event *e)
{
	worded(s, "table_created", e);
}

static void on_compaction(struct kv_server *s, const struct sd_kv_event *e)
{
	worded(s, "compaction_begins", e);
}

static void on_compacted(struct kv_server *s, const struct sd_kv_event *e)
{
	worded(s, "compaction_ends", e);
}

static void on_failed(struct kv_server *s, const struct sd_kv_event *e)
{
	line(s, SD_ERROR, "store_failed", e, true, "%s", e->text ? e->text : "nothing more can be written");
}

void kv_on_event(void *server, const struct sd_kv_event *e)
{
	static void (*const fns[SD_KV_EVENT_KINDS])(struct kv_server *s, const struct sd_kv_event *e) = {
	    [SD_KV_EVENT_OPENED] = on_opened,	      [SD_KV_EVENT_TORN] = on_torn,
	    [SD_KV_EVENT_REPLAYED] = on_replayed,     [SD_KV_EVENT_FULL] = on_full,
	    [SD_KV_EVENT_TABLE] = on_table,	      [SD_KV_EVENT_COMPACTION] = on_compaction,
	    [SD_KV_EVENT_COMPACTED] = on_compacted, [SD_KV_EVENT_FAILED] = on_failed,
	};
	if (e->kind < SD_KV_EVENT_KINDS && fns[e->kind])
		fns[e->kind](server, e);
}

bool kv_lines_begin(struct kv_server *s)
{
	s->lines = calloc(1, sizeof(*s->lines));
	return s->lines && (s->lines->lock = sd_lock_new());
}

void kv_lines_end(struct kv_server *s)
{
	if (!s->lines)
		return;
	sd_lock_free(s->lines->lock);
	free(s->lines->text.p);
	free(s->lines);
}

/* ---- COMPACT ---- */

static void run_compaction(struct sd_work *w)
{
	struct kv_compacting *k = sd_container(w, struct kv_compacting, work);
	k->err = sd_kv_compact(k->s->db, NULL, NULL, &k->e);
}

static void put_lines(struct sd_resp_out *out, struct kv_lines *l)
{
	size_t n = 0;
	char *at = sd_text_take(&l->text, NULL);
	sd_resp_array(out, at ? l->n : 0);
	for (char *p = at; p && n < l->n; n++) {
		char *end = strchr(p, '\n');
		sd_resp_bulk(out, p, (size_t)(end - p));
		p = end + 1;
	}
	free(at);
	l->text = (struct sd_text){0};
	l->n = 0;
}

static void compacted(struct sd_work *w)
{
	struct kv_compacting *k = sd_container(w, struct kv_compacting, work);
	struct kv_server *s = k->s;
	sd_lock_enter(s->lines->lock);
	s->lines->collecting = false;
	sd_lock_leave(s->lines->lock);
	s->compacting = NULL;
	if (k->err)
		sd_count(&s->counts[KV_ERRORS], 1);
	if (k->later && k->err)
		sd_resp_errorf(&k->later->out, "ERR %s", k->e.text);
	else if (k->later)
		put_lines(&k->later->out, s->lines);
	if (k->later)
		sd_resp_later_done(k->later);
	free(k);
}

static void dropped_compaction(struct sd_work *w)
{
	free(sd_container(w, struct kv_compacting, work));
}

static void nobody_asks(void *arg)
{
	struct kv_compacting *k = arg;
	k->later = NULL;
}

static bool submit(struct kv_call *c, struct kv_compacting *k)
{
	struct kv_server *s = c->s;
	if (!(k->later = sd_resp_later_new(&c->conn->c, nobody_asks, k))) /* puts what was written before into the store */
		return false;
	*k = (struct kv_compacting){.work = {.run = run_compaction, .done = compacted, .dropped = dropped_compaction}, .s = s, .later = k->later};
	free(s->lines->text.p);
	s->lines->text = (struct sd_text){0};
	s->lines->n = 0;
	s->lines->collecting = true;
	s->compacting = k;
	if (sd_helpers_submit(s->helpers, s->loop, &k->work))
		return true;
	s->lines->collecting = false;
	s->compacting = NULL;
	sd_resp_error(&k->later->out, "ERR no thread for it");
	sd_resp_later_done(k->later);
	return false;
}

static void cmd_compact(struct kv_call *c)
{
	if (c->s->compacting) {
		sd_resp_error(c->out, "ERR a compaction that was asked for is under way");
		return;
	}
	struct kv_compacting *k = calloc(1, sizeof(*k));
	if (!k)
		sd_resp_error(c->out, kv_no_memory);
	else if (!submit(c, k))
		free(k);
}

/* ---- EXPLAIN ---- */

/* Names with blanks between them, as an array. */
static void put_names(struct sd_resp_out *out, const char *names)
{
	size_t n = 0, place = sd_resp_later(out);
	for (const char *p = names; *p; n++) {
		size_t length = strcspn(p, " ");
		sd_resp_bulk(out, p, length);
		p += length;
		p += *p == ' ';
	}
	sd_resp_now(out, place, '*', n);
}

/* Before it runs, so that a command that removes its key still tells where that was. */
static enum sd_err explain(struct kv_call *c, struct sd_slice key, struct sd_kv_explain *x, struct sd_error *e)
{
	struct kv_server *s = c->s;
	struct sd_slice stored = kv_stored(key, s->key), value;
	int64_t until_ms;
	bool here = c->command->is->flags & SD_REDIS_WRITE ||
		    (sd_kv_batch_count(s->batch) && sd_kv_batch_find(s->batch, stored, &value, &until_ms) != SD_EAGAIN);
	*x = (struct sd_kv_explain){0};
	if (!here)
		return sd_kv_explain(s->db, stored, x, e);
	snprintf(x->where, sizeof(x->where), "memtable");
	return SD_OK;
}

static void put_explained(struct kv_call *c, const struct sd_kv_explain *x)
{
	struct sd_resp_out *out = c->out;
	struct sd_kv_stats stats;
	bool table = x->where[0] && !strstr(x->where, "memtable");
	sd_kv_stats_get(c->s->db, &stats);
	sd_resp_text(out, "where");
	if (x->where[0])
		sd_resp_text(out, x->where);
	else
		sd_resp_null(out);
	sd_resp_text(out, "entries");
	sd_resp_int(out, (int64_t)(stats.memtable_entries + sd_kv_batch_count(c->s->batch)));
	sd_resp_text(out, "spared");
	put_names(out, x->spared_by);
	sd_resp_text(out, "read");
	sd_resp_array(out, table);
	if (table)
		sd_resp_bulk(out, x->where, strcspn(x->where, " "));
}

/* The command that follows. NULL: it is none to be explained, and the reply says so. */
static const struct kv_command *explained(struct kv_call *c, struct sd_redis_keys *keys)
{
	char why[SD_REDIS_WHY];
	const struct sd_redis_row *row;
	if (!sd_redis_look_up(&c->s->names, c->argc - 1, c->argv + 1, &row, why)) {
		sd_resp_error(c->out, why);
		return NULL;
	}
	bool fits = row->is->first && !(row->is->flags & (SD_REDIS_UNQUEUED | SD_REDIS_NO_MULTI)) && row->is != SD_REDIS(WATCH);
	if (!fits || !sd_redis_keys(row->is, c->argc - 1, c->argv + 1, keys) || !keys->n) {
		sd_resp_error(c->out, "ERR EXPLAIN: expected a command that reads or writes keys");
		return NULL;
	}
	return row->own;
}

static void cmd_explain(struct kv_call *c)
{
	struct sd_redis_keys keys;
	struct sd_kv_explain x;
	struct sd_error e;
	const struct kv_command *of = explained(c, &keys);
	if (!of)
		return;
	c->command = of;
	c->argc--;
	c->argv++;
	if (!kv_keys_fit(c))
		return;
	if (explain(c, c->argv[keys.first], &x, &e)) {
		sd_resp_errorf(c->out, "ERR %s", e.text);
		return;
	}
	sd_resp_map(c->out, 5);
	sd_resp_text(c->out, "reply");
	kv_run(c);
	put_explained(c, &x);
}

const struct kv_command kv_show_commands[] = {
    {SD_REDIS(COMPACT), cmd_compact},
    {SD_REDIS(EXPLAIN), cmd_explain},
    {0},
};
