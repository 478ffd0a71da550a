/* cache_lease.c - GETLEASE and SETLEASE: of many who miss a key one computes it (Nishtala and others: "Scaling Memcache at
 * Facebook", NSDI 2013, section 3.2.1).
 *
 *	no key --GETLEASE--> leased: this caller has the token, others are told how long to wait, or get the stale value
 *	leased --SETLEASE with the token, in time--> the key is there, and its value is kept for so long after its end
 *	leased --time over--> the next caller gets the lease
 *	leased --any other change of the key, or a DEL of it though it is not there--> nothing: the token is worth nothing,
 *	                                   since what its holder computes may be older than that change
 *
 * A lease is here while somebody computes, while a stale value is kept, and while a key is there whose value is to be kept.
 */
#include <string.h>

#include "cache.h"

#define LEASE_MAX_MS (3600 * 1000ll)
#define STALE_MAX_MS (30 * 86400 * 1000ll)

struct cache_lease {
	struct sd_dict_entry e;
	struct sd_wheel_entry end; /* when it is of no more use; not set while its key is there */
	struct sd_link in_stale;   /* in leases.stale, when there is a value */
	struct cache_db *db;
	int64_t token, ends_ms; /* of who computes; token 0: nobody */
	int64_t stale_ms;	/* how long a value is kept after its end */
	int64_t stale_until_ms;
	struct cache_bytes *stale; /* NULL: none */
	char key[];
};

void cache_lease_begin(struct cache *c)
{
	sd_wheel_init(&c->leases.ends, c->now_ms);
	sd_list_init(&c->leases.stale);
	for (int i = 0; i < CACHE_DBS; i++) {
		sd_dict_init(&c->dbs[i].leases, offsetof(struct cache_lease, key), &c->hash_key);
		sd_dict_count_in(&c->dbs[i].leases, &c->memory.used);
	}
}

static struct cache_lease *find(struct cache_db *db, struct sd_slice key)
{
	if (!db->cache->leases.n)
		return NULL;
	return (struct cache_lease *)sd_dict_find(&db->leases, key, sd_dict_hash(&db->leases, key));
}

/* While there are leases changes are told: cache_changed looks at `watching`. */
static struct cache_lease *make(struct cache_db *db, struct sd_slice key)
{
	struct cache *c = db->cache;
	struct cache_lease *l = cache_alloc(&c->memory, sizeof(*l) + key.n);
	if (!l)
		return NULL;
	*l = (struct cache_lease){.e = {.hash = sd_dict_hash(&db->leases, key), .klen = (uint32_t)key.n}, .db = db};
	if (key.n)
		memcpy(l->key, key.p, key.n);
	sd_list_init(&l->in_stale);
	if (!sd_dict_add(&db->leases, &l->e)) {
		cache_free(&c->memory, l);
		return NULL;
	}
	c->leases.n++;
	c->watching++;
	return l;
}

static void drop_stale(struct cache_lease *l)
{
	cache_free(&l->db->cache->memory, l->stale);
	l->stale = NULL;
	sd_list_del(&l->in_stale);
}

static void drop(struct cache_lease *l)
{
	struct cache *c = l->db->cache;
	drop_stale(l);
	sd_wheel_cancel(&c->leases.ends, &l->end);
	sd_dict_remove(&l->db->leases, &l->e);
	if (!sd_dict_count(&l->db->leases))
		sd_dict_free(&l->db->leases);
	c->leases.n--;
	c->watching--;
	cache_free(&c->memory, l);
}

/* Of a key that is not there: until nobody computes it and no stale value is left. */
static void set_end(struct cache_lease *l)
{
	int64_t end = l->token ? l->ends_ms : 0;
	if (l->stale && l->stale_until_ms > end)
		end = l->stale_until_ms;
	if (end)
		sd_wheel_set(&l->db->cache->leases.ends, &l->end, end);
	else
		drop(l);
}

/* ---- what happens to keys ---- */

void cache_lease_changed(struct cache_db *db, struct sd_slice key)
{
	struct cache_lease *l = find(db, key);
	if (l && l != db->cache->leases.kept)
		drop(l);
}

/* A long value changes hands. */
static struct cache_bytes *take_value(struct cache *c, struct cache_item *it)
{
	char text[24];
	struct cache_bytes *b;
	if (it->encoding == CACHE_RAW) {
		b = cache_value(it);
		cache_set_value(it, CACHE_INT, NULL);
		return b;
	}
	struct sd_slice v = cache_string(it, text);
	b = cache_alloc(&c->memory, sizeof(*b) + v.n);
	if (!b)
		return NULL;
	b->n = b->room = v.n;
	if (v.n)
		memcpy(b->p, v.p, v.n);
	return b;
}

void cache_lease_expire(struct cache_db *db, struct cache_item *it)
{
	struct cache *c = db->cache;
	struct cache_lease *l = find(db, cache_key(it));
	int64_t until = l ? cache_expires_at(it) + l->stale_ms : 0;
	if (!l || it->type != CACHE_STRING || until <= c->now_ms) {
		cache_delete(db, it);
		return;
	}
	l->stale = take_value(c, it);
	l->stale_until_ms = until;
	if (l->stale)
		sd_list_add(&c->leases.stale, &l->in_stale);
	c->leases.kept = l;
	cache_delete(db, it);
	c->leases.kept = NULL;
	set_end(l);
}

