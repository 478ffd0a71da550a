#include "resp_client.h"

#include <stdlib.h>

#include "core/list.h"
#include "core/resp_url.h"
#include "waited.h"

#define IN_LIMIT (128 * 1024)
#define MAX_WORDS 16

struct sd_resp_client {
	struct sd_waited conn;
	struct sd_resp_replies replies;
	struct sd_resp_tree tree;
	struct sd_resp_out out;
	int64_t timeout_ns;
	bool whole; /* the tree has a reply */
};

static size_t on_data(struct sd_waited *conn, const char *p, size_t n)
{
	struct sd_resp_client *c = sd_container(conn, struct sd_resp_client, conn);
	ssize_t took = c->whole ? 0 : sd_resp_tree_read(&c->tree, &c->replies, p, n, &sd_resp_reply_usual, &c->whole);
	if (took == SD_RESP_BAD)
		sd_waited_end(conn, SD_EPROTO, "%s", c->replies.error);
	if (c->whole)
		sd_loop_stop(conn->loop);
	return took > 0 ? (size_t)took : 0;
}

static bool is_whole(const struct sd_waited *conn)
{
	return sd_container(conn, struct sd_resp_client, conn)->whole;
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
		sd_waited_end(&c->conn, SD_ENOMEM, "out of memory");
	else if (c->out.n)
		sd_stream_write(c->conn.stream, c->out.p, c->out.n);
	c->out.n = 0;
}

enum sd_err sd_resp_client_next(struct sd_resp_client *c, int64_t timeout_ns, const struct sd_resp_value **reply,
				struct sd_error *e)
{
	if (c->whole)
		sd_resp_tree_reset(&c->tree);
	c->whole = false;
	flush(c);
	enum sd_err err = sd_waited_until(&c->conn, is_whole, timeout_ns, e);
	if (!err)
		*reply = c->tree.values;
	return err;
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
static enum sd_err introduce(struct sd_resp_client *c, const struct sd_resp_target *to, struct sd_error *e)
{
	const struct sd_resp_value *reply;
	enum sd_err err = SD_OK;
	for (unsigned n = sd_resp_greet(&c->out, to->user, to->password, to->db); n && !err; n--) {
		err = sd_resp_client_next(c, c->timeout_ns, &reply, e);
		if (!err && sd_resp_is_error(reply->kind))
			err = sd_fail(e, SD_EPERM, "%s", reply->text.p);
	}
	return err;
}

enum sd_err sd_resp_client_open(struct sd_world *w, const struct sd_resp_target *to, struct sd_resp_client **out,
				struct sd_error *e)
{
	struct sd_waited_target at = {.addr = to->addr, .tls = to->tls, .tls_name = to->tls_name, .timeout_ns = to->timeout_ns,
				      .in_limit = IN_LIMIT, .peer = "server", .data = on_data};
	struct sd_resp_client *c = calloc(1, sizeof(*c));
	*out = NULL;
	if (!c)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->timeout_ns = to->timeout_ns;
	enum sd_err err = sd_waited_open(&c->conn, w, &at, e);
	if (!err)
		err = introduce(c, to, e);
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
	sd_waited_close(&c->conn);
	sd_resp_tree_free(&c->tree);
	free(c->out.p);
	free(c);
}
