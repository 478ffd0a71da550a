/* cache.h - the engine of the cache: keys, values and commands. Pure: requests and time come in, replies go out.
 *
 *	shell (cache_serve.c)                engine
 *	bytes --> sd_resp_read --> cache_call(session, argv, now) --> command table --> keyspace
 *	                                        |                                          |
 *	stream <-- session->out <---------------+---- replies, and what other sessions get (cache->wake tells the shell)
 *
 * One engine belongs to one thread at a time (cache_lane.h). A value belongs to its item, an item to its keyspace.
 *
 *	engine/   commands, keyspace, sessions, eviction      cluster/  members, routing, copies
 *	types/    values and the commands of each type        server/   the service: connections and loops
 *	disk/     values as bytes, snapshots                  client/   verbs: cache-cli, top, monitor, stats
 */
#ifndef CACHE_H
#define CACHE_H

#include <string.h>

#include "cache_count.h"
#include "../disk/cache_keep.h"
#include "core/dict.h"
#include "core/list.h"
#include "core/redis_expire.h"
#include "core/redis_string.h"
#include "core/resp.h"
#include "core/s3fifo.h"
#include "core/space_saving.h"
#include "core/wheel.h"

#define CACHE_DBS   16
#define CACHE_SETTINGS 256 /* at least as many as CONFIG knows */

enum cache_type { CACHE_STRING, CACHE_LIST, CACHE_SET, CACHE_ZSET, CACHE_HASH, CACHE_TYPES };

/* How a value is kept; the names are what OBJECT ENCODING says. */
enum cache_encoding {
	CACHE_INT,    /* a number */
	CACHE_EMBSTR, /* bytes behind the key, in the same piece of memory */
	CACHE_RAW,    /* struct cache_bytes */
	CACHE_LISTPACK, CACHE_HASHTABLE, CACHE_QUICKLIST, CACHE_INTSET, CACHE_SKIPLIST,
};

/* Memory of one engine, counted as the allocator gives it out. */
struct cache_memory {
	size_t used;
	size_t stepped_at; /* used, when a step was last asked for */
	uint64_t pieces;   /* that were asked for so far */
};
void *cache_alloc(struct cache_memory *m, size_t n);
void *cache_realloc(struct cache_memory *m, void *p, size_t n);
void cache_free(struct cache_memory *m, void *p);

/* A long string; room is what may be used without asking for more. */
struct cache_bytes {
	size_t n, room;
	char p[];
};

struct cache;
struct cache_item;

struct cache_expiry {
	struct sd_wheel_entry wheel;
	struct cache_item *item;
	uint32_t db, flushes; /* its number, and its number of flushes: another one when the item went with a flush */
};

/* One piece of memory for all of an item but a value that has one of its own:
 *
 *	header (24 bytes) | key | expiry (8, when has_end) | stamp (8, when stamped) | value: n bytes (CACHE_EMBSTR), a number or a pointer (8)
 *
 * What is behind the key is not aligned, and the item moves in memory when it changes its size: an item's pointer is good until
 * the next function that takes it by its address. */
struct cache_item {
	struct sd_dict_entry e;
	uint32_t type : 3, encoding : 4; /* enum cache_type, enum cache_encoding */
	uint32_t has_end : 1;		 /* there is a place for its expiry */
	uint32_t clock : 24;		 /* when it was used last, in seconds: see cache_idle_s */
	uint32_t n : 28;		 /* CACHE_EMBSTR: bytes of the value */
	uint32_t stamped : 1, main : 1, freq : 2;
	char key[];
};

/* What is known about the values of one type. */
struct cache_type_ops {
	const char *name;
	/* At once: for what a command made and does not keep. What a key had is given to cache_discard. */
	void (*free)(struct cache *c, unsigned encoding, void *value);
	/* NULL: out of memory. */
	void *(*copy)(struct cache *c, unsigned encoding, const void *value);
	/* Tells the processor what of a value will be looked at, one pointer further with each step from 0 to CACHE_FETCH_STEPS - 1: what
	 * the step before asked for is there by then. NULL: nothing but its first bytes. */
	void (*fetch)(const void *value, unsigned step);
	/* Values of this encoding are of many pieces of memory, and begin with struct cache_many. */
	enum cache_encoding many;
	size_t (*pieces)(const void *value); /* about how many; NULL: there are none such */
	/* Frees some: *most is counted down by each. True: all of it is gone. */
	bool (*free_some)(struct cache *c, void *value, size_t *most);
};
#define CACHE_FETCH_STEPS 2

