/* cache_wait.c - commands that wait for a key.
 *
 *	runs --- found something ---> replies
 *	  | nothing                      ^
 *	  v                              | runs again, in the order they came
 *	blocked ---- its key comes ------+
 *	  |-------- time is over ------> null
 *	  '-------- CLIENT UNBLOCK ----> null, or an error
 *
 * A command that CLIENT PAUSE keeps waits in the same way, for no key, and is run from its beginning.
 *
 * What it waits for is served after the command (or transaction) that made the key, so that nobody sees half of one.
 */
#include <math.h>
#include <string.h>

#include "cache.h"

struct cache_wait {
	struct sd_wheel_entry deadline;
	struct cache_session *session;
	struct sd_link ties; /* to its keys */
	const struct cache_command *command;
	struct cache_db *db;
	size_t argc;
	struct sd_slice *argv; /* a copy */
	struct sd_link paused; /* in cache->paused, when it waits for the end of a pause and for no key */
};

void cache_wait_begin(struct cache_db *db)
{
	cache_names_init(&db->waited, db->cache);
}

static struct cache_wait *new_wait(struct cache_call *c)
{
	struct sd_slice *argv = cache_copy_args(c->cache, c->argc, c->argv);
	struct cache_wait *w = argv ? cache_alloc(&c->cache->memory, sizeof(*w)) : NULL;
	if (!w) {
		cache_free(&c->cache->memory, argv);
		return NULL;
	}
	*w = (struct cache_wait){.session = c->session, .command = c->command, .db = c->db, .argc = c->argc, .argv = argv};
	sd_list_init(&w->ties);
	sd_list_init(&w->paused);
	return w;
}

static bool tie_all(struct cache_wait *w, size_t first, size_t n)
{
	struct cache_session *s = w->session;
	for (size_t i = first; i < first + n; i++) {
		struct cache_tie *t = cache_tied(&w->db->waited, w->argv[i], &w->ties, i - first, s);
		if (t)
			continue;
		if (!(t = cache_tie(&w->db->waited, w->argv[i], &w->ties, s)))
			return false;
		t->name->db = w->db;
	}
	return true;
}

