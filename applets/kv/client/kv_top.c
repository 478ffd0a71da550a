/* kv_top.c - a store that serves, as INFO tells it, again and again. */
#include <inttypes.h>

#include "core/resp_info.h"
#include "core/units.h"
#include "kv_cli.h"

#define LEVELS 7
#define BAR    40

struct sample {
	int64_t at_ns;
	struct {
		int64_t tables, bytes;
	} levels[LEVELS];
	int64_t memtable_bytes, memtable_limit, memtable_entries, waiting, log_bytes, blob_files, blob_bytes;
	int64_t user, logged, flushed, compacted, compaction_read, flushes, compactions, stalls, stall_us;
	int64_t hits, misses, cache_bytes, cache_limit, asked, spared, wrong, commands, uptime_s;
	bool ours; /* it has levels */
};

/* "tables=4,bytes=8388608,debt=0": one of these; 0: it is not there. */
static int64_t part(struct sd_slice s, const char *key)
{
	size_t n = strlen(key);
	const char *at = s.n > n ? memmem(s.p, s.n, key, n) : NULL;
	int64_t v = at ? sd_resp_info_int((struct sd_slice){at + n, (size_t)(s.p + s.n - at) - n}) : 0;
	return v < 0 ? 0 : v;
}

static void read_levels(struct sd_slice info, struct sample *s)
{
	for (int i = 0; i < LEVELS; i++) {
		char name[24];
		snprintf(name, sizeof(name), "level%d", i);
		struct sd_slice level = sd_resp_info(info, name);
		s->ours |= level.n > 0;
		s->levels[i].tables = part(level, "tables=");
		s->levels[i].bytes = part(level, "bytes=");
	}
}

static void read_info(struct sd_slice info, struct sample *s)
{
	const struct {
		const char *key;
		int64_t *to;
	} fields[] = {
	    {"memtable_bytes", &s->memtable_bytes}, {"memtable_limit", &s->memtable_limit}, {"memtable_entries", &s->memtable_entries},
	    {"memtables_waiting", &s->waiting}, {"log_bytes", &s->log_bytes}, {"blob_files", &s->blob_files}, {"blob_bytes", &s->blob_bytes},
	    {"user_bytes", &s->user}, {"log_written", &s->logged}, {"flush_written", &s->flushed}, {"compaction_written", &s->compacted},
	    {"compaction_read", &s->compaction_read}, {"flushes", &s->flushes}, {"compactions", &s->compactions}, {"stalls", &s->stalls},
	    {"stall_us", &s->stall_us}, {"cache_hits", &s->hits}, {"cache_misses", &s->misses}, {"cache_bytes", &s->cache_bytes},
	    {"cache_limit", &s->cache_limit}, {"filter_asked", &s->asked}, {"filter_spared", &s->spared}, {"filter_false", &s->wrong},
	    {"total_commands_processed", &s->commands}, {"uptime_in_seconds", &s->uptime_s},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int64_t v = sd_resp_info_int(sd_resp_info(info, fields[i].key));
		*fields[i].to = v < 0 ? 0 : v;
	}
	read_levels(info, s);
}

static int look(struct sd_resp_cli *cli, struct sample *s)
{
	static const char *const asks[][2] = {{"INFO", NULL}, {"INFO", "lsm"}};
	struct sample lsm = {0};
	const struct sd_resp_value *v = sd_resp_cli_ask(cli, asks[0], 1);
	if (!v)
		return 1;
	*s = (struct sample){.at_ns = sd_world_mono_ns(cli->call->world)};
	read_info(v->text, s);
	if (s->ours) /* INFO says it all */
		return 0;
	v = sd_resp_cli_ask(cli, asks[1], 2);
	if (!v)
		return 1;
	read_info(v->text, &lsm);
	if (!lsm.ours)
		return sd_resp_cli_fail(cli, "this server tells of no levels: it is no store of this kind");
	lsm.at_ns = s->at_ns;
	lsm.commands = s->commands;
	lsm.uptime_s = s->uptime_s;
	*s = lsm;
	return 0;
}

/* ---- drawing ---- */