struct cache_many {
	struct cache_many *next; /* of what waits to be freed */
};

/* What waits to be freed. */
struct cache_lazy {
	size_t objects; /* keys and values */
	struct cache_many *values[CACHE_TYPES];
	struct cache_emptied *emptied;
	uint64_t settled; /* memory.pieces, when it was last looked at */
};
extern const struct cache_type_ops cache_string_type, cache_set_type, cache_zset_type, cache_hash_type, cache_list_type;
extern const struct cache_type_ops *const cache_types[CACHE_TYPES];

struct cache_db {
	struct cache *cache;
	unsigned number;
	struct sd_dict keys;	/* cache_item */
	struct sd_dict watched; /* keys that WATCH named */
	struct sd_dict waited;	/* keys that blocked sessions wait for */
	uint32_t flushes;
	size_t expires;		/* items that have an expiry */
	__int128 ends_ms;	/* the sum of theirs, each since the epoch */
	struct sd_dict leases;	/* cache_lease */
};

struct cache_session;
struct cache_command;
struct cache_wait;
struct cache_save;
struct cache_queue;
struct cache_await;
struct cache_call;

/* Settings of CONFIG that commands look at, under their names there. */
struct cache_tuning {
	int64_t hash_max_listpack_entries, hash_max_listpack_value, zset_max_listpack_entries, zset_max_listpack_value,
	    set_max_intset_entries, list_max_listpack_size, slowlog_log_slower_than, slowlog_max_len, maxmemory_samples,
	    lfu_log_factor, lfu_decay_time;
};

/* By what is told which key goes first when memory is full. */
enum cache_rank { CACHE_BY_NOTHING, CACHE_BY_IDLE, CACHE_BY_USE, CACHE_BY_CHANCE, CACHE_BY_END, CACHE_BY_S3FIFO };

/* One that was looked at by chance and may go. */
struct cache_candidate {
	uint64_t rank; /* the highest goes first */
	struct cache_db *db;
	uint32_t hash;
};
#define CACHE_CANDIDATES 16
#define CACHE_POLICIES                                                                                                      \
	"allkeys-s3fifo|volatile-s3fifo|allkeys-lru|volatile-lru|allkeys-lfu|volatile-lfu|allkeys-random|volatile-random|"  \
	"volatile-ttl|noeviction"

struct cache_evictor {
	const char *policy; /* its name, in maxmemory-policy */
	enum cache_rank by;
	bool ending_only;   /* only keys that have an end */
	bool queued;        /* keys are in the queues */
	uint64_t rebuilt;   /* how often these were begun anew */
	bool full;	    /* nothing more may go */
	unsigned looked;    /* how often memory was compared with the limit */
	size_t tables;	    /* bytes of tables, when they were counted last */
	bool more;	    /* there is more to evict than was done at once */
	const struct cache_item *victim; /* it leaves the queues by itself */
	struct cache_db *fresh; /* where a key was made that is not queued yet, since its value may not be there yet */
	uint32_t fresh_hash;
	unsigned next_db;
	struct sd_s3fifo queues; /* of all databases */
	struct cache_candidate pool[CACHE_CANDIDATES]; /* the best is the last */
	size_t npool;
};

#define CACHE_HOTTEST 16

/* Keys that are asked for most, of a sample of the commands. */
struct cache_hot {
	struct sd_space_saving *seen; /* NULL: no memory */
	unsigned skip;		      /* commands until the next one of the sample */
	int64_t halved_ms, weight_ms; /* when counts were halved; how much time before that they stand for, halved as they are */
	uint32_t hottest[CACHE_HOTTEST]; /* hashes of keys above the rate that was asked for, as of looked_ms */
	unsigned nhottest;
	int64_t looked_ms;
};

/* Keys that somebody computes anew, or whose value is kept for a while after its end. */
struct cache_leases {
	size_t n;
	struct sd_wheel ends;
	struct sd_link stale; /* that have a value, the oldest first */
	const struct cache_lease *kept; /* the change in progress is its own */
};

