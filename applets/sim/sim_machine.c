/* sim_machine.c - `sim machine`: reads the limits, measures what has none written down, reports. */
#include <stdlib.h>
#include <string.h>

#include "sdlab/hdr.h"
#include "sim.h"

#define MIB       (INT64_C(1) << 20)
#define MS        INT64_C(1000000)
#define MAX_SYNCS 200
#define CLOCKS    2000

static const struct sim_size full = {
    .copy_bytes = 64 * MIB,
    .copy_ns = 150 * MS,
    .syncs = MAX_SYNCS,
    .sync_ns = 500 * MS,
    .write_bytes = 64 * MIB,
    .write_ns = 500 * MS,
    .loopback_ns = 250 * MS,
};

static const struct sim_size quick = {
    .copy_bytes = 16 * MIB,
    .copy_ns = 20 * MS,
    .syncs = MAX_SYNCS,
    .sync_ns = 60 * MS,
    .write_bytes = 8 * MIB,
    .write_ns = 60 * MS,
    .loopback_ns = 50 * MS,
};

/* ---- what follows from the facts ---- */

int64_t sim_tasks(const struct sd_machine *m)
{
	return sd_limit_min(sd_limit_min(m->tasks_user, m->tasks_system), sd_limit_min(m->tasks_pids, m->tasks_group));
}

int64_t sim_ports(const struct sd_machine *m)
{
	return m->port_low < 0 || m->port_high < m->port_low ? SD_UNKNOWN : m->port_high - m->port_low + 1;
}

int64_t sim_cores_milli(const struct sd_machine *m)
{
	int64_t cores = sd_limit_min(m->cores_online, m->cores_allowed);
	return sd_limit_min(cores < 0 ? cores : cores * 1000, m->cores_quota_milli);
}

int64_t sim_memory(const struct sd_machine *m)
{
	return sd_limit_min(m->memory_available, m->memory_group);
}

static int64_t per_second(int64_t n, int64_t ns)
{
	return ns > 0 ? (int64_t)((double)n * 1e9 / (double)ns) : SD_UNKNOWN;
}

/* ---- measuring ---- */

static void measure_clock(struct sd_world *w, struct sim_measured *out)
{
	int64_t start = sd_world_mono_ns(w), now = start;
	for (int i = 0; i < CLOCKS; i++)
		now = sd_world_mono_ns(w);
	out->clock_read_ns = (now - start) / CLOCKS;
}

/* The median of some copies. A sixteenth of the memory at most: measuring must not be what fills it. */
static void measure_copy(struct sd_world *w, const struct sd_machine *m, const struct sim_size *size,
			 struct sim_measured *out)
{
	int64_t room = sim_memory(m), bytes = size->copy_bytes;
	if (room >= 0 && room / 16 < bytes)
		bytes = room / 16;
	char *from = bytes > 0 ? malloc((size_t)bytes) : NULL, *to = bytes > 0 ? malloc((size_t)bytes) : NULL;
	struct sd_hdr *times = sd_hdr_new(1, 60000000000, 3);
	if (from && to && times) {
		memset(from, 1, (size_t)bytes); /* memory that nobody has touched is not there yet */
		memset(to, 2, (size_t)bytes);
		int64_t start = sd_world_mono_ns(w), before = start;
		for (int i = 0; i < 3 || before - start < size->copy_ns; i++) {
			from[i % bytes]++;
			memcpy(to, from, (size_t)bytes);
			int64_t now = sd_world_mono_ns(w);
			sd_hdr_record(times, now - before, 1);
			before = now;
		}
		out->copy_bytes = bytes;
		out->copy_rate = per_second(bytes, sd_hdr_percentile(times, 50));
	}
	sd_hdr_free(times);
	free(from);
	free(to);
}

