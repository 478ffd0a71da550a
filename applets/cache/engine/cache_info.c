/* cache_info.c - INFO: how the server is, as tools read it. Fields have the names and forms of Redis 7.0, and one that would not be
 * true here is not told. */
#include <stdio.h>
#include <string.h>

#include "cache.h"
#include "core/text.h"
#include "sdlab/version.h"

typedef unsigned long long ull;

void cache_info_begin(struct cache *c)
{
	uint64_t r[3] = {sd_rng_next(&c->rng), sd_rng_next(&c->rng), sd_rng_next(&c->rng)};
	snprintf(c->run_id, sizeof(c->run_id), "%016llx%016llx%08llx", (ull)r[0], (ull)r[1], (ull)r[2] & 0xffffffff);
}

/* ---- forms ---- */

/* "1.50M", and bytes below one K. */
static void put_size(struct sd_text *t, const char *name, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double v = (double)bytes;
	unsigned i = 0;
	for (; v >= 1024 && units[i + 1]; i++)
		v /= 1024;
	sd_text_format(t, i ? "%s:%.2f%c\r\n" : "%s:%.0f%c\r\n", name, v, units[i]);
}

static void put_both(struct sd_text *t, const char *name, uint64_t bytes)
{
	char human[80];
	snprintf(human, sizeof(human), "%s_human", name);
	sd_text_format(t, "%s:%llu\r\n", name, (ull)bytes);
	put_size(t, human, bytes);
}

static void put_seconds(struct sd_text *t, const char *name, int64_t us)
{
	sd_text_format(t, "%s:%lld.%06lld\r\n", name, (long long)(us / 1000000), (long long)(us % 1000000));
}

/* ---- sections ---- */

static void info_server(const struct cache *c, struct sd_text *t)
{
	int64_t up_s = (c->now_ms - c->started_ms) / 1000;
	sd_text_format(t, "redis_version:%s\r\nsdlab_version:%s\r\nredis_mode:%s\r\n", SD_REDIS_LIKE, SDLAB_VERSION,
		       c->cluster ? "cluster" : "standalone");
	if (c->process.os[0])
		sd_text_format(t, "os:%s\r\n", c->process.os);
	sd_text_format(t, "arch_bits:%zu\r\n", sizeof(void *) * 8);
	if (c->process.pid)
		sd_text_format(t, "process_id:%lld\r\n", (long long)c->process.pid);
	sd_text_format(t, "run_id:%s\r\ntcp_port:%u\r\nserver_time_usec:%lld\r\nuptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n"
			  "lru_clock:%lld\r\nio_threads_active:%d\r\n", c->run_id, c->port, (long long)c->now_ms * 1000,
		       (long long)up_s, (long long)up_s / 86400, (long long)(c->now_ms / 1000 & 0xffffff), c->threads > 1);
}

static void info_clients(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "connected_clients:%zu\r\nmaxclients:%u\r\nblocked_clients:%zu\r\ntracking_clients:0\r\n", c->nsessions,
		       c->max_clients, c->nblocked);
}

static void info_memory(const struct cache *c, struct sd_text *t)
{
	uint64_t used = cache_used_memory(c), resident = (uint64_t)c->process.resident;
	put_both(t, "used_memory", used);
	if (resident)
		put_both(t, "used_memory_rss", resident);
	put_both(t, "used_memory_peak", c->counts.peak);
	sd_text_format(t, "used_memory_peak_perc:%.2f%%\r\n", c->counts.peak ? 100.0 * (double)used / (double)c->counts.peak : 100.0);
	if (c->process.memory_total)
		put_both(t, "total_system_memory", (uint64_t)c->process.memory_total);
	put_both(t, "maxmemory", c->max_memory);
	sd_text_format(t, "maxmemory_policy:%s\r\n", c->evict.policy);
	if (resident)
		sd_text_format(t, "mem_fragmentation_ratio:%.2f\r\nmem_fragmentation_bytes:%lld\r\n",
			       used ? (double)resident / (double)used : 0, (long long)resident - (long long)used);
	sd_text_format(t, "mem_allocator:libc\r\nactive_defrag_running:0\r\nlazyfree_pending_objects:%zu\r\n"
			  "lazyfreed_objects:%llu\r\n", c->lazy.objects, (ull)c->stats.lazily_freed);
}

