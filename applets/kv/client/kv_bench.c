/* kv_bench.c - what is asked is core/kv_load's, the same as test/bench/kv.sh asks other engines. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>

#include "kv_cli.h"

#define MOST 32 /* workloads */

const struct sd_option kv_bench_options[] = {
    {"writes", SD_OPT_INT, "100000", "keys of the store, and operations of each workload", .letter = 'n', .min = 1, .max = INT64_MAX},
    {"ops", SD_OPT_INT, NULL, "operations of workloads that do not fill; else as many as writes", .min = 1, .max = INT64_MAX},
    {"key-size", SD_OPT_INT, "16", "bytes of a key", .min = SD_KV_KEY_LEAST, .max = SD_KV_KEY_MOST},
    {"value-size", SD_OPT_SIZE, "100", "bytes of a value", .max = 1 << 20},
    {"workload", SD_OPT_LIST, "fillrandom", "one after the other: see WORKLOADS", .letter = 'w', .meta = "NAME,..."},
    {"seed", SD_OPT_INT, "1", "of the order and the values", .max = INT64_MAX},
    {"pipeline", SD_OPT_INT, "64", "a server: commands that wait for their answers at the same time", .letter = 'P', .min = 1, .max = 100000},
    {"dir", SD_OPT_FILE, NULL, "no server: the engine in this process, on a store in this folder", .meta = "DIR"},
    {"sync", SD_OPT_ENUM, "always", "with --dir: when a write is on the disk", .choices = "always|no"},
    {"memtable", SD_OPT_SIZE, "64MiB", "with --dir: of writes in memory before they go to a table", .min = 65536, .max = INT64_C(1) << 40},
    {"cache", SD_OPT_SIZE, "64MiB", "with --dir: of blocks that were read"},
    {"compression", SD_OPT_BOOL, "false", "with --dir: deeper levels in zstd"},
    {"json", SD_OPT_BOOL, "false", "print a JSON object for each workload"},
    KV_SERVER_OPTIONS,
    {0},
};

/* ---- the report ---- */

static bool only_scans(const struct sd_kv_workload *w)
{
	return w->part[SD_KV_OP_SCAN] == 100;
}

/* One scan after the other: what a person waits for is entries. */
static bool reads_all(const struct sd_kv_workload *w)
{
	return only_scans(w) && w->order == SD_KV_IN_ORDER;
}

static const char *unit_of(const struct sd_kv_workload *w)
{
	if (only_scans(w))
		return reads_all(w) ? "entries" : "scans";
	if (w->part[SD_KV_OP_PUT] == 100)
		return "writes";
	return w->part[SD_KV_OP_GET] + w->part[SD_KV_OP_MISS] == 100 && !w->beside ? "reads" : "operations";
}

static void say_json(FILE *out, const struct sd_kv_load_conf *c, const struct kv_bench_result *r)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "workload", c->workload->name);
	cJSON_AddNumberToObject(o, "operations", (double)r->ops);
	if (c->workload->scan)
		cJSON_AddNumberToObject(o, "entries", (double)r->entries);
	cJSON_AddNumberToObject(o, "seconds", r->seconds);
	cJSON_AddNumberToObject(o, "rate", r->seconds > 0 ? (double)r->ops / r->seconds : 0);
	cJSON_AddNumberToObject(o, "found", (double)r->found);
	cJSON_AddNumberToObject(o, "p50_us", (double)r->p50_ns / 1e3);
	cJSON_AddNumberToObject(o, "p99_us", (double)r->p99_ns / 1e3);
	cJSON_AddNumberToObject(o, "max_us", (double)r->max_ns / 1e3);
	if (r->cpu_us >= 0)
		cJSON_AddNumberToObject(o, "cpu_us", r->cpu_us);
	if (r->written >= 0)
		cJSON_AddNumberToObject(o, "write_amplification", r->written);
	if (r->on_disk >= 0)
		cJSON_AddNumberToObject(o, "space_amplification", r->on_disk);
	if (r->resident > 0)
		cJSON_AddNumberToObject(o, "resident", (double)r->resident);
	if (r->peak > 0)
		cJSON_AddNumberToObject(o, "peak", (double)r->peak);
	char *text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	fprintf(out, "%s\n", text ? text : "");
	cJSON_free(text);
}

