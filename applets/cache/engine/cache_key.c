/* cache_key.c - commands about keys, whatever is in them. */
#include <string.h>

#include "cache_scan.h"

static void cmd_del(struct cache_call *c)
{
	int64_t n = 0;
	for (size_t i = 1; i < c->argc; i++) {
		struct cache_item *it = cache_find(c->db, c->argv[i]);
		if (!it) {
			cache_lease_changed(c->db, c->argv[i]);
			continue;
		}
		cache_delete(c->db, it);
		n++;
	}
	sd_resp_int(c->out, n);
}

static void cmd_touch(struct cache_call *c)
{
	int64_t n = 0;
	for (size_t i = 1; i < c->argc; i++)
		n += cache_read(c, c->argv[i]) != NULL;
	sd_resp_int(c->out, n);
}

/* A hit or a miss, but not a use. */
static void cmd_exists(struct cache_call *c)
{
	int64_t n = 0;
	for (size_t i = 1; i < c->argc; i++) {
		bool there = cache_find(c->db, c->argv[i]);
		*(there ? &c->cache->stats.hits : &c->cache->stats.misses) += 1;
		n += there;
	}
	sd_resp_int(c->out, n);
}

static void cmd_type(struct cache_call *c)
{
	const struct cache_item *it = cache_find(c->db, c->argv[1]);
	sd_resp_simple(c->out, it ? cache_types[it->type]->name : "none");
}

/* ---- expiry ---- */

enum { NX = 1, XX = 2, GT = 4, LT = 8 };

static bool expire_options(struct cache_call *c, unsigned *flags)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"nx", NX}, {"xx", XX}, {"gt", GT}, {"lt", LT}};
	*flags = 0;
	for (size_t i = 3; i < c->argc; i++) {
		size_t k = 0;
		while (k < 4 && !cache_is(c->argv[i], words[k].word))
			k++;
		if (k == 4) {
			sd_resp_errorf(c->out, "ERR Unsupported option %.*s", (int)c->argv[i].n, c->argv[i].p);
			return false;
		}
		*flags |= words[k].flag;
	}
	if (*flags & NX && *flags & (XX | GT | LT)) {
		sd_resp_error(c->out, "ERR NX and XX, GT or LT options at the same time are not compatible");
		return false;
	}
	if (*flags & GT && *flags & LT) {
		sd_resp_error(c->out, "ERR GT and LT options at the same time are not compatible");
		return false;
	}
	return true;
}

/* A key that never expires counts as one that does after every other. */
static bool expire_fits(unsigned flags, int64_t has, int64_t wants)
{
	if (flags & NX && has >= 0)
		return false;
	if (flags & XX && has < 0)
		return false;
	if (flags & GT && (has < 0 || wants <= has))
		return false;
	return !(flags & LT && has >= 0 && wants >= has);
}

static void expire(struct cache_call *c, int64_t unit_ms, bool relative)
{
	unsigned flags;
	int64_t v, at_ms;
	if (!expire_options(c, &flags) || !cache_arg_int(c, 2, &v))
		return;
	if (__builtin_mul_overflow(v, unit_ms, &at_ms) ||
	    (relative && __builtin_add_overflow(at_ms, c->cache->now_ms, &at_ms))) {
		sd_resp_errorf(c->out, "ERR invalid expire time in '%s' command", c->command->name);
		return;
	}
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it || !expire_fits(flags, cache_expires_at(it), at_ms)) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (at_ms <= c->cache->now_ms) {
		cache_delete(c->db, it);
		sd_resp_int(c->out, 1);
	} else if (cache_expire(c->db, &it, at_ms)) {
		cache_changed(c->db, c->argv[1]);
		sd_resp_int(c->out, 1);
	} else {
		sd_resp_error(c->out, cache_no_memory);
	}
}

static void cmd_expire(struct cache_call *c)
{
	expire(c, 1000, true);
}

static void cmd_pexpire(struct cache_call *c)
{
	expire(c, 1, true);
}

static void cmd_expireat(struct cache_call *c)
{
	expire(c, 1000, false);
}

static void cmd_pexpireat(struct cache_call *c)
{
	expire(c, 1, false);
}

