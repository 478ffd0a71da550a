/* kv_bench_dir.c - the engine in this process, as a program that has it linked in would use it. */
#include <inttypes.h>

#include "app/kv_drive_own.h"
#include "core/units.h"
#include "kv_cli.h"
#include "world/world.h"

static int fails(const struct sd_verb_call *call, const struct sd_error *e)
{
	fprintf(call->err, "sdlab kv bench: %s\n", e->text);
	return e->code == SD_EUSAGE ? 2 : 1;
}

static void say(const struct sd_verb_call *call, const struct sd_kv_load_conf *c, const struct sd_kv_cost *cost)
{
	double alive = (double)c->keys * (double)(c->key_bytes + c->value_bytes);
	struct kv_bench_result r = {
	    .ops = cost->ops,
	    .found = cost->found,
	    .entries = cost->entries,
	    .seconds = cost->seconds,
	    .p50_ns = cost->p50_ns,
	    .p99_ns = cost->p99_ns,
	    .max_ns = cost->max_ns,
	    .cpu_us = cost->ops ? cost->cpu_us / (double)cost->ops : -1,
	    .written = cost->user_bytes && cost->written ? (double)cost->written / (double)cost->user_bytes : -1,
	    .on_disk = alive > 0 ? (double)cost->on_disk / alive : -1,
	    .resident = cost->resident,
	    .peak = cost->peak,
	};
	kv_bench_say(call, c, &r);
}

int kv_bench_dir(struct sd_verb_call *call, const struct sd_kv_workload *const *workloads, size_t n, const struct sd_kv_load_conf *conf)
{
	const struct sd_kv_engine *engine = &sd_kv_engine_own;
	struct sd_kv_settings settings = {
	    .dir = sd_conf_string(call->conf, "dir"),
	    .sync = strcmp(sd_conf_string(call->conf, "sync"), "always") == 0,
	    .compress = sd_conf_bool(call->conf, "compression"),
	    .filter = true,
	    .cache_bytes = (size_t)sd_conf_int(call->conf, "cache"),
	    .memtable_bytes = (size_t)sd_conf_int(call->conf, "memtable"),
	};
	struct sd_error e = {0};
	void *db = NULL;
	enum sd_err err = engine->open(call->world, &settings, &db, &e);
	for (size_t i = 0; i < n && !err; i++) {
		struct sd_kv_load_conf c = kv_bench_conf(conf, workloads[i], i);
		struct sd_kv_cost cost;
		err = sd_kv_drive(call->world, engine, db, &settings, &c, &cost, &e);
		if (!err)
			say(call, &c, &cost);
	}
	if (db)
		engine->close(db);
	return err ? fails(call, &e) : 0;
}
