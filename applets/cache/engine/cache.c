#include "cache.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char cache_wrong_type[] = "WRONGTYPE Operation against a key holding the wrong kind of value";
const char cache_no_memory[] = "OOM command not allowed when used memory > 'maxmemory'.";

#define EVICT_MOST 64 /* keys evicted for one command; if that is not enough, cache_tick goes on */

/* ---- commands ---- */

static const struct cache_command *const tables[] = {
    cache_client_commands,     cache_cluster_commands, cache_connection_commands, cache_config_commands, cache_hash_commands,   cache_key_commands,
    cache_list_commands,       cache_list_pop_commands,
    cache_multi_commands,      cache_pubsub_commands, cache_server_commands, cache_set_commands,
    cache_set_algebra_commands, cache_string_commands, cache_watch_commands, cache_zset_commands,
    cache_zset_algebra_commands, cache_zset_pop_commands, cache_zset_range_commands, cache_hot_commands,
    cache_lease_commands,       cache_throttle_commands,    cache_sort_commands,   cache_wait_commands,
    cache_image_commands, cache_keep_commands, cache_command_commands, cache_info_commands,
};

const struct cache_type_ops *const cache_types[CACHE_TYPES] = {
    [CACHE_STRING] = &cache_string_type,
    [CACHE_SET] = &cache_set_type,
    [CACHE_ZSET] = &cache_zset_type,
    [CACHE_HASH] = &cache_hash_type,
    [CACHE_LIST] = &cache_list_type,
};

const struct cache_command *cache_command_at(size_t i)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct cache_command *k = tables[t]; k->is; k++)
			if (i-- == 0)
				return k;
	return NULL;
}

static void index_commands(struct cache *c)
{
	const struct cache_command *k;
	for (size_t i = 0; (k = cache_command_at(i)); i++)
		sd_redis_add(&c->names, k->is, k);
}

const struct cache_command *cache_find_command(const struct cache *c, struct sd_slice name)
{
	const struct sd_redis_row *row = sd_redis_find(&c->names, name);
	return row ? row->own : NULL;
}

const struct cache_command *cache_find_subcommand(const struct cache *c, const struct cache_command *container,
						  struct sd_slice name)
{
	const struct sd_redis_row *row = sd_redis_find_sub(&c->names, container->is, name);
	return row ? row->own : NULL;
}

/* ---- arguments ---- */

bool cache_is(struct sd_slice arg, const char *word)
{
	return sd_slice_ieq(arg, word);
}

bool cache_arg_db(struct cache_call *c, size_t i, struct cache_db **out)
{
	int64_t n;
	if (!cache_arg_int32(c, i, &n))
		return false;
	if (n < 0 || n >= CACHE_DBS) {
		sd_resp_error(c->out, "ERR DB index is out of range");
		return false;
	}
	*out = &c->cache->dbs[n];
	return true;
}

/* ---- sessions ---- */

void cache_session_begin(struct cache *c, struct cache_session *s)
{
	*s = (struct cache_session){.cache = c, .id = ++c->next_id, .db = &c->dbs[0], .since_ms = c->now_ms, .last_ms = c->now_ms};
	if (!c->password)
		s->flags |= CACHE_AUTHENTICATED;
	sd_list_init(&s->woken);
	sd_list_init(&s->monitor);
	sd_list_init(&s->watches);
	sd_list_init(&s->subscriptions[0]);
	sd_list_init(&s->subscriptions[1]);
	sd_list_add(&c->sessions, &s->link);
	c->nsessions++;
	c->stats.connections++;
}

/* What a session has beyond its connection: RESET and the end drop it. */
void cache_session_clear(struct cache_session *s)
{
	cache_multi_end(s);
	cache_pubsub_end(s);
	sd_list_del(&s->monitor);
	s->flags &= ~(uint32_t)CACHE_MONITOR;
}

void cache_session_end(struct cache_session *s)
{
	const struct cache_follower *f = s->cache->follower;
	cache_wait_end(s);
	cache_session_clear(s);
	if (f && s->await)
		f->session_ends(f->arg, s);
	sd_list_del(&s->woken);
	sd_list_del(&s->link);
	s->cache->nsessions--;
	free(s->out.p);
	s->out = (struct sd_resp_out){0};
}