/* -2: no key, -1: no end. */
static void when(struct cache_call *c, int64_t unit_ms, bool relative)
{
	const struct cache_item *it = cache_find(c->db, c->argv[1]);
	int64_t at = it ? cache_expires_at(it) : -1;
	if (at < 0)
		sd_resp_int(c->out, it ? -1 : -2);
	else if (relative)
		sd_resp_int(c->out, (at - c->cache->now_ms + unit_ms / 2) / unit_ms);
	else
		sd_resp_int(c->out, (int64_t)(((uint64_t)at + (uint64_t)unit_ms / 2) / (uint64_t)unit_ms));
}

static void cmd_ttl(struct cache_call *c)
{
	when(c, 1000, true);
}

static void cmd_pttl(struct cache_call *c)
{
	when(c, 1, true);
}

static void cmd_expiretime(struct cache_call *c)
{
	when(c, 1000, false);
}

static void cmd_pexpiretime(struct cache_call *c)
{
	when(c, 1, false);
}

static void cmd_persist(struct cache_call *c)
{
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	bool has = it && cache_expires_at(it) >= 0;
	if (has) {
		cache_persist(c->db, it);
		cache_changed(c->db, c->argv[1]);
	}
	sd_resp_int(c->out, has);
}

/* ---- names ---- */

static void rename_key(struct cache_call *c, bool nx)
{
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it) {
		sd_resp_error(c->out, cache_no_key);
		return;
	}
	bool same = c->argv[1].n == c->argv[2].n && memcmp(c->argv[1].p, c->argv[2].p, c->argv[1].n) == 0;
	if (nx && (same || cache_find(c->db, c->argv[2]))) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (!same && !cache_move(c->db, it, c->db, c->argv[2])) {
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	if (nx)
		sd_resp_int(c->out, 1);
	else
		sd_resp_simple(c->out, "OK");
}

static void cmd_rename(struct cache_call *c)
{
	rename_key(c, false);
}

static void cmd_renamenx(struct cache_call *c)
{
	rename_key(c, true);
}

static void cmd_copy(struct cache_call *c)
{
	struct cache_db *to = c->db;
	bool replace = false;
	for (size_t i = 3; i < c->argc; i++) {
		if (cache_is(c->argv[i], "replace")) {
			replace = true;
		} else if (cache_is(c->argv[i], "db") && i + 1 < c->argc) {
			if (!cache_arg_db(c, ++i, &to))
				return;
		} else {
			sd_resp_error(c->out, cache_syntax);
			return;
		}
	}
	bool same = c->argv[1].n == c->argv[2].n && memcmp(c->argv[1].p, c->argv[2].p, c->argv[1].n) == 0;
	if (same && to == c->db) {
		sd_resp_error(c->out, "ERR source and destination objects are the same");
		return;
	}
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it || (!replace && cache_find(to, c->argv[2])))
		sd_resp_int(c->out, 0);
	else if (cache_copy(it, to, c->argv[2]))
		sd_resp_int(c->out, 1);
	else
		sd_resp_error(c->out, cache_no_memory);
}

static void cmd_move(struct cache_call *c)
{
	struct cache_db *to;
	if (!cache_arg_db(c, 2, &to))
		return;
	if (to == c->db) {
		sd_resp_error(c->out, "ERR source and destination objects are the same");
		return;
	}
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it || cache_find(to, c->argv[1]))
		sd_resp_int(c->out, 0);
	else if (cache_move(c->db, it, to, c->argv[1]))
		sd_resp_int(c->out, 1);
	else
		sd_resp_error(c->out, cache_no_memory);
}

/* ---- all of them ---- */

static void list_one(void *arg, struct sd_dict_entry *e)
{
	struct cache_scan *s = arg;
	const struct cache_item *it = (struct cache_item *)e;
	bool fits = !s->type.p || cache_is(s->type, cache_types[it->type]->name);
	if (fits && !cache_is_over(it, s->c->cache->now_ms) && cache_is_ours(s->c->db, cache_key(it)))
		cache_scan_give(s, cache_key(it), NULL);
}

static void cmd_keys(struct cache_call *c)
{
	struct cache_scan s = {.c = c, .pattern = c->argv[1], .place = sd_resp_later(c->out)};
	sd_dict_each(&c->db->keys, list_one, &s);
	sd_resp_now(c->out, s.place, '*', s.items);
}

