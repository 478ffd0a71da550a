/* kv_turn.c - what all connections wrote in one turn of the loop is one batch: written and synced once, then the replies leave.
 *
 * When that fails none of it is there, and whoever was told otherwise is told now: each reply that depends on the batch becomes
 * the error. Replies are kept apart for that by marks, where the first of a connection that depends begins, and each behind it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kv_server.h"

#define BATCH_MOST (8u << 20) /* bytes; more than that is written before the turn is over */

/* ---- marks ---- */

static bool add_mark(struct kv_conn *c, struct kv_mark m)
{
	if (c->nmarks == c->marks_room) {
		size_t room = c->marks_room ? c->marks_room * 2 : 16;
		struct kv_mark *marks = realloc(c->marks, room * sizeof(*marks));
		if (!marks)
			return false;
		c->marks = marks;
		c->marks_room = room;
	}
	c->marks[c->nmarks++] = m;
	return true;
}

void kv_mark(struct kv_call *c)
{
	struct kv_conn *conn = c->conn;
	struct kv_server *s = c->s;
	if (!c->depends && !conn->nmarks)
		return;
	if (!add_mark(conn, (struct kv_mark){c->begun, c->depends})) {
		conn->c.out.full = true;
		return;
	}
	if (conn->nmarks == 1)
		sd_list_add(&s->marked, &conn->marked);
	if (sd_kv_batch_bytes(s->batch) > BATCH_MOST)
		kv_commit(s);
}

void kv_marks_end(struct kv_conn *c)
{
	sd_list_del(&c->marked);
	free(c->marks);
	c->marks = NULL;
	c->nmarks = c->marks_room = 0;
}

/* ---- a write that failed ---- */

/* As clients know it from Redis, whose word for this MISCONF is. */
static void put_error(struct sd_resp_out *out, const char *why)
{
	sd_resp_errorf(out, "MISCONF nothing was written: %s", why);
}

/* The replies of a connection, those that depended on what is not there told anew. */
static void tell_anew(struct kv_conn *c, const char *why)
{
	struct sd_resp_out old = c->c.out, out = {.resp3 = old.resp3, .full = old.full};
	sd_resp_raw(&out, old.p, c->marks[0].start);
	for (size_t i = 0; i < c->nmarks; i++) {
		size_t start = c->marks[i].start, end = i + 1 < c->nmarks ? c->marks[i + 1].start : old.n;
		if (c->marks[i].depends)
			put_error(&out, why);
		else
			sd_resp_raw(&out, old.p + start, end - start);
	}
	free(old.p);
	c->c.out = out;
}

static void say(struct kv_server *s, enum sd_err err, const char *why)
{
	bool refused = err != SD_OK;
	if (refused == s->refusing)
		return;
	s->refusing = refused;
	if (refused)
		sd_event(s->run->log, SD_ERROR, "writes_refused", NULL, "Writes are refused: %s", why);
	else
		sd_event(s->run->log, SD_INFO, "writes_go_on", NULL, "Writes go on");
}

static enum sd_err commit(struct kv_server *s, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (sd_kv_batch_count(s->batch)) {
		err = sd_kv_write(s->db, s->batch, e);
		say(s, err, e->text);
		sd_kv_batch_clear(s->batch);
		s->emptied = false;
	}
	while (!sd_list_empty(&s->marked)) {
		struct kv_conn *c = sd_container(s->marked.next, struct kv_conn, marked);
		if (err) {
			sd_count(&s->counts[KV_REFUSED], 1);
			tell_anew(c, e->text);
		}
		sd_list_del(&c->marked);
		c->nmarks = 0;
	}
	if (s->running)
		s->running->begun = s->running->conn->c.out.n;
	return err;
}

bool kv_commit(struct kv_server *s)
{
	struct sd_error e;
	return commit(s, &e) == SD_OK;
}

bool kv_commit_first(struct kv_call *c)
{
	struct sd_error e;
	if (c->in_exec || commit(c->s, &e) == SD_OK)
		return true;
	put_error(c->out, e.text);
	return false;
}

void kv_settle(struct sd_resp_front *f)
{
	kv_commit(f->owner);
}
