/* cache_conn.c - commands about the connection and the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/cache.h"
#include "core/same_secret.h"
#include "core/text.h"

/* ---- passwords ---- */

/* There is one user, default. */
static bool log_in(struct cache_call *c, struct sd_slice user, struct sd_slice password)
{
	const char *want = c->cache->password;
	bool ok = cache_is(user, "default") && (!want || sd_same_secret(password, want));
	if (ok)
		c->session->flags |= CACHE_AUTHENTICATED;
	else
		sd_resp_error(c->out, "WRONGPASS invalid username-password pair or user is disabled.");
	return ok;
}

static void cmd_auth(struct cache_call *c)
{
	static const struct sd_slice user = {"default", 7};
	if (c->argc > 3) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (c->argc == 2 && !c->cache->password) {
		sd_resp_error(c->out, "ERR AUTH <password> called without any password configured for the default user. Are you "
				      "sure your configuration is correct?");
		return;
	}
	if (log_in(c, c->argc == 3 ? c->argv[1] : user, c->argv[c->argc - 1]))
		sd_resp_simple(c->out, "OK");
}

/* The options of HELLO; false after the reply that says what is wrong. */
static bool hello_options(struct cache_call *c)
{
	for (size_t i = 2; i < c->argc; i++) {
		size_t more = c->argc - 1 - i;
		if (cache_is(c->argv[i], "auth") && more >= 2) {
			if (!log_in(c, c->argv[i + 1], c->argv[i + 2]))
				return false;
			i += 2;
		} else if (cache_is(c->argv[i], "setname") && more >= 1) {
			if (!cache_client_set_name(c, c->argv[++i]))
				return false;
		} else {
			sd_resp_errorf(c->out, "ERR Syntax error in HELLO option '%.*s'", (int)c->argv[i].n, c->argv[i].p);
			return false;
		}
	}
	return true;
}

static void cmd_hello(struct cache_call *c)
{
	int64_t version = c->out->resp3 ? 3 : 2;
	if (c->argc > 1 && !sd_resp_parse_int(c->argv[1], &version)) {
		sd_resp_error(c->out, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (version < 2 || version > 3) {
		sd_resp_error(c->out, "NOPROTO unsupported protocol version");
		return;
	}
	if (!hello_options(c))
		return;
	if (!(c->session->flags & CACHE_AUTHENTICATED)) {
		sd_resp_error(c->out, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
				      "AUTH <user> <pass> option can be used to authenticate the client and select the "
				      "RESP protocol version at the same time");
		return;
	}
	if (c->argc > 1)
		c->out->resp3 = version == 3;
	sd_resp_map(c->out, 7);
	sd_resp_text(c->out, "server");
	sd_resp_text(c->out, "redis");
	sd_resp_text(c->out, "version");
	sd_resp_text(c->out, SD_REDIS_LIKE);
	sd_resp_text(c->out, "proto");
	sd_resp_int(c->out, version);
	sd_resp_text(c->out, "id");
	sd_resp_int(c->out, (int64_t)c->session->id);
	sd_resp_text(c->out, "mode");
	sd_resp_text(c->out, c->cache->cluster ? "cluster" : "standalone");
	sd_resp_text(c->out, "role");
	sd_resp_text(c->out, "master");
	sd_resp_text(c->out, "modules");
	sd_resp_array(c->out, 0);
}

/* ---- small ones ---- */

static void cmd_ping(struct cache_call *c)
{
	if (c->argc > 2) {
		sd_resp_error(c->out, "ERR wrong number of arguments for 'ping' command");
	} else if (cache_subscriptions(c->session) && !c->out->resp3) { /* a message, as all it gets */
		sd_resp_array(c->out, 2);
		sd_resp_text(c->out, "pong");
		sd_resp_bulk(c->out, c->argc == 2 ? c->argv[1].p : "", c->argc == 2 ? c->argv[1].n : 0);
	} else if (c->argc == 2)
		sd_resp_bulk(c->out, c->argv[1].p, c->argv[1].n);
	else
		sd_resp_simple(c->out, "PONG");
}

static void cmd_echo(struct cache_call *c)
{
	sd_resp_bulk(c->out, c->argv[1].p, c->argv[1].n);
}

static void cmd_quit(struct cache_call *c)
{
	c->session->flags |= CACHE_QUIT;
	sd_resp_simple(c->out, "OK");
}

static void cmd_reset(struct cache_call *c)
{
	struct cache_session *s = c->session;
	cache_session_clear(s);
	s->db = &c->cache->dbs[0];
	s->name[0] = '\0';
	s->out.resp3 = false;
	s->flags = c->cache->password ? 0 : CACHE_AUTHENTICATED;
	sd_resp_simple(c->out, "RESET");
}

static void cmd_select(struct cache_call *c)
{
	struct cache_db *db;
	if (!cache_arg_db(c, 1, &db))
		return;
	if (db->number && c->cache->cluster) {
		sd_resp_error(c->out, "ERR SELECT is not allowed in cluster mode");
		return;
	}
	c->session->db = db;
	sd_resp_simple(c->out, "OK");
}

static void cmd_time(struct cache_call *c)
{
	char text[32];
	sd_resp_array(c->out, 2);
	sd_resp_bulk(c->out, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)(c->cache->now_ms / 1000)));
	sd_resp_bulk(c->out, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)(c->cache->now_ms % 1000 * 1000)));
}

void cache_reply_text(struct cache_call *c, struct sd_text *t)
{
	char *text = sd_text_take(t, NULL);
	if (text)
		sd_resp_verbatim(c->out, "txt", text);
	else
		sd_resp_error(c->out, cache_no_memory);
	free(text);
}

void cache_help(struct cache_call *c)
{
	sd_redis_tell_help(&c->cache->names, c->command->is, c->out);
}

const struct cache_command cache_connection_commands[] = {
    {SD_REDIS(AUTH), cmd_auth},
    {SD_REDIS(ECHO), cmd_echo},
    {SD_REDIS(HELLO), cmd_hello},
    {SD_REDIS(PING), cmd_ping},
    {SD_REDIS(QUIT), cmd_quit},
    {SD_REDIS(RESET), cmd_reset},
    {SD_REDIS(SELECT), cmd_select},
    {0},
};
const struct cache_command cache_server_commands[] = {
    {SD_REDIS(TIME), cmd_time},
    {0},
};
