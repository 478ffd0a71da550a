/* redis_commands_tell.c - COMMAND: what commands there are, and where their keys are. */
#include "redis_commands.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
    {SD_REDIS_WRITE, "write"}, {SD_REDIS_READONLY, "readonly"}, {SD_REDIS_DENYOOM, "denyoom"}, {SD_REDIS_ADMIN, "admin"},
    {SD_REDIS_PUBSUB, "pubsub"}, {SD_REDIS_NOSCRIPT, "noscript"}, {SD_REDIS_BLOCKING, "blocking"}, {SD_REDIS_LOADING, "loading"},
    {SD_REDIS_STALE, "stale"}, {SD_REDIS_QUIET, "skip_slowlog"}, {SD_REDIS_NOAUTH, "no_auth"}, {SD_REDIS_FAST, "fast"},
    {SD_REDIS_MOVABLE, "movablekeys"}, {SD_REDIS_NO_ASYNC, "no_async_loading"}, {SD_REDIS_NO_MULTI, "no_multi"},
    {SD_REDIS_ALLOW_BUSY, "allow_busy"},
};

static bool is_sub(const struct sd_redis_command *k)
{
	return strchr(k->name, '|');
}

/* Nothing without a subcommand? */
static bool is_bare(const struct sd_redis_command *k)
{
	return k->flags & SD_REDIS_CONTAINER && k->arity != -1;
}

/* Passwords are kept from MONITOR and SLOWLOG alike; Redis says so of other commands only. */
static uint32_t flags_of(const struct sd_redis_command *k)
{
	return k->flags & (k->flags & SD_REDIS_NOAUTH ? ~(uint32_t)SD_REDIS_QUIET : UINT32_MAX);
}

static void put_flags(struct sd_resp_out *out, const struct sd_redis_command *k)
{
	size_t n = 0, place = sd_resp_later(out);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (!(flags_of(k) & flag_names[i].flag))
			continue;
		sd_resp_simple(out, flag_names[i].name);
		n++;
	}
	sd_resp_now(out, place, out->resp3 ? '~' : '*', n);
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

static unsigned categories_of(const struct sd_redis_command *k)
{
	static const struct {
		uint32_t flag;
		unsigned category;
	} of_flags[] = {{SD_REDIS_WRITE, WRITE}, {SD_REDIS_READONLY, READ}, {SD_REDIS_ADMIN, ADMIN | DANGEROUS}, {SD_REDIS_PUBSUB, PUBSUB},
			{SD_REDIS_BLOCKING, BLOCKING}};
	unsigned set = k->flags & SD_REDIS_FAST ? FAST : SLOW;
	size_t n = strcspn(k->name, "|");
	for (size_t i = 0; i < sizeof(of_flags) / sizeof(of_flags[0]); i++)
		set |= k->flags & of_flags[i].flag ? of_flags[i].category : 0;
	for (size_t i = 0; !is_bare(k) && i < sizeof(of_groups) / sizeof(of_groups[0]); i++)
		set |= strcmp(k->group, of_groups[i].group) == 0 ? of_groups[i].category : 0;
	for (size_t i = 0; i < sizeof(odd_ones) / sizeof(odd_ones[0]); i++)
		if (strlen(odd_ones[i].name) == n && memcmp(odd_ones[i].name, k->name, n) == 0)
			set = (set | odd_ones[i].also) & ~odd_ones[i].not;
	return set;
}

static void put_categories(struct sd_resp_out *out, const struct sd_redis_command *k)
{
	unsigned set = categories_of(k);
	sd_resp_set(out, (size_t)__builtin_popcount(set));
	for (unsigned i = 0; i < CATEGORIES; i++)
		if (set >> i & 1)
			sd_resp_simple(out, category_names[i]);
}

static void put_command(const struct sd_redis_index *ix, const struct sd_redis_command *k, struct sd_resp_out *out);

static void put_subcommands(const struct sd_redis_index *ix, const struct sd_redis_command *of, struct sd_resp_out *out)
{
	size_t n = 0, place = sd_resp_later(out), length = strlen(of->name);
	for (size_t i = 0; !is_sub(of) && i < ix->n; i++) {
		const struct sd_redis_command *k = ix->rows[i].is;
		if (strncmp(k->name, of->name, length) != 0 || k->name[length] != '|')
			continue;
		put_command(ix, k, out);
		n++;
	}
	sd_resp_now(out, place, '*', n);
}

static void put_command(const struct sd_redis_index *ix, const struct sd_redis_command *k, struct sd_resp_out *out)
{
	sd_resp_array(out, 10);
	sd_resp_text(out, k->name);
	sd_resp_int(out, k->arity);
	put_flags(out, k);
	sd_resp_int(out, k->first);
	sd_resp_int(out, k->last);
	sd_resp_int(out, k->step);
	put_categories(out, k);
	for (int i = 0; i < 2; i++) /* tips and specifications of keys: none are told */
		sd_resp_array(out, 0);
	put_subcommands(ix, k, out);
}