static enum sd_err measure_sync(struct sd_world *w, const char *dir, const struct sim_size *size,
				struct sim_measured *out, struct sd_error *e)
{
	int64_t samples[MAX_SYNCS];
	size_t n = 0;
	struct sd_hdr *times = sd_hdr_new(1, 60000000000, 3);
	if (!times)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_machine_disk(w, dir, size->syncs, size->sync_ns, samples, &n, e);
	for (size_t i = 0; i < n; i++)
		sd_hdr_record(times, samples[i], 1);
	if (!err && n > 0) {
		out->syncs = (int64_t)n;
		out->sync_p50_ns = sd_hdr_percentile(times, 50);
		out->sync_p99_ns = sd_hdr_percentile(times, 99);
		/* from the mean: the slow ones keep the others waiting */
		out->commits_rate = per_second(1, (int64_t)sd_hdr_mean(times));
	}
	sd_hdr_free(times);
	return err;
}

/* ---- which folder ---- */

static const char *environ_of(const struct sd_verb_call *call, const char *name)
{
	size_t n = strlen(name);
	for (const char *const *env = call->environ; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* The folder that was asked for, or else one that can be written. Fails only when it was asked for. */
static enum sd_err choose_dir(const struct sd_verb_call *call, struct sim_report *r, struct sd_error *e)
{
	const char *tmp = environ_of(call, "TMPDIR");
	r->dir = sd_conf_string(call->conf, "dir");
	if (r->dir)
		return sd_machine_can_write(call->world, r->dir, e);
	r->dir = ".";
	if (sd_machine_can_write(call->world, r->dir, NULL) != SD_OK && tmp && *tmp)
		r->dir = tmp;
	return SD_OK;
}

/* ---- the whole ---- */

static void say(struct sd_verb_call *call, const char *what)
{
	if (!sd_world_is_terminal(call->world, 2))
		return;
	fprintf(call->err, "\r\033[K%s%s", what, *what ? " ..." : "");
	fflush(call->err);
}

/* What cannot be measured stays unknown; the first reason is kept. */
static void measure(struct sd_verb_call *call, const struct sim_size *size, struct sim_report *r)
{
	struct sd_world *w = call->world;
	struct sim_measured *m = &r->measured;
	struct sd_error disk = {0}, loopback = {0};
	say(call, "measuring the memory");
	measure_clock(w, m);
	measure_copy(w, &r->machine, size, m);
	say(call, "measuring the disk");
	if (measure_sync(w, r->dir, size, m, &disk) == SD_OK)
		sd_machine_disk_rate(w, r->dir, size->write_bytes, size->write_ns, &m->write_rate, &disk);
	say(call, "measuring the loopback");
	sim_loopback_measure(w, size->loopback_ns, m, &loopback);
	say(call, "");
	snprintf(r->why, sizeof(r->why), "%s", disk.code ? disk.text : loopback.code ? loopback.text : "");
}

static const struct sim_measured nothing_yet = {SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN,
						SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN,
						SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN, SD_UNKNOWN};

static int machine_fail(const struct sd_verb_call *call, const struct sd_error *e)
{
	fprintf(call->err, "sdlab sim machine: %s\n", e->text);
	return 1;
}

int sim_machine(struct sd_verb_call *call)
{
	struct sim_report r = {.measured = nothing_yet};
	struct sd_error e = {0};
	if (choose_dir(call, &r, &e))
		return machine_fail(call, &e);
	sd_machine_read(call->world, &r.machine);
	sd_machine_fs(call->world, r.dir, &r.fs);
	/* Never more than a quarter of what is free. */
	struct sim_size size = sd_conf_bool(call->conf, "quick") ? quick : full;
	if (r.fs.free >= 0 && r.fs.free / 4 < size.write_bytes)
		size.write_bytes = r.fs.free / 4;
	measure(call, &size, &r);
	if (!sd_conf_bool(call->conf, "json"))
		sim_text_report(call->out, &r);
	else if (sim_json_report(call->out, &r, &e))
		return machine_fail(call, &e);
	return 0;
}
