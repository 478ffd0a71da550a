/* redis_args.h - arguments of commands of Redis, and what is replied when they make no sense. Pure.
 *
 * What can fail returns false then, and the error is in `out`, word for word that of Redis 7.0. */
#ifndef SD_CORE_REDIS_ARGS_H
#define SD_CORE_REDIS_ARGS_H

#include "redis_commands.h"

/* ---- errors that many commands say ---- */
extern const char sd_redis_syntax[], sd_redis_no_key[], sd_redis_not_int[], sd_redis_not_float[];

/* The arguments of a request, the name among them. */
struct sd_redis_args {
	struct sd_resp_out *out;
	const struct sd_redis_command *command;
	size_t argc;
	const struct sd_slice *argv;
};

/* ---- numbers and times ---- */
bool sd_redis_arg_int(const struct sd_redis_args *a, size_t i, int64_t *out);
bool sd_redis_arg_int32(const struct sd_redis_args *a, size_t i, int64_t *out);

/* How a time is given: in units of so many milliseconds, since base_ms (0: since the epoch). */
struct sd_redis_time {
	int64_t unit_ms, base_ms;
	bool past; /* may be one that is over, or before the epoch */
};
/* A moment, in ms since the epoch. */
bool sd_redis_arg_time(const struct sd_redis_args *a, size_t i, const struct sd_redis_time *how, int64_t *at_ms);

/* ---- a copy ---- */
/* Bytes of a copy of the arguments with their bytes in one piece. */
size_t sd_redis_args_bytes(size_t argc, const struct sd_slice *argv);
/* In so many bytes, aligned as malloc's are. */
struct sd_slice *sd_redis_args_copy(void *to, size_t argc, const struct sd_slice *argv);

#endif
