/* cache_config.c - CONFIG: every name that Redis 7.0 has. What has a meaning here works; the rest is kept and given back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "cache_config.h"

enum kind { TEXT, BOOL, INT, MEMORY, WORD, FIXED };

/* By name; the defaults of Redis, where nothing is kept on disk. FIXED: it cannot be set while the server runs. */
static const struct setting {
	const char *name, *value;
	enum kind kind;
	int64_t min, max;
	const char *words; /* "a, b" */
	const char *as;    /* another name of that one */
} settings[CACHE_SETTINGS] = {
    {"acl-pubsub-default", "resetchannels", WORD, .words = "allchannels, resetchannels"},
    {"aclfile", "", FIXED},
    {"acllog-max-len", "128", INT, 0, INT64_MAX},
    {"active-defrag-cycle-max", "25", INT, 1, 99},
    {"active-defrag-cycle-min", "1", INT, 1, 99},
    {"active-defrag-ignore-bytes", "104857600", MEMORY, 1, INT64_MAX},
    {"active-defrag-max-scan-fields", "1000", INT, 1, INT64_MAX},
    {"active-defrag-threshold-lower", "10", INT, 0, 1000},
    {"active-defrag-threshold-upper", "100", INT, 0, 1000},
    {"active-expire-effort", "1", INT, 1, 10},
    {"activedefrag", "no", BOOL},
    {"activerehashing", "yes", BOOL},
    {"always-show-logo", "no", FIXED},
    {"aof-disable-auto-gc", "no", BOOL},
    {"aof-load-truncated", "yes", BOOL},
    {"aof-rewrite-incremental-fsync", "yes", BOOL},
    {"aof-timestamp-enabled", "no", BOOL},
    {"aof-use-rdb-preamble", "yes", BOOL},
    {"aof_rewrite_cpulist", "", FIXED},
    {"appenddirname", "appendonlydir", FIXED},
    {"appendfilename", "appendonly.aof", FIXED},
    {"appendfsync", "everysec", WORD, .words = "everysec, always, no"},
    {"appendonly", "no", BOOL},
    {"auto-aof-rewrite-min-size", "67108864", MEMORY, 0, INT64_MAX},
    {"auto-aof-rewrite-percentage", "100", INT, 0, INT32_MAX},
    {"bgsave_cpulist", "", FIXED},
    {"bind", "127.0.0.1", FIXED},
    {"bind-source-addr", "", FIXED},
    {"bio_cpulist", "", FIXED},
    {"busy-reply-threshold", "5000", INT, 0, INT64_MAX},
    {"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
     TEXT},
    {"client-query-buffer-limit", "1073741824", MEMORY, 1048576, INT64_MAX},
    {"cluster-allow-pubsubshard-when-down", "yes", BOOL},
    {"cluster-allow-reads-when-down", "no", BOOL},
    {"cluster-allow-replica-migration", "yes", BOOL},
    {"cluster-announce-bus-port", "0", INT, 0, 65535},
    {"cluster-announce-hostname", "", TEXT},
    {"cluster-announce-ip", "", TEXT},
    {"cluster-announce-port", "0", INT, 0, 65535},
    {"cluster-announce-tls-port", "0", INT, 0, 65535},
    {"cluster-config-file", "nodes.conf", FIXED},
    {"cluster-enabled", "no", FIXED},
    {"cluster-link-sendbuf-limit", "0", MEMORY, 0, INT64_MAX},
    {"cluster-migration-barrier", "1", INT, 0, INT32_MAX},
    {"cluster-node-timeout", "15000", INT, 0, INT64_MAX},
    {"cluster-port", "0", FIXED},
    {"cluster-preferred-endpoint-type", "ip", WORD, .words = "ip, hostname, unknown-endpoint"},
    {"cluster-replica-no-failover", "no", BOOL},
    {"cluster-replica-validity-factor", "10", INT, 0, INT32_MAX},
    {"cluster-require-full-coverage", "yes", BOOL},
    {"cluster-slave-no-failover", .as = "cluster-replica-no-failover"},
    {"cluster-slave-validity-factor", .as = "cluster-replica-validity-factor"},
    {"crash-log-enabled", "yes", BOOL},
    {"crash-memcheck-enabled", "yes", BOOL},
    {"daemonize", "no", FIXED},
    {"databases", "16", FIXED},
    {"dbfilename", "dump.rdb", TEXT},
    {"dir", "", FIXED},
    {"disable-thp", "yes", FIXED},
    {"dynamic-hz", "yes", BOOL},
    {"enable-debug-command", "no", FIXED},
    {"enable-module-command", "no", FIXED},
    {"enable-protected-configs", "no", FIXED},
    {"hash-max-listpack-entries", "512", INT, 0, INT64_MAX},
    {"hash-max-listpack-value", "64", MEMORY, 0, INT64_MAX},
    {"hash-max-ziplist-entries", .as = "hash-max-listpack-entries"},
    {"hash-max-ziplist-value", .as = "hash-max-listpack-value"},
    {"hll-sparse-max-bytes", "3000", MEMORY, 0, INT64_MAX},
    {"hz", "10", INT, 0, INT32_MAX},
    {"ignore-warnings", "", TEXT},
    {"io-threads", "1", FIXED},
    {"io-threads-do-reads", "no", FIXED},
    {"jemalloc-bg-thread", "yes", BOOL},
    {"latency-monitor-threshold", "0", INT, 0, INT64_MAX},
    {"latency-tracking", "yes", BOOL},
    {"latency-tracking-info-percentiles", "50 99 99.9", TEXT},
    {"lazyfree-lazy-eviction", "no", BOOL},
    {"lazyfree-lazy-expire", "no", BOOL},
    {"lazyfree-lazy-server-del", "no", BOOL},
    {"lazyfree-lazy-user-del", "no", BOOL},
    {"lazyfree-lazy-user-flush", "no", BOOL},
    {"lfu-decay-time", "1", INT, 0, INT32_MAX},
    {"lfu-log-factor", "10", INT, 0, INT32_MAX},
    {"list-compress-depth", "0", INT, 0, INT32_MAX},
    {"list-max-listpack-size", "-2", INT, INT32_MIN, INT32_MAX},
    {"list-max-ziplist-size", .as = "list-max-listpack-size"},
    {"logfile", "", FIXED},
    {"loglevel", "notice", WORD, .words = "debug, verbose, notice, warning"},
    {"lua-time-limit", .as = "busy-reply-threshold"},
    {"masterauth", "", FIXED},
    {"masteruser", "", FIXED},
    {"maxclients", "10000", INT, 1, UINT32_MAX},
    {"maxmemory", "0", MEMORY, 0, INT64_MAX},
    {"maxmemory-clients", "0", TEXT},
    {"maxmemory-eviction-tenacity", "10", INT, 0, 100},
    {"maxmemory-policy", "noeviction", WORD,
     .words = "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
     "allkeys-random, noeviction, allkeys-s3fifo, volatile-s3fifo"},
    {"maxmemory-samples", "5", INT, 1, INT32_MAX},
    {"min-replicas-max-lag", "10", INT, 0, INT32_MAX},
    {"min-replicas-to-write", "0", INT, 0, INT32_MAX},
    {"min-slaves-max-lag", .as = "min-replicas-max-lag"},
    {"min-slaves-to-write", .as = "min-replicas-to-write"},
    {"no-appendfsync-on-rewrite", "no", BOOL},
    {"notify-keyspace-events", "", TEXT},
    {"oom-score-adj", "no", WORD, .words = "no, yes, relative, absolute"},
    {"oom-score-adj-values", "0 200 800", TEXT},
    {"pidfile", "", FIXED},
    {"port", "0", FIXED},
    {"proc-title-template", "{title} {listen-addr} {server-mode}", TEXT},
    {"propagation-error-behavior", "ignore", WORD, .words = "ignore, panic, panic-on-replicas"},
    {"protected-mode", "yes", FIXED},
    {"proto-max-bulk-len", "536870912", MEMORY, 1048576, INT64_MAX},
    {"rdb-del-sync-files", "no", BOOL},
    {"rdb-save-incremental-fsync", "yes", BOOL},
    {"rdbchecksum", "yes", FIXED},
    {"rdbcompression", "yes", BOOL},
    {"repl-backlog-size", "1048576", MEMORY, 1, INT64_MAX},
    {"repl-backlog-ttl", "3600", INT, 0, INT64_MAX},
    {"repl-disable-tcp-nodelay", "no", BOOL},
    {"repl-diskless-load", "disabled", WORD, .words = "disabled, on-empty-db, swapdb"},
    {"repl-diskless-sync", "yes", BOOL},
    {"repl-diskless-sync-delay", "5", INT, 0, INT32_MAX},
    {"repl-diskless-sync-max-replicas", "0", INT, 0, INT32_MAX},
    {"repl-ping-replica-period", "10", INT, 1, INT32_MAX},
    {"repl-ping-slave-period", .as = "repl-ping-replica-period"},
    {"repl-timeout", "60", INT, 1, INT32_MAX},
    {"replica-announce-ip", "", TEXT},
    {"replica-announce-port", "0", INT, 0, 65535},
    {"replica-announced", "yes", BOOL},
    {"replica-ignore-disk-write-errors", "no", BOOL},
    {"replica-ignore-maxmemory", "yes", BOOL},
    {"replica-lazy-flush", "no", BOOL},
    {"replica-priority", "100", INT, 0, INT32_MAX},
    {"replica-read-only", "yes", BOOL},
    {"replica-serve-stale-data", "yes", BOOL},
    {"replicaof", "", FIXED},
    {"requirepass", "", FIXED},
    {"sanitize-dump-payload", "no", WORD, .words = "no, yes, clients"},
    {"save", "", TEXT},
    {"server_cpulist", "", FIXED},
    {"set-max-intset-entries", "512", INT, 0, INT64_MAX},
    {"set-proc-title", "yes", FIXED},
    {"shutdown-on-sigint", "default", WORD, .words = "default, save, nosave, now, force"},
    {"shutdown-on-sigterm", "default", WORD, .words = "default, save, nosave, now, force"},
    {"shutdown-timeout", "10", INT, 0, INT32_MAX},
    {"slave-announce-ip", .as = "replica-announce-ip"},
    {"slave-announce-port", .as = "replica-announce-port"},
    {"slave-ignore-maxmemory", .as = "replica-ignore-maxmemory"},
    {"slave-lazy-flush", .as = "replica-lazy-flush"},
    {"slave-priority", .as = "replica-priority"},
    {"slave-read-only", .as = "replica-read-only"},
    {"slave-serve-stale-data", .as = "replica-serve-stale-data"},
    {"slaveof", .as = "replicaof"},
    {"slowlog-log-slower-than", "10000", INT, -1, INT64_MAX},
    {"slowlog-max-len", "128", INT, 0, INT64_MAX},
    {"socket-mark-id", "0", FIXED},
    {"stop-writes-on-bgsave-error", "yes", BOOL},
    {"stream-node-max-bytes", "4096", MEMORY, 0, INT64_MAX},
    {"stream-node-max-entries", "100", INT, 0, INT64_MAX},
    {"supervised", "no", FIXED},
    {"syslog-enabled", "no", FIXED},
    {"syslog-facility", "local0", FIXED},
    {"syslog-ident", "redis", FIXED},
    {"tcp-backlog", "511", FIXED},
    {"tcp-keepalive", "300", INT, 0, INT32_MAX},
    {"timeout", "0", INT, 0, INT32_MAX},
    {"tls-auth-clients", "yes", FIXED},
    {"tls-ca-cert-dir", "", FIXED},
    {"tls-ca-cert-file", "", FIXED},
    {"tls-cert-file", "", FIXED},
    {"tls-ciphers", "", FIXED},
    {"tls-ciphersuites", "", FIXED},
    {"tls-client-cert-file", "", FIXED},
    {"tls-client-key-file", "", FIXED},
    {"tls-client-key-file-pass", "", FIXED},
    {"tls-cluster", "no", FIXED},
    {"tls-dh-params-file", "", FIXED},
    {"tls-key-file", "", FIXED},
    {"tls-key-file-pass", "", FIXED},
    {"tls-port", "0", FIXED},
    {"tls-prefer-server-ciphers", "no", FIXED},
    {"tls-protocols", "", FIXED},
    {"tls-replication", "no", FIXED},
    {"tls-session-cache-size", "20480", FIXED},
    {"tls-session-cache-timeout", "300", FIXED},
    {"tls-session-caching", "yes", FIXED},
    {"tracking-table-max-keys", "1000000", INT, 0, INT64_MAX},
    {"unixsocket", "", FIXED},
    {"unixsocketperm", "0", FIXED},
    {"zset-max-listpack-entries", "128", INT, 0, INT64_MAX},
    {"zset-max-listpack-value", "64", MEMORY, 0, INT64_MAX},
    {"zset-max-ziplist-entries", .as = "zset-max-listpack-entries"},
    {"zset-max-ziplist-value", .as = "zset-max-listpack-value"},
};