void cache_wake(struct cache_session *s)
{
	if (sd_list_empty(&s->woken))
		sd_list_add(&s->cache->woken, &s->woken);
}

/* ---- running ---- */

/* A browser was told to speak to this port, by a page that means no good: what it sends ends here. */
static bool is_http(const struct cache_call *c)
{
	return cache_is(c->argv[0], "post") || cache_is(c->argv[0], "host:");
}

/* A command that is not even tried; EXEC, which takes its transaction along, says it in its own words. */
static bool refuse(struct cache_call *c, const char *why)
{
	bool plain = strncmp(why, "ERR ", 4) == 0;
	if (c->command && strcmp(c->command->is->name, "exec") == 0) {
		cache_multi_end(c->session);
		sd_resp_errorf(c->out, "EXECABORT Transaction discarded because of: %s", why + (plain ? 4 : 0));
	} else {
		sd_resp_error(c->out, why);
	}
	return false;
}

/* Sets c->command, where it is known. False: it may not be run, and the reply says why. */
static bool look_up(struct cache_call *c)
{
	char why[SD_REDIS_WHY];
	const struct sd_redis_row *row;
	if (!sd_redis_look_up(&c->cache->names, c->argc, c->argv, &row, why)) {
		c->command = row ? row->own : NULL;
		return refuse(c, why);
	}
	c->command = row->own;
	return true;
}

/* In RESP2 a reply and a message look the same, so a connection that gets messages may ask nothing else. */
static bool is_listening(const struct cache_call *c)
{
	return cache_subscriptions(c->session) && !c->out->resp3 && !(c->command->is->flags & SD_REDIS_LISTENS);
}

static const char *follower_refuses(const struct cache_call *c)
{
	const struct cache_follower *f = c->cache->follower;
	return f->refuses(f->arg, c->command->is->flags & SD_REDIS_WRITE);
}

static bool may_run(struct cache_call *c)
{
	struct cache *cache = c->cache;
	char why[200];
	if (!(c->session->flags & CACHE_AUTHENTICATED) && !(c->command->is->flags & SD_REDIS_NOAUTH))
		return refuse(c, "NOAUTH Authentication required.");
	if (c->session->flags & CACHE_MULTI && c->command->is->flags & SD_REDIS_NO_MULTI)
		return refuse(c, "ERR Command not allowed inside a transaction");
	const char *refused = cache->follower && c->command->is->first ? follower_refuses(c) : NULL;
	if (refused)
		return refuse(c, refused);
	if (cache->max_memory && !cache_make_space(cache, EVICT_MOST) && c->command->is->flags & SD_REDIS_DENYOOM)
		return refuse(c, cache_no_memory);
	if (cache->keep.failed && cache_keep_refuses(cache, c->command))
		return refuse(c, cache_misconf);
	if (!is_listening(c))
		return true;
	snprintf(why, sizeof(why), "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
				   "allowed in this context", c->command->is->name);
	return refuse(c, why);
}

void cache_run(struct cache_call *c)
{
	struct cache *cache = c->cache;
	int64_t slow = cache->clock_us ? cache->tuning.slowlog_log_slower_than : -1;
	int64_t begun = slow >= 0 ? cache->clock_us(cache->clock_arg) : 0;
	size_t before = c->out->n;
	c->session->last = c->command;
	if (cache->monitors.next != &cache->monitors)
		cache_feed_monitors(c);
	if (--cache->hot.skip == 0)
		cache_hot_sample(c);
	cache->save_first = cache->save && c->command->is->flags & SD_REDIS_WRITE;
	c->command->fn(c);
	if (cache->follower && cache->follower->ran)
		cache->follower->ran(cache->follower->arg, c);
	cache->save_first = cache->save != NULL;
	cache->stats.commands++; /* after it, so that CONFIG RESETSTAT is the first one that counts again */
	struct cache_usage *usage = cache_usage(cache, c->command);
	usage->calls++;
	usage->failed += cache_count_error(cache, c->out, before);
	if (slow < 0)
		return;
	int64_t took = cache->clock_us(cache->clock_arg) - begun;
	usage->usec += (uint64_t)took;
	if (took >= slow)
		cache_note_slow(c, took);
}

