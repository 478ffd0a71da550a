/* cache_info.c - INFO: how the server is, as tools read it. */
#include "cache.h"
#include "core/text.h"
#include "sdlab/version.h"

static void info_server(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Server\r\nredis_version:%s\r\nsdlab_version:%s\r\nredis_mode:%s\r\ntcp_port:%u\r\n"
			  "uptime_in_seconds:%lld\r\n", CACHE_LIKE_REDIS, SDLAB_VERSION, c->cluster ? "cluster" : "standalone", c->port,
		       (long long)((c->now_ms - c->started_ms) / 1000));
}

static void info_clients(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Clients\r\nconnected_clients:%zu\r\nblocked_clients:%zu\r\n", c->nsessions, c->nblocked);
}

static void info_memory(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Memory\r\nused_memory:%zu\r\nmaxmemory:%llu\r\nmaxmemory_policy:%s\r\n", cache_used_memory(c),
		       (unsigned long long)c->max_memory, c->evict.policy);
}

static void info_stats(const struct cache *c, struct sd_text *t)
{
	const struct cache_stats *s = &c->stats;
	sd_text_format(t, "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
			  "rejected_connections:%llu\r\nexpired_keys:%llu\r\nevicted_keys:%llu\r\nkeyspace_hits:%llu\r\n"
			  "keyspace_misses:%llu\r\ntotal_error_replies:%llu\r\n",
		       (unsigned long long)s->connections, (unsigned long long)s->commands, (unsigned long long)s->rejected,
		       (unsigned long long)s->expired, (unsigned long long)s->evicted, (unsigned long long)s->hits, (unsigned long long)s->misses,
		       (unsigned long long)s->errors);
}

static void info_replication(const struct cache *c, struct sd_text *t)
{
	(void)c;
	sd_text_format(t, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
}

static void info_cluster(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Cluster\r\ncluster_enabled:%d\r\n", c->cluster != NULL);
}

static void info_keyspace(const struct cache *c, struct sd_text *t)
{
	sd_text_format(t, "# Keyspace\r\n");
	for (int i = 0; i < CACHE_DBS; i++)
		if (sd_dict_count(&c->dbs[i].keys))
			sd_text_format(t, "db%d:keys=%zu,expires=%zu,avg_ttl=0\r\n", i, sd_dict_count(&c->dbs[i].keys),
				       c->dbs[i].expires);
}

static const struct {
	const char *name;
	void (*put)(const struct cache *c, struct sd_text *t);
} sections[] = {
    {"server", info_server}, {"clients", info_clients}, {"memory", info_memory}, {"persistence", cache_keep_info}, {"stats", info_stats},
    {"replication", info_replication}, {"cluster", info_cluster}, {"keyspace", info_keyspace},
};

static bool wants_section(const struct cache_call *c, const char *name)
{
	bool any = c->argc == 1;
	for (size_t i = 1; i < c->argc; i++)
		any |= cache_is(c->argv[i], name) || cache_is(c->argv[i], "all") || cache_is(c->argv[i], "default") ||
		       cache_is(c->argv[i], "everything");
	return any;
}

static void cmd_info(struct cache_call *c)
{
	struct sd_text t = {0};
	sd_text_add(&t, "", 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!wants_section(c, sections[i].name))
			continue;
		sd_text_format(&t, "%s", t.n ? "\r\n" : "");
		sections[i].put(c->cache, &t);
	}
	cache_reply_text(c, &t);
}

const struct cache_command cache_info_commands[] = {
    {"info", -1, 0, 0, 0, 0, cmd_info, "server", "1.0.0", "Tells how the server is"},
    {0},
};