static bool find_row(struct sd_slice name, size_t *at)
{
	for (size_t i = 0; i < CACHE_SETTINGS && settings[i].name; i++)
		if (sd_slice_ieq(name, settings[i].name)) {
			*at = i;
			return true;
		}
	return false;
}

/* The row that has the value. */
static size_t holder(size_t at)
{
	if (settings[at].as)
		find_row(sd_slice_of(settings[at].as), &at);
	return at;
}

/* ---- what has a meaning here ---- */

static const struct {
	const char *name;
	size_t at;
} tuned[] = {
#define TUNED(name, field) {name, offsetof(struct cache_tuning, field)}
    TUNED("hash-max-listpack-entries", hash_max_listpack_entries), TUNED("hash-max-listpack-value", hash_max_listpack_value),
    TUNED("lfu-decay-time", lfu_decay_time), TUNED("lfu-log-factor", lfu_log_factor),
    TUNED("list-max-listpack-size", list_max_listpack_size), TUNED("maxmemory-samples", maxmemory_samples),
    TUNED("set-max-intset-entries", set_max_intset_entries), TUNED("slowlog-log-slower-than", slowlog_log_slower_than),
    TUNED("slowlog-max-len", slowlog_max_len), TUNED("zset-max-listpack-entries", zset_max_listpack_entries),
    TUNED("zset-max-listpack-value", zset_max_listpack_value),
};

