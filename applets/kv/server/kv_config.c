/* kv_config.c - CONFIG: what can be set while it runs, and what tools ask for. */
#include <stdio.h>
#include <string.h>

#include "kv_server.h"

static const char *const sync_names[] = {[SD_KV_ALWAYS] = "always", [SD_KV_EVERYSEC] = "everysec", [SD_KV_NO] = "no"};

const char *kv_sync_name(enum sd_kv_sync sync)
{
	return sync_names[sync];
}

bool kv_sync_parse(struct sd_slice name, enum sd_kv_sync *out)
{
	for (unsigned i = 0; i < sizeof(sync_names) / sizeof(sync_names[0]); i++)
		if (sd_slice_ieq(name, sync_names[i])) {
			*out = (enum sd_kv_sync)i;
			return true;
		}
	return false;
}

/* ---- settings ---- */

#define TEXT 200

static void get_sync(const struct kv_server *s, char out[TEXT])
{
	snprintf(out, TEXT, "%s", kv_sync_name(s->sync));
}

static const char *set_sync(struct kv_server *s, struct sd_slice value)
{
	if (!kv_sync_parse(value, &s->sync))
		return "argument(s) must be one of the following: always, everysec, no";
	sd_kv_set_sync(s->db, s->sync);
	return NULL;
}

static void get_clients(const struct kv_server *s, char out[TEXT])
{
	snprintf(out, TEXT, "%u", s->front.max_clients);
}

static const char *set_clients(struct kv_server *s, struct sd_slice value)
{
	int64_t v;
	if (!sd_resp_parse_int(value, &v) || v < 0 || v > UINT32_MAX)
		return "argument must be between 0 and 4294967295 inclusive";
	if (v > s->most_clients)
		return "no so many files may be open (ulimit -n)";
	s->front.max_clients = v ? (uint32_t)v : s->most_clients;
	return NULL;
}

static void get_dir(const struct kv_server *s, char out[TEXT])
{
	snprintf(out, TEXT, "%s", sd_conf_string(s->run->conf, "data-dir"));
}

static void get_port(const struct kv_server *s, char out[TEXT])
{
	snprintf(out, TEXT, "%d", s->run->naddrs ? s->run->addrs[0].port : 0);
}

static const struct {
	const char *name;
	const char *fixed; /* its value, where it cannot be set */
	void (*get)(const struct kv_server *s, char out[TEXT]);
	const char *(*set)(struct kv_server *s, struct sd_slice value); /* why not */
} settings[] = {
    {"appendfsync", NULL, get_sync, set_sync},
    {"appendonly", "yes", NULL, NULL},
    {"databases", "1", NULL, NULL},
    {"dir", NULL, get_dir, NULL},
    {"maxclients", NULL, get_clients, set_clients},
    {"maxmemory", "0", NULL, NULL},
    {"maxmemory-policy", "noeviction", NULL, NULL},
    {"port", NULL, get_port, NULL},
    {"proto-max-bulk-len", "67108864", NULL, NULL},
    {"save", "", NULL, NULL},
    {"timeout", "0", NULL, NULL},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void value_of(const struct kv_server *s, size_t i, char out[TEXT])
{
	if (settings[i].get)
		settings[i].get(s, out);
	else
		snprintf(out, TEXT, "%s", settings[i].fixed);
}

static void cmd_config_get(struct kv_call *c)
{
	size_t n = 0, place = sd_resp_later(c->out);
	for (size_t i = 0; i < SETTINGS; i++) {
		bool fits = false;
		char value[TEXT];
		for (size_t k = 2; k < c->argc && !fits; k++)
			fits = sd_redis_matches_any_case(c->argv[k], sd_slice_of(settings[i].name));
		if (!fits)
			continue;
		value_of(c->s, i, value);
		sd_resp_text(c->out, settings[i].name);
		sd_resp_text(c->out, value);
		n++;
	}
	sd_resp_now(c->out, place, c->out->resp3 ? '%' : '*', c->out->resp3 ? n : 2 * n);
}

/* What cannot be set may be set to what it is. */
static const char *set(struct kv_server *s, size_t i, struct sd_slice value)
{
	char now[TEXT];
	if (settings[i].set)
		return settings[i].set(s, value);
	value_of(s, i, now);
	return sd_slice_eq(value, now) ? NULL : "can't set immutable config";
}

static size_t find(struct sd_slice name)
{
	size_t i = 0;
	while (i < SETTINGS && !sd_slice_ieq(name, settings[i].name))
		i++;
	return i;
}

static void cmd_config_set(struct kv_call *c)
{
	if (c->argc % 2) {
		sd_resp_error(c->out, "ERR wrong number of arguments for 'config|set' command");
		return;
	}
	for (size_t k = 2; k < c->argc; k += 2)
		if (find(c->argv[k]) == SETTINGS) {
			sd_resp_errorf(c->out, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
				       (int)(c->argv[k].n < 128 ? c->argv[k].n : 128), c->argv[k].p);
			return;
		}
	for (size_t k = 2; k < c->argc; k += 2) {
		size_t i = find(c->argv[k]);
		const char *why = set(c->s, i, c->argv[k + 1]);
		if (!why)
			continue;
		sd_resp_errorf(c->out, "ERR CONFIG SET failed (possibly related to argument '%s') - %s", settings[i].name, why);
		return;
	}
	sd_resp_simple(c->out, "OK");
}

static void cmd_config_resetstat(struct kv_call *c)
{
	for (int i = 0; i < KV_COUNTS; i++)
		__atomic_store_n(&c->s->counts[i], 0, __ATOMIC_RELAXED);
	sd_resp_simple(c->out, "OK");
}

static void cmd_config_help(struct kv_call *c)
{
	sd_redis_tell_help(&c->s->names, c->command->is, c->out);
}

const struct kv_command kv_config_commands[] = {
    {SD_REDIS(CONFIG), NULL},
    {SD_REDIS(CONFIG_GET), cmd_config_get},
    {SD_REDIS(CONFIG_HELP), cmd_config_help},
    {SD_REDIS(CONFIG_RESETSTAT), cmd_config_resetstat},
    {SD_REDIS(CONFIG_SET), cmd_config_set},
    {0},
};