/* Whoever keeps copies of keys elsewhere follows what happens to them. */
enum cache_why { CACHE_DELETED, CACHE_ENDED, CACHE_EVICTED };
struct cache_follower {
	void *arg;
	/* A key's value changed, as cache_changed has it; it may be gone. */
	void (*changed)(void *arg, struct cache_db *db, struct sd_slice key);
	/* A key is about to go. */
	void (*gone)(void *arg, struct cache_db *db, const struct cache_item *it, enum cache_why why);
	/* All keys of a database are. */
	void (*flushed)(void *arg, struct cache_db *db);
	/* A session ran a command; its reply is from `begun` on. */
	void (*called)(void *arg, struct cache_session *s, size_t begun);
	/* A command ran, by itself or within EXEC. NULL: nobody asks. */
	void (*ran)(void *arg, struct cache_call *c);
	/* Why keys cannot be read, or written, now; NULL: they can. */
	const char *(*refuses)(void *arg, bool write);
	void (*session_ends)(void *arg, struct cache_session *s);
	/* Before replies are sent: what changed goes first. */
	void (*turn)(void *arg);
	/* Is it this node that answers for the key, and how many such keys has it? Others it has as copies. */
	bool (*is_ours)(void *arg, struct sd_slice key);
	size_t (*ours)(void *arg);
	bool holds; /* replies to writes may come later: CACHE_HOLDING */
	/* WAIT. NULL without a follower: there are no copies. */
	void (*wait)(struct cache_call *c, int64_t copies, int64_t deadline_ms);
};

/* A command that took long: SLOWLOG. */
struct cache_slow {
	struct sd_link link; /* in cache->slow, the latest first */
	uint64_t id;
	int64_t at_ms, took_us;
	char address[64], name[64];
	size_t argc;
	struct sd_slice argv[]; /* their bytes are behind it */
};

struct cache {
	struct cache_memory memory;
	struct sd_siphash_key hash_key;
	struct sd_rng rng;
	struct cache_db dbs[CACHE_DBS];
	struct sd_wheel wheel; /* of expiries, in milliseconds since the epoch */
	int64_t now_ms;	       /* of the command in progress, since the epoch */
	int64_t started_ms;
	struct cache_stats stats;
	struct cache_counts counts;
	char run_id[41]; /* hexadecimal, of this engine's life */
	struct cache_process process; /* look_at_process brings what changes up to date; NULL: it stays */
	void (*look_at_process)(void *arg, struct cache_process *p);
	void *look_arg;
	struct sd_link sessions;
	size_t nsessions;
	uint64_t next_id;
	struct sd_redis_index names;
	struct sd_resp_limits limits;
	struct cache_tuning tuning;
	uint64_t max_memory; /* set by cache_set_max_memory */
	struct cache_evictor evict;
	struct cache_lazy lazy;
	struct cache_hot hot;
	struct cache_leases leases;
	uint32_t max_clients; /* 0: no limit */
	char *settings[CACHE_SETTINGS]; /* of CONFIG SET that only have to be given back; NULL: the default */
	bool dropped;                   /* some session has CACHE_DROP */
	const char *password; /* NULL: none */
	uint16_t port;
	unsigned threads; /* for those who ask; 0: one */
	int64_t (*clock_us)(void *arg); /* for how long commands take; NULL: nobody asks */
	void *clock_arg;

	/* what follows a change */
	uint64_t dirty;   /* changes since the beginning */
	unsigned watching; /* sessions' watched keys, and one for a follower: cache_changed is free without */
	const struct cache_follower *follower; /* NULL: nobody keeps copies; set by cache_follow */
	enum cache_why why;		       /* keys that go now do so for this reason */
	uint64_t calls;			       /* of cache_call, and of waits that were served */
	struct cache_session *running;	       /* whose command it is; NULL: nobody's */

	/* sessions that wait, and those that got something without having asked now */
	struct sd_wheel deadlines; /* of waits */
	struct sd_link ready;	   /* keys somebody waits for and that have come */
	struct sd_link woken;
	size_t nblocked;
	bool serving;
	enum cache_pause { CACHE_NO_PAUSE, CACHE_PAUSE_WRITES, CACHE_PAUSE_ALL } pause;
	bool resume;		   /* CLIENT UNPAUSE was said: behind the command in progress */
	int64_t paused_until_ms;
	struct sd_link paused;	   /* waits, in the order they came */

