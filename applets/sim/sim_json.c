/* sim_json.c - the report for programs: null is unknown, "unlimited" a limit that is not there. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct fact {
	const char *group, *key; /* rows of a group stand together */
	size_t at;               /* of an int64_t in struct sim_report */
};

#define M(field) offsetof(struct sim_report, machine.field)
#define X(field) offsetof(struct sim_report, measured.field)

static const struct fact facts[] = {
    {"files", "soft", M(files_soft)},
    {"files", "hard", M(files_hard)},
    {"files", "system_max", M(files_system)},
    {"files", "system_in_use", M(files_in_use)},
    {"tasks", "user", M(tasks_user)},
    {"tasks", "threads_max", M(tasks_system)},
    {"tasks", "pid_max", M(tasks_pids)},
    {"tasks", "cgroup", M(tasks_group)},
    {"ports", "low", M(port_low)},
    {"ports", "high", M(port_high)},
    {"cores", "online", M(cores_online)},
    {"cores", "allowed", M(cores_allowed)},
    {"cores", "quota_milli", M(cores_quota_milli)},
    {"memory", "total", M(memory_total)},
    {"memory", "available", M(memory_available)},
    {"memory", "cgroup", M(memory_group)},
    {"memory", "copy_per_s", X(copy_rate)},
    {"memory", "copy_bytes", X(copy_bytes)},
    {"disk", "free", offsetof(struct sim_report, fs.free)},
    {"disk", "syncs", X(syncs)},
    {"disk", "sync_p50_ns", X(sync_p50_ns)},
    {"disk", "sync_p99_ns", X(sync_p99_ns)},
    {"disk", "commits_per_s", X(commits_rate)},
    {"disk", "write_per_s", X(write_rate)},
    {"loopback", "connects_per_s", X(connect_rate)},
    {"loopback", "round_trips_per_s", X(trip_rate)},
    {"loopback", "round_trip_p50_ns", X(trip_p50_ns)},
    {"loopback", "round_trip_p99_ns", X(trip_p99_ns)},
    {"loopback", "stream_per_s", X(stream_rate)},
    {"clock", "step_ns", M(clock_step_ns)},
    {"clock", "read_ns", X(clock_read_ns)},
};

static void add(cJSON *o, const char *key, int64_t v)
{
	if (v < 0)
		cJSON_AddNullToObject(o, key);
	else if (v == SD_UNLIMITED)
		cJSON_AddStringToObject(o, key, "unlimited");
	else
		cJSON_AddNumberToObject(o, key, (double)v);
}

static void add_text(cJSON *o, const char *key, const char *text)
{
	if (*text)
		cJSON_AddStringToObject(o, key, text);
	else
		cJSON_AddNullToObject(o, key);
}

static int64_t value_of(const struct sim_report *r, const struct fact *f)
{
	int64_t v;
	memcpy(&v, (const char *)r + f->at, sizeof(v));
	return v;
}

static cJSON *report_json(const struct sim_report *r)
{
	cJSON *root = cJSON_CreateObject(), *group = NULL;
	int64_t ports = sim_ports(&r->machine);
	cJSON_AddStringToObject(root, "format", "sdlab-machine");
	cJSON_AddNumberToObject(root, "version", 1);
	add_text(root, "kernel", r->machine.kernel);
	add(root, "backlog", r->machine.backlog);
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		if (i == 0 || strcmp(facts[i].group, facts[i - 1].group) != 0)
			group = cJSON_AddObjectToObject(root, facts[i].group);
		add(group, facts[i].key, value_of(r, &facts[i]));
	}
	/* what follows from them, where it takes more than a look */
	add(cJSON_GetObjectItem(root, "tasks"), "limit", sim_tasks(&r->machine));
	add(cJSON_GetObjectItem(root, "cores"), "usable_milli", sim_cores_milli(&r->machine));
	add(cJSON_GetObjectItem(root, "ports"), "count", ports);
	add(cJSON_GetObjectItem(root, "ports"), "time_wait_s", SIM_TIME_WAIT_S);
	add(cJSON_GetObjectItem(root, "ports"), "connections_per_s", ports < 0 ? ports : ports / SIM_TIME_WAIT_S);
	cJSON_AddStringToObject(cJSON_GetObjectItem(root, "disk"), "dir", r->dir);
	add_text(cJSON_GetObjectItem(root, "disk"), "filesystem", r->fs.type);
	add_text(root, "unknown_because", r->why);
	return root;
}

enum sd_err sim_json_report(FILE *out, const struct sim_report *r, struct sd_error *e)
{
	cJSON *root = report_json(r);
	char *text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	fprintf(out, "%s\n", text);
	free(text);
	return SD_OK;
}
