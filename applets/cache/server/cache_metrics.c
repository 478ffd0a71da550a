#include "cache_metrics.h"

enum source { STAT, MEMORY, MAX_MEMORY, KEYS, EXPIRES, CLIENTS, BLOCKED };

static const struct {
	const char *name, *type, *help;
	enum source source;
	size_t at; /* STAT: in struct cache_stats */
} rows[CACHE_METRICS] = {
#define STATISTIC(name, field, help) {"sdlab_cache_" name "_total", "counter", help, STAT, offsetof(struct cache_stats, field)}
    STATISTIC("commands", commands, "Commands run"),
    STATISTIC("hits", hits, "Reads that found their key"),
    STATISTIC("misses", misses, "Reads that did not"),
    STATISTIC("errors", errors, "Replies that were an error"),
    STATISTIC("expired", expired, "Keys whose time was over"),
    STATISTIC("evicted", evicted, "Keys that made room for others"),
    STATISTIC("connections", connections, "Connections taken"),
    STATISTIC("rejected", rejected, "Connections refused because there were too many"),
    {"sdlab_cache_clients", "gauge", "Connections now", CLIENTS, 0},
    {"sdlab_cache_blocked_clients", "gauge", "Clients that wait for a key", BLOCKED, 0},
    {"sdlab_cache_keys", "gauge", "Keys in all databases", KEYS, 0},
    {"sdlab_cache_expiring_keys", "gauge", "Keys that end at some time", EXPIRES, 0},
    {"sdlab_cache_memory_bytes", "gauge", "Memory of keys, values and tables", MEMORY, 0},
    {"sdlab_cache_memory_limit_bytes", "gauge", "maxmemory; 0 for none", MAX_MEMORY, 0},
};

struct of_databases {
	uint64_t keys, expires;
};

/* Both at once: this is done for every batch of requests. */
static struct of_databases of_databases(const struct cache *c)
{
	struct of_databases n = {0};
	for (int i = 0; i < CACHE_DBS; i++) {
		n.keys += sd_dict_count(&c->dbs[i].keys);
		n.expires += c->dbs[i].expires;
	}
	return n;
}

static uint64_t value_of(const struct cache *c, const struct of_databases *of, size_t row)
{
	switch (rows[row].source) {
	case STAT:
		return *(const uint64_t *)(const void *)((const char *)&c->stats + rows[row].at);
	case MEMORY:
		return cache_used_memory(c);
	case MAX_MEMORY:
		return c->max_memory;
	case KEYS:
		return of->keys;
	case EXPIRES:
		return of->expires;
	case CLIENTS:
		return c->nsessions;
	default:
		return c->nblocked;
	}
}

void cache_metrics_publish(struct cache_metrics *m, const struct cache *c)
{
	struct of_databases of = of_databases(c);
	for (size_t i = 0; i < CACHE_METRICS; i++)
		__atomic_store_n(&m->values[i], value_of(c, &of, i), __ATOMIC_RELAXED);
}

void cache_metrics_put(const struct cache_metrics *m, struct sd_metrics *out, const char *label)
{
	for (size_t i = 0; i < CACHE_METRICS; i++) {
		sd_metrics_family(out, rows[i].name, rows[i].type, rows[i].help);
		sd_metrics_add(out, (double)sd_count_read(&m->values[i]), "%s", label);
	}
}
