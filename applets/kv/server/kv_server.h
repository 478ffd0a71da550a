/* kv_server.h - the store as a service that clients of Redis can use.
 *
 *	connections (app/resp_front) --> kv_call --> rows of commands --> sdlab/kv.h
 *
 * One loop runs all commands. What they write goes into one batch, which is written, and put on the disk, once a turn of the loop,
 * before any reply of the turn leaves (kv_turn.c); commands see what is in it (kv_look). A key of a client is the same key in the
 * store, but for those that begin with a zero byte: these get 0x00 0xff in front, so that there is room for other types.
 */
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "app/resp_front.h"
#include "app/run_stream.h"
#include "core/redis_expire.h"
#include "core/redis_string.h"
#include "core/rng.h"
#include "sdlab/kv.h"
#include "world/lock.h"

struct kv_call;

struct kv_command {
	const struct sd_redis_command *is;
	void (*fn)(struct kv_call *c); /* NULL: it is nothing without a subcommand */
};

/* What happened to a reply of this turn, which begins there: reads that saw nothing of what is not written yet are right
 * whatever becomes of it. */
struct kv_mark {
	size_t start;
	bool depends;
};

struct kv_queued {
	const struct kv_command *command;
	size_t argc;
	struct sd_slice *argv; /* one piece with its bytes */
};

struct kv_watched {
	uint64_t seq; /* of the write or removal that said whether it is there; 0: none did */
	bool there;
	size_t n;
	char key[];
};

struct kv_conn {
	struct sd_resp_conn c; /* the first */
	struct sd_link marked; /* in server->marked */
	struct kv_mark *marks;
	size_t nmarks, marks_room;
	bool multi, abort;
	struct kv_queued *queue;
	size_t nqueue, queue_room, queue_bytes;
	struct kv_watched **watched;
	size_t nwatched, watched_room;
};

#define KV_CURSORS 4096

/* Where a SCAN stopped. */
struct kv_cursor {
	uint64_t number; /* 0: none */
	char *key;	 /* the next one is behind it */
	size_t n;
};

enum kv_count { KV_COMMANDS, KV_ERRORS, KV_HITS, KV_MISSES, KV_REFUSED, KV_COUNTS };

struct kv_server {
	struct sd_run *run;
	struct sd_worker *w;
	struct sd_loop *loop;
	struct sd_run_streams streams;
	struct sd_resp_front front;
	struct sd_redis_index names;
	struct sd_kv *db;
	struct sd_kv_batch *batch;
	bool emptied; /* it removes all that is in the store */
	uint64_t gone_over; /* keys of the batch that commands of the transaction in hand have put in order */
	struct sd_link marked; /* connections with replies that depend on it */
	struct kv_call *running;
	struct sd_kv_value got; /* what kv_look gave last */
	char key[SD_KV_KEY_MAX + 2], other_key[SD_KV_KEY_MAX + 2];
	char *password;
	enum sd_kv_sync sync;
	uint32_t open_files, max_clients, max_refused, most_clients; /* most: that descriptors are there for */
	struct sd_rng rng;
	struct kv_cursor cursors[KV_CURSORS];
	uint64_t next_cursor;
	struct sd_helpers *helpers;
	struct kv_lines *lines; /* kv_lines.c */
	struct kv_compacting *compacting;
	bool refusing; /* the last write was refused, and that was said */
	int64_t started_ms;
	uint64_t counts[KV_COUNTS];
};

struct kv_call {
	struct kv_server *s;
	struct kv_conn *conn;
	struct sd_resp_out *out;
	const struct kv_command *command;
	size_t argc;
	const struct sd_slice *argv;
	int64_t now_ms;
	size_t begun;	    /* where its reply begins in the connection's */
	bool depends;	    /* it saw or made what is not written yet */
	bool in_exec;	    /* nothing may be written until the transaction is over */
};

/* ---- kv_call.c ---- */
void kv_names_begin(struct kv_server *s);
extern const struct sd_resp_front_events kv_front_events;
/* Runs what was looked up. */
void kv_run(struct kv_call *c);
/* False: one is too long, which is the reply. */
bool kv_keys_fit(struct kv_call *c);

/* ---- kv_turn.c ---- */
/* Writes the batch; replies that depended on it become errors when that fails. False: it did, and the caller's reply is the error. */
bool kv_commit(struct kv_server *s);
/* The same from within a command that is to see everything in the store: KEYS. Within EXEC nothing is done. False: the error is the
 * reply. */