static void put_name(const struct sd_redis_index *ix, const struct sd_redis_command *k, struct sd_resp_out *out)
{
	(void)ix;
	sd_resp_text(out, k->name);
}

static void put_docs(const struct sd_redis_index *ix, const struct sd_redis_command *k, struct sd_resp_out *out)
{
	(void)ix;
	sd_resp_text(out, k->name);
	sd_resp_map(out, 3);
	sd_resp_text(out, "summary");
	sd_resp_text(out, k->summary);
	sd_resp_text(out, "since");
	sd_resp_text(out, k->since);
	sd_resp_text(out, "group");
	sd_resp_text(out, k->group);
}

typedef void put_fn(const struct sd_redis_index *ix, const struct sd_redis_command *k, struct sd_resp_out *out);

static void all_commands(const struct sd_redis_index *ix, put_fn *put, char type, struct sd_resp_out *out)
{
	size_t n = 0, place = sd_resp_later(out);
	for (size_t i = 0; i < ix->n; i++) {
		if (is_sub(ix->rows[i].is))
			continue;
		put(ix, ix->rows[i].is, out);
		n++;
	}
	sd_resp_now(out, place, type, n);
}

void sd_redis_tell_all(const struct sd_redis_index *ix, struct sd_resp_out *out)
{
	all_commands(ix, put_command, '*', out);
}

void sd_redis_tell_count(const struct sd_redis_index *ix, struct sd_resp_out *out)
{
	int64_t n = 0;
	for (size_t i = 0; i < ix->n; i++)
		n += !is_sub(ix->rows[i].is);
	sd_resp_int(out, n);
}

void sd_redis_tell_names(const struct sd_redis_index *ix, struct sd_resp_out *out)
{
	all_commands(ix, put_name, '*', out);
}

void sd_redis_tell_info(const struct sd_redis_index *ix, size_t n, const struct sd_slice *names, struct sd_resp_out *out)
{
	if (!n) {
		sd_redis_tell_all(ix, out);
		return;
	}
	sd_resp_array(out, n);
	for (size_t i = 0; i < n; i++) {
		const struct sd_redis_row *row = sd_redis_find(ix, names[i]);
		if (row)
			put_command(ix, row->is, out);
		else
			sd_resp_null_array(out);
	}
}

void sd_redis_tell_docs(const struct sd_redis_index *ix, size_t n, const struct sd_slice *names, struct sd_resp_out *out)
{
	if (!n) {
		all_commands(ix, put_docs, '%', out);
		return;
	}
	size_t known = 0, place = sd_resp_later(out);
	for (size_t i = 0; i < n; i++) {
		const struct sd_redis_row *row = sd_redis_find(ix, names[i]);
		if (!row)
			continue;
		put_docs(ix, row->is, out);
		known++;
	}
	sd_resp_now(out, place, '%', known);
}

static void put_keys(const struct sd_slice *argv, const struct sd_redis_keys *keys, struct sd_resp_out *out)
{
	sd_resp_array(out, keys->n + (keys->also != 0));
	if (keys->also && keys->also < keys->first)
		sd_resp_bulk(out, argv[keys->also].p, argv[keys->also].n);
	for (size_t i = 0; i < keys->n; i++) {
		struct sd_slice key = argv[keys->first + i * keys->step];
		sd_resp_bulk(out, key.p, key.n);
	}
	if (keys->also > keys->first)
		sd_resp_bulk(out, argv[keys->also].p, argv[keys->also].n);
}

void sd_redis_tell_keys(const struct sd_redis_index *ix, size_t argc, const struct sd_slice *argv, struct sd_resp_out *out)
{
	const struct sd_redis_row *row = sd_redis_find(ix, argv[0]);
	struct sd_redis_keys keys;
	if (row && is_bare(row->is) && argc > 1)
		row = sd_redis_find_sub(ix, row->is, argv[1]);
	if (!row)
		sd_resp_error(out, "ERR Invalid command specified");
	else if (!sd_redis_has_arity(row->is, argc))
		sd_resp_error(out, "ERR Invalid number of arguments specified for command");
	else if (!sd_redis_keys(row->is, argc, argv, &keys))
		sd_resp_error(out, "ERR Invalid arguments specified for command");
	else if (!keys.n)
		sd_resp_error(out, "ERR The command has no key arguments");
	else
		put_keys(argv, &keys, out);
}

void sd_redis_tell_help(const struct sd_redis_index *ix, const struct sd_redis_command *is, struct sd_resp_out *out)
{
	size_t stem = strcspn(is->name, "|") + 1, n = 0, place = sd_resp_later(out);
	for (size_t i = 0; i < ix->n; i++) {
		const struct sd_redis_command *k = ix->rows[i].is;
		char line[160];
		if (strncmp(k->name, is->name, stem) != 0)
			continue;
		snprintf(line, sizeof(line), "%s: %s", k->name + stem, k->summary);
		sd_resp_simple(out, line);
		n++;
	}
	sd_resp_now(out, place, '*', n);
}