/* Three digits, in bytes of 1024. */
static const char *bytes(double v, char out[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	int unit = 0;
	for (; v >= 1024 && unit < 4; unit++)
		v /= 1024;
	snprintf(out, 32, unit && v < 100 ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return out;
}

static double a_second(int64_t now, int64_t before, const struct sample *s, const struct sample *old)
{
	double seconds = (double)(s->at_ns - old->at_ns) / 1e9;
	return seconds > 0 && now >= before ? (double)(now - before) / seconds : 0;
}

static double share(int64_t part_of, int64_t all)
{
	return all > 0 ? 100.0 * (double)part_of / (double)all : 0;
}

static void bar(FILE *out, int64_t n, int64_t most)
{
	int64_t width = most > 0 ? (int64_t)((double)n / (double)most * BAR + 0.999) : 0;
	for (int64_t i = 0; i < width && i < BAR; i++)
		fputc('#', out);
	fputc('\n', out);
}

static void draw_levels(FILE *out, const struct sample *s)
{
	int64_t most = s->memtable_bytes;
	char text[32];
	for (int i = 0; i < LEVELS; i++)
		most = s->levels[i].bytes > most ? s->levels[i].bytes : most;
	fprintf(out, "%-8s %6s %10s\n", "", "tables", "size");
	fprintf(out, "%-8s %6" PRId64 " %10s  ", "memory", 1 + s->waiting, bytes((double)s->memtable_bytes, text));
	bar(out, s->memtable_bytes, most);
	for (int i = 0; i < LEVELS; i++) {
		fprintf(out, "L%-7d %6" PRId64 " %10s  ", i, s->levels[i].tables, bytes((double)s->levels[i].bytes, text));
		bar(out, s->levels[i].bytes, most);
	}
	if (s->blob_files > 0)
		fprintf(out, "%-8s %6" PRId64 " %10s\n", "blobs", s->blob_files, bytes((double)s->blob_bytes, text));
}

static void draw_writes(FILE *out, const struct sample *s, const struct sample *old)
{
	int64_t all = s->logged + s->flushed + s->compacted, before = old->logged + old->flushed + old->compacted;
	char a[32], b[32], c[32], d[32];
	fprintf(out, "Writes    %10s/s from clients, %s/s to the disk (log %s/s, compaction %s/s)\n", bytes(a_second(s->user, old->user, s, old), a),
		bytes(a_second(all, before, s, old), b), bytes(a_second(s->logged, old->logged, s, old), c),
		bytes(a_second(s->compacted, old->compacted, s, old), d));
	fprintf(out, "Amplified %10.1f times in all: bytes on the disk for each that was handed in\n", s->user > 0 ? (double)all / (double)s->user : 0);
	fprintf(out, "Work      %10" PRId64 " flushes, %" PRId64 " compactions, log %s\n", s->flushes, s->compactions, bytes((double)s->log_bytes, a));
	fprintf(out, "Stalls    %10.1f ms/s  %12" PRId64 " in all, %.1f s\n", a_second(s->stall_us, old->stall_us, s, old) / 1e3, s->stalls,
		(double)s->stall_us / 1e6);
}

static void draw(const struct sd_resp_cli *cli, const struct sample *s, const struct sample *old)
{
	FILE *out = cli->call->out;
	char up[SD_UNIT_TEXT], a[32], b[32];
	fprintf(out, "store at %s, up %s, %.0f commands/s\n\n", cli->shown, sd_format_duration(s->uptime_s * 1000000000, up),
		a_second(s->commands, old->commands, s, old));
	draw_levels(out, s);
	fprintf(out, "\nMemtable  %10" PRId64 " entries, %s of %s, %" PRId64 " waiting\n", s->memtable_entries, bytes((double)s->memtable_bytes, a),
		bytes((double)s->memtable_limit, b), s->waiting);
	draw_writes(out, s, old);
	fprintf(out, "Cache     %10.1f %% hits now, %.1f %% in all, %s of %s\n",
		share(s->hits - old->hits, s->hits + s->misses - old->hits - old->misses), share(s->hits, s->hits + s->misses),
		bytes((double)s->cache_bytes, a), bytes((double)s->cache_limit, b));
	fprintf(out, "Filters   %10.1f %% of tables spared, %.2f %% read for nothing\n", share(s->spared, s->asked), share(s->wrong, s->spared + s->wrong));
}

int kv_top(struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	struct sample old = {0}, s = {0};
	int64_t count = sd_conf_int(call->conf, "count");
	int status = sd_resp_cli_begin(&cli, &kv_cli_kind, call);
	if (!status)
		status = look(&cli, &old);
	for (int64_t i = 0; !status && (!count || i < count); i++) {
		sd_world_sleep_ns(call->world, sd_conf_int(call->conf, "interval"));
		status = look(&cli, &s);
		if (status)
			break;
		fputs(cli.screen ? "\033[H\033[2J" : "", call->out);
		draw(&cli, &s, &old);
		if (fflush(call->out))
			status = 1;
		old = s;
	}
	sd_resp_cli_end(&cli);
	return status;
}

const struct sd_option kv_top_options[] = {
    {"interval", SD_OPT_DURATION, "1s", "between two looks", .letter = 'i', .min = 1000000, .max = 86400000000000},
    {"count", SD_OPT_INT, "0", "looks in all; 0: until it is ended", .letter = 'c', .max = INT64_MAX},
    KV_SERVER_OPTIONS,
    {0},
};