static void info_stats(const struct cache *c, struct sd_text *t)
{
	const struct cache_stats *s = &c->stats;
	struct cache_rates r = cache_rates(c);
	const struct {
		const char *name;
		uint64_t v;
	} rows[] = {
	    {"total_connections_received", s->connections}, {"total_commands_processed", s->commands},
	    {"instantaneous_ops_per_sec", r.commands}, {"total_net_input_bytes", s->net_in}, {"total_net_output_bytes", s->net_out},
	    {"rejected_connections", s->rejected}, {"expired_keys", s->expired}, {"evicted_keys", s->evicted}, {"evicted_clients", 0},
	    {"keyspace_hits", s->hits}, {"keyspace_misses", s->misses}, {"pubsub_channels", sd_dict_count(&c->channels)},
	    {"pubsub_patterns", sd_dict_count(&c->patterns)}, {"latest_fork_usec", 0}, {"total_forks", 0},
	    {"total_error_replies", s->errors}, {"client_output_buffer_limit_disconnections", s->output_closed},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		sd_text_format(t, "%s:%llu\r\n", rows[i].name, (ull)rows[i].v);
	sd_text_format(t, "instantaneous_input_kbps:%.2f\r\ninstantaneous_output_kbps:%.2f\r\n", r.net_in / 1024, r.net_out / 1024);
}

static void info_replication(const struct cache *c, struct sd_text *t)
{
	(void)c;
	sd_text_format(t, "role:master\r\nconnected_slaves:0\r\n");
}

static void info_cpu(const struct cache *c, struct sd_text *t)
{
	if (!c->process.user_us && !c->process.system_us)
		return;
	put_seconds(t, "used_cpu_sys", c->process.system_us);
	put_seconds(t, "used_cpu_user", c->process.user_us);
}

static void info_modules(const struct cache *c, struct sd_text *t)
{
	(void)c;
	(void)t;
}

static void put_usage(struct sd_text *t, const struct cache_command *k, const struct cache_usage *u)
{
	if (!u->calls && !u->rejected && !u->failed)
		return;
	sd_text_format(t, "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
		       k->is->name, (ull)u->calls, (ull)u->usec, u->calls ? (double)u->usec / (double)u->calls : 0,
		       (ull)u->rejected, (ull)u->failed);
}

static void info_commandstats(const struct cache *c, struct sd_text *t)
{
	const struct cache_command *k;
	for (size_t i = 0; (k = cache_command_at(i)); i++)
		put_usage(t, k, cache_usage_so_far(c, k));
}

static void info_errorstats(const struct cache *c, struct sd_text *t)
{
	for (size_t i = 0; i < c->counts.nerrors; i++)
		sd_text_format(t, "errorstat_%s:count=%llu\r\n", c->counts.errors[i].word, (ull)c->counts.errors[i].n);
}

static void info_cluster(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "cluster_enabled:%d\r\n", c->cluster != NULL);
}

/* Of the keys that have an end; one whose time is over and that is still there counts below 0. */
static int64_t average_ttl(const struct cache_db *db)
{
	int64_t ttl = db->expires ? (int64_t)(db->ends_ms / (int64_t)db->expires) - db->cache->now_ms : 0;
	return ttl > 0 ? ttl : 0;
}

static void info_keyspace(const struct cache *c, struct sd_text *t)
{
	for (int i = 0; i < CACHE_DBS; i++)
		if (sd_dict_count(&c->dbs[i].keys))
			sd_text_format(t, "db%d:keys=%zu,expires=%zu,avg_ttl=%lld\r\n", i, sd_dict_count(&c->dbs[i].keys),
				       c->dbs[i].expires, (long long)average_ttl(&c->dbs[i]));
}

static const struct {
	const char *name, *title;
	void (*put)(const struct cache *c, struct sd_text *t);
	bool asked; /* not told by default */
} sections[] = {
    {"server", "Server", info_server},
    {"clients", "Clients", info_clients},
    {"memory", "Memory", info_memory},
    {"persistence", "Persistence", cache_keep_info},
    {"stats", "Stats", info_stats},
    {"replication", "Replication", info_replication},
    {"cpu", "CPU", info_cpu},
    {"modules", "Modules", info_modules},
    {"commandstats", "Commandstats", info_commandstats, true},
    {"errorstats", "Errorstats", info_errorstats},
    {"cluster", "Cluster", info_cluster},
    {"keyspace", "Keyspace", info_keyspace},
};

static bool wants_section(const struct cache_call *c, size_t row)
{
	bool any = c->argc == 1 && !sections[row].asked;
	for (size_t i = 1; i < c->argc; i++)
		any |= cache_is(c->argv[i], sections[row].name) || cache_is(c->argv[i], "all") || cache_is(c->argv[i], "everything") ||
		       (cache_is(c->argv[i], "default") && !sections[row].asked);
	return any;
}

static void cmd_info(struct cache_call *c)
{
	struct sd_text t = {0};
	struct cache *cache = c->cache;
	if (cache->look_at_process)
		cache->look_at_process(cache->look_arg, &cache->process);
	cache_count_memory(cache);
	sd_text_add(&t, "", 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!wants_section(c, i))
			continue;
		sd_text_format(&t, "%s# %s\r\n", t.n ? "\r\n" : "", sections[i].title);
		sections[i].put(cache, &t);
	}
	cache_reply_text(c, &t);
}

const struct cache_command cache_info_commands[] = {
    {SD_REDIS(INFO), cmd_info},
    {0},
};
