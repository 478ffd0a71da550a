/* kv_drive.c - one thread asks; with `beside` another one writes, as far as the first has come, so that the work is the same for every engine. */
#include "kv_drive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "sdlab/hdr.h"
#include "world/file.h"
#include "world/loop.h"
#include "world/machine.h"

#define LONGEST_NS 60000000000ll
#define EACH	   8 /* operation is timed: the clock costs too */
#define LOOK_NS	   50000000ll
#define QUIET_US   2000 /* in that time: it rests */
#define LOOKS	   200
#define BESIDE	   4 /* reads for one write beside them */

struct drive {
	struct sd_world *world;
	const struct sd_kv_engine *engine;
	void *db;
	const struct sd_kv_load_conf *conf;
	struct sd_kv_cost *cost;
	struct sd_hdr *times;
	int64_t making_ns; /* operations */
	uint64_t asked;	   /* read by who writes beside */
	struct sd_work work;
	struct sd_error beside;
	int over;
};

/* ---- operations ---- */

static enum sd_err op_put(struct drive *d, const struct sd_kv_op *op, struct sd_error *e)
{
	d->cost->user_bytes += op->key.n + op->value.n;
	return d->engine->put(d->db, op->key, op->value, e);
}

static enum sd_err op_get(struct drive *d, const struct sd_kv_op *op, struct sd_error *e)
{
	size_t n = 0;
	enum sd_err err = d->engine->get(d->db, op->key, &n, e);
	d->cost->found += !err;
	if (!err && n != d->conf->value_bytes)
		return sd_fail(e, SD_EDAMAGED, "%s: a value has %zu bytes, expected %zu", d->engine->name, n, d->conf->value_bytes);
	return err == SD_ENOTFOUND ? SD_OK : err;
}

static enum sd_err op_scan(struct drive *d, const struct sd_kv_op *op, struct sd_error *e)
{
	uint32_t n = 0;
	enum sd_err err = d->engine->scan(d->db, op->key, op->scan, &n, e);
	d->cost->entries += n;
	return err;
}

static enum sd_err op_change(struct drive *d, const struct sd_kv_op *op, struct sd_error *e)
{
	enum sd_err err = op_get(d, op, e);
	return err ? err : op_put(d, op, e);
}

typedef enum sd_err run_op(struct drive *d, const struct sd_kv_op *op, struct sd_error *e);
static run_op *const runs[SD_KV_OPS] = {op_put, op_get, op_get, op_scan, op_change};

static enum sd_err run_block(struct drive *d, const struct sd_kv_op *ops, size_t n, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < n && !err; i++) {
		bool timed = i % EACH == 0;
		int64_t from = timed ? sd_world_mono_ns(d->world) : 0;
		err = runs[ops[i].kind](d, &ops[i], e);
		if (timed)
			sd_hdr_record(d->times, sd_world_mono_ns(d->world) - from, 1);
	}
	d->cost->ops += n;
	__atomic_store_n(&d->asked, d->cost->ops, __ATOMIC_RELEASE);
	return err;
}

static enum sd_err run_all(struct drive *d, struct sd_kv_load *load, struct sd_error *e)
{
	const struct sd_kv_op *ops;
	enum sd_err err = SD_OK;
	while (!err) {
		int64_t cpu = sd_world_thread_cpu_ns(d->world);
		size_t n = sd_kv_load_next(load, &ops);
		int64_t to = sd_world_mono_ns(d->world);
		d->making_ns += sd_world_thread_cpu_ns(d->world) - cpu;
		if (n == 0)
			break;
		err = run_block(d, ops, n, e);
		d->cost->seconds += (double)(sd_world_mono_ns(d->world) - to) / 1e9;
	}
	return err;
}

/* ---- who writes beside ---- */

static void beside_main(struct sd_work *work)
{
	struct drive *d = sd_container(work, struct drive, work);
	struct sd_kv_load_conf conf = *d->conf;
	struct sd_kv_load *load = NULL;
	const struct sd_kv_op *ops;
	uint64_t written = 0;
	size_t n = 0;
	conf.workload = sd_kv_workload_find("overwrite");
	conf.ops = d->conf->ops / BESIDE;
	conf.seed++;
	enum sd_err err = sd_kv_load_new(&conf, &load, &d->beside);
	while (!err && (n = sd_kv_load_next(load, &ops)) > 0) {
		for (size_t i = 0; i < n && !err; i++, written++) {
			while (written * BESIDE > __atomic_load_n(&d->asked, __ATOMIC_ACQUIRE) && !__atomic_load_n(&d->over, __ATOMIC_ACQUIRE))
				sd_world_sleep_ns(d->world, 100000);
			err = d->engine->put(d->db, ops[i].key, ops[i].value, &d->beside);
		}
	}
	sd_kv_load_free(load);
}

