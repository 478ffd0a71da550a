#include "cache.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char cache_syntax[] = "ERR syntax error";
const char cache_no_key[] = "ERR no such key";
const char cache_not_int[] = "ERR value is not an integer or out of range";
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
		for (const struct cache_command *k = tables[t]; k->name; k++)
			if (i-- == 0)
				return k;
	return NULL;
}

static unsigned name_hash(struct sd_slice name)
{
	unsigned h = (unsigned)name.n;
	for (size_t i = 0; i < name.n; i++)
		h = h * 31 + (unsigned)(name.p[i] | 0x20);
	return h % CACHE_NAMES;
}

/* Every name at the place of its hash, or the next free one. */
static void index_commands(struct cache *c)
{
	const struct cache_command *k;
	for (size_t i = 0; (k = cache_command_at(i)); i++) {
		unsigned at = name_hash(sd_slice_of(k->name));
		while (c->names[at])
			at = (at + 1) % CACHE_NAMES;
		c->names[at] = k;
	}
}

const struct cache_command *cache_find_command(const struct cache *c, struct sd_slice name)
{
	if (name.n > 64)
		return NULL;
	for (unsigned at = name_hash(name); c->names[at]; at = (at + 1) % CACHE_NAMES)
		if (sd_slice_ieq(name, c->names[at]->name))
			return c->names[at];
	return NULL;
}

const struct cache_command *cache_find_subcommand(const struct cache *c, const struct cache_command *container,
						  struct sd_slice name)
{
	char full[80];
	int n = snprintf(full, sizeof(full), "%s|%.*s", container->name, (int)(name.n < 40 ? name.n : 40), name.p);
	return name.n < 40 ? cache_find_command(c, (struct sd_slice){full, (size_t)n}) : NULL;
}

/* ---- arguments ---- */

bool cache_is(struct sd_slice arg, const char *word)
{
	return sd_slice_ieq(arg, word);
}

bool cache_parse_double(struct sd_slice s, long double *out)
{
	char text[5120], *end;
	if (s.n == 0 || s.n >= sizeof(text) || isspace((unsigned char)s.p[0]))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	errno = 0;
	*out = strtold(text, &end);
	return end == text + s.n && !isnan(*out) && !(errno == ERANGE && (isinf(*out) || *out == 0));
}

bool cache_arg_int(struct cache_call *c, size_t i, int64_t *out)
{
	if (sd_resp_parse_int(c->argv[i], out))
		return true;
	sd_resp_error(c->out, cache_not_int);
	return false;
}