static int64_t *tuning(struct cache *c, const char *name)
{
	for (size_t i = 0; i < sizeof(tuned) / sizeof(tuned[0]); i++)
		if (strcmp(tuned[i].name, name) == 0)
			return (int64_t *)((char *)&c->tuning + tuned[i].at);
	return NULL;
}

void cache_config_begin(struct cache *c)
{
	for (size_t i = 0; i < CACHE_SETTINGS && settings[i].name; i++) {
		int64_t *t = tuning(c, settings[i].name);
		if (t)
			*t = strtoll(settings[i].value, NULL, 10);
	}
}

/* False: this row is only kept. */
static bool live(struct cache *c, size_t at, const int64_t *set, int64_t *get)
{
	const char *name = settings[at].name;
	int64_t *t = tuning(c, name);
	if (t) {
		*t = set ? *set : *t;
		*get = *t;
	} else if (strcmp(name, "maxmemory") == 0) {
		if (set)
			cache_set_max_memory(c, (uint64_t)*set);
		*get = (int64_t)c->max_memory;
	} else if (strcmp(name, "maxclients") == 0) {
		c->max_clients = set ? (uint32_t)*set : c->max_clients;
		*get = c->max_clients;
	} else if (strcmp(name, "proto-max-bulk-len") == 0) {
		if (set) /* loops that understand a request meanwhile read it without having the engine */
			__atomic_store_n(&c->limits.max_bulk, *set, __ATOMIC_RELAXED);
		*get = c->limits.max_bulk;
	} else if (strcmp(name, "port") == 0) {
		*get = c->port;
	} else if (strcmp(name, "io-threads") == 0) {
		*get = c->threads ? c->threads : 1;
	} else {
		return false;
	}
	return true;
}

