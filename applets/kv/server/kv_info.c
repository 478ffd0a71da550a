/* kv_info.c - what the server tells of itself: INFO, and the commands that every server answers alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "kv_server.h"
#include "world/machine.h"

typedef unsigned long long ull;

/* ---- words of the front ---- */

static void cmd_word(struct kv_call *c)
{
	struct sd_resp_conn *conn = &c->conn->c;
	const struct sd_resp_word *w = sd_resp_front_words;
	while (w->is != c->command->is)
		w++;
	w->fn(conn, c->argc, c->argv);
}

static void cmd_reset(struct kv_call *c)
{
	struct sd_resp_conn *conn = &c->conn->c;
	kv_multi_end(c->conn);
	conn->name[0] = '\0';
	conn->out.resp3 = false;
	conn->authenticated = !conn->front->password;
	sd_resp_simple(c->out, "RESET");
}

static void cmd_time(struct kv_call *c)
{
	char text[24];
	int64_t now_us = sd_world_wall_ns(c->s->run->spec.world) / 1000;
	sd_resp_array(c->out, 2);
	sd_resp_bulk(c->out, text, sd_resp_int_text(text, now_us / 1000000));
	sd_resp_bulk(c->out, text, sd_resp_int_text(text, now_us % 1000000));
}

static void cmd_lastsave(struct kv_call *c)
{
	sd_resp_int(c->out, c->s->started_ms / 1000);
}

/* ---- COMMAND ---- */

static void cmd_command(struct kv_call *c)
{
	sd_redis_tell_all(&c->s->names, c->out);
}

static void cmd_command_count(struct kv_call *c)
{
	sd_redis_tell_count(&c->s->names, c->out);
}

static void cmd_command_docs(struct kv_call *c)
{
	sd_redis_tell_docs(&c->s->names, c->argc - 2, c->argv + 2, c->out);
}

static void cmd_command_getkeys(struct kv_call *c)
{
	sd_redis_tell_keys(&c->s->names, c->argc - 2, c->argv + 2, c->out);
}

static void cmd_command_info(struct kv_call *c)
{
	sd_redis_tell_info(&c->s->names, c->argc - 2, c->argv + 2, c->out);
}

static void cmd_command_list(struct kv_call *c)
{
	sd_redis_tell_names(&c->s->names, c->out);
}

static void cmd_help(struct kv_call *c)
{
	sd_redis_tell_help(&c->s->names, c->command->is, c->out);
}

/* ---- INFO ---- */

struct info {
	struct kv_server *s;
	struct sd_kv_stats stats;
	uint64_t keys;
};

static void info_server(const struct info *i, struct sd_text *t)
{
	sd_text_format(t,
		       "redis_version:" SD_REDIS_LIKE "\r\nserver_name:sdlab-kv\r\nredis_mode:standalone\r\nprocess_id:%lld\r\ntcp_port:%u\r\n"
		       "uptime_in_seconds:%lld\r\n",
		       (long long)sd_world_pid(i->s->run->spec.world), i->s->run->naddrs ? i->s->run->addrs[0].port : 0,
		       (long long)((sd_world_mono_ns(i->s->run->spec.world) - i->s->run->started_ns) / 1000000000));
}

static void info_clients(const struct info *i, struct sd_text *t)
{
	sd_text_format(t, "connected_clients:%zu\r\nmaxclients:%u\r\nblocked_clients:0\r\n", i->s->front.nconns, i->s->front.max_clients);
}

static void info_memory(const struct info *i, struct sd_text *t)
{
	struct sd_process_use use;
	const struct sd_kv_stats *x = &i->stats;
	uint64_t used = x->memtable_bytes + x->immutable_bytes + x->cache_bytes + x->table_memory;
	sd_process_use(i->s->run->spec.world, &use);
	sd_text_format(t, "used_memory:%llu\r\nused_memory_rss:%lld\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
		       (ull)used, (long long)use.resident);
}

static void info_persistence(const struct info *i, struct sd_text *t)
{
	bool well = !i->s->refusing && sd_kv_health(i->s->db, NULL) == SD_OK;
	sd_text_format(t, "loading:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:1\r\naof_last_write_status:%s\r\n", well ? "ok" : "err");
}

static void info_stats(const struct info *i, struct sd_text *t)
{
	const struct sd_resp_front *f = &i->s->front;
	const uint64_t *n = i->s->counts;
	sd_text_format(t,
		       "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\ntotal_net_input_bytes:%llu\r\n"
		       "total_net_output_bytes:%llu\r\nrejected_connections:%llu\r\nkeyspace_hits:%llu\r\nkeyspace_misses:%llu\r\n"
		       "total_error_replies:%llu\r\n",
		       (ull)f->accepted, (ull)n[KV_COMMANDS], (ull)f->in_bytes, (ull)f->out_bytes, (ull)f->rejected, (ull)n[KV_HITS],
		       (ull)n[KV_MISSES], (ull)n[KV_ERRORS]);
}

static void info_replication(const struct info *i, struct sd_text *t)
{
	(void)i;
	sd_text_format(t, "role:master\r\nconnected_slaves:0\r\n");
}

static void info_cluster(const struct info *i, struct sd_text *t)
{
	(void)i;
	sd_text_format(t, "cluster_enabled:0\r\n");
}

static void info_keyspace(const struct info *i, struct sd_text *t)
{
	if (i->keys)
		sd_text_format(t, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (ull)i->keys);
}

