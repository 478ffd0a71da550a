#include "resp_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "connect.h"
#include "core/list.h"

#define IN_LIMIT (128 * 1024)
#define MAX_WORDS 16

struct sd_resp_client {
	struct sd_loop *loop;
	struct sd_stream *stream; /* NULL: it is gone */
	struct sd_tls_target *tls;
	struct sd_timer timer;
	struct sd_resp_replies replies;
	struct sd_resp_tree tree;
	struct sd_resp_out out;
	int64_t timeout_ns;
	bool connected, whole, late; /* whole: the tree has a reply */
	enum sd_err err;
	struct sd_error why;
};

static void end(struct sd_resp_client *c, enum sd_err err, const char *text)
{
	if (!c->err)
		c->err = sd_fail(&c->why, err, "%s", text);
	sd_loop_stop(c->loop);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_resp_client *c = s->owner;
	size_t at = 0;
	while (at < n && !c->whole && !c->err) {
		struct sd_resp_token t;
		ssize_t took = sd_resp_next(&c->replies, p + at, n - at, &sd_resp_reply_usual, &t);
		if (took == SD_RESP_INCOMPLETE)
			break;
		if (took == SD_RESP_BAD)
			end(c, SD_EPROTO, c->replies.error);
		else if (sd_resp_tree_add(&c->tree, &t))
			end(c, SD_ENOMEM, "out of memory");
		else
			c->whole = t.last;
		at += took > 0 ? (size_t)took : 0;
	}
	if (c->whole)
		sd_loop_stop(c->loop);
	return c->err ? n : at;
}

static void on_connected(struct sd_stream *s)
{
	struct sd_resp_client *c = s->owner;
	c->connected = true;
	sd_stream_deadline(s, SD_NEVER);
	sd_loop_stop(c->loop);
}

static void on_eof(struct sd_stream *s)
{
	end(s->owner, SD_EEOF, "the server closed the connection");
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	end(s->owner, why, sd_stream_why(s, why));
}

static void on_timeout(struct sd_stream *s)
{
	end(s->owner, SD_ETIMEOUT, "no connection in time");
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .timeout = on_timeout,
    .closed = on_closed,
};

static void on_late(struct sd_timer *t)
{
	struct sd_resp_client *c = sd_container(t, struct sd_resp_client, timer);
	c->late = true;
	sd_loop_stop(c->loop);
}

/* ---- one reply after the other ---- */

void sd_resp_client_send(struct sd_resp_client *c, size_t argc, const struct sd_slice *argv)
{
	sd_resp_array(&c->out, argc);
	for (size_t i = 0; i < argc; i++)
		sd_resp_bulk(&c->out, argv[i].p, argv[i].n);
}

static void flush(struct sd_resp_client *c)
{
	if (c->out.full)
		end(c, SD_ENOMEM, "out of memory");
	else if (c->out.n)
		sd_stream_write(c->stream, c->out.p, c->out.n);
	c->out.n = 0;
}

enum sd_err sd_resp_client_next(struct sd_resp_client *c, int64_t timeout_ns, const struct sd_resp_value **reply,
				struct sd_error *e)
{
	if (c->whole)
		sd_resp_tree_reset(&c->tree);
	c->whole = c->late = false;
	flush(c);
	sd_stream_resume(c->stream);
	if (timeout_ns != SD_NEVER)
		sd_loop_timer_set(c->loop, &c->timer, sd_world_mono_ns(sd_loop_world(c->loop)) + timeout_ns);
	while (!c->whole && !c->err && !c->late)
		sd_loop_run(c->loop);
	sd_loop_timer_cancel(c->loop, &c->timer);
	if (c->whole) {
		*reply = c->tree.values;
		return SD_OK;
	}
	return c->err ? sd_fail(e, c->err, "%s", c->why.text) : sd_fail(e, SD_ETIMEOUT, "no answer in time");
}

