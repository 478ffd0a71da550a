#include "redis_commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Names of flags as the rows have them. */
enum {
	W = SD_REDIS_WRITE, R = SD_REDIS_READONLY, DENYOOM = SD_REDIS_DENYOOM, FAST = SD_REDIS_FAST, NOAUTH = SD_REDIS_NOAUTH,
	ADMIN = SD_REDIS_ADMIN, BLOCKING = SD_REDIS_BLOCKING, PUBSUB = SD_REDIS_PUBSUB, NOSCRIPT = SD_REDIS_NOSCRIPT,
	LOADING = SD_REDIS_LOADING, STALE = SD_REDIS_STALE, MOVABLE = SD_REDIS_MOVABLE, QUIET = SD_REDIS_QUIET,
	UNQUEUED = SD_REDIS_UNQUEUED, NO_MULTI = SD_REDIS_NO_MULTI, LISTENS = SD_REDIS_LISTENS, ALLOW_BUSY = SD_REDIS_ALLOW_BUSY,
	NO_ASYNC = SD_REDIS_NO_ASYNC, SPREADS = SD_REDIS_SPREADS, CONTAINER = SD_REDIS_CONTAINER,
};

const struct sd_redis_command sd_redis_commands[SD_REDIS_COMMANDS] = {
#define SD_REDIS_ROW(id, ...) [SD_REDIS_ID_##id] = {__VA_ARGS__},
#include "redis_commands_rows.h"
#undef SD_REDIS_ROW
};

#define LONGEST 64 /* of names, with what is around them */

static unsigned hash_of(struct sd_slice name)
{
	unsigned h = (unsigned)name.n;
	for (size_t i = 0; i < name.n; i++)
		h = h * 31 + (unsigned)(name.p[i] | 0x20);
	return h % SD_REDIS_PLACES;
}

/* Every name at the place of its hash, or the next free one. */
void sd_redis_add(struct sd_redis_index *ix, const struct sd_redis_command *is, const void *own)
{
	unsigned at = hash_of(sd_slice_of(is->name));
	while (ix->places[at])
		at = (at + 1) % SD_REDIS_PLACES;
	ix->rows[ix->n] = (struct sd_redis_row){is, own};
	ix->places[at] = (uint16_t)++ix->n;
}

const struct sd_redis_row *sd_redis_find(const struct sd_redis_index *ix, struct sd_slice name)
{
	if (name.n > LONGEST)
		return NULL;
	for (unsigned at = hash_of(name); ix->places[at]; at = (at + 1) % SD_REDIS_PLACES) {
		const struct sd_redis_row *row = &ix->rows[ix->places[at] - 1];
		if (sd_slice_ieq(name, row->is->name))
			return row;
	}
	return NULL;
}

const struct sd_redis_row *sd_redis_find_sub(const struct sd_redis_index *ix, const struct sd_redis_command *container,
					     struct sd_slice name)
{
	char full[80];
	int n = snprintf(full, sizeof(full), "%s|%.*s", container->name, (int)(name.n < 40 ? name.n : 40), name.p);
	return name.n < 40 ? sd_redis_find(ix, (struct sd_slice){full, (size_t)n}) : NULL;
}

/* ---- requests ---- */

static int shown(struct sd_slice s)
{
	return (int)(s.n < 128 ? s.n : 128);
}

static void unknown(size_t argc, const struct sd_slice *argv, char why[SD_REDIS_WHY])
{
	char args[160];
	size_t n = 0;
	args[0] = '\0';
	for (size_t i = 1; i < argc && n < 128; i++) {
		size_t room = 128 - n, len = argv[i].n < room ? argv[i].n : room;
		n += (size_t)snprintf(args + n, sizeof(args) - n, "'%.*s' ", (int)len, argv[i].p);
	}
	snprintf(why, SD_REDIS_WHY, "ERR unknown command '%.*s', with args beginning with: %s", shown(argv[0]), argv[0].p, args);
}

static void unknown_sub(const struct sd_redis_command *container, struct sd_slice name, char why[SD_REDIS_WHY])
{
	char upper[40];
	size_t n = 0;
	for (; n < sizeof(upper) - 1 && container->name[n]; n++)
		upper[n] = (char)toupper((unsigned char)container->name[n]);
	upper[n] = '\0';
	snprintf(why, SD_REDIS_WHY, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown(name), name.p, upper);
}

bool sd_redis_look_up(const struct sd_redis_index *ix, size_t argc, const struct sd_slice *argv, const struct sd_redis_row **row,
		      char why[SD_REDIS_WHY])
{
	*row = NULL;
	const struct sd_redis_row *k = sd_redis_find(ix, argv[0]);
	if (!k) {
		unknown(argc, argv, why);
		return false;
	}
	if (argc > 1 && k->is->flags & SD_REDIS_CONTAINER) {
		const struct sd_redis_row *sub = sd_redis_find_sub(ix, k->is, argv[1]);
		if (!sub) {
			unknown_sub(k->is, argv[1], why);
			return false;
		}
		k = sub;
	}
	*row = k;
	if (sd_redis_has_arity(k->is, argc))
		return true;
	snprintf(why, SD_REDIS_WHY, "ERR wrong number of arguments for '%s' command", k->is->name);
	return false;
}