void cache_block(struct cache_call *c, size_t first_key, size_t nkeys, int64_t deadline_ms, bool null_array)
{
	struct cache_session *s = c->session;
	if (c->again) /* it waits already */
		return;
	if (c->in_exec) {
		if (null_array)
			sd_resp_null_array(c->out);
		else
			sd_resp_null(c->out);
		return;
	}
	struct cache_wait *w = new_wait(c);
	s->wait = w;
	if (!w || !tie_all(w, first_key, nkeys)) {
		cache_wait_end(s);
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	s->flags |= CACHE_BLOCKED;
	c->cache->nblocked++;
	if (deadline_ms)
		sd_wheel_set(&c->cache->deadlines, &w->deadline, deadline_ms);
}

void cache_wait_end(struct cache_session *s)
{
	struct cache_wait *w = s->wait;
	struct cache *c = s->cache;
	if (!w)
		return;
	while (!sd_list_empty(&w->ties))
		cache_untie(c, sd_container(w->ties.next, struct cache_tie, of_session));
	if (sd_wheel_is_set(&w->deadline))
		sd_wheel_cancel(&c->deadlines, &w->deadline);
	sd_list_del(&w->paused);
	if (s->flags & CACHE_BLOCKED)
		c->nblocked--;
	s->flags &= ~(uint32_t)CACHE_BLOCKED;
	cache_free(&c->memory, w->argv);
	cache_free(&c->memory, w);
	s->wait = NULL;
}

void cache_ready(struct cache_db *db, struct sd_slice key)
{
	struct cache_name *n = cache_name(&db->waited, key);
	if (n && sd_list_empty(&n->ready))
		sd_list_add(&db->cache->ready, &n->ready);
}

/* True: it replied, and does not wait any more. */
static bool run_again(struct cache_wait *w, struct sd_slice ready)
{
	struct cache_session *s = w->session;
	struct cache_call c = {.cache = s->cache, .session = s, .db = w->db, .out = &s->out, .command = w->command, .argc = w->argc,
			       .argv = w->argv, .again = true, .ready = ready};
	const struct cache_follower *f = s->cache->follower;
	size_t begun = s->out.n;
	s->cache->calls++;
	s->cache->running = s;
	w->command->fn(&c);
	if (f && f->ran)
		f->ran(f->arg, &c);
	s->cache->running = NULL;
	if (s->out.n == begun && !s->out.full)
		return false;
	if (cache_count_error(s->cache, &s->out, begun))
		cache_usage(s->cache, w->command)->failed++;
	cache_wait_end(s);
	if (f)
		f->called(f->arg, s, begun);
	cache_wake(s);
	return true;
}

/* The first one of those who wait for it that can be served now. */
static bool serve_one(struct cache_name *n)
{
	for (struct sd_link *k = n->ties.next; k != &n->ties; k = k->next)
		if (run_again(sd_container(k, struct cache_tie, of_name)->session->wait, cache_name_text(n)))
			return true;
	return false;
}

/* What one is given may be what another waits for (BLMOVE): so on until nothing is left. Every round serves one or ends a name. */
void cache_serve(struct cache *c)
{
	if (c->serving)
		return;
	c->serving = true;
	while (!sd_list_empty(&c->ready)) {
		struct cache_name *n = sd_container(c->ready.next, struct cache_name, ready);
		if (!serve_one(n))
			sd_list_del(&n->ready);
	}
	c->serving = false;
}

bool cache_unblock(struct cache_session *s, const char *error)
{
	if (!s->wait || !sd_list_empty(&s->wait->paused))
		return false;
	size_t begun = s->out.n;
	if (error)
		sd_resp_error(&s->out, error);
	else
		sd_resp_null_array(&s->out);
	if (cache_count_error(s->cache, &s->out, begun))
		cache_usage(s->cache, s->wait->command)->failed++;
	cache_wait_end(s);
	cache_wake(s);
	return true;
}

int64_t cache_tick_waits(struct cache *c, int64_t now_ms)
{
	struct sd_wheel_entry *e;
	while ((e = sd_wheel_pop(&c->deadlines, now_ms))) {
		struct cache_wait *w = sd_container(e, struct cache_wait, deadline);
		if (sd_list_empty(&w->paused))
			cache_unblock(w->session, NULL);
		else if (now_ms >= c->paused_until_ms)
			cache_resume(c);
		else /* a longer pause was asked for meanwhile */
			sd_wheel_set(&c->deadlines, &w->deadline, c->paused_until_ms);
	}
	return sd_wheel_next(&c->deadlines);
}

/* ---- CLIENT PAUSE ---- */

bool cache_postponed(struct cache_call *c)
{
	struct cache_session *s = c->session;
	const uint32_t changes = SD_REDIS_WRITE | SD_REDIS_SPREADS;
	bool writes = c->command->is->flags & changes || (strcmp(c->command->is->name, "exec") == 0 && cache_queue_has(s, changes));
	if (c->cache->pause == CACHE_PAUSE_WRITES && !writes)
		return false;
	if (!(s->wait = new_wait(c))) {
		sd_resp_error(c->out, cache_no_memory);
		return true;
	}
	s->flags |= CACHE_BLOCKED;
	s->last = c->command;
	c->cache->nblocked++;
	sd_list_add(&c->cache->paused, &s->wait->paused);
	sd_wheel_set(&c->cache->deadlines, &s->wait->deadline, c->cache->paused_until_ms);
	return true;
}

void cache_pause(struct cache *c, enum cache_pause how, int64_t until_ms)
{
	if (how == CACHE_NO_PAUSE) {
		c->resume = true;
		return;
	}
	c->pause = how > c->pause ? how : c->pause;
	c->paused_until_ms = until_ms > c->paused_until_ms ? until_ms : c->paused_until_ms;
}

static void run_postponed(struct cache_wait *w)
{
	struct cache_session *s = w->session;
	struct cache *c = s->cache;
	struct sd_slice *argv = w->argv;
	size_t argc = w->argc;
	w->argv = NULL;
	cache_wait_end(s);
	cache_call(s, argc, argv, c->now_ms);
	cache_free(&c->memory, argv);
	cache_wake(s);
}

/* Each runs once: one of them may begin a pause anew, for which those behind it wait again. */
void cache_resume(struct cache *c)
{
	struct sd_link all;
	sd_list_init(&all);
	c->pause = CACHE_NO_PAUSE;
	c->resume = false;
	c->paused_until_ms = 0;
	while (!sd_list_empty(&c->paused)) {
		struct sd_link *first = c->paused.next;
		sd_list_del(first);
		sd_list_add(&all, first);
	}
	while (!sd_list_empty(&all))
		run_postponed(sd_container(all.next, struct cache_wait, paused));
}

static void cmd_wait(struct cache_call *c)
{
	const struct cache_follower *f = c->cache->follower;
	int64_t copies, ms;
	if (!cache_arg_int(c, 1, &copies))
		return;
	if (!sd_resp_parse_int(c->argv[2], &ms))
		sd_resp_error(c->out, "ERR timeout is not an integer or out of range");
	else if (ms < 0)
		sd_resp_error(c->out, "ERR timeout is negative");
	else if (__builtin_add_overflow(ms, ms ? c->cache->now_ms : 0, &ms))
		sd_resp_error(c->out, "ERR timeout is out of range");
	else if (f)
		f->wait(c, copies, ms);
	else
		sd_resp_int(c->out, 0);
}

const struct cache_command cache_wait_commands[] = {
    {SD_REDIS(WAIT), cmd_wait},
    {0},
};

bool cache_arg_timeout(struct cache_call *c, size_t i, int64_t *deadline_ms)
{
	long double s;
	if (!sd_redis_parse_double(c->argv[i], &s)) {
		sd_resp_error(c->out, "ERR timeout is not a float or out of range");
		return false;
	}
	s *= 1000;
	int64_t ms = fabsl(s) < 9223372036854775808.0L ? (int64_t)s : INT64_MIN; /* as x86 makes a number of it, and so Redis */
	ms += ms > INT64_MIN && s > (long double)ms;
	if (ms < 0 || ms > INT64_MAX - c->cache->now_ms) {
		sd_resp_error(c->out, ms < 0 ? "ERR timeout is negative" : "ERR timeout is out of range");
		return false;
	}
	*deadline_ms = ms ? c->cache->now_ms + ms : 0;
	return true;
}