bool cache_lease_shed(struct cache *c)
{
	if (!c->leases.n || sd_list_empty(&c->leases.stale))
		return false;
	struct cache_lease *l = sd_container(c->leases.stale.next, struct cache_lease, in_stale);
	drop_stale(l);
	set_end(l);
	return true;
}

/* One part of it may be over before the other. */
int64_t cache_lease_tick(struct cache *c, int64_t now_ms)
{
	struct sd_wheel_entry *e;
	while ((e = sd_wheel_pop(&c->leases.ends, now_ms)))
		drop(sd_container(e, struct cache_lease, end));
	return sd_wheel_next(&c->leases.ends);
}

static void drop_one(void *arg, struct sd_dict_entry *e)
{
	struct cache_lease *l = (struct cache_lease *)e;
	struct cache *c = arg;
	drop_stale(l);
	sd_wheel_cancel(&c->leases.ends, &l->end);
	c->leases.n--;
	c->watching--;
	cache_free(&c->memory, l);
}

void cache_lease_flush(struct cache_db *db)
{
	sd_dict_each(&db->leases, drop_one, db->cache);
	sd_dict_free(&db->leases);
}

/* ---- commands ---- */

static bool arg_ms(struct cache_call *c, size_t i, int64_t most, int64_t *out)
{
	if (!cache_arg_int(c, i, out))
		return false;
	if (*out >= 1 && *out <= most)
		return true;
	sd_resp_errorf(c->out, "ERR invalid time in '%s' command, must be from 1 to %lld milliseconds", c->command->is->name,
		       (long long)most);
	return false;
}

static void reply_stale(struct cache_call *c, const struct cache_lease *l)
{
	if (l->stale && l->stale_until_ms > c->cache->now_ms)
		sd_resp_bulk(c->out, l->stale->p, l->stale->n);
	else
		sd_resp_null(c->out);
}

static void reply_hit(struct cache_call *c, const struct cache_item *it)
{
	char text[24];
	struct sd_slice v = cache_string(it, text);
	sd_resp_array(c->out, 2);
	sd_resp_text(c->out, "HIT");
	sd_resp_bulk(c->out, v.p, v.n);
}

/* So short that a language whose numbers are doubles has it whole. */
static int64_t new_token(struct cache *c)
{
	return (int64_t)(sd_rng_next(&c->rng) >> 12) + 1;
}

static void cmd_getlease(struct cache_call *c)
{
	struct cache_item *it;
	int64_t ms, now = c->cache->now_ms;
	if (!arg_ms(c, 2, LEASE_MAX_MS, &ms) || !cache_typed(c, 1, CACHE_STRING, &it))
		return;
	if (it) {
		reply_hit(c, it);
		return;
	}
	struct cache_lease *l = find(c->db, c->argv[1]);
	if (l && l->token && l->ends_ms > now) {
		sd_resp_array(c->out, 3);
		sd_resp_text(c->out, "WAIT");
		sd_resp_int(c->out, l->ends_ms - now);
		reply_stale(c, l);
		return;
	}
	if (!l && (c->cache->evict.full || !(l = make(c->db, c->argv[1])))) {
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	l->token = new_token(c->cache);
	l->ends_ms = now + ms;
	set_end(l);
	sd_resp_array(c->out, 3);
	sd_resp_text(c->out, "LEASE");
	sd_resp_int(c->out, l->token);
	reply_stale(c, l);
}

struct set_lease {
	int64_t token, at_ms, stale_ms; /* 0: no end, not kept */
};

static bool parse_set(struct cache_call *c, struct set_lease *o)
{
	*o = (struct set_lease){0};
	if (!cache_arg_int(c, 2, &o->token))
		return false;
	for (size_t i = 4; i < c->argc; i += 2) {
		bool ex = cache_is(c->argv[i], "ex"), px = cache_is(c->argv[i], "px"), stale = cache_is(c->argv[i], "stale");
		if (i + 1 == c->argc || !(ex || px || stale) || ((ex || px) && o->at_ms) || (stale && o->stale_ms))
			break;
		if (stale ? !arg_ms(c, i + 1, STALE_MAX_MS, &o->stale_ms) : !cache_arg_expiry(c, i + 1, ex ? 1000 : 1, &o->at_ms))
			return false;
		if (i + 2 == c->argc && (o->at_ms || !o->stale_ms))
			return true;
	}
	if (c->argc == 4)
		return true;
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

static bool put(struct cache_call *c, int64_t at_ms)
{
	return cache_set_string(c->db, c->argv[1], c->argv[3], at_ms ? at_ms : CACHE_NO_END);
}

static void cmd_setlease(struct cache_call *c)
{
	struct cache *cache = c->cache;
	struct set_lease o;
	if (!parse_set(c, &o))
		return;
	struct cache_lease *l = find(c->db, c->argv[1]);
	if (!l || !l->token || l->token != o.token || l->ends_ms <= cache->now_ms) {
		sd_resp_null(c->out);
		return;
	}
	cache->leases.kept = l;
	bool done = put(c, o.at_ms);
	cache->leases.kept = NULL;
	if (!done) {
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	l->token = 0;
	l->stale_ms = o.stale_ms;
	drop_stale(l);
	sd_wheel_cancel(&cache->leases.ends, &l->end);
	if (!o.stale_ms)
		drop(l);
	sd_resp_simple(c->out, "OK");
}

const struct cache_command cache_lease_commands[] = {
    {SD_REDIS(GETLEASE), cmd_getlease},
    {SD_REDIS(SETLEASE), cmd_setlease},
    {0},
};
