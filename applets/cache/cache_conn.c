/* cache_conn.c - commands about the connection and the server. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "core/text.h"
#include "sdlab/version.h"

/* What clients ask for to know which commands they may use: the Redis whose behaviour this follows. */
#define LIKE_REDIS "7.0.15"

/* ---- passwords ---- */

/* In a time that tells nothing about where the first wrong byte is. */
static bool same_secret(struct sd_slice a, const char *b)
{
	size_t n = strlen(b);
	unsigned diff = a.n != n;
	for (size_t i = 0; i < a.n; i++)
		diff |= (unsigned char)a.p[i] ^ (unsigned char)(n ? b[i % n] : 1);
	return diff == 0;
}

/* There is one user, default. */
static bool log_in(struct cache_call *c, struct sd_slice user, struct sd_slice password)
{
	const char *want = c->cache->password;
	bool ok = cache_is(user, "default") && (!want || same_secret(password, want));
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
		sd_resp_error(c->out, cache_syntax);
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
	sd_resp_text(c->out, LIKE_REDIS);
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
	const struct cache_command *k;
	size_t stem = strcspn(c->command->name, "|") + 1, n = 0, place = sd_resp_later(c->out);
	for (size_t i = 0; (k = cache_command_at(i)); i++) {
		char line[160];
		if (strncmp(k->name, c->command->name, stem) != 0)
			continue;
		snprintf(line, sizeof(line), "%s: %s", k->name + stem, k->summary);
		sd_resp_simple(c->out, line);
		n++;
	}
	sd_resp_now(c->out, place, '*', n);
}

/* ---- COMMAND ---- */

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
    {CACHE_WRITE, "write"}, {CACHE_READONLY, "readonly"}, {CACHE_DENYOOM, "denyoom"}, {CACHE_ADMIN, "admin"},
    {CACHE_PUBSUB, "pubsub"}, {CACHE_NOSCRIPT, "noscript"}, {CACHE_BLOCKING, "blocking"}, {CACHE_LOADING, "loading"},
    {CACHE_STALE, "stale"}, {CACHE_QUIET, "skip_slowlog"}, {CACHE_NOAUTH, "no_auth"}, {CACHE_FAST, "fast"},
    {CACHE_MOVABLE, "movablekeys"},
};

static bool is_sub(const struct cache_command *k)
{
	return strchr(k->name, '|');
}

static void put_command(struct cache_call *c, const struct cache_command *k)
{
	size_t n = 0;
	if (!k) {
		sd_resp_null_array(c->out);
		return;
	}
	sd_resp_array(c->out, 10);
	sd_resp_text(c->out, k->name);
	sd_resp_int(c->out, k->arity);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		n += (k->flags & flag_names[i].flag) != 0;
	sd_resp_set(c->out, n);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (k->flags & flag_names[i].flag)
			sd_resp_simple(c->out, flag_names[i].name);
	sd_resp_int(c->out, k->first);
	sd_resp_int(c->out, k->last);
	sd_resp_int(c->out, k->step);
	for (int i = 0; i < 4; i++) /* categories, tips, key specifications, subcommands: none are told */
		sd_resp_array(c->out, 0);
}

static void all_commands(struct cache_call *c, void (*put)(struct cache_call *c, const struct cache_command *k), char type)
{
	const struct cache_command *k;
	size_t n = 0, place = sd_resp_later(c->out);
	for (size_t i = 0; (k = cache_command_at(i)); i++) {
		if (is_sub(k))
			continue;
		put(c, k);
		n++;
	}
	sd_resp_now(c->out, place, type, n);
}

static void put_name(struct cache_call *c, const struct cache_command *k)
{
	sd_resp_text(c->out, k->name);
}

static void put_docs(struct cache_call *c, const struct cache_command *k)
{
	sd_resp_text(c->out, k->name);
	sd_resp_map(c->out, 3);
	sd_resp_text(c->out, "summary");
	sd_resp_text(c->out, k->summary);
	sd_resp_text(c->out, "since");
	sd_resp_text(c->out, k->since);
	sd_resp_text(c->out, "group");
	sd_resp_text(c->out, k->group);
}

static void cmd_command(struct cache_call *c)
{
	all_commands(c, put_command, '*');
}