	struct cache_keep keep;
	bool (*shut_down)(void *arg); /* ends the program; false: it cannot be ended from here. NULL: so too */
	void *shut_down_arg;
	struct cache_save *save; /* the snapshot being made; NULL: none */
	bool save_first;	 /* what is looked up may be changed next, so the snapshot gets it before */

	struct sd_dict channels, patterns; /* of pub/sub */
	struct sd_link monitors;
	struct cache_cluster *cluster; /* NULL: it is alone */
	struct sd_link slow;
	size_t nslow;
	uint64_t next_slow;
};

enum cache_session_flag {
	CACHE_AUTHENTICATED = 1,
	CACHE_QUIT = 2, /* to be closed once its replies are sent */
	CACHE_DROP = 4, /* to be closed at once */
	CACHE_MUTE = 8, /* CLIENT REPLY OFF */
	CACHE_SKIP = 16, CACHE_SKIP_NEXT = 32,
	CACHE_MULTI = 64,	/* commands are queued */
	CACHE_ABORT = 128,	/* one of them was refused: EXEC will be */
	CACHE_TOUCHED = 256,	/* a watched key changed */
	CACHE_BLOCKED = 512,	/* no request is taken until it was served or its time is over */
	CACHE_MONITOR = 1024,
	CACHE_HELD = 2048,	/* no request is taken until copies have what it wrote */
	CACHE_HOLDING = 4096,	/* replies come once they have */
	/* of clusters */
	CACHE_AWARE = 1 << 16,	  /* it asked for the map: it gets MOVED */
	CACHE_ANY_COPY = 1 << 17, /* READONLY */
	CACHE_REMOTE = 1 << 18,	  /* of a client of another node */
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
	struct sd_link woken;	/* in cache->woken, or where the shell put it from there */
	unsigned lane;		/* the shell's: which of its loops has the connection */
	struct sd_link monitor; /* in cache->monitors */
	struct cache_queue *queue; /* of MULTI */
	size_t nqueue, room;
	struct sd_link watches;
	struct cache_wait *wait;
	struct cache_await *await; /* of the follower */
	struct sd_link subscriptions[2]; /* to channels, to patterns */
	size_t nsubscriptions[2];
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
	bool again;   /* it waited, and is run once more */
	struct sd_slice ready; /* then: the key that came, the only one that it may look at */
	bool in_exec; /* of a transaction: it never waits */
};

/* A command, and what runs it. */
struct cache_command {
	const struct sd_redis_command *is;
	void (*fn)(struct cache_call *c); /* NULL: it is nothing without a subcommand */
};

/* ---- cache.c ---- */
void cache_init(struct cache *c, uint64_t seed, int64_t now_ms);
void cache_end(struct cache *c);
void cache_session_begin(struct cache *c, struct cache_session *s);
void cache_session_end(struct cache_session *s);
/* Its transaction, subscriptions and MONITOR end; it goes on. */
void cache_session_clear(struct cache_session *s);
/* Runs one request; its reply is behind what session->out holds. now: since the epoch. */
void cache_call(struct cache_session *s, size_t argc, const struct sd_slice *argv, int64_t now_ms);
/* Runs a command that was looked up and may be run: what cache_call, EXEC and served waits have in common. */
void cache_run(struct cache_call *c);
/* Ends what has expired, so many at most, and frees some of what waits for it. When to call again; INT64_MAX: not before something
 * changes. */
int64_t cache_tick(struct cache *c, int64_t now_ms, unsigned most);
/* When cache_tick has something to do next, as it is now. */
int64_t cache_next_tick(const struct cache *c);
const struct cache_command *cache_find_command(const struct cache *c, struct sd_slice name);
/* "container|sub", or NULL. */
const struct cache_command *cache_find_subcommand(const struct cache *c, const struct cache_command *container,
						  struct sd_slice name);
/* All rows, in the order of their tables; NULL at the end. */
const struct cache_command *cache_command_at(size_t i);
/* Values, their items and the tables. */
size_t cache_used_memory(const struct cache *c);

/* ---- errors everybody says ---- */
extern const char cache_no_memory[], cache_wrong_type[];

