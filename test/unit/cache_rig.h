/* cache_rig.h - the engine of the cache with a clock of its own, and clients that speak to it. */
#ifndef SDLAB_TEST_CACHE_RIG_H
#define SDLAB_TEST_CACHE_RIG_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/engine/cache.h"

#define RIG_START    1700000000000
#define RIG_SESSIONS 4

static struct cache cache;
static struct cache_session sessions[RIG_SESSIONS];
static int64_t now;

static inline void rig_setup(void)
{
	now = RIG_START;
	cache_init(&cache, 1, now);
	for (int i = 0; i < RIG_SESSIONS; i++)
		cache_session_begin(&cache, &sessions[i]);
}

static inline void rig_teardown(void)
{
	for (int i = 0; i < RIG_SESSIONS; i++)
		cache_session_end(&sessions[i]);
	cache_end(&cache);
}

/* What a session was sent since it was asked last, with CRLF as '|'. */
static inline const char *rig_heard(struct cache_session *s)
{
	static char reply[65536];
	size_t n = 0;
	for (size_t i = 0; i < s->out.n && n + 1 < sizeof(reply); i++)
		if (s->out.p[i] != '\n')
			reply[n++] = s->out.p[i] == '\r' ? '|' : s->out.p[i];
	reply[n] = '\0';
	s->out.n = 0;
	return reply;
}

/* The reply to words between spaces; '' is an empty one. */
static inline const char *rig_say(struct cache_session *s, const char *words)
{
	char text[4096];
	struct sd_slice argv[64];
	size_t argc = 0;
	char *save = NULL;
	snprintf(text, sizeof(text), "%s", words);
	for (char *p = strtok_r(text, " ", &save); p && argc < 64; p = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(p, "''") == 0 ? (struct sd_slice){"", 0} : sd_slice_of(p);
	s->out.n = 0;
	cache_call(s, argc, argv, now);
	return rig_heard(s);
}

static inline const char *rig_sayf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *rig_sayf(const char *format, ...)
{
	char text[4096];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rig_say(&sessions[0], text);
}

struct rig_turn {
	const char *request, *reply;
};

static inline void rig_play(const struct rig_turn *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = rig_say(&sessions[0], t[i].request);
		ck_assert_msg(strcmp(got, t[i].reply) == 0, "%s: expected %s, found %s", t[i].request, t[i].reply, got);
	}
}
#define RIG_PLAY(t) rig_play(t, sizeof(t) / sizeof((t)[0]))

static inline int rig_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
