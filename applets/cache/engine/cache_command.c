/* cache_command.c - COMMAND: what commands there are, and where their keys are. */
#include <string.h>

#include "cache.h"

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
    {CACHE_WRITE, "write"}, {CACHE_READONLY, "readonly"}, {CACHE_DENYOOM, "denyoom"}, {CACHE_ADMIN, "admin"},
    {CACHE_PUBSUB, "pubsub"}, {CACHE_NOSCRIPT, "noscript"}, {CACHE_BLOCKING, "blocking"}, {CACHE_LOADING, "loading"},
    {CACHE_STALE, "stale"}, {CACHE_QUIET, "skip_slowlog"}, {CACHE_NOAUTH, "no_auth"}, {CACHE_FAST, "fast"},
    {CACHE_MOVABLE, "movablekeys"}, {CACHE_NO_ASYNC, "no_async_loading"}, {CACHE_NO_MULTI, "no_multi"},
    {CACHE_ALLOW_BUSY, "allow_busy"},
};

static bool is_sub(const struct cache_command *k)
{
	return strchr(k->name, '|');
}

/* Passwords are kept from MONITOR and SLOWLOG alike; Redis says so of other commands only. */
static uint32_t flags_of(const struct cache_command *k)
{
	return k->flags & (k->flags & CACHE_NOAUTH ? ~(uint32_t)CACHE_QUIET : UINT32_MAX);
}

static void put_flags(struct cache_call *c, const struct cache_command *k)
{
	size_t n = 0, place = sd_resp_later(c->out);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (!(flags_of(k) & flag_names[i].flag))
			continue;
		sd_resp_simple(c->out, flag_names[i].name);
		n++;
	}
	sd_resp_now(c->out, place, c->out->resp3 ? '~' : '*', n);
}

/* ---- categories of ACL ---- */

enum category {
	KEYSPACE = 1, READ = 2, WRITE = 4, SET = 8, SORTEDSET = 16, LIST = 32, HASH = 64, STRING = 128, PUBSUB = 256, ADMIN = 512,
	FAST = 1024, SLOW = 2048, BLOCKING = 4096, DANGEROUS = 8192, CONNECTION = 1 << 14, TRANSACTION = 1 << 15, CATEGORIES = 16,
};
static const char *const category_names[CATEGORIES] = {
    "@keyspace", "@read", "@write", "@set", "@sortedset", "@list", "@hash", "@string", "@pubsub", "@admin", "@fast", "@slow",
    "@blocking", "@dangerous", "@connection", "@transaction",
};
static const struct {
	const char *group;
	unsigned category;
} of_groups[] = {
    {"string", STRING}, {"list", LIST}, {"set", SET}, {"sorted-set", SORTEDSET}, {"hash", HASH}, {"generic", KEYSPACE},
    {"connection", CONNECTION}, {"transactions", TRANSACTION},
};
/* What neither group nor flags say. */
static const struct {
	const char *name; /* of subcommands too */
	unsigned also, not;
} odd_ones[] = {
    {"asking", CONNECTION, 0}, {"command", CONNECTION, 0}, {"dbsize", KEYSPACE, 0}, {"flushall", KEYSPACE | DANGEROUS, 0},
    {"flushdb", KEYSPACE | DANGEROUS, 0}, {"info", DANGEROUS, 0}, {"keys", DANGEROUS, 0}, {"lastsave", ADMIN | DANGEROUS, 0},
    {"readonly", CONNECTION, 0}, {"readwrite", CONNECTION, 0}, {"restore", DANGEROUS, 0},
    {"sort", SET | SORTEDSET | LIST | DANGEROUS, KEYSPACE}, {"sort_ro", SET | SORTEDSET | LIST | DANGEROUS, KEYSPACE},
    {"wait", CONNECTION, KEYSPACE},
};

static unsigned categories_of(const struct cache_command *k)
{
	static const struct {
		uint32_t flag;
		unsigned category;
	} of_flags[] = {{CACHE_WRITE, WRITE}, {CACHE_READONLY, READ}, {CACHE_ADMIN, ADMIN | DANGEROUS}, {CACHE_PUBSUB, PUBSUB},
			{CACHE_BLOCKING, BLOCKING}};
	unsigned set = k->flags & CACHE_FAST ? FAST : SLOW;
	size_t n = strcspn(k->name, "|");
	for (size_t i = 0; i < sizeof(of_flags) / sizeof(of_flags[0]); i++)
		set |= k->flags & of_flags[i].flag ? of_flags[i].category : 0;
	for (size_t i = 0; k->fn && i < sizeof(of_groups) / sizeof(of_groups[0]); i++)
		set |= strcmp(k->group, of_groups[i].group) == 0 ? of_groups[i].category : 0;
	for (size_t i = 0; i < sizeof(odd_ones) / sizeof(odd_ones[0]); i++)
		if (strlen(odd_ones[i].name) == n && memcmp(odd_ones[i].name, k->name, n) == 0)
			set = (set | odd_ones[i].also) & ~odd_ones[i].not;
	return set;
}

static void put_categories(struct cache_call *c, const struct cache_command *k)
{
	unsigned set = categories_of(k);
	sd_resp_set(c->out, (size_t)__builtin_popcount(set));
	for (unsigned i = 0; i < CATEGORIES; i++)
		if (set >> i & 1)
			sd_resp_simple(c->out, category_names[i]);
}

static void put_command(struct cache_call *c, const struct cache_command *k);

static void put_subcommands(struct cache_call *c, const struct cache_command *of)
{
	const struct cache_command *k;
	size_t n = 0, place = sd_resp_later(c->out), length = strlen(of->name);
	for (size_t i = 0; !is_sub(of) && (k = cache_command_at(i)); i++) {
		if (strncmp(k->name, of->name, length) != 0 || k->name[length] != '|')
			continue;
		put_command(c, k);
		n++;
	}
	sd_resp_now(c->out, place, '*', n);
}

static void put_command(struct cache_call *c, const struct cache_command *k)
{
	if (!k) {
		sd_resp_null_array(c->out);
		return;
	}
	sd_resp_array(c->out, 10);
	sd_resp_text(c->out, k->name);
	sd_resp_int(c->out, k->arity);
	put_flags(c, k);
	sd_resp_int(c->out, k->first);
	sd_resp_int(c->out, k->last);
	sd_resp_int(c->out, k->step);
	put_categories(c, k);
	for (int i = 0; i < 2; i++) /* tips and specifications of keys: none are told */
		sd_resp_array(c->out, 0);
	put_subcommands(c, k);
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

#define SEEN (CACHE_LOADING | CACHE_STALE)
const struct cache_command cache_command_commands[] = {
    {"command", -1, SEEN, 0, 0, 0, cmd_command, "server", "2.8.13", "Describes the commands"},
    {"command|count", 2, SEEN, 0, 0, 0, cmd_command_count, "server", "2.8.13", "Gives the number of commands"},
    {"command|docs", -2, SEEN, 0, 0, 0, cmd_command_docs, "server", "7.0.0", "Documents commands"},
    {"command|getkeys", -4, SEEN, 0, 0, 0, cmd_command_getkeys, "server", "2.8.13", "Finds the keys of a command"},
    {"command|help", 2, SEEN, 0, 0, 0, cache_help, "server", "5.0.0", "Lists the subcommands"},
    {"command|info", -2, SEEN, 0, 0, 0, cmd_command_info, "server", "2.8.13", "Describes some commands"},
    {"command|list", 2, SEEN, 0, 0, 0, cmd_command_list, "server", "7.0.0", "Lists the names of commands"},
    {0},
};
