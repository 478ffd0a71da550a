/* cache_stats.c - INFO as figures: what was asked and found, what is in it, how long the way is. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cache_cli.h"
#include "core/resp_info.h"
#include "core/units.h"

#define PINGS    50
#define HOT_ROWS 10

/* What was read of INFO at one moment. */
struct sample {
	int64_t at_ns;
	int64_t commands, hits, misses, evicted, expired, memory, max_memory, clients, connections, keys, ends, uptime_s;
	char version[40];
};

/* ---- reading ---- */

/* "keys=12,expires=3,avg_ttl=0" of each database. */
static void count_keys(struct sd_slice info, struct sample *s)
{
	for (int db = 0; db < 1024; db++) {
		char name[16];
		snprintf(name, sizeof(name), "db%d", db);
		struct sd_slice v = sd_resp_info(info, name);
		const char *ends = v.n ? memmem(v.p, v.n, "expires=", 8) : NULL;
		if (v.n > 5 && memcmp(v.p, "keys=", 5) == 0)
			s->keys += sd_resp_info_int((struct sd_slice){v.p + 5, v.n - 5});
		if (ends)
			s->ends += sd_resp_info_int((struct sd_slice){ends + 8, (size_t)(v.p + v.n - ends) - 8});
	}
}

static void read_info(struct sd_slice info, struct sample *s)
{
	const struct {
		const char *key;
		int64_t *to;
	} fields[] = {
	    {"total_commands_processed", &s->commands}, {"keyspace_hits", &s->hits},
	    {"keyspace_misses", &s->misses},            {"evicted_keys", &s->evicted},
	    {"expired_keys", &s->expired},              {"used_memory", &s->memory},
	    {"maxmemory", &s->max_memory},              {"connected_clients", &s->clients},
	    {"total_connections_received", &s->connections}, {"uptime_in_seconds", &s->uptime_s},
	};
	struct sd_slice own = sd_resp_info(info, "sdlab_version"), redis = sd_resp_info(info, "redis_version");
	*s = (struct sample){.at_ns = s->at_ns};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		*fields[i].to = sd_resp_info_int(sd_resp_info(info, fields[i].key));
	count_keys(info, s);
	snprintf(s->version, sizeof(s->version), "%s %.*s", own.n ? "sdlab" : "redis", (int)(own.n ? own.n : redis.n),
		 own.n ? own.p : redis.p);
}

static bool look(struct sd_resp_cli *cli, struct sample *s)
{
	const struct sd_resp_value *v = sd_resp_cli_ask(cli, (const char *const[]){"INFO"}, 1);
	if (!v)
		return false;
	s->at_ns = sd_world_mono_ns(cli->call->world);
	read_info(v->text, s);
	return true;
}

/* ---- the way there and back ---- */

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static bool ping(struct sd_resp_cli *cli, int64_t ns[PINGS])
{
	for (int i = 0; i < PINGS; i++) {
		int64_t from = sd_world_mono_ns(cli->call->world);
		if (!sd_resp_cli_ask(cli, (const char *const[]){"PING"}, 1))
			return false;
		ns[i] = sd_world_mono_ns(cli->call->world) - from;
	}
	qsort(ns, PINGS, sizeof(*ns), by_size);
	return true;
}

/* ---- stats ---- */

static double rate(int64_t part, int64_t other)
{
	return part + other > 0 ? 100.0 * (double)part / (double)(part + other) : 0;
}