/* ---- cache_db.c ---- */
/* The item of a key, NULL when there is none or its time is over. A read counts as one: hit or miss, and for eviction. */
struct cache_item *cache_read(struct cache_call *c, struct sd_slice key);
struct cache_item *cache_find(struct cache_db *db, struct sd_slice key);
/* The item of argv[i], which must be of this type: *it NULL when there is none. False: it is of another one, which is the reply.
 * The first counts as a read does. */
bool cache_typed(struct cache_call *c, size_t i, unsigned type, struct cache_item **it);
bool cache_typed_for_write(struct cache_call *c, size_t i, unsigned type, struct cache_item **it);
/* Its time is over. */
void cache_end_item(struct cache_db *db, struct cache_item *it);
/* Takes it out and frees it with its value. A change. */
void cache_delete(struct cache_db *db, struct cache_item *it);
/* An item for a key that has none; the value is its own from here on, and a failure leaves it with the caller. NULL: out of
 * memory. value: what a pointer's place holds; a CACHE_INT or CACHE_EMBSTR is made by cache_set_string. */
struct cache_item *cache_make(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value);
/* The same for a string, whose value has to be set at once: room for n bytes. */
struct cache_item *cache_make_string(struct cache_db *db, struct sd_slice key, size_t n);
/* Makes the key hold this value, whatever it held; the expiry goes. Notes the change. NULL: out of memory, and nothing changed. */
struct cache_item *cache_put(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value);
/* Ends in place of a time. */
enum { CACHE_NO_END = -1, CACHE_SAME_END = -2 };
/* Makes an item fit for a value of n bytes that ends then, or one that is as it was; it moves. False: out of memory, and nothing changed. */
bool cache_make_fit(struct cache_db *db, struct cache_item **it, size_t n, int64_t at_ms);
/* cache_put with an end. */
struct cache_item *cache_put_until(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value, int64_t at_ms);
/* The value of what has one of its own; set does not free the one that was there, and is no change by itself. */
static inline char *cache_place(const struct cache_item *it)
{
	return (char *)it->key + it->e.klen + (it->has_end ? sizeof(void *) : 0) + (it->stamped ? sizeof(uint64_t) : 0);
}
/* When it changed, of what is stamped; 0: nobody said yet. */
static inline uint64_t cache_stamp(const struct cache_item *it)
{
	uint64_t stamp = 0;
	if (it->stamped)
		memcpy(&stamp, cache_place(it) - sizeof(stamp), sizeof(stamp));
	return stamp;
}
static inline void cache_set_stamp(struct cache_item *it, uint64_t stamp)
{
	if (it->stamped)
		memcpy(cache_place(it) - sizeof(stamp), &stamp, sizeof(stamp));
}
void *cache_value(const struct cache_item *it);
void cache_set_value(struct cache_item *it, unsigned encoding, void *value);
int64_t cache_int(const struct cache_item *it);
/* Makes room for n bytes of value, whose first ones stay; it moves. False: out of memory, and nothing changed. */
bool cache_resize(struct cache_db *db, struct cache_item **it, size_t n);
/* Keys made from here on have a stamp; there must be none yet. NULL: nobody follows any more. */
void cache_follow(struct cache *c, const struct cache_follower *f);
static inline void cache_turn(const struct cache *c)
{
	if (c->follower)
		c->follower->turn(c->follower->arg);
}
static inline bool cache_is_ours(const struct cache_db *db, struct sd_slice key)
{
	const struct cache_follower *f = db->cache->follower;
	return !f || db->number || f->is_ours(f->arg, key);
}
/* To be called after every change of a key's value, its end, or its being there: for WATCH and for who keeps copies. */
void cache_note_change(struct cache_db *db, struct sd_slice key);
static inline void cache_changed(struct cache_db *db, struct sd_slice key)
{
	db->cache->dirty++;
	if (db->cache->watching)
		cache_note_change(db, key);
}
/* Before a key with this hash changes, comes or goes while there is a snapshot (cache_save.h). Looking a key up does it when the
 * command may write, and so do a key's beginning and end; and before a database is emptied. */