static void cmd_command_count(struct cache_call *c)
{
	const struct cache_command *k;
	int64_t n = 0;
	for (size_t i = 0; (k = cache_command_at(i)); i++)
		n += !is_sub(k);
	sd_resp_int(c->out, n);
}

static void cmd_command_info(struct cache_call *c)
{
	if (c->argc == 2) {
		cmd_command(c);
		return;
	}
	sd_resp_array(c->out, c->argc - 2);
	for (size_t i = 2; i < c->argc; i++)
		put_command(c, cache_find_command(c->cache, c->argv[i]));
}

static void cmd_command_list(struct cache_call *c)
{
	all_commands(c, put_name, '*');
}

static void cmd_command_docs(struct cache_call *c)
{
	if (c->argc == 2) {
		all_commands(c, put_docs, '%');
		return;
	}
	size_t n = 0, place = sd_resp_later(c->out);
	for (size_t i = 2; i < c->argc; i++) {
		const struct cache_command *k = cache_find_command(c->cache, c->argv[i]);
		if (!k)
			continue;
		put_docs(c, k);
		n++;
	}
	sd_resp_now(c->out, place, '%', n);
}

/* Of the command that begins with argv[2]. */
static void put_keys(struct cache_call *c, const struct cache_keys *keys)
{
	const struct sd_slice *argv = c->argv + 2;
	sd_resp_array(c->out, keys->n + (keys->also != 0));
	if (keys->also && keys->also < keys->first)
		sd_resp_bulk(c->out, argv[keys->also].p, argv[keys->also].n);
	for (size_t i = 0; i < keys->n; i++) {
		struct sd_slice key = argv[keys->first + i * keys->step];
		sd_resp_bulk(c->out, key.p, key.n);
	}
	if (keys->also > keys->first)
		sd_resp_bulk(c->out, argv[keys->also].p, argv[keys->also].n);
}

static void cmd_command_getkeys(struct cache_call *c)
{
	const struct cache_command *k = cache_find_command(c->cache, c->argv[2]);
	size_t argc = c->argc - 2;
	if (k && !k->fn && argc > 1)
		k = cache_find_subcommand(c->cache, k, c->argv[3]);
	if (!k) {
		sd_resp_error(c->out, "ERR Invalid command specified");
		return;
	}
	if (k->arity < 0 ? argc < (size_t)-k->arity : argc != (size_t)k->arity) {
		sd_resp_error(c->out, "ERR Invalid number of arguments specified for command");
		return;
	}
	struct cache_keys keys;
	if (!cache_keys(k, argc, c->argv + 2, &keys))
		sd_resp_error(c->out, "ERR Invalid arguments specified for command");
	else if (!keys.n)
		sd_resp_error(c->out, "ERR The command has no key arguments");
	else
		put_keys(c, &keys);
}

/* ---- INFO ---- */

static void info_server(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Server\r\nredis_version:%s\r\nsdlab_version:%s\r\nredis_mode:%s\r\ntcp_port:%u\r\n"
			  "uptime_in_seconds:%lld\r\n", LIKE_REDIS, SDLAB_VERSION, c->cluster ? "cluster" : "standalone", c->port,
		       (long long)((c->now_ms - c->started_ms) / 1000));
}

static void info_clients(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Clients\r\nconnected_clients:%zu\r\nblocked_clients:%zu\r\n", c->nsessions, c->nblocked);
}

static void info_memory(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Memory\r\nused_memory:%zu\r\nmaxmemory:%llu\r\nmaxmemory_policy:%s\r\n", cache_used_memory(c),
		       (unsigned long long)c->max_memory, c->evict.policy);
}

static void info_stats(const struct cache *c, struct sd_text *t)
{
	const struct cache_stats *s = &c->stats;
	sd_text_format(t, "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
			  "rejected_connections:%llu\r\nexpired_keys:%llu\r\nevicted_keys:%llu\r\nkeyspace_hits:%llu\r\n"
			  "keyspace_misses:%llu\r\ntotal_error_replies:%llu\r\n",
		       (unsigned long long)s->connections, (unsigned long long)s->commands, (unsigned long long)s->rejected,
		       (unsigned long long)s->expired, (unsigned long long)s->evicted, (unsigned long long)s->hits, (unsigned long long)s->misses,
		       (unsigned long long)s->errors);
}