/* ---- GET ---- */

static void put_value(struct cache_call *c, size_t at)
{
	char text[24];
	int64_t v;
	at = holder(at);
	if (strcmp(settings[at].name, "maxmemory-policy") == 0)
		sd_resp_text(c->out, c->cache->evict.policy);
	else if (live(c->cache, at, NULL, &v))
		sd_resp_bulk(c->out, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)v));
	else
		sd_resp_text(c->out, c->cache->settings[at] ? c->cache->settings[at] : settings[at].value);
}

static bool is_pattern(struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("[*?", s.p[i]) && s.p[i])
			return true;
	return false;
}

/* The name as it is to be told: a name that was asked for in full keeps its spelling. */
static bool is_wanted(const struct cache_call *c, const char *name, struct sd_slice *as)
{
	for (size_t i = 2; i < c->argc; i++) {
		bool pattern = is_pattern(c->argv[i]);
		*as = pattern ? sd_slice_of(name) : c->argv[i];
		if (pattern ? sd_redis_matches_any_case(c->argv[i], *as) : sd_slice_ieq(c->argv[i], name))
			return true;
	}
	return false;
}

static void cmd_config_get(struct cache_call *c)
{
	size_t n = 0, place = sd_resp_later(c->out);
	for (size_t i = 0; i < CACHE_SETTINGS && settings[i].name; i++) {
		struct sd_slice as;
		if (!is_wanted(c, settings[i].name, &as))
			continue;
		sd_resp_bulk(c->out, as.p, as.n);
		put_value(c, i);
		n++;
	}
	sd_resp_now(c->out, place, '%', n);
}