bool cache_arg_int32(struct cache_call *c, size_t i, int64_t *out)
{
	if (!cache_arg_int(c, i, out))
		return false;
	if (*out >= INT32_MIN && *out <= INT32_MAX)
		return true;
	sd_resp_error(c->out, "ERR value is out of range, value must between -2147483648 and 2147483647");
	return false;
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

bool cache_arg_expiry(struct cache_call *c, size_t i, int64_t unit_ms, bool relative, int64_t *at_ms)
{
	int64_t v, ms;
	if (!cache_arg_int(c, i, &v))
		return false;
	bool bad = v <= 0 || __builtin_mul_overflow(v, unit_ms, &ms) ||
		   (relative && __builtin_add_overflow(ms, c->cache->now_ms, &ms));
	if (bad) {
		sd_resp_errorf(c->out, "ERR invalid expire time in '%s' command", c->command->name);
		return false;
	}
	*at_ms = ms;
	return true;
}

/* One class "[a-c]" of a pattern against a byte; *p is behind it afterwards. */
static bool in_class(const char **p, const char *end, char c)
{
	const char *s = *p;
	bool other = s < end && *s == '^', found = false;
	s += other;
	for (; s < end && *s != ']'; s++) {
		if (*s == '\\' && s + 1 < end) {
			found |= *++s == c;
		} else if (s + 2 < end && s[1] == '-') {
			unsigned char a = (unsigned char)s[0], b = (unsigned char)s[2], v = (unsigned char)c;
			found |= (a <= b ? a : b) <= v && v <= (a <= b ? b : a);
			s += 2;
		} else {
			found |= *s == c;
		}
	}
	*p = s < end ? s + 1 : s;
	return found != other;
}

/* Goes back only to the last star: any pattern costs at most their product, and no recursion. */
static bool matches(struct sd_slice pattern, struct sd_slice text)
{
	const char *p = pattern.p, *end = p + pattern.n, *t = text.p, *tend = t + text.n;
	const char *star = NULL, *from = NULL;
	if (tend == t) /* as Redis has it: a star is not for what is empty, but where it stands for all keys */
		return p == end;
	for (;;) {
		if (p < end && *p == '*') {
			star = ++p;
			from = t;
			continue;
		}
		if (t == tend)
			break;
		const char *next = p;
		bool fits = p < end;
		if (fits && *p == '[') {
			next = p + 1;
			fits = in_class(&next, end, *t);
		} else if (fits) {
			next = *p == '\\' && p + 1 < end ? p + 1 : p;
			fits = (*p == '?') || *next == *t;
			next++;
		}
		if (fits) {
			p = next;
			t++;
		} else if (star) {
			p = star;
			t = ++from;
		} else {
			return false;
		}
	}
	return p == end;
}

bool cache_matches(struct sd_slice pattern, struct sd_slice text)
{
	return matches(pattern, text);
}

bool cache_matches_any_case(struct sd_slice pattern, struct sd_slice text)
{
	char p[256];
	if (pattern.n > sizeof(p))
		return false;
	for (size_t i = 0; i < pattern.n; i++)
		p[i] = (char)tolower((unsigned char)pattern.p[i]);
	return matches((struct sd_slice){p, pattern.n}, text);
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

/* As Redis says it, with the first arguments, each cut at 128 bytes. */
static void unknown(struct cache_call *c)
{
	char args[320];
	size_t n = 0;
	args[0] = '\0';
	for (size_t i = 1; i < c->argc && n < 128; i++) {
		size_t room = 128 - n, len = c->argv[i].n < room ? c->argv[i].n : room;
		n += (size_t)snprintf(args + n, sizeof(args) - n, "'%.*s' ", (int)len, c->argv[i].p);
	}
	sd_resp_errorf(c->out, "ERR unknown command '%.*s', with args beginning with: %s",
		       (int)(c->argv[0].n < 128 ? c->argv[0].n : 128), c->argv[0].p, args);
}

bool cache_has_arity(const struct cache_command *k, size_t argc)
{
	return k->arity < 0 ? argc >= (size_t)-k->arity : argc == (size_t)k->arity;
}

/* COMMAND is one by itself too. */
static bool has_subcommands(const struct cache_command *k)
{
	return !k->fn || strcmp(k->name, "command") == 0;
}

/* A command that is not even tried; EXEC, which takes its transaction along, says it in its own words. */
static bool refuse(struct cache_call *c, const char *why)
{
	bool plain = strncmp(why, "ERR ", 4) == 0;
	if (c->command && strcmp(c->command->name, "exec") == 0) {
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
	const struct cache_command *k = cache_find_command(c->cache, c->argv[0]), *sub = NULL;
	if (!k) {
		unknown(c);
		return false;
	}
	if (c->argc > 1 && has_subcommands(k)) {
		sub = cache_find_subcommand(c->cache, k, c->argv[1]);
		if (!sub) {
			char upper[40];
			size_t n = 0;
			for (; n < sizeof(upper) - 1 && k->name[n]; n++)
				upper[n] = (char)toupper((unsigned char)k->name[n]);
			upper[n] = '\0';
			sd_resp_errorf(c->out, "ERR unknown subcommand '%.*s'. Try %s HELP.",
				       (int)(c->argv[1].n < 128 ? c->argv[1].n : 128), c->argv[1].p, upper);
			return false;
		}
		k = sub;
	}
	c->command = k;
	if (k->fn && cache_has_arity(k, c->argc))
		return true;
	char why[100];
	snprintf(why, sizeof(why), "ERR wrong number of arguments for '%s' command", k->name);
	return refuse(c, why);
}

/* In RESP2 a reply and a message look the same, so a connection that gets messages may ask nothing else. */
static bool is_listening(const struct cache_call *c)
{
	return cache_subscriptions(c->session) && !c->out->resp3 && !(c->command->flags & CACHE_LISTENS);
}

static const char *follower_refuses(const struct cache_call *c)
{
	const struct cache_follower *f = c->cache->follower;
	return f->refuses(f->arg, c->command->flags & CACHE_WRITE);
}

static bool may_run(struct cache_call *c)
{
	struct cache *cache = c->cache;
	char why[200];
	if (!(c->session->flags & CACHE_AUTHENTICATED) && !(c->command->flags & CACHE_NOAUTH))
		return refuse(c, "NOAUTH Authentication required.");
	if (c->session->flags & CACHE_MULTI && c->command->flags & CACHE_NO_MULTI)
		return refuse(c, "ERR Command not allowed inside a transaction");
	const char *refused = cache->follower && c->command->first ? follower_refuses(c) : NULL;
	if (refused)
		return refuse(c, refused);
	if (cache->max_memory && !cache_make_space(cache, EVICT_MOST) && c->command->flags & CACHE_DENYOOM)
		return refuse(c, cache_no_memory);
	if (cache->keep.failed && cache_keep_refuses(cache, c->command))
		return refuse(c, cache_misconf);
	if (!is_listening(c))
		return true;
	snprintf(why, sizeof(why), "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
				   "allowed in this context", c->command->name);
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
	cache->save_first = cache->save && c->command->flags & CACHE_WRITE;
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