static void beside_done(struct sd_work *work)
{
	(void)work;
}

static enum sd_err run_both(struct drive *d, struct sd_kv_load *load, struct sd_error *e)
{
	struct sd_loop *loop = sd_loop_new(d->world, e);
	struct sd_helpers *threads = loop ? sd_helpers_new(d->world, 1) : NULL;
	enum sd_err err = threads ? SD_OK : sd_fail(e, SD_ENOMEM, "no thread for who writes meanwhile");
	d->work = (struct sd_work){.run = beside_main, .done = beside_done};
	if (!err && !sd_helpers_submit(threads, loop, &d->work))
		err = sd_fail(e, SD_ENOMEM, "no thread for who writes meanwhile");
	else if (!err)
		err = run_all(d, load, e);
	__atomic_store_n(&d->over, 1, __ATOMIC_RELEASE);
	if (threads)
		sd_helpers_free(threads); /* waits */
	if (loop)
		sd_loop_free(loop);
	d->cost->user_bytes += d->conf->ops / BESIDE * (d->conf->key_bytes + d->conf->value_bytes);
	return err || !d->beside.code ? err : sd_fail(e, d->beside.code, "%s", d->beside.text);
}

/* ---- what it cost ---- */

/* A line "wchar: 123" of /proc/self/io. */
static uint64_t io_line(struct sd_world *w, const char *name)
{
	char *text = NULL;
	size_t n;
	uint64_t v = 0;
	if (sd_world_read_file(w, "/proc/self/io", 4096, &text, &n, NULL))
		return 0;
	const char *at = strstr(text, name);
	if (at)
		v = strtoull(at + strlen(name), NULL, 10);
	free(text);
	return v;
}

static uint64_t folder_bytes(struct sd_world *w, const char *dir)
{
	char **names = sd_world_list_dir(w, dir), path[4096];
	uint64_t sum = 0, size;
	for (size_t i = 0; names && names[i]; free(names[i++])) {
		struct sd_file *f;
		int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (n < 0 || (size_t)n >= sizeof(path) || sd_file_open(w, path, 0, &f, NULL))
			continue;
		if (sd_file_size(f, &size, NULL) == SD_OK)
			sum += size;
		sd_file_close(f);
	}
	free(names);
	return sum;
}

static double cpu_us(struct sd_world *w)
{
	struct sd_process_use u;
	sd_process_use(w, &u);
	return (double)(u.user_us + u.system_us);
}

/* Until almost no processor time is used between two looks. */
static void rest(struct drive *d)
{
	double before = cpu_us(d->world), now;
	for (int i = 0; i < LOOKS; i++, before = now) {
		sd_world_sleep_ns(d->world, LOOK_NS);
		now = cpu_us(d->world);
		if (now - before < QUIET_US)
			break;
	}
}

static enum sd_err measure(struct drive *d, struct sd_kv_load *load, const char *dir, struct sd_error *e)
{
	struct sd_kv_cost *c = d->cost;
	uint64_t written = io_line(d->world, "wchar: "), read = io_line(d->world, "rchar: ");
	double cpu = cpu_us(d->world);
	enum sd_err err = d->conf->workload->beside ? run_both(d, load, e) : run_all(d, load, e);
	struct sd_process_use use;
	if (err)
		return err;
	rest(d);
	c->cpu_us = cpu_us(d->world) - cpu - (double)d->making_ns / 1e3;
	c->written = io_line(d->world, "wchar: ") - written;
	c->read = io_line(d->world, "rchar: ") - read;
	c->on_disk = folder_bytes(d->world, dir);
	sd_process_use(d->world, &use);
	c->resident = (uint64_t)use.resident;
	c->peak = (uint64_t)use.peak;
	c->p50_ns = sd_hdr_percentile(d->times, 50);
	c->p99_ns = sd_hdr_percentile(d->times, 99);
	c->max_ns = sd_hdr_max(d->times);
	return SD_OK;
}

enum sd_err sd_kv_drive(struct sd_world *w, const struct sd_kv_engine *engine, void *db, const struct sd_kv_settings *s,
			const struct sd_kv_load_conf *conf, struct sd_kv_cost *cost, struct sd_error *e)
{
	struct drive d = {.world = w, .engine = engine, .db = db, .conf = conf, .cost = cost, .times = sd_hdr_new(1, LONGEST_NS, 3)};
	struct sd_kv_load *load = NULL;
	*cost = (struct sd_kv_cost){0};
	enum sd_err err = d.times ? sd_kv_load_new(conf, &load, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = measure(&d, load, s->dir, e);
	sd_kv_load_free(load);
	sd_hdr_free(d.times);
	return err;
}
