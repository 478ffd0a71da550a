/* redis_commands.h - what is known about the commands of Redis that servers here have, and about a few of their own. Pure.
 *
 * One table (redis_commands_rows.h), a row each: arity, flags, keys, group and summary. A server has some of them: rows of its own that
 * say which command and what runs it. It puts them into an index, and commands are found, their arity is checked and COMMAND is
 * answered out of that:
 *
 *	static const struct row { const struct sd_redis_command *is; void (*fn)(...); } rows[] = {
 *	    {SD_REDIS(GET), cmd_get}, ...
 *
 * Flags, keys and errors follow Redis 7.0.
 */
#ifndef SD_CORE_REDIS_COMMANDS_H
#define SD_CORE_REDIS_COMMANDS_H

#include "resp.h"

/* What clients ask for to know which commands they may use: the Redis whose behaviour is followed. */
#define SD_REDIS_LIKE "7.0.15"

enum sd_redis_flag {
	SD_REDIS_WRITE = 1, /* may change a value */
	SD_REDIS_READONLY = 2,
	SD_REDIS_DENYOOM = 4, /* refused when memory is full */
	SD_REDIS_FAST = 8,
	SD_REDIS_NOAUTH = 16, /* also before AUTH */
	SD_REDIS_ADMIN = 32,
	SD_REDIS_BLOCKING = 64,
	SD_REDIS_PUBSUB = 128, /* told by COMMAND only */
	SD_REDIS_NOSCRIPT = 256, SD_REDIS_LOADING = 512, SD_REDIS_STALE = 1024, /* told by COMMAND only */
	SD_REDIS_MOVABLE = 2048, /* where its keys are depends on an argument */
	SD_REDIS_QUIET = 4096,   /* not shown by MONITOR */
	SD_REDIS_UNQUEUED = 8192, /* runs at once also after MULTI */
	SD_REDIS_NO_MULTI = 1 << 14, /* refused after MULTI */
	SD_REDIS_LISTENS = 1 << 15,  /* also on a connection of RESP2 that gets messages */
	SD_REDIS_ALLOW_BUSY = 1 << 16, SD_REDIS_NO_ASYNC = 1 << 17, /* told by COMMAND only */
	SD_REDIS_SPREADS = 1 << 18, /* changes no value, and waits for the end of CLIENT PAUSE WRITE all the same */
	SD_REDIS_CONTAINER = 1 << 19, /* it has subcommands */
};

struct sd_redis_command {
	const char *name; /* lower case; "config|get" for a subcommand */
	int arity;	  /* with the name; negative: at least so many */
	uint32_t flags;
	int first, last, step; /* keys; 0: none */
	const char *group, *since, *summary;
};

enum sd_redis_id {
#define SD_REDIS_ROW(id, ...) SD_REDIS_ID_##id,
#include "redis_commands_rows.h"
#undef SD_REDIS_ROW
	SD_REDIS_COMMANDS
};
extern const struct sd_redis_command sd_redis_commands[SD_REDIS_COMMANDS];
#define SD_REDIS(id) (&sd_redis_commands[SD_REDIS_ID_##id])

/* ---- those that a server has ---- */

#define SD_REDIS_PLACES 1024 /* a few times as many as there are commands */

struct sd_redis_row {
	const struct sd_redis_command *is;
	const void *own; /* the server's row */
};
/* Zero it to start. */
struct sd_redis_index {
	size_t n;
	struct sd_redis_row rows[SD_REDIS_COMMANDS]; /* in the order they were added, which is that of COMMAND */
	uint16_t places[SD_REDIS_PLACES];	     /* by hash of the name: the row's number, and 1 */
};
/* Each command once. */
void sd_redis_add(struct sd_redis_index *ix, const struct sd_redis_command *is, const void *own);
/* By name, without regard to case; NULL: not here. */
const struct sd_redis_row *sd_redis_find(const struct sd_redis_index *ix, struct sd_slice name);
const struct sd_redis_row *sd_redis_find_sub(const struct sd_redis_index *ix, const struct sd_redis_command *container,
					     struct sd_slice name);

static inline bool sd_redis_has_arity(const struct sd_redis_command *k, size_t argc)
{
	return k->arity < 0 ? argc >= (size_t)-k->arity : argc == (size_t)k->arity;
}

#define SD_REDIS_WHY 512
/* The row of a request, or of its subcommand. False, with the error in why: it may not be run; *row is NULL when it is not known. */
bool sd_redis_look_up(const struct sd_redis_index *ix, size_t argc, const struct sd_slice *argv, const struct sd_redis_row **row,
		      char why[SD_REDIS_WHY]);

/* ---- redis_commands_keys.c ---- */

/* Which arguments are keys: also (0: none), and n from first on, step apart. */
struct sd_redis_keys {
	size_t also, first, n, step;
};
/* argc fits the command. False: the arguments do not say it. */
bool sd_redis_keys(const struct sd_redis_command *k, size_t argc, const struct sd_slice *argv, struct sd_redis_keys *keys);

/* ---- redis_commands_tell.c: COMMAND ---- */

void sd_redis_tell_all(const struct sd_redis_index *ix, struct sd_resp_out *out);
void sd_redis_tell_count(const struct sd_redis_index *ix, struct sd_resp_out *out);
void sd_redis_tell_names(const struct sd_redis_index *ix, struct sd_resp_out *out);
/* Of the commands that are named, n of them; none: all. */
void sd_redis_tell_info(const struct sd_redis_index *ix, size_t n, const struct sd_slice *names, struct sd_resp_out *out);
void sd_redis_tell_docs(const struct sd_redis_index *ix, size_t n, const struct sd_slice *names, struct sd_resp_out *out);
/* Of a whole command. */
void sd_redis_tell_keys(const struct sd_redis_index *ix, size_t argc, const struct sd_slice *argv, struct sd_resp_out *out);
/* What HELP of a container says: the subcommands that `is` is one of. */
void sd_redis_tell_help(const struct sd_redis_index *ix, const struct sd_redis_command *is, struct sd_resp_out *out);

#endif
