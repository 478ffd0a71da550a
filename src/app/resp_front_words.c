/* resp_front_words.c - what clients say when they connect, and what they ask about connections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/same_secret.h"
#include "core/text.h"
#include "resp_front.h"

static const char syntax[] = "ERR syntax error";

/* ---- passwords ---- */

bool sd_resp_front_allows(struct sd_resp_conn *c, const struct sd_redis_command *k)
{
	if (c->authenticated || k->flags & SD_REDIS_NOAUTH)
		return true;
	sd_resp_error(&c->out, "NOAUTH Authentication required.");
	return false;
}

/* There is one user, default. */
static bool log_in(struct sd_resp_conn *c, struct sd_slice user, struct sd_slice password)
{
	const char *wanted = c->front->password;
	bool ok = sd_slice_ieq(user, "default") && (!wanted || sd_same_secret(password, wanted));
	c->authenticated |= ok;
	if (!ok)
		sd_resp_error(&c->out, "WRONGPASS invalid username-password pair or user is disabled.");
	return ok;
}

static void cmd_auth(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	if (argc > 3)
		sd_resp_error(&c->out, syntax);
	else if (argc == 2 && !c->front->password)
		sd_resp_error(&c->out, "ERR AUTH <password> called without any password configured for the default user. Are you "
				       "sure your configuration is correct?");
	else if (log_in(c, argc == 3 ? argv[1] : sd_slice_of("default"), argv[argc - 1]))
		sd_resp_simple(&c->out, "OK");
}

/* ---- HELLO ---- */

/* False: it is none that a client may have, which is the reply. */
static bool set_name(struct sd_resp_conn *c, struct sd_slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < '!' || name.p[i] > '~') {
			sd_resp_error(&c->out, "ERR Client names cannot contain spaces, newlines or special characters.");
			return false;
		}
	if (name.n >= sizeof(c->name)) {
		sd_resp_errorf(&c->out, "ERR Client names are at most %zu bytes long", sizeof(c->name) - 1);
		return false;
	}
	snprintf(c->name, sizeof(c->name), "%.*s", (int)name.n, name.p);
	return true;
}

/* False after the reply that says what is wrong. */
static bool hello_options(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	for (size_t i = 2; i < argc; i++) {
		size_t more = argc - 1 - i;
		if (sd_slice_ieq(argv[i], "auth") && more >= 2) {
			if (!log_in(c, argv[i + 1], argv[i + 2]))
				return false;
			i += 2;
		} else if (sd_slice_ieq(argv[i], "setname") && more >= 1) {
			if (!set_name(c, argv[++i]))
				return false;
		} else {
			sd_resp_errorf(&c->out, "ERR Syntax error in HELLO option '%.*s'", (int)argv[i].n, argv[i].p);
			return false;
		}
	}
	return true;
}

static void say_hello(struct sd_resp_conn *c)
{
	struct sd_resp_out *out = &c->out;
	sd_resp_map(out, 7);
	sd_resp_text(out, "server");
	sd_resp_text(out, c->front->server);
	sd_resp_text(out, "version");
	sd_resp_text(out, c->front->version);
	sd_resp_text(out, "proto");
	sd_resp_int(out, out->resp3 ? 3 : 2);
	sd_resp_text(out, "id");
	sd_resp_int(out, (int64_t)c->id);
	sd_resp_text(out, "mode");
	sd_resp_text(out, "standalone");
	sd_resp_text(out, "role");
	sd_resp_text(out, "master");
	sd_resp_text(out, "modules");
	sd_resp_array(out, 0);
}