bool kv_commit_first(struct kv_call *c);
void kv_mark(struct kv_call *c);
void kv_marks_end(struct kv_conn *c);
void kv_settle(struct sd_resp_front *f);

/* ---- kv_value.c: keys and values, as the turn sees them ---- */
/* The key in the store; valid until the next call with the same `room` (server->key or other_key). */
struct sd_slice kv_stored(struct sd_slice key, char *room);
/* The client's key of one in the store. False: it is none of a client's. */
bool kv_shown(struct sd_slice stored, struct sd_slice *key);
enum kv_there { KV_ABSENT, KV_PRESENT, KV_FAILED };
/* Its value is in c->s->got until the next look. KV_FAILED: the error is the reply. */
enum kv_there kv_look(struct kv_call *c, struct sd_slice key);
/* Only whether it is there; leaves got alone. */
enum kv_there kv_exists(struct kv_call *c, struct sd_slice key);
/* As kv_look for a command that reads: counts hits and misses. */
enum kv_there kv_read(struct kv_call *c, struct sd_slice key);
/* until_ms 0: it never ends. False: the error is the reply. */
bool kv_put(struct kv_call *c, struct sd_slice key, struct sd_slice value, int64_t until_ms);
void kv_remove(struct kv_call *c, struct sd_slice key);

static inline struct sd_slice kv_got(const struct kv_server *s)
{
	return (struct sd_slice){s->got.p ? s->got.p : "", s->got.n};
}

/* ---- arguments ---- */
extern const char kv_no_memory[];
static inline struct sd_redis_args kv_args(const struct kv_call *c)
{
	return (struct sd_redis_args){c->out, c->command->is, c->argc, c->argv};
}
/* As that of core/redis_args.h. */
static inline bool kv_arg_int(const struct kv_call *c, size_t i, int64_t *out)
{
	struct sd_redis_args a = kv_args(c);
	return sd_redis_arg_int(&a, i, out);
}
bool kv_arg_db0(struct kv_call *c, size_t i);

/* ---- rows ---- */
extern const struct kv_command kv_string_commands[], kv_number_commands[], kv_key_commands[], kv_scan_commands[], kv_multi_commands[],
    kv_server_commands[], kv_config_commands[], kv_show_commands[];

/* ---- kv_multi.c ---- */
bool kv_queued(struct kv_call *c);
void kv_multi_refused(struct kv_conn *c);
void kv_multi_end(struct kv_conn *c);

/* ---- kv_all.c: all keys in their order, as the turn sees them ---- */
struct kv_all {
	struct sd_slice key; /* as the store has it; until it moves */
	struct kv_server *s;
	int64_t now_ms;
	struct sd_kv_iter *it; /* NULL: all in the store is removed */
	struct sd_slice *keys; /* of the batch, and at which it is */
	size_t n, at;
	bool over; /* there is a batch over the store */
	bool in_store, in_batch; /* `it` stands on a key; the key in hand is the batch's */
};
/* False: the error is the reply. Nothing may be written until its end. */
bool kv_all_begin(struct kv_call *c, struct kv_all *a);
void kv_all_end(struct kv_all *a);
/* True: one of its moves met an error, which is the reply now. */
bool kv_all_failed(struct kv_call *c, const struct kv_all *a);
/* Each says whether there is a key afterwards. */
bool kv_all_first(struct kv_all *a);
bool kv_all_last(struct kv_all *a);			/* nothing may follow but first, last and seek */
bool kv_all_seek(struct kv_all *a, struct sd_slice key); /* the first that is not before it */
bool kv_all_next(struct kv_all *a);

/* ---- kv_scan.c ---- */
void kv_cursors_end(struct kv_server *s);
/* Keys there are: counted when there are few, else about. False: the error is the reply. */
bool kv_count_keys(struct kv_call *c, uint64_t *n);

/* ---- kv_lines.c: what the store says, and COMPACT ---- */
bool kv_lines_begin(struct kv_server *s);
void kv_lines_end(struct kv_server *s);
void kv_on_event(void *server, const struct sd_kv_event *e);

/* ---- kv_config.c ---- */
const char *kv_sync_name(enum sd_kv_sync sync);
bool kv_sync_parse(struct sd_slice name, enum sd_kv_sync *out);

/* ---- kv_metrics.c ---- */
void kv_metrics(void *self, struct sd_metrics *m);

#endif
