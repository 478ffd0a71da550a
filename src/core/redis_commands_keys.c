/* redis_commands_keys.c - which arguments of a command are keys: where its row says it, or where another argument does. */
#include "redis_commands.h"

#include <string.h>

/* Of those whose first, last and step are not all: where they have the number of keys, which follow it. */
static const struct {
	const char *name;
	size_t count_at;
} counted[] = {
    {"blmpop", 2},     {"bzmpop", 2}, {"lmpop", 1},	 {"sintercard", 1}, {"zdiff", 1},  {"zdiffstore", 2},
    {"zinter", 1},     {"zintercard", 1}, {"zinterstore", 2}, {"zmpop", 1},	{"zunion", 1}, {"zunionstore", 2},
};

static bool counted_keys(size_t count_at, size_t argc, const struct sd_slice *argv, struct sd_redis_keys *keys)
{
	int64_t n;
	if (count_at >= argc || !sd_resp_parse_int(argv[count_at], &n) || n < 1 || (uint64_t)n > argc - count_at - 1)
		return false;
	keys->first = count_at + 1;
	keys->n = (size_t)n;
	keys->step = 1;
	return true;
}

/* SORT key ... STORE key: the last one that is said counts. */
static void sort_keys(size_t argc, const struct sd_slice *argv, struct sd_redis_keys *keys)
{
	for (size_t i = 2; i < argc; i++) {
		if (sd_slice_ieq(argv[i], "limit"))
			i += 2;
		else if (sd_slice_ieq(argv[i], "by") || sd_slice_ieq(argv[i], "get"))
			i++;
		else if (sd_slice_ieq(argv[i], "store") && i + 1 < argc)
			keys->also = i + 1; /* it is looked at as an option too, as Redis does */
	}
}

bool sd_redis_keys(const struct sd_redis_command *k, size_t argc, const struct sd_slice *argv, struct sd_redis_keys *keys)
{
	*keys = (struct sd_redis_keys){0};
	if (k->flags & SD_REDIS_MOVABLE)
		for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
			if (strcmp(k->name, counted[i].name) == 0) {
				keys->also = (size_t)k->first;
				return counted_keys(counted[i].count_at, argc, argv, keys);
			}
	if (!k->first || (size_t)k->first >= argc)
		return true;
	size_t last = k->last < 0 ? argc + (size_t)(int64_t)k->last : (size_t)k->last;
	keys->first = (size_t)k->first;
	keys->step = (size_t)k->step;
	keys->n = last < argc && last >= keys->first ? (last - keys->first) / keys->step + 1 : 0;
	if (strcmp(k->name, "sort") == 0)
		sort_keys(argc, argv, keys);
	return true;
}
