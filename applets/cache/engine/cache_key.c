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

static void cmd_expire(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	struct sd_redis_expire e;
	if (!sd_redis_expire(&a, c->cache->now_ms, &e))
		return;
	struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it || !sd_redis_expire_fits(&e, cache_expires_at(it) >= 0, cache_expires_at(it))) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (e.at_ms <= c->cache->now_ms) {
		cache_delete(c->db, it);
		sd_resp_int(c->out, 1);
	} else if (cache_expire(c->db, &it, e.at_ms)) {
		cache_changed(c->db, c->argv[1]);
		sd_resp_int(c->out, 1);
	} else {
		sd_resp_error(c->out, cache_no_memory);
	}
}

static void cmd_ttl(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	const struct cache_item *it = cache_find(c->db, c->argv[1]);
	int64_t at = it ? cache_expires_at(it) : SD_REDIS_NO_KEY;
	sd_redis_tell_end(&a, c->cache->now_ms, it && at < 0 ? SD_REDIS_NO_END : at);
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
		sd_resp_error(c->out, sd_redis_no_key);
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
			sd_resp_error(c->out, sd_redis_syntax);
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
		sd_resp_error(c->out, sd_redis_syntax);
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

const struct cache_command cache_key_commands[] = {
    {SD_REDIS(COPY), cmd_copy},
    {SD_REDIS(DBSIZE), cmd_dbsize},
    {SD_REDIS(DEL), cmd_del},
    {SD_REDIS(EXISTS), cmd_exists},
    {SD_REDIS(EXPIRE), cmd_expire},
    {SD_REDIS(EXPIREAT), cmd_expire},
    {SD_REDIS(EXPIRETIME), cmd_ttl},
    {SD_REDIS(FLUSHALL), cmd_flushall},
    {SD_REDIS(FLUSHDB), cmd_flushdb},
    {SD_REDIS(KEYS), cmd_keys},
    {SD_REDIS(MOVE), cmd_move},
    {SD_REDIS(OBJECT), NULL},
    {SD_REDIS(OBJECT_ENCODING), cmd_object_encoding},
    {SD_REDIS(OBJECT_FREQ), cmd_object_freq},
    {SD_REDIS(OBJECT_HELP), cache_help},
    {SD_REDIS(OBJECT_IDLETIME), cmd_object_idletime},
    {SD_REDIS(OBJECT_REFCOUNT), cmd_object_refcount},
    {SD_REDIS(PERSIST), cmd_persist},
    {SD_REDIS(PEXPIRE), cmd_expire},
    {SD_REDIS(PEXPIREAT), cmd_expire},
    {SD_REDIS(PEXPIRETIME), cmd_ttl},
    {SD_REDIS(PTTL), cmd_ttl},
    {SD_REDIS(RANDOMKEY), cmd_randomkey},
    {SD_REDIS(RENAME), cmd_rename},
    {SD_REDIS(RENAMENX), cmd_renamenx},
    {SD_REDIS(SCAN), cmd_scan},
    {SD_REDIS(TOUCH), cmd_touch},
    {SD_REDIS(TTL), cmd_ttl},
    {SD_REDIS(TYPE), cmd_type},
    {SD_REDIS(UNLINK), cmd_del},
    {0},
};
