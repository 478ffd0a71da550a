/* kv_scan.c - all keys: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHALL.
 *
 * SCAN goes through the keys in their order. Its cursor is a number, as clients expect, that stands for the last key that was
 * given; the last KV_CURSORS of them are remembered. One that is not known (any more, or after a restart) begins anew: whoever has
 * it gets some keys twice, which SCAN allows, and misses none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lsm.h"
#include "kv_server.h"

#define COUNT_MOST 10000 /* keys that are counted one by one */

/* ---- cursors ---- */

static uint64_t remember(struct kv_server *s, struct sd_slice key)
{
	struct kv_cursor *at = &s->cursors[s->next_cursor % KV_CURSORS];
	char *copy = malloc(key.n + 1);
	if (!copy)
		return 0;
	if (key.n)
		memcpy(copy, key.p, key.n);
	free(at->key);
	at->key = copy;
	at->n = key.n;
	at->number = s->next_cursor;
	return s->next_cursor++;
}

static const struct kv_cursor *recall(const struct kv_server *s, uint64_t number)
{
	const struct kv_cursor *at = &s->cursors[number % KV_CURSORS];
	return at->key && at->number == number ? at : NULL;
}

void kv_cursors_end(struct kv_server *s)
{
	for (size_t i = 0; i < KV_CURSORS; i++)
		free(s->cursors[i].key);
}

/* ---- SCAN ---- */

struct scan {
	uint64_t cursor;
	int64_t count;
	struct sd_slice pattern; /* p NULL: all */
	bool none;		 /* of a type that there is none of */
};

static bool scan_option(struct kv_call *c, size_t i, struct scan *s)
{
	if (i + 1 == c->argc)
		return false;
	struct sd_slice value = c->argv[i + 1];
	if (sd_slice_ieq(c->argv[i], "match"))
		s->pattern = value;
	else if (sd_slice_ieq(c->argv[i], "type"))
		s->none = !sd_slice_ieq(value, "string");
	else
		return false;
	return true;
}

static bool scan_options(struct kv_call *c, struct scan *s)
{
	*s = (struct scan){.count = 10};
	if (!sd_redis_parse_cursor(c->argv[1], &s->cursor)) {
		sd_resp_error(c->out, "ERR invalid cursor");
		return false;
	}
	for (size_t i = 2; i < c->argc; i += 2) {
		bool is_count = i + 1 < c->argc && sd_slice_ieq(c->argv[i], "count");
		if (is_count && !kv_arg_int(c, i + 1, &s->count))
			return false;
		if (is_count ? s->count < 1 : !scan_option(c, i, s)) {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
	}
	return true;
}

/* All, also the empty one. */
static bool fits(struct sd_slice pattern, struct sd_slice key)
{
	bool all = !pattern.p || (pattern.n == 1 && pattern.p[0] == '*');
	return all || sd_redis_matches(pattern, key);
}

/* To where a cursor stands: behind its key. */
static bool go_to(struct kv_call *c, struct kv_all *a, uint64_t cursor)
{
	const struct kv_cursor *at = cursor ? recall(c->s, cursor) : NULL;
	if (!at)
		return kv_all_first(a);
	struct sd_slice key = {at->key, at->n};
	bool more = kv_all_seek(a, key);
	return more && sd_lsm_bytewise(a->key, key) == 0 ? kv_all_next(a) : more;
}

static size_t give(struct sd_resp_out *out, const struct scan *s, struct sd_slice stored)
{
	struct sd_slice key;
	if (s->none || !kv_shown(stored, &key) || !fits(s->pattern, key))
		return 0;
	sd_resp_bulk(out, key.p, key.n);
	return 1;
}

/* The keys go to `keys`, since the cursor in front of them is known last. */
static void scan(struct kv_call *c, struct kv_all *a, const struct scan *s)
{
	struct sd_resp_out keys = {.resp3 = c->out->resp3};
	char text[24];
	size_t n = 0;
	uint64_t next = 0;
	bool more = go_to(c, a, s->cursor);
	for (int64_t left = s->count; more && left > 0; left--) {
		n += give(&keys, s, a->key);
		if (left == 1)
			next = remember(c->s, a->key);
		more = kv_all_next(a);
	}
	if (!more && next) { /* it was the last one */
		c->s->next_cursor--;
		next = 0;
	}
	if (!kv_all_failed(c, a)) {
		sd_resp_array(c->out, 2);
		sd_resp_bulk(c->out, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)next));
		sd_resp_array(c->out, n);
		sd_resp_raw(c->out, keys.p, keys.n);
		c->out->full |= keys.full;
	}
	free(keys.p);
}

static void cmd_scan(struct kv_call *c)
{
	struct scan s;
	struct kv_all a;
	if (!scan_options(c, &s) || !kv_all_begin(c, &a))
		return;
	scan(c, &a, &s);
	kv_all_end(&a);
}

