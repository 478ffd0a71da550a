/* cache.h - the engine of the cache: keys, values and commands. Pure: requests and time come in, replies go out.
 *
 *	shell (cache_shell.c)                engine
 *	bytes --> sd_resp_read --> cache_call(session, argv, now) --> command table --> keyspace
 *	                                        |                                          |
 *	stream <-- session->out <---------------+---- replies, and what other sessions get (cache->wake tells the shell)
 *
 * One engine belongs to one thread. A value belongs to its item, an item to its keyspace.
 */
#ifndef CACHE_H
#define CACHE_H

#include "core/dict.h"
#include "core/list.h"
#include "core/resp.h"
#include "core/wheel.h"

#define CACHE_DBS   16
#define CACHE_SETTINGS 256 /* at least as many as CONFIG knows */
#define CACHE_NAMES 1024 /* places for the names of commands, a few times as many as there are */

/* How a value is kept; the names are what OBJECT ENCODING says. */
enum cache_encoding {
	CACHE_INT,    /* a number, in v.i */
	CACHE_EMBSTR, /* bytes behind the key, in the same piece of memory */
	CACHE_RAW,    /* struct cache_bytes */
};

/* Memory of one engine, counted as the allocator gives it out. */
struct cache_memory {
	size_t used;
};
void *cache_alloc(struct cache_memory *m, size_t n);
void *cache_realloc(struct cache_memory *m, void *p, size_t n);
void cache_free(struct cache_memory *m, void *p);

/* A long string; room is what may be used without asking for more. */
struct cache_bytes {
	size_t n, room;
	char p[];
};

struct cache_item;

struct cache_expiry {
	struct sd_wheel_entry wheel;
	struct cache_item *item;
	struct cache_db *db;
};

struct cache_item {
	struct sd_dict_entry e;
	uint8_t encoding;
	uint32_t n;      /* CACHE_EMBSTR: bytes of the value */
	uint32_t read_s; /* when it was read or written last, in seconds of the epoch: OBJECT IDLETIME */
	union {
		int64_t i;
		struct cache_bytes *bytes;
	} v;
	struct cache_expiry *expiry; /* NULL: it stays */
	char key[];
};

struct cache_db {
	struct cache *cache;
	unsigned number;
	struct sd_dict keys; /* cache_item */
	size_t expires;      /* items that have an expiry */
};

struct cache_stats {
	uint64_t connections, commands, hits, misses, expired, errors, rejected;
};

struct cache_session;
struct cache_command;

struct cache {
	struct cache_memory memory;
	struct sd_siphash_key hash_key;
	struct sd_rng rng;
	struct cache_db dbs[CACHE_DBS];
	struct sd_wheel wheel; /* of expiries, in milliseconds since the epoch */
	int64_t now_ms;	       /* of the command in progress, since the epoch */
	int64_t started_ms;
	struct cache_stats stats;
	struct sd_link sessions;
	size_t nsessions;
	uint64_t next_id;
	const struct cache_command *names[CACHE_NAMES]; /* by hash */
	struct sd_resp_limits limits;
	uint64_t max_memory;
	uint32_t max_clients; /* 0: no limit */
	char *settings[CACHE_SETTINGS]; /* of CONFIG SET that only have to be given back; NULL: the default */
	bool dropped;                   /* some session has CACHE_DROP */
	const char *password; /* NULL: none */
	uint16_t port;
};

enum cache_session_flag {
	CACHE_AUTHENTICATED = 1,
	CACHE_QUIT = 2, /* to be closed once its replies are sent */
	CACHE_DROP = 4, /* to be closed at once */
	CACHE_MUTE = 8, /* CLIENT REPLY OFF */
	CACHE_SKIP = 16, CACHE_SKIP_NEXT = 32,
};

/* One client. */
struct cache_session {
	struct sd_link link; /* in cache->sessions */
	struct cache *cache;
	uint64_t id;
	uint32_t flags; /* enum cache_session_flag */
	struct cache_db *db;
	struct sd_resp_out out;
	char name[64];
	int64_t since_ms, last_ms;
	const struct cache_command *last;
	char address[64]; /* of the client, as the shell says */
};

/* A command being run. */
struct cache_call {
	struct cache *cache;
	struct cache_session *session;
	struct cache_db *db;
	struct sd_resp_out *out;
	const struct cache_command *command;
	size_t argc;
	const struct sd_slice *argv;
};

enum cache_flag {
	CACHE_WRITE = 1, /* may change a value */
	CACHE_READONLY = 2,
	CACHE_DENYOOM = 4, /* refused when memory is full */
	CACHE_FAST = 8,
	CACHE_NOAUTH = 16, /* also before AUTH */
	CACHE_ADMIN = 32,
};

