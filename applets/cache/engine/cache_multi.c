/* cache_multi.c - transactions: MULTI queues, EXEC runs all without anybody between, WATCH calls it off when a key changed. */
#include <stdlib.h>
#include <string.h>

#include "cache.h"

/* A command that waits for EXEC. */
struct cache_queue {
	const struct cache_command *command;
	size_t argc;
	struct sd_slice *argv; /* the bytes are behind it */
};

/* ---- WATCH ---- */

void cache_multi_begin(struct cache_db *db)
{
	cache_names_init(&db->watched, db->cache);
}

static void unwatch(struct cache_session *s)
{
	while (!sd_list_empty(&s->watches)) {
		cache_untie(s->cache, sd_container(s->watches.next, struct cache_tie, of_session));
		s->cache->watching--;
	}
	s->flags &= ~(uint32_t)CACHE_TOUCHED;
}

static void touch(const struct cache_name *n)
{
	for (struct sd_link *k = n->ties.next; k != &n->ties; k = k->next)
		sd_container(k, struct cache_tie, of_name)->session->flags |= CACHE_TOUCHED;
}

void cache_touch_watched(struct cache_db *db, struct sd_slice key)
{
	const struct cache_name *n = cache_name(&db->watched, key);
	if (n)
		touch(n);
}

static void touch_if_there(void *arg, struct sd_dict_entry *e)
{
	struct cache_db *db = arg;
	const struct cache_name *n = (struct cache_name *)e;
	struct sd_slice key = cache_name_text(n);
	if (sd_dict_find(&db->keys, key, sd_dict_hash(&db->keys, key)))
		touch(n);
}

void cache_touch_all(struct cache_db *db)
{
	sd_dict_each(&db->watched, touch_if_there, db);
}

static void cmd_watch(struct cache_call *c)
{
	struct cache_session *s = c->session;
	if (s->flags & CACHE_MULTI) {
		sd_resp_error(c->out, "ERR WATCH inside MULTI is not allowed");
		return;
	}
	for (size_t i = 1; i < c->argc; i++) {
		cache_find(c->db, c->argv[i]); /* one that is over goes now, not as a change later */
		if (cache_tied(&c->db->watched, c->argv[i], &s->watches, SIZE_MAX, s))
			continue;
		struct cache_tie *t = cache_tie(&c->db->watched, c->argv[i], &s->watches, s);
		if (!t) {
			sd_resp_error(c->out, cache_no_memory);
			return;
		}
		t->name->db = c->db;
		c->cache->watching++;
	}
	sd_resp_simple(c->out, "OK");
}

static void cmd_unwatch(struct cache_call *c)
{
	unwatch(c->session);
	sd_resp_simple(c->out, "OK");
}

/* A watched key whose time is over by now has changed. */
static void look_for_ends(struct cache_session *s)
{
	for (struct sd_link *k = s->watches.next; k != &s->watches; k = k->next) {
		const struct cache_name *n = sd_container(k, struct cache_tie, of_session)->name;
		cache_find(n->db, cache_name_text(n));
	}
}

/* ---- the queue ---- */

bool cache_queue_has(const struct cache_session *s, uint32_t flags)
{
	for (size_t i = 0; i < s->nqueue; i++)
		if (s->queue[i].command->is->flags & flags)
			return true;
	return false;
}

static void drop_queue(struct cache_session *s)
{
	for (size_t i = 0; i < s->nqueue; i++)
		cache_free(&s->cache->memory, s->queue[i].argv);
	cache_free(&s->cache->memory, s->queue);
	s->queue = NULL;
	s->nqueue = s->room = 0;
}

static bool grow(struct cache_session *s)
{
	size_t room = s->room ? s->room * 2 : 8;
	if (s->nqueue < s->room)
		return true;
	struct cache_queue *q = cache_realloc(&s->cache->memory, s->queue, room * sizeof(*q));
	if (!q)
		return false;
	s->queue = q;
	s->room = room;
	return true;
}

struct sd_slice *cache_copy_args(struct cache *c, size_t argc, const struct sd_slice *argv)
{
	void *room = cache_alloc(&c->memory, sd_redis_args_bytes(argc, argv));
	return room ? sd_redis_args_copy(room, argc, argv) : NULL;
}

bool cache_queued(struct cache_call *c)
{
	struct cache_session *s = c->session;
	if (c->command->is->flags & SD_REDIS_UNQUEUED)
		return false;
	struct sd_slice *argv = grow(s) ? cache_copy_args(c->cache, c->argc, c->argv) : NULL;
	if (!argv) {
		cache_refused(s);
		sd_resp_error(c->out, cache_no_memory);
		return true;
	}
	s->queue[s->nqueue++] = (struct cache_queue){c->command, c->argc, argv};
	sd_resp_simple(c->out, "QUEUED");
	return true;
}

void cache_refused(struct cache_session *s)
{
	if (s->flags & CACHE_MULTI)
		s->flags |= CACHE_ABORT;
}

void cache_multi_end(struct cache_session *s)
{
	drop_queue(s);
	unwatch(s);
	s->flags &= ~(uint32_t)(CACHE_MULTI | CACHE_ABORT);
}

/* ---- MULTI, EXEC, DISCARD ---- */

static void cmd_multi(struct cache_call *c)
{
	if (c->session->flags & CACHE_MULTI) {
		sd_resp_error(c->out, "ERR MULTI calls can not be nested");
		return;
	}
	c->session->flags |= CACHE_MULTI;
	sd_resp_simple(c->out, "OK");
}

static void cmd_discard(struct cache_call *c)
{
	if (!(c->session->flags & CACHE_MULTI)) {
		sd_resp_error(c->out, "ERR DISCARD without MULTI");
		return;
	}
	cache_multi_end(c->session);
	sd_resp_simple(c->out, "OK");
}

static void run_queue(struct cache_call *c)
{
	struct cache_session *s = c->session;
	sd_resp_array(c->out, s->nqueue);
	for (size_t i = 0; i < s->nqueue; i++) {
		struct cache_call one = {.cache = c->cache, .session = s, .db = s->db, .out = c->out, .command = s->queue[i].command,
					 .argc = s->queue[i].argc, .argv = s->queue[i].argv, .in_exec = true};
		cache_run(&one);
	}
}

static void cmd_exec(struct cache_call *c)
{
	struct cache_session *s = c->session;
	if (!(s->flags & CACHE_MULTI)) {
		sd_resp_error(c->out, "ERR EXEC without MULTI");
		return;
	}
	look_for_ends(s);
	uint32_t flags = s->flags;
	unwatch(s); /* what it changes itself calls nothing off */
	if (flags & CACHE_ABORT)
		sd_resp_error(c->out, "EXECABORT Transaction discarded because of previous errors.");
	else if (flags & CACHE_TOUCHED)
		sd_resp_null_array(c->out);
	else
		run_queue(c);
	cache_multi_end(s);
}

const struct cache_command cache_multi_commands[] = {
    {SD_REDIS(DISCARD), cmd_discard},
    {SD_REDIS(EXEC), cmd_exec},
    {SD_REDIS(MULTI), cmd_multi},
    {SD_REDIS(UNWATCH), cmd_unwatch},
    {SD_REDIS(WATCH), cmd_watch},
    {0},
};
