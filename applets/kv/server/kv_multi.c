/* kv_multi.c - transactions. What one writes is within one batch, so it is there whole or not at all: nothing is written while it
 * runs, and its commands see what it wrote before (kv_look, kv_all.c). */
#include <stdlib.h>
#include <string.h>

#include "kv_server.h"

#define QUEUE_MOST (256u << 20) /* bytes */
#define WATCH_MOST 100000

/* ---- WATCH ---- */

static void unwatch(struct kv_conn *c)
{
	for (size_t i = 0; i < c->nwatched; i++)
		free(c->watched[i]);
	free(c->watched);
	c->watched = NULL;
	c->nwatched = c->watched_room = 0;
}

/* Is it there, and the number of the write, or removal, that says so. Nothing waits to be written. */
static bool look(struct kv_call *c, struct sd_slice key, bool *there, uint64_t *seq)
{
	struct sd_kv_explain x;
	struct sd_error e;
	if (sd_kv_explain(c->s->db, kv_stored(key, c->s->key), &x, &e)) {
		sd_resp_errorf(c->out, "ERR %s", e.text);
		return false;
	}
	*there = x.there;
	*seq = x.seq;
	return true;
}

static bool watch(struct kv_call *c, struct sd_slice key)
{
	struct kv_conn *conn = c->conn;
	bool there;
	uint64_t seq;
	if (!look(c, key, &there, &seq))
		return false;
	if (conn->nwatched == conn->watched_room) {
		size_t room = conn->watched_room ? conn->watched_room * 2 : 4;
		struct kv_watched **all = room > WATCH_MOST ? NULL : realloc(conn->watched, room * sizeof(struct kv_watched *));
		if (all) {
			conn->watched = all;
			conn->watched_room = room;
		}
	}
	struct kv_watched *w = conn->nwatched < conn->watched_room ? malloc(sizeof(*w) + key.n) : NULL;
	if (!w) {
		sd_resp_error(c->out, kv_no_memory);
		return false;
	}
	*w = (struct kv_watched){.seq = seq, .there = there, .n = key.n};
	if (key.n)
		memcpy(w->key, key.p, key.n);
	conn->watched[conn->nwatched++] = w;
	return true;
}

static void cmd_watch(struct kv_call *c)
{
	if (c->conn->multi) {
		sd_resp_error(c->out, "ERR WATCH inside MULTI is not allowed");
		return;
	}
	if (!kv_commit_first(c))
		return;
	for (size_t i = 1; i < c->argc; i++)
		if (!watch(c, c->argv[i]))
			return;
	sd_resp_simple(c->out, "OK");
}

static void cmd_unwatch(struct kv_call *c)
{
	unwatch(c->conn);
	sd_resp_simple(c->out, "OK");
}

/* KV_PRESENT: one has changed. */
static enum kv_there changed(struct kv_call *c)
{
	for (size_t i = 0; i < c->conn->nwatched; i++) {
		const struct kv_watched *w = c->conn->watched[i];
		bool there;
		uint64_t seq;
		if (!look(c, (struct sd_slice){w->key, w->n}, &there, &seq))
			return KV_FAILED;
		if (there != w->there || seq > w->seq) /* an old removal may be gone */
			return KV_PRESENT;
	}
	return KV_ABSENT;
}

/* ---- the queue ---- */

static void drop_queue(struct kv_conn *c)
{
	for (size_t i = 0; i < c->nqueue; i++)
		free(c->queue[i].argv);
	free(c->queue);
	c->queue = NULL;
	c->nqueue = c->queue_room = c->queue_bytes = 0;
}

static bool grow(struct kv_conn *c)
{
	size_t room = c->queue_room ? c->queue_room * 2 : 8;
	if (c->nqueue < c->queue_room)
		return true;
	struct kv_queued *q = realloc(c->queue, room * sizeof(*q));
	if (!q)
		return false;
	c->queue = q;
	c->queue_room = room;
	return true;
}

static struct sd_slice *copy_args(struct kv_conn *c, size_t argc, const struct sd_slice *argv)
{
	size_t n = sd_redis_args_bytes(argc, argv);
	void *room = c->queue_bytes + n > QUEUE_MOST ? NULL : malloc(n);
	if (!room)
		return NULL;
	c->queue_bytes += n;
	return sd_redis_args_copy(room, argc, argv);
}

bool kv_queued(struct kv_call *c)
{
	struct kv_conn *conn = c->conn;
	if (c->command->is->flags & SD_REDIS_UNQUEUED)
		return false;
	struct sd_slice *argv = grow(conn) ? copy_args(conn, c->argc, c->argv) : NULL;
	if (!argv) {
		kv_multi_refused(conn);
		sd_resp_error(c->out, "OOM the transaction is too large");
		return true;
	}
	conn->queue[conn->nqueue++] = (struct kv_queued){c->command, c->argc, argv};
	sd_resp_simple(c->out, "QUEUED");
	return true;
}

void kv_multi_refused(struct kv_conn *c)
{
	c->abort |= c->multi;
}

void kv_multi_end(struct kv_conn *c)
{
	drop_queue(c);
	unwatch(c);
	c->multi = c->abort = false;
}

/* ---- MULTI, EXEC, DISCARD ---- */

static void cmd_multi(struct kv_call *c)
{
	if (c->conn->multi) {
		sd_resp_error(c->out, "ERR MULTI calls can not be nested");
		return;
	}
	c->conn->multi = true;
	sd_resp_simple(c->out, "OK");
}

static void cmd_discard(struct kv_call *c)
{
	if (!c->conn->multi) {
		sd_resp_error(c->out, "ERR DISCARD without MULTI");
		return;
	}
	kv_multi_end(c->conn);
	sd_resp_simple(c->out, "OK");
}

static void run_queue(struct kv_call *c)
{
	struct kv_call one = *c;
	one.in_exec = true;
	c->s->gone_over = 0;
	sd_resp_array(c->out, c->conn->nqueue);
	for (size_t i = 0; i < c->conn->nqueue; i++) {
		const struct kv_queued *q = &c->conn->queue[i];
		one.command = q->command;
		one.argc = q->argc;
		one.argv = q->argv;
		kv_run(&one);
	}
	c->depends |= one.depends;
}

static void cmd_exec(struct kv_call *c)
{
	if (!c->conn->multi) {
		sd_resp_error(c->out, "ERR EXEC without MULTI");
		return;
	}
	bool watches = c->conn->nwatched && !c->conn->abort;
	if (watches && !kv_commit_first(c)) {
		kv_multi_end(c->conn);
		return;
	}
	enum kv_there touched = watches ? changed(c) : KV_ABSENT;
	if (c->conn->abort)
		sd_resp_error(c->out, "EXECABORT Transaction discarded because of previous errors.");
	else if (touched == KV_PRESENT)
		sd_resp_null_array(c->out);
	else if (touched == KV_ABSENT)
		run_queue(c);
	kv_multi_end(c->conn);
}

const struct kv_command kv_multi_commands[] = {
    {SD_REDIS(DISCARD), cmd_discard},
    {SD_REDIS(EXEC), cmd_exec},
    {SD_REDIS(MULTI), cmd_multi},
    {SD_REDIS(UNWATCH), cmd_unwatch},
    {SD_REDIS(WATCH), cmd_watch},
    {0},
};