enum sd_err sd_resp_client_ask(struct sd_resp_client *c, size_t argc, const struct sd_slice *argv,
			       const struct sd_resp_value **reply, struct sd_error *e)
{
	enum sd_err err;
	sd_resp_client_send(c, argc, argv);
	do
		err = sd_resp_client_next(c, c->timeout_ns, reply, e);
	while (!err && (*reply)->kind == SD_RESP_PUSH);
	return err;
}

enum sd_err sd_resp_client_say(struct sd_resp_client *c, const char *const *words, size_t n, const struct sd_resp_value **reply,
			       struct sd_error *e)
{
	struct sd_slice argv[MAX_WORDS];
	size_t argc = 0;
	while (argc < n && argc < MAX_WORDS) {
		argv[argc] = sd_slice_of(words[argc]);
		argc++;
	}
	return sd_resp_client_ask(c, argc, argv, reply, e);
}

/* ---- the connection ---- */

/* An error of the server is one here. */
static enum sd_err demand(struct sd_resp_client *c, const char *const *words, size_t n, struct sd_error *e)
{
	const struct sd_resp_value *reply;
	enum sd_err err = sd_resp_client_say(c, words, n, &reply, e);
	if (err || !sd_resp_is_error(reply->kind))
		return err;
	return sd_fail(e, SD_EPERM, "%s", reply->text.p);
}

static enum sd_err introduce(struct sd_resp_client *c, const struct sd_resp_target *to, struct sd_error *e)
{
	bool named = to->user && *to->user;
	char db[24];
	const char *full[] = {"AUTH", to->user, to->password}, *shortly[] = {"AUTH", to->password}, *select[] = {"SELECT", db};
	enum sd_err err = SD_OK;
	snprintf(db, sizeof(db), "%lld", (long long)to->db);
	if (to->password && *to->password)
		err = demand(c, named ? full : shortly, named ? 3 : 2, e);
	if (!err && to->db)
		err = demand(c, select, 2, e);
	return err;
}

static enum sd_err reach(struct sd_resp_client *c, struct sd_world *w, const struct sd_resp_target *to, struct sd_error *e)
{
	struct sd_addr addr = to->addr;
	enum sd_err err = addr.kind == SD_ADDR_NAME ? sd_resolve_wait(w, &addr, e) : SD_OK;
	if (!err && to->tls && !(c->tls = sd_tls_target_new(to->tls, to->tls_name)))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	struct sd_connect how = {.addr = &addr, .tls = c->tls, .in_limit = IN_LIMIT};
	if (!err)
		err = sd_stream_connect(c->loop, &how, &events, c, &c->stream, e);
	if (err)
		return err;
	sd_stream_deadline(c->stream, sd_world_mono_ns(w) + to->timeout_ns);
	while (!c->connected && !c->err)
		sd_loop_run(c->loop);
	return c->err ? sd_fail(e, c->err, "%s", c->why.text) : introduce(c, to, e);
}

enum sd_err sd_resp_client_open(struct sd_world *w, const struct sd_resp_target *to, struct sd_resp_client **out,
				struct sd_error *e)
{
	struct sd_resp_client *c = calloc(1, sizeof(*c));
	*out = NULL;
	if (!c)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->timer.fn = on_late;
	c->timeout_ns = to->timeout_ns;
	c->loop = sd_loop_new(w, e);
	enum sd_err err = c->loop ? reach(c, w, to, e) : e ? e->code : SD_ENOMEM;
	if (!err)
		*out = c;
	else
		sd_resp_client_close(c);
	return err;
}

void sd_resp_client_close(struct sd_resp_client *c)
{
	if (!c)
		return;
	if (c->stream)
		sd_stream_close(c->stream);
	if (c->loop) {
		sd_loop_timer_cancel(c->loop, &c->timer);
		sd_loop_flush(c->loop);
	}
	sd_tls_target_free(c->tls);
	sd_loop_free(c->loop);
	sd_resp_tree_free(&c->tree);
	free(c->out.p);
	free(c);
}