static void cmd_scan(struct cache_call *c)
{
	struct cache_scan s;
	if (!cache_scan_begin(c, 1, &s))
		return;
	s.keys = true;
	if (cache_scan_options(&s, 2))
		cache_scan_table(&s, &c->db->keys, list_one);
}

static void cmd_randomkey(struct cache_call *c)
{
	for (int tries = 0;; tries++) { /* many may be copies of what others have */
		struct cache_item *it = (struct cache_item *)sd_dict_random(&c->db->keys, &c->cache->rng);
		if (!it || tries == 1000) {
			sd_resp_null(c->out);
			return;
		}
		/* one that is over is taken away by being looked for */
		if (cache_is_over(it, c->cache->now_ms)) {
			cache_end_item(c->db, it);
		} else if (cache_is_ours(c->db, cache_key(it))) {
			sd_resp_bulk(c->out, it->key, it->e.klen);
			return;
		}
	}
}

static void cmd_dbsize(struct cache_call *c)
{
	const struct cache_follower *f = c->cache->follower;
	sd_resp_int(c->out, (int64_t)(f && !c->db->number ? f->ours(f->arg) : sd_dict_count(&c->db->keys)));
}

/* SYNC: the reply comes when their memory is free. */
static void flush_some(struct cache_call *c, struct cache_db *first, unsigned n)
{
	bool sync = c->argc == 2 && cache_is(c->argv[1], "sync");
	if (c->argc > 2 || (c->argc == 2 && !sync && !cache_is(c->argv[1], "async"))) {
		sd_resp_error(c->out, cache_syntax);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		cache_flush(&first[i]);
	if (sync)
		cache_lazy_step(c->cache, SIZE_MAX);
	sd_resp_simple(c->out, "OK");
}

static void cmd_flushdb(struct cache_call *c)
{
	flush_some(c, c->db, 1);
}

static void cmd_flushall(struct cache_call *c)
{
	flush_some(c, c->cache->dbs, CACHE_DBS);
}

/* ---- OBJECT ---- */

static struct cache_item *object(struct cache_call *c)
{
	struct cache_item *it = cache_find(c->db, c->argv[2]);
	if (!it)
		sd_resp_null(c->out);
	return it;
}

static void cmd_object_encoding(struct cache_call *c)
{
	static const char *const names[] = {
	    [CACHE_INT] = "int",	     [CACHE_EMBSTR] = "embstr",	      [CACHE_RAW] = "raw",
	    [CACHE_LISTPACK] = "listpack",   [CACHE_HASHTABLE] = "hashtable", [CACHE_QUICKLIST] = "quicklist",
	    [CACHE_INTSET] = "intset",	     [CACHE_SKIPLIST] = "skiplist",
	};
	const struct cache_item *it = object(c);
	/* Redis's names by Redis's length, though more is kept behind the key here */
	if (it)
		sd_resp_text(c->out, it->encoding == CACHE_EMBSTR && it->n > 44 ? "raw" : names[it->encoding]);
}

static void cmd_object_refcount(struct cache_call *c)
{
	if (object(c))
		sd_resp_int(c->out, 1);
}

#define WHEN_SWITCHING                                                                                                       \
	" Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

static void cmd_object_idletime(struct cache_call *c)
{
	const struct cache_item *it = object(c);
	if (it && c->cache->evict.by == CACHE_BY_USE)
		sd_resp_error(c->out, "ERR An LFU maxmemory policy is selected, idle time not tracked." WHEN_SWITCHING);
	else if (it)
		sd_resp_int(c->out, cache_idle_s(c->cache, it));
}

static void cmd_object_freq(struct cache_call *c)
{
	const struct cache_item *it = object(c);
	if (it && c->cache->evict.by != CACHE_BY_USE)
		sd_resp_error(c->out, "ERR An LFU maxmemory policy is not selected, access frequency not tracked." WHEN_SWITCHING);
	else if (it)
		sd_resp_int(c->out, cache_use_count(c->cache, it));
}

#define WR CACHE_WRITE
#define RD CACHE_READONLY
#define FAST CACHE_FAST
const struct cache_command cache_key_commands[] = {
    {"copy", -3, WR | CACHE_DENYOOM, 1, 2, 1, cmd_copy, "generic", "6.2.0", "Copies a key"},
    {"dbsize", 1, RD | FAST, 0, 0, 0, cmd_dbsize, "server", "1.0.0", "Gives the number of keys"},
    {"del", -2, WR, 1, -1, 1, cmd_del, "generic", "1.0.0", "Deletes keys"},
    {"exists", -2, RD | FAST, 1, -1, 1, cmd_exists, "generic", "1.0.0", "Counts which of the keys are there"},
    {"expire", -3, WR | FAST, 1, 1, 1, cmd_expire, "generic", "1.0.0", "Ends a key in so many seconds"},
    {"expireat", -3, WR | FAST, 1, 1, 1, cmd_expireat, "generic", "1.2.0", "Ends a key at a time in seconds"},
    {"expiretime", 2, RD | FAST, 1, 1, 1, cmd_expiretime, "generic", "7.0.0", "Tells in seconds when a key ends"},
    {"flushall", -1, WR, 0, 0, 0, cmd_flushall, "server", "1.0.0", "Deletes all keys"},
    {"flushdb", -1, WR, 0, 0, 0, cmd_flushdb, "server", "1.0.0", "Deletes the keys of this database"},
    {"keys", 2, RD, 0, 0, 0, cmd_keys, "generic", "1.0.0", "Lists keys by a pattern"},
    {"move", 3, WR | FAST, 1, 1, 1, cmd_move, "generic", "1.0.0", "Moves a key to another database"},
    {"object", -2, 0, 0, 0, 0, NULL, "generic", "2.2.3", "Looks into a value"},
    {"object|encoding", 3, RD, 2, 2, 1, cmd_object_encoding, "generic", "2.2.3", "Tells how a value is kept"},
    {"object|freq", 3, RD, 2, 2, 1, cmd_object_freq, "generic", "4.0.0", "Tells how often a value is used, where that is counted"},
    {"object|help", 2, CACHE_LOADING | CACHE_STALE, 0, 0, 0, cache_help, "generic", "6.2.0", "Lists the subcommands"},
    {"object|idletime", 3, RD, 2, 2, 1, cmd_object_idletime, "generic", "2.2.3", "Tells how long ago a value was used"},
    {"object|refcount", 3, RD, 2, 2, 1, cmd_object_refcount, "generic", "2.2.3", "Tells how many share a value"},
    {"persist", 2, WR | FAST, 1, 1, 1, cmd_persist, "generic", "2.2.0", "Lets a key stay"},
    {"pexpire", -3, WR | FAST, 1, 1, 1, cmd_pexpire, "generic", "2.6.0", "Ends a key in so many milliseconds"},
    {"pexpireat", -3, WR | FAST, 1, 1, 1, cmd_pexpireat, "generic", "2.6.0", "Ends a key at a time in milliseconds"},
    {"pexpiretime", 2, RD | FAST, 1, 1, 1, cmd_pexpiretime, "generic", "7.0.0", "Tells in milliseconds when a key ends"},
    {"pttl", 2, RD | FAST, 1, 1, 1, cmd_pttl, "generic", "2.6.0", "Tells in how many milliseconds a key ends"},
    {"randomkey", 1, RD, 0, 0, 0, cmd_randomkey, "generic", "1.0.0", "Gives a random key"},
    {"rename", 3, WR, 1, 2, 1, cmd_rename, "generic", "1.0.0", "Renames a key"},
    {"renamenx", 3, WR | FAST, 1, 2, 1, cmd_renamenx, "generic", "1.0.0", "Renames a key when the new name is free"},
    {"scan", -2, RD, 0, 0, 0, cmd_scan, "generic", "2.8.0", "Lists keys a part at a time"},
    {"touch", -2, RD | FAST, 1, -1, 1, cmd_touch, "generic", "3.2.1", "Counts which keys are there, and as used now"},
    {"ttl", 2, RD | FAST, 1, 1, 1, cmd_ttl, "generic", "1.0.0", "Tells in how many seconds a key ends"},
    {"type", 2, RD | FAST, 1, 1, 1, cmd_type, "generic", "1.0.0", "Tells what kind of value a key has"},
    {"unlink", -2, WR | FAST, 1, -1, 1, cmd_del, "generic", "4.0.0", "Deletes keys"},
    {0},
};