/* One row says everything about a command: who answers COMMAND, COMMAND DOCS and the arity check reads the same one. */
struct cache_command {
	const char *name; /* lower case; "config|get" for a subcommand */
	int arity;	  /* with the name; negative: at least so many */
	uint32_t flags;
	int first, last, step; /* keys; 0: none */
	void (*fn)(struct cache_call *c);
	const char *group, *since, *summary;
};

/* ---- cache.c ---- */
void cache_init(struct cache *c, uint64_t seed, int64_t now_ms);
void cache_end(struct cache *c);
void cache_session_begin(struct cache *c, struct cache_session *s);
void cache_session_end(struct cache_session *s);
/* Runs one request; its reply is behind what session->out holds. now: since the epoch. */
void cache_call(struct cache_session *s, size_t argc, const struct sd_slice *argv, int64_t now_ms);
/* Ends what has expired, so many at most. When to call again; INT64_MAX: not before something changes. */
int64_t cache_tick(struct cache *c, int64_t now_ms, unsigned most);
const struct cache_command *cache_find_command(const struct cache *c, struct sd_slice name);
/* "container|sub", or NULL. */
const struct cache_command *cache_find_subcommand(const struct cache *c, const struct cache_command *container,
						  struct sd_slice name);
/* All rows, in the order of their tables; NULL at the end. */
const struct cache_command *cache_command_at(size_t i);
/* Values, their items and the tables. */
size_t cache_used_memory(const struct cache *c);

/* ---- errors everybody says ---- */
extern const char cache_syntax[], cache_no_key[], cache_not_int[], cache_no_memory[];

/* ---- cache_db.c ---- */
/* The item of a key, NULL when there is none or its time is over. A read counts as one: hit or miss, and for eviction. */
struct cache_item *cache_read(struct cache_call *c, struct sd_slice key);
struct cache_item *cache_find(struct cache_db *db, struct sd_slice key);
/* Takes it out and frees it with its value. */
void cache_delete(struct cache_db *db, struct cache_item *it);
/* at_ms since the epoch. False: out of memory. */
bool cache_expire(struct cache_db *db, struct cache_item *it, int64_t at_ms);
void cache_persist(struct cache_db *db, struct cache_item *it);
int64_t cache_expires_at(const struct cache_item *it); /* -1: never */
static inline struct sd_slice cache_key(const struct cache_item *it)
{
	return (struct sd_slice){it->key, it->e.klen};
}
/* A copy under this key, with its expiry; what had that key goes. False: out of memory, and nothing changed. */
bool cache_copy(struct cache_item *it, struct cache_db *to_db, struct sd_slice to);
void cache_flush(struct cache_db *db);

/* ---- cache_string.c: values that are strings ---- */
/* The bytes; of a number they are written into text. */
struct sd_slice cache_string(const struct cache_item *it, char text[24]);
/* Makes the key hold these bytes; the expiry goes. NULL: out of memory, and nothing changed. */
struct cache_item *cache_set_string(struct cache_db *db, struct sd_slice key, struct sd_slice value);
extern const struct cache_command cache_string_commands[];

/* ---- other tables of commands ---- */
extern const struct cache_command cache_key_commands[], cache_connection_commands[], cache_config_commands[],
    cache_server_commands[];
void cache_config_end(struct cache *c);
/* What HELP of a container says: its rows. */
void cache_help(struct cache_call *c);

/* ---- arguments ---- */
bool cache_is(struct sd_slice arg, const char *word); /* without regard to case */
bool cache_parse_double(struct sd_slice arg, long double *out);
/* A number; -ERR is the reply when it is none. */
bool cache_arg_int(struct cache_call *c, size_t i, int64_t *out);
/* A time to live in an argument, in units of so many milliseconds, as a moment since the epoch. relative: it counts from now.
 * False: it is none, and the reply says so. */
bool cache_arg_expiry(struct cache_call *c, size_t i, int64_t unit_ms, bool relative, int64_t *at_ms);
/* glob-style, as KEYS and PSUBSCRIBE have it. */
bool cache_matches(struct sd_slice pattern, struct sd_slice text);
bool cache_matches_any_case(struct sd_slice pattern, struct sd_slice text);
/* An int, or the error as the reply. */
bool cache_arg_int32(struct cache_call *c, size_t i, int64_t *out);
bool cache_arg_db(struct cache_call *c, size_t i, struct cache_db **out);

#endif
