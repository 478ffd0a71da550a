/* kv_server.c - the store as a service: its options, its start and its end. */
#include "kv_server.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kv.h"
#include "app/secret.h"

#define IN_LIMIT     (512 * 1024)
#define OWN_FILES    32 /* descriptors for logs, a manifest, tables that are being made, loops, the admin and its clients */
#define TABLES_LEAST 16
#define CLIENTS_LEAST 8

const struct sd_option kv_options[] = {
    {"port", SD_OPT_PORT, "6379", "where to listen", .letter = 'p'},
    {"data-dir", SD_OPT_FILE, "kv-data", "folder of the store; it is made when it is not there", .meta = "DIR"},
    {"password", SD_OPT_STRING, NULL, "what clients must give with AUTH; needed to listen beyond this machine", .secret = true},
    {"password-file", SD_OPT_FILE, NULL, "file that holds it"},
    {"max-clients", SD_OPT_INT, "10000", "connections at a time; 0 for no limit", .max = 1000000},
    {"sync", SD_OPT_ENUM, "always", "when a write is on the disk: before its reply, within a second, or when the kernel likes",
     .choices = "always|everysec|no"},
    {"memtable", SD_OPT_SIZE, "4MiB", "writes that are kept in memory before they become a table", .min = 65536, .max = INT64_C(1) << 40},
    {"cache", SD_OPT_SIZE, "64MiB", "blocks of tables that are kept in memory", .min = 65536, .max = INT64_C(1) << 40},
    {"format", SD_OPT_ENUM, "sdlab", "of a store that is made; LevelDB's has no keys that end", .choices = "sdlab|leveldb"},
    {"compression", SD_OPT_ENUM, "zstd", "of deeper levels, in the format sdlab", .choices = "zstd|none"},
    {"compaction", SD_OPT_ENUM, "leveled", "fewer tables to read, or fewer bytes to write", .choices = "leveled|tiered"},
    {"compaction-rate", SD_OPT_SIZE, "0", "bytes a second that compaction may write; 0 for no limit", .max = INT64_C(1) << 40},
    {"blob-from", SD_OPT_SIZE, "4KiB", "values of so many bytes are kept apart from the tables, in the format sdlab", .min = 1,
     .max = INT64_C(1) << 31},
    {"open-files", SD_OPT_INT, "512", "tables that are open at a time", .min = 16, .max = 1000000},
    {0},
};

static bool is(const struct sd_conf *conf, const char *name, const char *value)
{
	return strcmp(sd_conf_string(conf, name), value) == 0;
}

static void read_conf(struct kv_server *s, const struct sd_conf *conf, struct sd_kv_conf *out)
{
	kv_sync_parse(sd_slice_of(sd_conf_string(conf, "sync")), &s->sync);
	*out = (struct sd_kv_conf){
	    .format = is(conf, "format", "leveldb") ? SD_KV_LEVELDB : SD_KV_SDLAB,
	    .sync = s->sync,
	    .compression = is(conf, "compression", "none") ? SD_KV_PLAIN : SD_KV_ZSTD,
	    .style = is(conf, "compaction", "tiered") ? SD_KV_TIERED : SD_KV_LEVELED,
	    .memtable_bytes = (uint64_t)sd_conf_int(conf, "memtable"),
	    .cache_bytes = (uint64_t)sd_conf_int(conf, "cache"),
	    .blob_from = (uint32_t)sd_conf_int(conf, "blob-from"),
	    .open_files = s->open_files,
	    .rate = (uint64_t)sd_conf_int(conf, "compaction-rate"),
	    .world = s->run->spec.world,
	    .event = kv_on_event,
	    .arg = s,
	};
}

static enum sd_err open_store(struct kv_server *s, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_kv_conf kc;
	const char *dir = sd_conf_string(conf, "data-dir");
	read_conf(s, conf, &kc);
	s->batch = sd_kv_batch_new(true);
	s->helpers = sd_helpers_new(s->run->spec.world, 1);
	if (!s->batch || !s->helpers || !kv_lines_begin(s))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_kv_open(dir, &kc, &s->db, e);
	if (err == SD_EINUSE)
		return sd_fail(e, err, "%s: another process has this store open", dir);
	return err;
}

/* So that the store always has descriptors, clients get what it leaves: who comes when there are too many is told so, as by Redis, and
 * has a descriptor until it has heard that, of a few that are kept for this. */
static void share_files(struct kv_server *s, const struct sd_conf *conf)
{
	uint64_t may = sd_world_raise_files(s->run->spec.world), wanted = (uint64_t)sd_conf_int(conf, "max-clients");
	uint64_t own = OWN_FILES + (uint64_t)s->run->naddrs; /* each listens */
	uint64_t left = may > own ? may - own : 0, tables = (uint64_t)sd_conf_int(conf, "open-files");
	uint64_t refused = left / 8 < SD_RESP_FRONT_REJECTED ? left / 8 : SD_RESP_FRONT_REJECTED;
	s->max_refused = refused ? (uint32_t)refused : 1;
	left -= refused;
	if (tables > left / 2)
		tables = left / 2 > TABLES_LEAST ? left / 2 : TABLES_LEAST;
	uint64_t most = left > tables + CLIENTS_LEAST ? left - tables : CLIENTS_LEAST;
	s->open_files = (uint32_t)tables;
	s->most_clients = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
	s->max_clients = wanted && wanted < most ? (uint32_t)wanted : s->most_clients;
	if (wanted > most && sd_conf_is_set(conf, "max-clients"))
		sd_event(s->run->log, SD_WARN, "max_clients", NULL, "At most %u clients at a time, not %llu: %llu files may be open (ulimit -n)",
			 s->max_clients, (unsigned long long)wanted, (unsigned long long)may);
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct kv_server *s = calloc(1, sizeof(*s));
	uint64_t seed;
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = s;
	s->run = run;
	sd_list_init(&s->marked);
	sd_world_random(run->spec.world, &seed, sizeof(seed));
	sd_rng_seed(&s->rng, seed);
	s->next_cursor = (sd_rng_next(&s->rng) >> 16) + 1; /* those of another life are not known */
	s->started_ms = sd_world_wall_ns(run->spec.world) / 1000000;
	kv_names_begin(s);
	share_files(s, conf);
	return sd_secret_of(run->spec.world, conf, "password", "password-file", &s->password, e);
}