/* ---- SET ---- */

struct wanted {
	struct sd_slice text; /* in the words of the table, or the argument */
	int64_t number;
};

/* "10mb": 10 * 1024 * 1024, "10m": 10,000,000. */
static bool parse_memory(struct sd_slice s, int64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t by;
	} units[] = {{"", 1}, {"b", 1}, {"k", 1000}, {"kb", 1024}, {"m", 1000000}, {"mb", 1048576}, {"g", 1000000000},
		     {"gb", 1073741824}};
	uint64_t v = 0;
	size_t n = 0;
	for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[n] - '0'), &v))
			return false;
	for (size_t i = 0; n && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!cache_is((struct sd_slice){s.p + n, s.n - n}, units[i].unit))
			continue;
		if (__builtin_mul_overflow(v, units[i].by, &v) || v > INT64_MAX)
			return false;
		*out = (int64_t)v;
		return true;
	}
	return false;
}

static bool find_word(const char *words, struct sd_slice arg, struct wanted *w)
{
	for (const char *p = words; *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ",");
		w->text = (struct sd_slice){p, n};
		if (n == arg.n && strncasecmp(p, arg.p, n) == 0)
			return true;
		p += n;
	}
	return false;
}

static const char *check_number(const struct setting *s, struct sd_slice arg, struct wanted *w, char why[256])
{
	if (s->kind == INT && !sd_resp_parse_int(arg, &w->number))
		return "argument couldn't be parsed into an integer";
	if (s->kind == MEMORY && !parse_memory(arg, &w->number))
		return "argument must be a memory value";
	if (w->number >= s->min && w->number <= s->max)
		return NULL;
	snprintf(why, 256, "argument must be between %lld and %lld inclusive", (long long)s->min, (long long)s->max);
	return why;
}

static bool is_file_name(struct sd_slice s)
{
	bool dots = sd_slice_eq(s, ".") || sd_slice_eq(s, "..");
	return s.n && s.n < 200 && !dots && !memchr(s.p, '/', s.n) && !memchr(s.p, '\0', s.n);
}

/* NULL: it fits; else why not, in the words of Redis. */
static const char *check_value(const struct setting *s, struct sd_slice arg, struct wanted *w, char why[256])
{
	w->text = arg;
	if (strcmp(s->name, "save") == 0)
		return cache_keep_points(NULL, arg) ? NULL : "Invalid save parameters";
	if (strcmp(s->name, "dbfilename") == 0)
		return is_file_name(arg) ? NULL : "dbfilename can't be a path, just a filename";
	switch (s->kind) {
	case BOOL:
		return find_word("yes, no", arg, w) ? NULL : "argument must be 'yes' or 'no'";
	case WORD:
		snprintf(why, 256, "argument(s) must be one of the following: %s", s->words);
		return find_word(s->words, arg, w) ? NULL : why;
	case INT:
	case MEMORY:
		return check_number(s, arg, w, why);
	default:
		return NULL;
	}
}

static void set_failed(struct cache_call *c, size_t i, const char *why)
{
	sd_resp_errorf(c->out, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
		       (int)c->argv[i].n, c->argv[i].p, why);
}

/* All names before any value, as Redis does. */
static bool check_names(struct cache_call *c)
{
	size_t at, other;
	for (size_t i = 2; i < c->argc; i += 2) {
		if (!find_row(c->argv[i], &at)) {
			sd_resp_errorf(c->out, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
				       (int)c->argv[i].n, c->argv[i].p);
			return false;
		}
		if (settings[holder(at)].kind == FIXED) {
			set_failed(c, i, "can't set immutable config");
			return false;
		}
		for (size_t j = 2; j < i; j += 2)
			if (find_row(c->argv[j], &other) && other == at) {
				set_failed(c, i, "duplicate parameter");
				return false;
			}
	}
	return true;
}