void cache_save_first(struct cache_db *db, uint32_t hash);
void cache_save_emptied(struct cache_db *db);
/* at_ms since the epoch; it may move. False: out of memory. */
bool cache_expire(struct cache_db *db, struct cache_item **it, int64_t at_ms);
void cache_persist(struct cache_db *db, struct cache_item *it);
int64_t cache_expires_at(const struct cache_item *it); /* -1: never */
bool cache_is_over(const struct cache_item *it, int64_t now_ms);
/* Seconds since it was used. */
uint32_t cache_idle_s(const struct cache *c, const struct cache_item *it);
/* Seconds; where uses are counted (LFU) minutes and, in the lowest eight bits, the count. */
void cache_count_use(struct cache *c, struct cache_item *it);
static inline void cache_used_now(struct cache *c, struct cache_item *it)
{
	it->freq = sd_s3fifo_read(it->freq) & 3;
	if (c->evict.by == CACHE_BY_USE)
		cache_count_use(c, it);
	else
		it->clock = (uint32_t)(c->now_ms / 1000) & 0xffffff;
}
static inline struct sd_slice cache_key(const struct cache_item *it)
{
	return (struct sd_slice){it->key, it->e.klen};
}
/* A copy under this key, with its expiry; what had that key goes. False: out of memory, and nothing changed. */
bool cache_copy(const struct cache_item *it, struct cache_db *to_db, struct sd_slice to);
/* The value and its expiry go to this key, which is another one. False: out of memory, and nothing changed. */
bool cache_move(struct cache_db *db, struct cache_item *it, struct cache_db *to_db, struct sd_slice to);
/* Frees it with its value; it is in no table any more. */
void cache_free_item(struct cache *c, struct cache_item *it);
void cache_flush(struct cache_db *db);

/* ---- cache_lazy.c: what takes long to free is freed in steps ---- */
#define CACHE_LAZY_STEP 1024 /* pieces: half a millisecond or so */
/* Frees a value that no key has any more: now, or later when it is of many pieces. */
void cache_discard(struct cache *c, unsigned type, unsigned encoding, void *value);
/* All keys of a database, which has none then. */
void cache_discard_keys(struct cache_db *db);
/* Frees about so many pieces of memory. */
void cache_lazy_step(struct cache *c, size_t pieces);
/* Frees in proportion to what was asked for since it was called last. */
void cache_lazy_settle(struct cache *c);

/* ---- cache_evict.c: which key goes when memory is full ---- */
/* Both rebuild the queues where they are needed now, and free them where not: that takes a while with many keys. */
void cache_set_max_memory(struct cache *c, uint64_t bytes);
bool cache_set_policy(struct cache *c, struct sd_slice name); /* false: there is none of this name */
/* Evicts so many keys at most. True: memory is below its limit, or will be (evict.more). */
bool cache_make_space(struct cache *c, unsigned most);
/* Called for an item that was made; that got an end or lost it, or goes; of a database that lost all. */
void cache_evict_made(struct cache_db *db, struct cache_item *it);
void cache_evict_ends(struct cache_db *db, const struct cache_item *it);
void cache_evict_stays(struct cache_db *db, const struct cache_item *it);
void cache_evict_gone(struct cache_db *db, const struct cache_item *it);
void cache_evict_flushed(struct cache_db *db);
/* An item of these goes: its entry is still in the queues. */
void cache_evict_emptied(const struct cache_db *db, const struct cache_item *it);
void cache_evict_end(struct cache *c);
/* Bytes of the item and of its value, as far as that is one piece. */
size_t cache_item_size(const struct cache_item *it);
/* How often it was used, in Redis's logarithmic scale. */
unsigned cache_use_count(const struct cache *c, const struct cache_item *it);
/* NULL: none, or of a key that was flushed. */
struct cache_item *cache_item_of_expiry(struct cache *c, const struct sd_wheel_entry *w, struct cache_db **db);

/* ---- cache_info.c ---- */
void cache_info_begin(struct cache *c);

/* ---- cache_hot.c: keys that are asked for most ---- */
void cache_hot_begin(struct cache *c);
void cache_hot_end(struct cache *c);
void cache_hot_sample(const struct cache_call *c); /* this one is of the sample */
/* A command about this key was asked here and answered elsewhere. */
void cache_hot_elsewhere(struct cache *c, struct sd_slice key, int64_t now_ms);
/* Is it surely asked for more often than this a second, here? Looked up ten times a second, and then for the hottest only. */
bool cache_is_hot(struct cache *c, struct sd_slice key, int64_t a_second, int64_t now_ms);
extern const struct cache_command cache_hot_commands[];

