/* redis_rig.h - a command of Redis as its words, and what is replied to it. */
#ifndef SDLAB_TEST_REDIS_RIG_H
#define SDLAB_TEST_REDIS_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/redis_args.h"

static struct sd_resp_out out;

/* Words between spaces; '' is an empty one. Valid until the next call; so is what a test has of `out`. */
static inline struct sd_redis_args words(const struct sd_redis_command *is, const char *line)
{
	static char text[256];
	static struct sd_slice argv[16];
	struct sd_redis_args a = {&out, is, 0, argv};
	char *save = NULL;
	ck_assert_uint_lt(strlen(line), sizeof(text));
	memcpy(text, line, strlen(line) + 1);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[a.argc++] = strcmp(p, "''") == 0 ? (struct sd_slice){"", 0} : sd_slice_of(p);
	out.n = 0;
	return a;
}

/* The reply, without the end of its line. */
static inline const char *replied(void)
{
	if (out.n >= 2)
		out.n -= 2;
	sd_resp_raw(&out, "", 1);
	return out.p;
}

static inline void out_end(void)
{
	free(out.p);
	out = (struct sd_resp_out){0};
}

#endif