/* Three digits, in bytes of 1024. */
static const char *bytes(int64_t n, char out[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = n < 0 ? 0 : (double)n;
	int unit = 0;
	for (; v >= 1024 && unit < 4; unit++)
		v /= 1024;
	snprintf(out, 32, unit && v < 100 ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return out;
}

static void put_memory(FILE *out, const struct sample *s)
{
	char used[32], most[32];
	fprintf(out, "Memory: %s", bytes(s->memory, used));
	if (s->max_memory > 0)
		fprintf(out, " of %s", bytes(s->max_memory, most));
	fputc('\n', out);
}

static void print_stats(FILE *out, const struct sd_resp_cli *cli, const struct sample *s, const int64_t ns[PINGS])
{
	char few[SD_UNIT_TEXT], half[SD_UNIT_TEXT], most[SD_UNIT_TEXT];
	fprintf(out, "Server: %s at %s\n", s->version, cli->shown);
	fprintf(out, "Hits: %" PRId64 ", Misses: %" PRId64 "\n", s->hits, s->misses);
	fprintf(out, "Hit rate: %.1f%%\n", rate(s->hits, s->misses));
	fprintf(out, "Keys: %" PRId64 ", with an end: %" PRId64 "\n", s->keys, s->ends);
	fprintf(out, "Evicted: %" PRId64 ", Expired: %" PRId64 "\n", s->evicted, s->expired);
	put_memory(out, s);
	fprintf(out, "Commands: %" PRId64 ", Clients: %" PRId64 "\n", s->commands, s->clients);
	fprintf(out, "Latency of PING: %s at least, %s in the middle, %s at most\n", sd_format_duration(ns[0] / 1000 * 1000, few),
		sd_format_duration(ns[PINGS / 2] / 1000 * 1000, half), sd_format_duration(ns[PINGS - 1] / 1000 * 1000, most));
}

static void print_json(FILE *out, const struct sample *s, const int64_t ns[PINGS])
{
	const struct {
		const char *key;
		int64_t value;
	} rows[] = {{"hits", s->hits},       {"misses", s->misses},     {"keys", s->keys},         {"ends", s->ends},
		    {"evicted", s->evicted}, {"expired", s->expired},   {"memory", s->memory},     {"max_memory", s->max_memory},
		    {"commands", s->commands}, {"clients", s->clients}, {"uptime_s", s->uptime_s}};
	int64_t us = ns[PINGS / 2] / 1000;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "server", s->version);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cJSON_AddNumberToObject(o, rows[i].key, (double)rows[i].value);
	cJSON_AddNumberToObject(o, "hit_rate", rate(s->hits, s->misses) / 100);
	cJSON_AddNumberToObject(o, "ping_ms", (double)us / 1000);
	char *text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	fprintf(out, "%s\n", text ? text : "");
	free(text);
}

int cache_run_stats(struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	struct sample s = {0};
	int64_t ns[PINGS];
	int status = sd_resp_cli_begin(&cli, &cache_cli_kind, call);
	if (!status && look(&cli, &s) && ping(&cli, ns)) {
		if (sd_conf_bool(call->conf, "json"))
			print_json(call->out, &s, ns);
		else
			print_stats(call->out, &cli, &s, ns);
	} else if (!status) {
		status = 1;
	}
	sd_resp_cli_end(&cli);
	return status;
}

/* ---- the keys that are asked for most ---- */

/* Each is a key, how often it is asked for in a second, by how much that may be too high, and its database. */
static void put_hot(FILE *out, const struct sd_resp_value *v, bool screen)
{
	const struct sd_resp_value *row = v + 1;
	fprintf(out, "%10s %10s %3s  %s\n", "A SECOND", "AT LEAST", "DB", "KEY");
	for (size_t i = 0; i < v->items; i++, row = sd_resp_after(row)) {
		if (row->items < 4 || row->span != 5) /* of another server */
			continue;
		fprintf(out, "%10" PRId64 " %10" PRId64 " %3" PRId64 "  ", row[2].n, row[2].n - row[3].n, row[4].n);
		sd_resp_show_text(out, row[1].text, screen);
		fputc('\n', out);
	}
}

int cache_run_hotkeys(struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	const struct sd_resp_value *v = NULL;
	int status = sd_resp_cli_begin(&cli, &cache_cli_kind, call);
	if (!status)
		v = sd_resp_cli_ask(&cli, (const char *const[]){"HOTKEYS"}, 1);
	if (v)
		put_hot(call->out, v, sd_world_is_terminal(call->world, 1));
	sd_resp_cli_end(&cli);
	return status ? status : !v;
}

/* ---- top ---- */

static double a_second(int64_t now, int64_t before, const struct sample *s, const struct sample *old)
{
	double seconds = (double)(s->at_ns - old->at_ns) / 1e9;
	return seconds > 0 && now >= before ? (double)(now - before) / seconds : 0;
}

static void put_top(FILE *out, const struct sd_resp_cli *cli, const struct sample *s, const struct sample *old)
{
	char up[SD_UNIT_TEXT];
	fprintf(out, "%s at %s, up %s\n\n", s->version, cli->shown, sd_format_duration(s->uptime_s * 1000000000, up));
	fprintf(out, "Commands  %12.0f/s  %15" PRId64 "\n", a_second(s->commands, old->commands, s, old), s->commands);
	fprintf(out, "Hit rate  %12.1f%%   %14.1f%% in all\n", rate(s->hits - old->hits, s->misses - old->misses),
		rate(s->hits, s->misses));
	fprintf(out, "Keys      %12" PRId64 "    %14" PRId64 " with an end\n", s->keys, s->ends);
	fprintf(out, "Ended     %12.0f/s  %15" PRId64 "\n", a_second(s->expired, old->expired, s, old), s->expired);
	fprintf(out, "Evicted   %12.0f/s  %15" PRId64 "\n", a_second(s->evicted, old->evicted, s, old), s->evicted);
	fprintf(out, "Clients   %12" PRId64 "    %14.0f/s new\n", s->clients, a_second(s->connections, old->connections, s, old));
	put_memory(out, s);
}

/* What the server does not know is left out. */
static bool put_hottest(struct sd_resp_cli *cli, bool screen)
{
	struct sd_error e = {0};
	const struct sd_resp_value *v;
	if (sd_resp_client_say(cli->conn, (const char *const[]){"HOTKEYS"}, 1, &v, &e)) {
		sd_resp_cli_fail(cli, e.text);
		return false;
	}
	if (v->kind == SD_RESP_ARRAY && v->items) {
		fputc('\n', cli->call->out);
		put_hot(cli->call->out, v, screen);
	}
	return true;
}

int cache_run_top(struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	struct sample old = {0}, s = {0};
	bool screen = sd_world_is_terminal(call->world, 1);
	int64_t count = sd_conf_int(call->conf, "count");
	int status = sd_resp_cli_begin(&cli, &cache_cli_kind, call);
	if (!status && !look(&cli, &old))
		status = 1;
	for (int64_t i = 0; !status && (!count || i < count); i++) {
		sd_world_sleep_ns(call->world, sd_conf_int(call->conf, "interval"));
		if (!look(&cli, &s)) {
			status = 1;
			break;
		}
		fputs(screen ? "\033[H\033[2J" : "", call->out);
		put_top(call->out, &cli, &s, &old);
		status = put_hottest(&cli, screen) ? 0 : 1;
		if (fflush(call->out))
			status = 1;
		old = s;
	}
	sd_resp_cli_end(&cli);
	return status;
}