/* ---- cache_lease.c: one of those who miss a key computes it ---- */
void cache_lease_begin(struct cache *c);
/* Another hand changed the key, or said that it did: who computes it is too late. */
void cache_lease_changed(struct cache_db *db, struct sd_slice key);
/* Takes the value of a key that is at its end, if it is to be kept, and deletes the key. */
void cache_lease_expire(struct cache_db *db, struct cache_item *it);
/* Gives up the oldest value that is kept beyond its end; false: there is none. */
bool cache_lease_shed(struct cache *c);
int64_t cache_lease_tick(struct cache *c, int64_t now_ms);
void cache_lease_flush(struct cache_db *db);
extern const struct cache_command cache_lease_commands[];

/* ---- cache_string.c: values that are strings ---- */
/* The bytes; of a number they are written into text. */
struct sd_slice cache_string(const struct cache_item *it, char text[24]);
/* Makes the key hold these bytes until then. NULL: out of memory, and nothing changed. */
struct cache_item *cache_set_string(struct cache_db *db, struct sd_slice key, struct sd_slice value, int64_t at_ms);
bool cache_copy_string(const struct cache_item *it, struct cache_db *to_db, struct sd_slice to, int64_t at_ms);

/* ---- cache_tie.c: sessions tied to names: keys they watch or wait for, channels they subscribed to ---- */
struct cache_name {
	struct sd_dict_entry e;
	struct sd_link ties;
	size_t nties;
	struct sd_link ready; /* in cache->ready, of a key that has come */
	struct cache_db *db;  /* of a key */
	char text[];
};
struct cache_tie {
	struct sd_link of_name, of_session;
	struct cache_name *name;
	struct sd_dict *names;
	struct cache_session *session;
};
void cache_names_init(struct sd_dict *names, struct cache *c);
struct cache_name *cache_name(struct sd_dict *names, struct sd_slice text); /* NULL: nobody is tied to it */
static inline struct sd_slice cache_name_text(const struct cache_name *n)
{
	return (struct sd_slice){n->text, n->e.klen};
}
/* ties: those of the session of this kind, n of them. NULL: there is none. */
struct cache_tie *cache_tied(struct sd_dict *names, struct sd_slice text, const struct sd_link *ties, size_t n,
			     const struct cache_session *s);
/* There must be none yet. NULL: out of memory. */
struct cache_tie *cache_tie(struct sd_dict *names, struct sd_slice text, struct sd_link *ties, struct cache_session *s);
/* Frees it, and the name with its last tie. */
void cache_untie(struct cache *c, struct cache_tie *t);

/* ---- cache_wait.c: commands that wait for a key ---- */
/* Called by a command that found nothing in these arguments, instead of a reply. The session takes no request until one of the keys
 * is there and the command, run again, replies; or until deadline_ms (since the epoch; 0: for ever), which is answered with
 * null as an array, as Redis does whatever the command. Within a transaction null is the answer at once (null_array: as an array). */
void cache_block(struct cache_call *c, size_t first_key, size_t nkeys, int64_t deadline_ms, bool null_array);
/* A key that some may wait for is there: called by whoever makes one. They are served after the command in progress. */
void cache_ready(struct cache_db *db, struct sd_slice key);
/* A time to wait in seconds, as a moment for cache_block. */
bool cache_arg_timeout(struct cache_call *c, size_t i, int64_t *deadline_ms);
/* Those whose key has come. */
void cache_serve(struct cache *c);
/* CLIENT PAUSE: is the command to wait until that is over? Then its session does. */
bool cache_postponed(struct cache_call *c);
/* Runs what waited for the end of a pause, between commands. */
void cache_resume(struct cache *c);
void cache_pause(struct cache *c, enum cache_pause how, int64_t until_ms);
/* Ends it with this reply (NULL: as its time being over does). False: it does not wait. */
bool cache_unblock(struct cache_session *s, const char *error);
/* When the next wait ends; those that are over are answered. */
int64_t cache_tick_waits(struct cache *c, int64_t now_ms);
void cache_wait_begin(struct cache_db *db);
void cache_wait_end(struct cache_session *s);