static void cmd_keys(struct kv_call *c)
{
	struct kv_all a;
	if (!kv_all_begin(c, &a))
		return;
	struct scan s = {.pattern = c->argv[1]};
	size_t n = 0, begun = c->out->n, place = sd_resp_later(c->out);
	for (bool more = kv_all_first(&a); more; more = kv_all_next(&a))
		n += give(c->out, &s, a.key);
	size_t end = c->out->n;
	if (kv_all_failed(c, &a)) {
		size_t length = c->out->n - end;
		memmove(c->out->p + begun, c->out->p + end, length);
		c->out->n = begun + length;
	} else {
		sd_resp_now(c->out, place, '*', n);
	}
	kv_all_end(&a);
}

/* ---- how many ---- */

bool kv_count_keys(struct kv_call *c, uint64_t *n)
{
	struct sd_kv_stats stats;
	struct sd_slice key;
	struct kv_all a;
	uint64_t seen = 0;
	*n = 0;
	if (!kv_all_begin(c, &a))
		return false;
	bool more = kv_all_first(&a);
	for (; more && seen < COUNT_MOST; more = kv_all_next(&a), seen++)
		*n += kv_shown(a.key, &key);
	bool failed = kv_all_failed(c, &a), empty = !a.it;
	size_t own = a.n;
	kv_all_end(&a);
	if (failed || !more)
		return !failed;
	sd_kv_stats_get(c->s->db, &stats);
	uint64_t about = empty ? own : stats.keys;
	*n = about > *n ? about : *n;
	return true;
}

static void cmd_dbsize(struct kv_call *c)
{
	uint64_t n;
	if (kv_count_keys(c, &n))
		sd_resp_int(c->out, (int64_t)n);
}

/* ---- one of them ---- */

/* Some key between the first and the last: eight bytes by chance behind what the two have in common. */
static void random_place(struct kv_server *s, struct sd_slice first, struct sd_slice last, char *room, struct sd_slice *out)
{
	size_t n = 0, most = first.n < last.n ? first.n : last.n;
	while (n < most && n < SD_KV_KEY_MAX - 8 && first.p[n] == last.p[n])
		n++;
	uint64_t low = 0, high = 0;
	for (size_t i = 0; i < 8; i++) {
		low = low << 8 | (n + i < first.n ? (unsigned char)first.p[n + i] : 0);
		high = high << 8 | (n + i < last.n ? (unsigned char)last.p[n + i] : 0);
	}
	uint64_t at = low + (high > low ? sd_rng_next(&s->rng) % (high - low) : 0) + (high > low);
	memcpy(room, last.p, n);
	for (size_t i = 0; i < 8; i++)
		room[n + i] = (char)(at >> (56 - 8 * i));
	*out = (struct sd_slice){room, n + 8};
}

/* It stands on a key of a client's, or goes on to one. */
static bool settle(struct kv_all *a, bool more, struct sd_slice *key)
{
	while (more && !kv_shown(a->key, key))
		more = kv_all_next(a);
	return more;
}

static bool some_key(struct kv_all *a, struct sd_slice *key)
{
	struct kv_server *s = a->s;
	struct sd_slice place;
	if (!kv_all_first(a))
		return false;
	struct sd_slice first = {s->key, a->key.n};
	if (first.n)
		memcpy(s->key, a->key.p, first.n);
	if (!kv_all_last(a))
		return false;
	random_place(s, first, a->key, s->other_key, &place);
	return settle(a, kv_all_seek(a, place), key) || settle(a, kv_all_first(a), key);
}

static void cmd_randomkey(struct kv_call *c)
{
	struct kv_all a;
	struct sd_slice key;
	if (!kv_all_begin(c, &a))
		return;
	bool any = some_key(&a, &key);
	if (kv_all_failed(c, &a))
		;
	else if (any)
		sd_resp_bulk(c->out, key.p, key.n);
	else
		sd_resp_null(c->out);
	kv_all_end(&a);
}

/* ---- none of them ---- */

static void cmd_flush(struct kv_call *c)
{
	bool sync = c->argc == 2 && sd_slice_ieq(c->argv[1], "sync");
	if (c->argc > 2 || (c->argc == 2 && !sync && !sd_slice_ieq(c->argv[1], "async"))) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	c->depends = c->s->emptied = true;
	sd_kv_batch_delete_range(c->s->batch, (struct sd_slice){"", 0}, NULL);
	sd_resp_simple(c->out, "OK");
}

const struct kv_command kv_scan_commands[] = {
    {SD_REDIS(DBSIZE), cmd_dbsize},
    {SD_REDIS(FLUSHALL), cmd_flush},
    {SD_REDIS(FLUSHDB), cmd_flush},
    {SD_REDIS(KEYS), cmd_keys},
    {SD_REDIS(RANDOMKEY), cmd_randomkey},
    {SD_REDIS(SCAN), cmd_scan},
    {0},
};
