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

const struct cache_command cache_command_commands[] = {
    {"command", -1, 0, 0, 0, 0, cmd_command, "server", "2.8.13", "Describes the commands"},
    {"command|count", 2, 0, 0, 0, 0, cmd_command_count, "server", "2.8.13", "Gives the number of commands"},
    {"command|docs", -2, 0, 0, 0, 0, cmd_command_docs, "server", "7.0.0", "Documents commands"},
    {"command|getkeys", -4, 0, 0, 0, 0, cmd_command_getkeys, "server", "2.8.13", "Finds the keys of a command"},
    {"command|help", 2, 0, 0, 0, 0, cache_help, "server", "5.0.0", "Lists the subcommands"},
    {"command|info", -2, 0, 0, 0, 0, cmd_command_info, "server", "2.8.13", "Describes some commands"},
    {"command|list", 2, 0, 0, 0, 0, cmd_command_list, "server", "7.0.0", "Lists the names of commands"},
    {0},
};