static void info_replication(const struct cache *c, struct sd_text *t)
{
	(void)c;
	sd_text_format(t, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
}

static void info_cluster(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Cluster\r\ncluster_enabled:%d\r\n", c->cluster != NULL);
}

static void info_keyspace(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Keyspace\r\n");
	for (int i = 0; i < CACHE_DBS; i++)
		if (sd_dict_count(&c->dbs[i].keys))
			sd_text_format(t, "db%d:keys=%zu,expires=%zu,avg_ttl=0\r\n", i, sd_dict_count(&c->dbs[i].keys),
				       c->dbs[i].expires);
}

static const struct {
	const char *name;
	void (*put)(const struct cache *c, struct sd_text *t);
} sections[] = {
    {"server", info_server}, {"clients", info_clients}, {"memory", info_memory}, {"persistence", cache_keep_info}, {"stats", info_stats},
    {"replication", info_replication}, {"cluster", info_cluster}, {"keyspace", info_keyspace},
};

static bool wants_section(const struct cache_call *c, const char *name)
{
	bool any = c->argc == 1;
	for (size_t i = 1; i < c->argc; i++)
		any |= cache_is(c->argv[i], name) || cache_is(c->argv[i], "all") || cache_is(c->argv[i], "default") ||
		       cache_is(c->argv[i], "everything");
	return any;
}

static void cmd_info(struct cache_call *c)
{
	struct sd_text t = {0};
	sd_text_add(&t, "", 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!wants_section(c, sections[i].name))
			continue;
		sd_text_format(&t, "%s", t.n ? "\r\n" : "");
		sections[i].put(c->cache, &t);
	}
	cache_reply_text(c, &t);
}

#define ANY CACHE_NOAUTH
const struct cache_command cache_connection_commands[] = {
    {"auth", -2, ANY | CACHE_FAST | CACHE_QUIET, 0, 0, 0, cmd_auth, "connection", "1.0.0", "Logs in"},
    {"echo", 2, CACHE_FAST, 0, 0, 0, cmd_echo, "connection", "1.0.0", "Gives back what it gets"},
    {"hello", -1, ANY | CACHE_FAST | CACHE_QUIET, 0, 0, 0, cmd_hello, "connection", "6.0.0", "Chooses the version of the protocol"},
    {"ping", -1, CACHE_FAST | CACHE_PUBSUB, 0, 0, 0, cmd_ping, "connection", "1.0.0", "Asks for a sign of life"},
    {"quit", -1, ANY | CACHE_FAST | CACHE_PUBSUB | CACHE_UNQUEUED, 0, 0, 0, cmd_quit, "connection", "1.0.0", "Ends the connection"},
    {"reset", 1, ANY | CACHE_FAST | CACHE_PUBSUB | CACHE_UNQUEUED, 0, 0, 0, cmd_reset, "connection", "6.2.0", "Makes the connection as new"},
    {"select", 2, CACHE_FAST, 0, 0, 0, cmd_select, "connection", "1.0.0", "Chooses a database"},
    {0},
};
const struct cache_command cache_server_commands[] = {
    {"command", -1, 0, 0, 0, 0, cmd_command, "server", "2.8.13", "Describes the commands"},
    {"command|count", 2, 0, 0, 0, 0, cmd_command_count, "server", "2.8.13", "Gives the number of commands"},
    {"command|docs", -2, 0, 0, 0, 0, cmd_command_docs, "server", "7.0.0", "Documents commands"},
    {"command|getkeys", -4, 0, 0, 0, 0, cmd_command_getkeys, "server", "2.8.13", "Finds the keys of a command"},
    {"command|help", 2, 0, 0, 0, 0, cache_help, "server", "5.0.0", "Lists the subcommands"},
    {"command|info", -2, 0, 0, 0, 0, cmd_command_info, "server", "2.8.13", "Describes some commands"},
    {"command|list", 2, 0, 0, 0, 0, cmd_command_list, "server", "7.0.0", "Lists the names of commands"},
    {"info", -1, 0, 0, 0, 0, cmd_info, "server", "1.0.0", "Tells how the server is"},
    {"time", 1, CACHE_FAST, 0, 0, 0, cmd_time, "server", "2.6.0", "Gives the server's time"},
    {0},
};