static void say_text(FILE *out, const struct sd_kv_load_conf *c, const struct kv_bench_result *r)
{
	const struct sd_kv_workload *w = c->workload;
	uint64_t n = reads_all(w) ? r->entries : r->ops;
	fprintf(out, "%s: ", w->name);
	if (reads_all(w))
		fprintf(out, "%" PRIu64 " scan%s, ", r->ops, r->ops == 1 ? "" : "s");
	fprintf(out, "p50 %.1f us, p99 %.1f us, longest %.1f ms", (double)r->p50_ns / 1e3, (double)r->p99_ns / 1e3, (double)r->max_ns / 1e6);
	if (r->cpu_us >= 0)
		fprintf(out, ", CPU %.2f us each", r->cpu_us);
	if (r->written >= 0)
		fprintf(out, ", written %.1f times", r->written);
	if (r->on_disk >= 0)
		fprintf(out, ", %.2f times on the disk", r->on_disk);
	if (w->part[SD_KV_OP_GET] + w->part[SD_KV_OP_MISS] > 0)
		fprintf(out, ", %" PRIu64 " found", r->found);
	fprintf(out, "\nBenchmark: %" PRIu64 " %s in %.1fs (%.0f %s/sec)\n", n, unit_of(w), r->seconds,
		r->seconds > 0 ? (double)n / r->seconds : 0, unit_of(w));
}

void kv_bench_say(const struct sd_verb_call *call, const struct sd_kv_load_conf *conf, const struct kv_bench_result *r)
{
	(sd_conf_bool(call->conf, "json") ? say_json : say_text)(call->out, conf, r);
	fflush(call->out);
}

/* ---- running ---- */

struct sd_kv_load_conf kv_bench_conf(const struct sd_kv_load_conf *all, const struct sd_kv_workload *w, size_t nth)
{
	struct sd_kv_load_conf c = *all;
	c.workload = w;
	c.seed += nth;
	if (w->fills)
		c.ops = c.keys;
	else if (w->scan)
		c.ops = w->order == SD_KV_IN_ORDER ? (c.keys + w->scan - 1) / w->scan : (c.ops + 4) / 5;
	return c;
}

static int refuse(const struct sd_verb_call *call, const char *name)
{
	fprintf(call->err, "sdlab kv bench: --workload: expected one of");
	for (const struct sd_kv_workload *w = sd_kv_workloads; w->name; w++)
		fprintf(call->err, "%s %s", w == sd_kv_workloads ? "" : ",", w->name);
	fprintf(call->err, "; found \"%.60s\"\n", name);
	return 2;
}

int kv_bench(struct sd_verb_call *call)
{
	const struct sd_conf *conf = call->conf;
	const struct sd_kv_workload *workloads[MOST];
	size_t n = sd_conf_count(conf, "workload");
	struct sd_kv_load_conf load = {
	    .keys = (uint64_t)sd_conf_int(conf, "writes"),
	    .ops = (uint64_t)sd_conf_int(conf, sd_conf_has(conf, "ops") ? "ops" : "writes"),
	    .key_bytes = (size_t)sd_conf_int(conf, "key-size"),
	    .value_bytes = (size_t)sd_conf_int(conf, "value-size"),
	    .seed = (uint64_t)sd_conf_int(conf, "seed"),
	};
	if (n > MOST)
		return refuse(call, "more than 32");
	for (size_t i = 0; i < n; i++)
		if (!(workloads[i] = sd_kv_workload_find(sd_conf_list_item(conf, "workload", i))))
			return refuse(call, sd_conf_list_item(conf, "workload", i));
	return (sd_conf_has(conf, "dir") ? kv_bench_dir : kv_bench_net)(call, workloads, n, &load);
}