/* ---- cache_multi.c: transactions ---- */
/* Has the open transaction one of these flags? */
bool cache_queue_has(const struct cache_session *s, uint32_t flags);
/* Keeps the command of an open transaction instead of running it; true: it did, and replied. */
bool cache_queued(struct cache_call *c);
/* A copy with its bytes, in one piece of memory; NULL: out of memory. */
struct sd_slice *cache_copy_args(struct cache *c, size_t argc, const struct sd_slice *argv);
void cache_refused(struct cache_session *s); /* a command of the transaction was */
void cache_touch_watched(struct cache_db *db, struct sd_slice key);
void cache_touch_all(struct cache_db *db);
void cache_multi_begin(struct cache_db *db);
void cache_multi_end(struct cache_session *s);

/* ---- cache_pubsub.c ---- */
void cache_pubsub_begin(struct cache *c);
/* To how many it went. from gets it with what else it is replied. */
int64_t cache_publish(struct cache *c, struct cache_session *from, struct sd_slice channel, struct sd_slice text);
void cache_pubsub_end(struct cache_session *s);
static inline size_t cache_subscriptions(const struct cache_session *s)
{
	return s->nsubscriptions[0] + s->nsubscriptions[1];
}

/* ---- cache_watch.c: MONITOR and SLOWLOG ---- */
void cache_feed_monitors(const struct cache_call *c);
void cache_note_slow(const struct cache_call *c, int64_t took_us);
void cache_watch_end(struct cache *c);

/* Something was written to a session that did not ask now: the shell finds it in cache->woken. */
void cache_wake(struct cache_session *s);

/* ---- other tables of commands ---- */
extern const struct cache_command cache_set_commands[], cache_set_algebra_commands[], cache_zset_commands[],
    cache_zset_algebra_commands[], cache_zset_pop_commands[], cache_zset_range_commands[], cache_sort_commands[];
extern const struct cache_command cache_cluster_commands[]; /* cache_cluster_cmd.c */
extern const struct cache_command cache_string_commands[], cache_key_commands[], cache_connection_commands[],
    cache_config_commands[], cache_hash_commands[], cache_list_commands[], cache_list_pop_commands[], cache_server_commands[],
    cache_multi_commands[], cache_pubsub_commands[], cache_wait_commands[], cache_watch_commands[], cache_client_commands[];
extern const struct cache_command cache_throttle_commands[]; /* cache_throttle.c */
extern const struct cache_command cache_image_commands[], cache_keep_commands[], cache_command_commands[], cache_info_commands[];
void cache_config_begin(struct cache *c);
void cache_config_end(struct cache *c);
/* client-output-buffer-limit for what kind of client this is, in bytes and seconds; 0: none. */
struct cache_output_limit {
	uint64_t hard, soft;
	int64_t soft_s;
};
struct cache_output_limit cache_output_limit(const struct cache *c, const struct cache_session *s);
struct sd_text;
/* The text as the reply; frees it. */
void cache_reply_text(struct cache_call *c, struct sd_text *t);
/* False: it is none that a client may have, which is the reply. */
bool cache_client_set_name(struct cache_call *c, struct sd_slice name);
/* What HELP of a container says: its rows. */
void cache_help(struct cache_call *c);

/* ---- arguments ---- */
bool cache_is(struct sd_slice arg, const char *word); /* without regard to case */
static inline struct sd_redis_args cache_args(const struct cache_call *c)
{
	return (struct sd_redis_args){c->out, c->command->is, c->argc, c->argv};
}
/* As those of core/redis_args.h. */
static inline bool cache_arg_int(const struct cache_call *c, size_t i, int64_t *out)
{
	struct sd_redis_args a = cache_args(c);
	return sd_redis_arg_int(&a, i, out);
}
static inline bool cache_arg_int32(const struct cache_call *c, size_t i, int64_t *out)
{
	struct sd_redis_args a = cache_args(c);
	return sd_redis_arg_int32(&a, i, out);
}
/* A time to live, from now on, as a moment. */
static inline bool cache_arg_expiry(const struct cache_call *c, size_t i, int64_t unit_ms, int64_t *at_ms)
{
	struct sd_redis_args a = cache_args(c);
	return sd_redis_arg_time(&a, i, &(struct sd_redis_time){.unit_ms = unit_ms, .base_ms = c->cache->now_ms}, at_ms);
}
bool cache_arg_db(struct cache_call *c, size_t i, struct cache_db **out);

#endif
