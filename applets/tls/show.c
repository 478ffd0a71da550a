/* show.c - `sdlab tls show`: a file, or a server that is asked up to three times.
 *
 *	1  believing anybody: what it presents
 *	2  with the session of the first: is it taken up again?
 *	3  with the CAs: is it to be trusted? (The reason comes from the handshake itself.)
 */
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "net/stream.h"
#include "net/tls.h"
#include "tls.h"

#define MAX_FILE  (1u << 20)
#define TICKET_NS 300000000 /* tickets of TLS 1.3 come after the handshake; this long at most */

struct visit {
	struct sd_loop *loop;
	struct sd_stream *stream;
	struct sd_tls_info info;
	char *chain;
	struct sd_error *e;
	enum sd_err err;
	bool connected;
};

static void over(struct visit *v, enum sd_err err, const char *text)
{
	if (err)
		v->err = sd_fail(v->e, err, "%s", text);
	if (v->stream)
		sd_stream_close(v->stream);
	v->stream = NULL;
	sd_loop_stop(v->loop);
}

static void on_connected(struct sd_stream *s)
{
	struct visit *v = s->owner;
	v->connected = true;
	sd_tls_info(s->io, &v->info);
	v->chain = sd_tls_peer_chain(s->io);
	sd_stream_deadline(s, sd_loop_now_ns(v->loop) + TICKET_NS);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

static void on_eof(struct sd_stream *s)
{
	over(s->owner, SD_OK, NULL);
}

static void on_timeout(struct sd_stream *s)
{
	struct visit *v = s->owner;
	if (v->connected)
		over(v, SD_OK, NULL);
	else
		over(v, SD_ETIMEOUT, "no connection in time");
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct visit *v = s->owner;
	if (v->connected && !s->write_err && why != SD_ETLS)
		over(v, SD_OK, NULL);
	else
		over(v, why, sd_stream_why(s, why));
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .timeout = on_timeout,
    .closed = on_closed,
};

static enum sd_err go(struct visit *v, const struct sd_addr *addr, struct sd_tls_target *target, int64_t timeout_ns)
{
	struct sd_io *io;
	enum sd_err err = sd_loop_connect(v->loop, addr, &io, v->e);
	if (err)
		return err;
	io = sd_tls_connect(target, io);
	v->stream = io ? sd_stream_new(io, true, 4096, &events, v) : NULL;
	if (!v->stream)
		return sd_fail(v->e, SD_ENOMEM, "out of memory");
	sd_stream_deadline(v->stream, sd_loop_now_ns(v->loop) + timeout_ns);
	sd_loop_run(v->loop);
	return v->err;
}

static enum sd_err visit(struct sd_verb_call *call, struct visit *v, const struct sd_addr *addr, struct sd_tls_target *target,
			 struct sd_error *e)
{
	*v = (struct visit){.e = e, .loop = sd_loop_new(call->world, e)};
	if (!v->loop)
		return e->code;
	enum sd_err err = go(v, addr, target, sd_conf_int(call->conf, "timeout"));
	sd_loop_flush(v->loop);
	sd_loop_free(v->loop);
	return err;
}

static void forget(struct visit *v)
{
	free(v->chain);
	v->chain = NULL;
}

/* ---- what is printed ---- */

static void print_visit(struct sd_verb_call *call, const struct visit *v)
{
	const struct sd_tls_info *i = &v->info;
	int64_t now_s = sd_world_wall_ns(call->world) / 1000000000;
	char *text = v->chain ? sd_tls_describe(v->chain, strlen(v->chain), now_s, NULL) : NULL;
	fprintf(call->out, "%-14s %s\n", "version", i->version);
	fprintf(call->out, "%-14s %s\n", "cipher", i->cipher);
	fprintf(call->out, "%-14s %s\n", "ALPN", i->alpn[0] ? i->alpn : "none");
	if (text)
		fputs(text, call->out);
	free(text);
}

static struct sd_tls_target *target_new(struct sd_verb_call *call, const char *name, bool insecure, struct sd_error *e)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	struct sd_tls_client_conf conf = {.insecure = insecure, .ca = sd_conf_string(call->conf, "ca"), .alpn = alpn};
	struct sd_tls_client *c = sd_tls_client_new(call->world, &conf, e);
	struct sd_tls_target *t = c ? sd_tls_target_new(c, name) : NULL;
	if (c && !t)
		sd_fail(e, SD_ENOMEM, "out of memory");
	sd_tls_client_release(c);
	return t;
}

/* Is it trusted? 0 when it is. */
static int judge(struct sd_verb_call *call, const struct sd_addr *addr, const char *name)
{
	struct sd_error e = {0};
	struct visit v = {0};
	struct sd_tls_target *t = target_new(call, name, false, &e);
	enum sd_err err = t ? visit(call, &v, addr, t, &e) : e.code;
	const char *text = strncmp(e.text, "TLS: ", 5) == 0 ? e.text + 5 : e.text;
	fprintf(call->out, "%-14s %s%s\n", "trusted", err ? "no: " : "yes", err ? text : "");
	forget(&v);
	sd_tls_target_free(t);
	return err ? 1 : 0;
}

static void print_resumed(struct sd_verb_call *call, const struct sd_addr *addr, struct sd_tls_target *t)
{
	struct sd_error e = {0};
	struct visit v;
	enum sd_err err = visit(call, &v, addr, t, &e);
	fprintf(call->out, "%-14s %s\n", "resumed", err ? e.text : v.info.resumed ? "yes" : "no");
	forget(&v);
}

static int show_server(struct sd_verb_call *call, const struct sd_addr *addr, const char *name, struct sd_error *e)
{
	struct visit v = {0};
	struct sd_tls_target *t = target_new(call, name, true, e);
	enum sd_err err = t ? visit(call, &v, addr, t, e) : e->code;
	if (!err) {
		print_visit(call, &v);
		print_resumed(call, addr, t);
	}
	forget(&v);
	sd_tls_target_free(t);
	return err ? 1 : judge(call, addr, name);
}

static int show_address(struct sd_verb_call *call, const char *where)
{
	struct sd_error e = {0};
	struct sd_addr addr;
	char host[SD_ADDR_TEXT];
	const char *asked = sd_conf_string(call->conf, "name");
	int status = 1;
	enum sd_err err = sd_addr_parse(where, "127.0.0.1", &addr, &e);
	if (!err)
		sd_addr_format_host(&addr, host);
	if (!err && addr.kind == SD_ADDR_NAME)
		err = sd_resolve_wait(call->world, &addr, &e);
	if (!err)
		status = show_server(call, &addr, asked ? asked : host, &e);
	if (e.text[0])
		fprintf(call->err, "sdlab tls show: %s: %s\n", where, e.text);
	return status;
}

int tls_show(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	const char *what = call->args[0];
	char *pem = NULL, *text = NULL;
	size_t n;
	unsigned mode;
	/* A name with a colon that is no file is an address. */
	if (strchr(what, ':') && !sd_world_file_mode(call->world, what, &mode))
		return show_address(call, what);
	if (sd_world_read_file(call->world, what, MAX_FILE, &pem, &n, &e) == SD_OK)
		text = sd_tls_describe(pem, n, sd_world_wall_ns(call->world) / 1000000000, &e);
	if (text)
		fputs(text, call->out);
	else
		fprintf(call->err, "sdlab tls show: %s%s%s\n", pem ? what : "", pem ? ": " : "", e.text);
	free(pem);
	free(text);
	return text ? 0 : 1;
}
