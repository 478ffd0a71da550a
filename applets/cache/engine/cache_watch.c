/* cache_watch.c - looking at what the server does: MONITOR and SLOWLOG. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "core/text.h"

/* ---- MONITOR ---- */

static void put_quoted(struct sd_text *t, struct sd_slice s)
{
	static const char plain[] = "\n\r\t\a\b\\\"", names[] = "nrtab\\\"";
	sd_text_add(t, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *at = c ? strchr(plain, c) : NULL;
		if (at)
			sd_text_format(t, "\\%c", names[at - plain]);
		else if (isprint(c))
			sd_text_add(t, s.p + i, 1);
		else
			sd_text_format(t, "\\x%02x", c);
	}
	sd_text_add(t, "\"", 1);
}

void cache_feed_monitors(const struct cache_call *c)
{
	struct sd_text t = {0};
	if (c->command->is->flags & (SD_REDIS_ADMIN | SD_REDIS_QUIET))
		return;
	sd_text_format(&t, "%lld.%06lld [%u %s]", (long long)(c->cache->now_ms / 1000), (long long)(c->cache->now_ms % 1000 * 1000),
		       c->db->number, c->session->address);
	for (size_t i = 0; i < c->argc; i++) {
		sd_text_add(&t, " ", 1);
		put_quoted(&t, c->argv[i]);
	}
	size_t n;
	char *line = sd_text_take(&t, &n);
	for (struct sd_link *k = c->cache->monitors.next; line && k != &c->cache->monitors; k = k->next) {
		struct cache_session *s = sd_container(k, struct cache_session, monitor);
		sd_resp_raw(&s->out, "+", 1);
		sd_resp_raw(&s->out, line, n);
		sd_resp_raw(&s->out, "\r\n", 2);
		cache_wake(s);
	}
	free(line);
}

static void cmd_monitor(struct cache_call *c)
{
	if (!(c->session->flags & CACHE_MONITOR))
		sd_list_add(&c->cache->monitors, &c->session->monitor);
	c->session->flags |= CACHE_MONITOR;
	sd_resp_simple(c->out, "OK");
}

/* ---- SLOWLOG ---- */

#define SLOW_ARGS  32
#define SLOW_BYTES 128

static void forget(struct cache *c, struct cache_slow *w)
{
	sd_list_del(&w->link);
	cache_free(&c->memory, w);
	c->nslow--;
}

static void trim(struct cache *c, size_t most)
{
	while (c->nslow > most)
		forget(c, sd_container(c->slow.prev, struct cache_slow, link));
}

void cache_watch_end(struct cache *c)
{
	trim(c, 0);
}

/* One argument as it is kept: long ones are cut, and too many end in how many there were. */
static size_t short_arg(const struct cache_call *c, size_t i, char out[SLOW_BYTES + 40])
{
	size_t n = c->argv[i].n;
	if (i == SLOW_ARGS - 1 && c->argc > SLOW_ARGS)
		return (size_t)snprintf(out, SLOW_BYTES + 40, "... (%zu more arguments)", c->argc - SLOW_ARGS + 1);
	memcpy(out, c->argv[i].p, n > SLOW_BYTES ? SLOW_BYTES : n);
	if (n <= SLOW_BYTES)
		return n;
	return SLOW_BYTES + (size_t)snprintf(out + SLOW_BYTES, 40, "... (%zu more bytes)", n - SLOW_BYTES);
}

void cache_note_slow(const struct cache_call *c, int64_t took_us)
{
	struct cache *cache = c->cache;
	size_t argc = c->argc > SLOW_ARGS ? SLOW_ARGS : c->argc;
	char one[SLOW_BYTES + 40], *p;
	if (c->command->is->flags & SD_REDIS_QUIET)
		return;
	struct cache_slow *w = cache_alloc(&cache->memory, sizeof(*w) + argc * (sizeof(w->argv[0]) + sizeof(one)));
	if (!w)
		return;
	*w = (struct cache_slow){.id = cache->next_slow++, .at_ms = cache->now_ms, .took_us = took_us, .argc = argc};
	snprintf(w->address, sizeof(w->address), "%s", c->session->address);
	snprintf(w->name, sizeof(w->name), "%s", c->session->name);
	p = (char *)(w->argv + argc);
	for (size_t i = 0; i < argc; i++) {
		size_t n = short_arg(c, i, one);
		memcpy(p, one, n);
		w->argv[i] = (struct sd_slice){p, n};
		p += n;
	}
	sd_list_push(&cache->slow, &w->link);
	cache->nslow++;
	trim(cache, (size_t)cache->tuning.slowlog_max_len);
}

static void cmd_slowlog_get(struct cache_call *c)
{
	int64_t most = 10, n = 0;
	if (c->argc > 3) {
		sd_resp_errorf(c->out, "ERR wrong number of arguments for '%s' command", c->command->is->name);
		return;
	}
	if (c->argc == 3) {
		if (!sd_resp_parse_int(c->argv[2], &most) || most < -1) {
			sd_resp_error(c->out, "ERR count should be greater than or equal to -1");
			return;
		}
		most = most == -1 ? INT64_MAX : most;
	}
	size_t place = sd_resp_later(c->out);
	for (struct sd_link *k = c->cache->slow.next; k != &c->cache->slow && n < most; k = k->next, n++) {
		const struct cache_slow *w = sd_container(k, struct cache_slow, link);
		sd_resp_array(c->out, 6);
		sd_resp_int(c->out, (int64_t)w->id);
		sd_resp_int(c->out, w->at_ms / 1000);
		sd_resp_int(c->out, w->took_us);
		sd_resp_array(c->out, w->argc);
		for (size_t i = 0; i < w->argc; i++)
			sd_resp_bulk(c->out, w->argv[i].p, w->argv[i].n);
		sd_resp_text(c->out, w->address);
		sd_resp_text(c->out, w->name);
	}
	sd_resp_now(c->out, place, '*', (size_t)n);
}

static void cmd_slowlog_len(struct cache_call *c)
{
	sd_resp_int(c->out, (int64_t)c->cache->nslow);
}

static void cmd_slowlog_reset(struct cache_call *c)
{
	trim(c->cache, 0);
	sd_resp_simple(c->out, "OK");
}

const struct cache_command cache_watch_commands[] = {
    {SD_REDIS(MONITOR), cmd_monitor},
    {SD_REDIS(SLOWLOG), NULL},
    {SD_REDIS(SLOWLOG_GET), cmd_slowlog_get},
    {SD_REDIS(SLOWLOG_HELP), cache_help},
    {SD_REDIS(SLOWLOG_LEN), cmd_slowlog_len},
    {SD_REDIS(SLOWLOG_RESET), cmd_slowlog_reset},
    {0},
};