/* c->command is NULL when there is none of that name. */
static void rejected(struct cache_call *c, size_t begun)
{
	cache_refused(c->session);
	cache_count_error(c->cache, c->out, begun);
	if (c->command)
		cache_usage(c->cache, c->command)->rejected++;
}

/* CLIENT REPLY */
static void hold_back(struct cache_session *s, size_t begun)
{
	if (s->flags & (CACHE_MUTE | CACHE_SKIP))
		s->out.n = begun;
	s->flags &= ~(uint32_t)CACHE_SKIP;
	if (s->flags & CACHE_SKIP_NEXT)
		s->flags ^= CACHE_SKIP_NEXT | CACHE_SKIP;
}

void cache_call(struct cache_session *s, size_t argc, const struct sd_slice *argv, int64_t now_ms)
{
	struct cache *cache = s->cache;
	struct cache_call c = {.cache = cache, .session = s, .db = s->db, .out = &s->out, .argc = argc, .argv = argv};
	size_t begun = s->out.n;
	cache->now_ms = now_ms;
	if (cache->pause && now_ms >= cache->paused_until_ms)
		cache_resume(cache);
	cache->calls++;
	cache->running = s;
	s->last_ms = now_ms;
	cache_count_time(cache, &cache->counts, now_ms);
	if (is_http(&c)) {
		s->flags |= CACHE_DROP;
		return;
	}
	bool runs = look_up(&c) && may_run(&c);
	if (runs && cache->pause && cache_postponed(&c)) {
		cache->running = NULL;
		return;
	}
	if (!runs)
		rejected(&c, begun);
	else if (s->flags & CACHE_MULTI && cache_queued(&c))
		cache_count_error(cache, &s->out, begun);
	else
		cache_run(&c);
	if (s->flags & (CACHE_MUTE | CACHE_SKIP | CACHE_SKIP_NEXT))
		hold_back(s, begun);
	if (cache->follower)
		cache->follower->called(cache->follower->arg, s, begun);
	cache->running = NULL;
	if (cache->lazy.objects)
		cache_lazy_settle(cache);
	if (cache->ready.next != &cache->ready)
		cache_serve(cache);
	if (cache->resume)
		cache_resume(cache);
}

/* ---- life ---- */

size_t cache_used_memory(const struct cache *c)
{
	size_t n = c->memory.used + (c->evict.queued ? sd_s3fifo_memory(&c->evict.queues) : 0);
	n += c->hot.seen ? sd_space_saving_memory(c->hot.seen) : 0;
	return n;
}

void cache_init(struct cache *c, uint64_t seed, int64_t now_ms)
{
	*c = (struct cache){.now_ms = now_ms, .started_ms = now_ms, .limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK}};
	sd_rng_seed(&c->rng, seed);
	c->hash_key = (struct sd_siphash_key){sd_rng_next(&c->rng), sd_rng_next(&c->rng)};
	sd_wheel_init(&c->wheel, now_ms);
	sd_wheel_init(&c->deadlines, now_ms);
	sd_list_init(&c->sessions);
	sd_list_init(&c->ready);
	sd_list_init(&c->paused);
	sd_list_init(&c->woken);
	sd_list_init(&c->monitors);
	sd_list_init(&c->slow);
	cache_pubsub_begin(c);
	cache_config_begin(c);
	cache_count_begin(c);
	cache_set_policy(c, sd_slice_of("noeviction"));
	cache_hot_begin(c);
	cache_keep_begin(c);
	for (unsigned i = 0; i < CACHE_DBS; i++) {
		c->dbs[i] = (struct cache_db){.cache = c, .number = i};
		sd_dict_init(&c->dbs[i].keys, offsetof(struct cache_item, key), &c->hash_key);
		sd_dict_count_in(&c->dbs[i].keys, &c->memory.used);
		cache_multi_begin(&c->dbs[i]);
		cache_wait_begin(&c->dbs[i]);
	}
	cache_lease_begin(c);
	index_commands(c);
	cache_info_begin(c);
}

void cache_end(struct cache *c)
{
	cache_evict_end(c);
	cache_hot_end(c);
	for (int i = 0; i < CACHE_DBS; i++)
		cache_flush(&c->dbs[i]);
	cache_lazy_step(c, SIZE_MAX);
	cache_watch_end(c);
	cache_config_end(c);
}