static bool keep(struct cache *c, size_t at, const struct wanted *w)
{
	char digits[24], *copy;
	if (settings[at].kind == INT || settings[at].kind == MEMORY) {
		snprintf(digits, sizeof(digits), "%lld", (long long)w->number);
		copy = strdup(digits);
	} else {
		copy = w->text.n ? strndup(w->text.p, w->text.n) : strdup("");
	}
	if (!copy)
		return false;
	free(c->settings[at]);
	c->settings[at] = copy;
	if (strcmp(settings[at].name, "maxmemory-policy") == 0)
		cache_set_policy(c, w->text);
	return true;
}

const char *cache_config_text(const struct cache *c, const char *name)
{
	size_t at = 0;
	find_row(sd_slice_of(name), &at);
	return c->settings[at] ? c->settings[at] : settings[at].value;
}

bool cache_config_put(struct cache *c, const char *name, const char *value)
{
	size_t at = 0;
	struct wanted w = {.text = sd_slice_of(value)};
	find_row(sd_slice_of(name), &at);
	return keep(c, at, &w) && (strcmp(name, "save") != 0 || cache_keep_points(c, w.text));
}

/* apply false: only looks whether it fits. */
static bool set_one(struct cache_call *c, size_t i, bool apply)
{
	size_t at = 0;
	char why[256];
	int64_t now;
	struct wanted w = {0};
	find_row(c->argv[i], &at);
	at = holder(at);
	const char *bad = check_value(&settings[at], c->argv[i + 1], &w, why);
	if (!bad && apply && !live(c->cache, at, &w.number, &now) && !keep(c->cache, at, &w))
		bad = "out of memory";
	if (!bad && apply && strcmp(settings[at].name, "save") == 0)
		cache_keep_points(c->cache, w.text);
	if (bad)
		set_failed(c, i, bad);
	return !bad;
}

static void cmd_config_set(struct cache_call *c)
{
	if (c->argc % 2) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (!check_names(c))
		return;
	for (int apply = 0; apply < 2; apply++)
		for (size_t i = 2; i < c->argc; i += 2)
			if (!set_one(c, i, apply))
				return;
	sd_resp_simple(c->out, "OK");
}

/* "normal 0 0 0 slave ... pubsub 33554432 8388608 60": sizes may have units. */
struct cache_output_limit cache_output_limit(const struct cache *c, const struct cache_session *s)
{
	struct cache_output_limit l = {0};
	const char *class = cache_subscriptions(s) ? "pubsub" : s->flags & CACHE_MONITOR ? "slave" : "normal";
	char hard[32], soft[32], seconds[24];
	size_t at = 0;
	find_row(sd_slice_of("client-output-buffer-limit"), &at);
	const char *text = c->settings[at] ? c->settings[at] : settings[at].value, *p = strstr(text, class);
	int64_t h, so, soft_s;
	if (p && sscanf(p + strlen(class), " %31s %31s %23s", hard, soft, seconds) == 3 && parse_memory(sd_slice_of(hard), &h) &&
	    parse_memory(sd_slice_of(soft), &so) && sd_resp_parse_int(sd_slice_of(seconds), &soft_s))
		l = (struct cache_output_limit){(uint64_t)h, (uint64_t)so, soft_s};
	return l;
}

static void cmd_config_resetstat(struct cache_call *c)
{
	cache_count_reset(c->cache);
	sd_resp_simple(c->out, "OK");
}

static void cmd_config_rewrite(struct cache_call *c)
{
	sd_resp_error(c->out, "ERR The server is running without a config file");
}

void cache_config_end(struct cache *c)
{
	for (size_t i = 0; i < CACHE_SETTINGS; i++)
		free(c->settings[i]);
}

const struct cache_command cache_config_commands[] = {
    {SD_REDIS(CONFIG), NULL},
    {SD_REDIS(CONFIG_GET), cmd_config_get},
    {SD_REDIS(CONFIG_HELP), cache_help},
    {SD_REDIS(CONFIG_RESETSTAT), cmd_config_resetstat},
    {SD_REDIS(CONFIG_REWRITE), cmd_config_rewrite},
    {SD_REDIS(CONFIG_SET), cmd_config_set},
    {0},
};