static void cmd_hello(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	int64_t version = c->out.resp3 ? 3 : 2;
	if (argc > 1 && !sd_resp_parse_int(argv[1], &version)) {
		sd_resp_error(&c->out, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (version < 2 || version > 3) {
		sd_resp_error(&c->out, "NOPROTO unsupported protocol version");
		return;
	}
	if (!hello_options(c, argc, argv))
		return;
	if (!c->authenticated) {
		sd_resp_error(&c->out, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
				       "AUTH <user> <pass> option can be used to authenticate the client and select the "
				       "RESP protocol version at the same time");
		return;
	}
	c->out.resp3 = version == 3;
	say_hello(c);
}

/* ---- CLIENT ---- */

static void cmd_client_id(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	(void)argc;
	(void)argv;
	sd_resp_int(&c->out, (int64_t)c->id);
}

static void cmd_client_getname(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	(void)argc;
	(void)argv;
	if (c->name[0])
		sd_resp_text(&c->out, c->name);
	else
		sd_resp_null(&c->out);
}

static void cmd_client_setname(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	(void)argc;
	if (set_name(c, argv[2]))
		sd_resp_simple(&c->out, "OK");
}

static void put_line(struct sd_text *t, const struct sd_resp_conn *c)
{
	sd_text_format(t, "id=%llu addr=%s name=%s age=%lld db=0 resp=%d\n", (unsigned long long)c->id, c->address, c->name,
		     (long long)((sd_loop_now_ns(c->front->loop) - c->since_ns) / 1000000000), c->out.resp3 ? 3 : 2);
}

static void put_text(struct sd_resp_conn *c, struct sd_text *t)
{
	char *text = sd_text_take(t, NULL);
	if (text)
		sd_resp_verbatim(&c->out, "txt", text);
	else
		c->out.full = true;
	free(text);
}

static void cmd_client_info(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	struct sd_text t = {0};
	(void)argc;
	(void)argv;
	put_line(&t, c);
	put_text(c, &t);
}

static void cmd_client_list(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	struct sd_text t = {0};
	(void)argv;
	if (argc > 2) {
		sd_resp_error(&c->out, syntax);
		return;
	}
	for (struct sd_link *k = c->front->conns.next; k != &c->front->conns; k = k->next)
		put_line(&t, sd_container(k, struct sd_resp_conn, link));
	put_text(c, &t);
}

/* ---- small ones ---- */

static void cmd_ping(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	if (argc > 2)
		sd_resp_error(&c->out, "ERR wrong number of arguments for 'ping' command");
	else if (argc == 2)
		sd_resp_bulk(&c->out, argv[1].p, argv[1].n);
	else
		sd_resp_simple(&c->out, "PONG");
}

static void cmd_echo(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	(void)argc;
	sd_resp_bulk(&c->out, argv[1].p, argv[1].n);
}

static void cmd_quit(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	(void)argc;
	(void)argv;
	c->quit = true;
	sd_resp_simple(&c->out, "OK");
}

static void cmd_select(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	int64_t db;
	(void)argc;
	if (!sd_resp_parse_int(argv[1], &db))
		sd_resp_error(&c->out, "ERR value is not an integer or out of range");
	else if (db < INT32_MIN || db > INT32_MAX)
		sd_resp_error(&c->out, "ERR value is out of range, value must between -2147483648 and 2147483647");
	else if (db)
		sd_resp_error(&c->out, "ERR DB index is out of range");
	else
		sd_resp_simple(&c->out, "OK");
}

const struct sd_resp_word sd_resp_front_words[] = {
    {SD_REDIS(AUTH), cmd_auth},
    {SD_REDIS(CLIENT), NULL},
    {SD_REDIS(CLIENT_GETNAME), cmd_client_getname},
    {SD_REDIS(CLIENT_ID), cmd_client_id},
    {SD_REDIS(CLIENT_INFO), cmd_client_info},
    {SD_REDIS(CLIENT_LIST), cmd_client_list},
    {SD_REDIS(CLIENT_SETNAME), cmd_client_setname},
    {SD_REDIS(ECHO), cmd_echo},
    {SD_REDIS(HELLO), cmd_hello},
    {SD_REDIS(PING), cmd_ping},
    {SD_REDIS(QUIT), cmd_quit},
    {SD_REDIS(SELECT), cmd_select},
    {0},
};