static void accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	struct kv_server *s = arg;
	sd_resp_front_accept(&s->front, io, secure, pass);
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	struct kv_server *s = self;
	if (w->index)
		return SD_OK;
	s->w = w;
	s->loop = w->loop;
	s->front = (struct sd_resp_front){
	    .loop = w->loop,
	    .events = &kv_front_events,
	    .limits = {.max_args = SD_RESP_MAX_ARGS, .max_bulk = SD_KV_VALUE_MAX},
	    .in_limit = IN_LIMIT,
	    .owner = s,
	    .password = s->password,
	    .server = "redis",
	    .version = SD_REDIS_LIKE,
	    .max_clients = s->max_clients,
	    .max_rejected = s->max_refused,
	};
	sd_resp_front_begin(&s->front);
	s->streams.accepted = accepted;
	s->streams.arg = s;
	enum sd_err err = sd_run_listen_streams(s->run, w, &s->streams, e);
	if (!err) /* behind it, so that no folder is made for a server whose port is taken; who comes meanwhile waits */
		err = open_store(s, s->run->conf, e);
	if (err)
		sd_run_streams_close(&s->streams);
	return err;
}

static void started(void *self)
{
	struct kv_server *s = self;
	/* clients are served already, and may set another */
	const char *sync = sd_conf_string(s->run->conf, "sync");
	if (strcmp(sync, kv_sync_name(SD_KV_ALWAYS)) != 0)
		sd_event(s->run->log, SD_WARN, "sync", NULL, "Writes are answered before they are on the disk (--sync %s)", sync);
	sd_run_say_listening(s->run);
}

static void drain(void *self, struct sd_worker *w)
{
	struct kv_server *s = self;
	if (!w->index) {
		sd_run_streams_close(&s->streams);
		sd_resp_front_end(&s->front, false);
	}
	sd_worker_drained(w);
}

static void stop(void *self, struct sd_worker *w)
{
	struct kv_server *s = self;
	if (w->index)
		return;
	sd_run_streams_close(&s->streams);
	sd_resp_front_end(&s->front, true);
}

/* What helpers have under way is waited for. */
static void destroy(void *self)
{
	struct kv_server *s = self;
	struct sd_error e;
	if (s->helpers)
		sd_helpers_free(s->helpers);
	if (s->db && sd_kv_close(s->db, &e))
		sd_event(s->run->log, SD_ERROR, "close", NULL, "%s", e.text);
	sd_kv_batch_free(s->batch);
	kv_lines_end(s);
	kv_cursors_end(s);
	sd_kv_value_free(&s->got);
	if (s->password)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
	free(s);
}

/* Nothing can be written after a sync that failed, or in a folder that is gone. */
static bool ready(void *self)
{
	struct kv_server *s = self;
	return sd_kv_health(s->db, NULL) == SD_OK;
}

static void needs(void *self, cJSON *out)
{
	struct kv_server *s = self;
	struct sd_error e;
	bool up = sd_kv_health(s->db, &e) == SD_OK;
	cJSON *store = cJSON_AddObjectToObject(out, "store");
	cJSON_AddBoolToObject(store, "up", up);
	if (!up)
		cJSON_AddStringToObject(store, "why", e.text);
}

const struct sd_service kv_service = {
    .create = create,
    .start = start,
    .started = started,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = kv_metrics,
    .ready = ready,
    .needs = needs,
};

static bool is_near(const struct sd_conf *conf)
{
	const char *bind = sd_conf_string(conf, "bind");
	bool near = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 || strncmp(bind, "unix:", 5) == 0;
	for (size_t i = 0; i < sd_conf_count(conf, "listeners"); i++) {
		struct sd_addr a;
		const struct sd_conf *row = sd_conf_row(conf, "listeners", i);
		if (!sd_addr_parse(sd_conf_string(row, "address"), "127.0.0.1", &a, NULL) && a.kind == SD_ADDR_INET)
			near &= sd_addr_is_loopback(&a);
	}
	return near;
}

enum sd_err kv_conf_check(const struct sd_conf *conf, struct sd_error *e)
{
	bool secret = sd_conf_has(conf, "password") || sd_conf_has(conf, "password-file");
	if (sd_conf_has(conf, "password") && (sd_conf_has(conf, "password-file") || !*sd_conf_string(conf, "password")))
		return sd_fail(e, SD_EINVAL, "%s: expected one password, or the file that holds it", sd_conf_origin(conf, "password"));
	if (sd_conf_int(conf, "threads") > 1)
		return sd_fail(e, SD_EINVAL, "%s: expected 1: one thread runs all commands", sd_conf_at(conf, "threads"));
	if (!is_near(conf) && !secret)
		return sd_fail(e, SD_EINVAL, "%s: expected a password to listen beyond this machine: --password-file FILE",
			       sd_conf_at(conf, "bind"));
	return SD_OK;
}