/* As the man page has them. */
static void info_lsm(const struct info *i, struct sd_text *t)
{
	const struct sd_kv_stats *x = &i->stats;
	sd_text_format(t, "format:%s\r\nmemtable_entries:%llu\r\nmemtable_bytes:%llu\r\nmemtable_limit:%llu\r\nmemtables_waiting:%llu\r\n",
		       sd_kv_format(i->s->db) == SD_KV_LEVELDB ? "leveldb" : "sdlab", (ull)x->memtable_entries, (ull)x->memtable_bytes,
		       (ull)x->memtable_limit, (ull)x->immutables);
	for (int k = 0; k < SD_KV_LEVELS; k++) {
		uint64_t goal = x->levels[k].goal, bytes = x->levels[k].bytes;
		sd_text_format(t, "level%d:tables=%llu,bytes=%llu,debt=%llu\r\n", k, (ull)x->levels[k].tables, (ull)bytes,
			       (ull)(goal && bytes > goal ? bytes - goal : 0));
	}
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"log_bytes", x->log_bytes}, {"blob_files", x->blob_files}, {"blob_bytes", x->blob_file_bytes},
	    {"blob_dead", x->blob_dead_bytes}, {"user_bytes", x->user_bytes},
	    {"log_written", x->logged_bytes}, {"flush_written", x->flushed_bytes}, {"compaction_written", x->compacted_bytes},
	    {"compaction_read", x->compaction_read_bytes}, {"flushes", x->flushes}, {"compactions", x->compactions}, {"stalls", x->stalls},
	    {"stall_us", x->stall_us}, {"cache_hits", x->cache_hits}, {"cache_misses", x->cache_misses}, {"cache_bytes", x->cache_bytes},
	    {"cache_limit", (uint64_t)sd_conf_int(i->s->run->conf, "cache")}, {"filter_asked", x->filter_asked},
	    {"filter_spared", x->filter_spared}, {"filter_false", x->filter_wrong}, {"batches", x->batches}, {"syncs", x->syncs},
	};
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
		sd_text_format(t, "%s:%llu\r\n", rows[k].name, (ull)rows[k].value);
	sd_text_format(t, "write_amplification:%.2f\r\n", sd_kv_write_amplification(x));
}

static const struct {
	const char *name, *title;
	void (*fn)(const struct info *i, struct sd_text *t);
} sections[] = {
    {"server", "Server", info_server},	  {"clients", "Clients", info_clients},		{"memory", "Memory", info_memory},
    {"persistence", "Persistence", info_persistence}, {"stats", "Stats", info_stats}, {"replication", "Replication", info_replication},
    {"cluster", "Cluster", info_cluster}, {"keyspace", "Keyspace", info_keyspace}, {"lsm", "LSM", info_lsm},
};

static bool wanted(const struct kv_call *c, const char *name)
{
	bool any = c->argc == 1;
	for (size_t i = 1; i < c->argc && !any; i++)
		any = sd_slice_ieq(c->argv[i], name) || sd_slice_ieq(c->argv[i], "all") || sd_slice_ieq(c->argv[i], "default") ||
		      sd_slice_ieq(c->argv[i], "everything");
	return any;
}

static void cmd_info(struct kv_call *c)
{
	struct info i = {.s = c->s};
	struct sd_text t = {0};
	if (!(wanted(c, "keyspace") ? kv_count_keys(c, &i.keys) : kv_commit_first(c)))
		return;
	sd_kv_stats_get(c->s->db, &i.stats);
	for (size_t k = 0; k < sizeof(sections) / sizeof(sections[0]); k++) {
		if (!wanted(c, sections[k].name))
			continue;
		sd_text_format(&t, "%s# %s\r\n", t.n ? "\r\n" : "", sections[k].title);
		sections[k].fn(&i, &t);
	}
	char *text = t.p ? sd_text_take(&t, NULL) : NULL;
	sd_resp_verbatim(c->out, "txt", text ? text : "");
	free(text);
}

const struct kv_command kv_server_commands[] = {
    {SD_REDIS(AUTH), cmd_word},
    {SD_REDIS(CLIENT), NULL},
    {SD_REDIS(CLIENT_GETNAME), cmd_word},
    {SD_REDIS(CLIENT_HELP), cmd_help},
    {SD_REDIS(CLIENT_ID), cmd_word},
    {SD_REDIS(CLIENT_INFO), cmd_word},
    {SD_REDIS(CLIENT_LIST), cmd_word},
    {SD_REDIS(CLIENT_SETNAME), cmd_word},
    {SD_REDIS(COMMAND), cmd_command},
    {SD_REDIS(COMMAND_COUNT), cmd_command_count},
    {SD_REDIS(COMMAND_DOCS), cmd_command_docs},
    {SD_REDIS(COMMAND_GETKEYS), cmd_command_getkeys},
    {SD_REDIS(COMMAND_HELP), cmd_help},
    {SD_REDIS(COMMAND_INFO), cmd_command_info},
    {SD_REDIS(COMMAND_LIST), cmd_command_list},
    {SD_REDIS(ECHO), cmd_word},
    {SD_REDIS(HELLO), cmd_word},
    {SD_REDIS(INFO), cmd_info},
    {SD_REDIS(LASTSAVE), cmd_lastsave},
    {SD_REDIS(PING), cmd_word},
    {SD_REDIS(QUIT), cmd_word},
    {SD_REDIS(RESET), cmd_reset},
    {SD_REDIS(SELECT), cmd_word},
    {SD_REDIS(TIME), cmd_time},
    {0},
};
