/* cache_client.c - CLIENT: who is connected, under which name, and who is to go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "core/text.h"

static bool is_client_name(struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '!' || s.p[i] > '~')
			return false;
	return s.n < sizeof(((struct cache_session *)0)->name);
}

bool cache_client_set_name(struct cache_call *c, struct sd_slice name)
{
	if (!is_client_name(name)) {
		sd_resp_error(c->out, "ERR Client names cannot contain spaces, newlines or special characters.");
		return false;
	}
	memcpy(c->session->name, name.p, name.n);
	c->session->name[name.n] = '\0';
	return true;
}

static void cmd_client_id(struct cache_call *c)
{
	sd_resp_int(c->out, (int64_t)c->session->id);
}

static void cmd_client_getname(struct cache_call *c)
{
	if (c->session->name[0])
		sd_resp_text(c->out, c->session->name);
	else
		sd_resp_null(c->out);
}

static void cmd_client_setname(struct cache_call *c)
{
	if (cache_client_set_name(c, c->argv[2]))
		sd_resp_simple(c->out, "OK");
}

/* As CLIENT LIST of Redis abbreviates them. */
static void put_flags(const struct cache_session *s, char out[8])
{
	static const struct {
		uint32_t flag;
		char as;
	} letters[] = {{CACHE_MONITOR, 'O'}, {CACHE_MULTI, 'x'}, {CACHE_BLOCKED, 'b'}, {CACHE_TOUCHED, 'd'}, {CACHE_QUIT, 'c'},
		       {CACHE_DROP, 'A'}};
	size_t n = 0;
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (s->flags & letters[i].flag)
			out[n++] = letters[i].as;
	if (cache_subscriptions(s))
		out[n++] = 'P';
	if (n == 0)
		out[n++] = 'N';
	out[n] = '\0';
}

static void put_client(struct sd_text *t, const struct cache_session *s)
{
	const struct cache *c = s->cache;
	char flags[8];
	put_flags(s, flags);
	sd_text_format(t, "id=%llu addr=%s name=%s age=%lld idle=%lld flags=%s db=%u sub=%zu psub=%zu ssub=0 multi=%lld "
			  "cmd=%s user=default resp=%d\n",
		       (unsigned long long)s->id, s->address, s->name, (long long)((c->now_ms - s->since_ms) / 1000),
		       (long long)((c->now_ms - s->last_ms) / 1000), flags, s->db->number, s->nsubscriptions[0],
		       s->nsubscriptions[1], s->flags & CACHE_MULTI ? (long long)s->nqueue : -1, s->last ? s->last->is->name : "NULL",
		       s->out.resp3 ? 3 : 2);
}

static void cmd_client_info(struct cache_call *c)
{
	struct sd_text t = {0};
	put_client(&t, c->session);
	cache_reply_text(c, &t);
}

static void cmd_client_no_evict(struct cache_call *c)
{
	if (cache_is(c->argv[2], "on") || cache_is(c->argv[2], "off"))
		sd_resp_simple(c->out, "OK");
	else
		sd_resp_error(c->out, sd_redis_syntax);
}

static void cmd_client_reply(struct cache_call *c)
{
	uint32_t *flags = &c->session->flags;
	if (cache_is(c->argv[2], "on")) {
		*flags &= ~(uint32_t)(CACHE_MUTE | CACHE_SKIP);
		sd_resp_simple(c->out, "OK");
	} else if (cache_is(c->argv[2], "off")) {
		*flags |= CACHE_MUTE;
	} else if (cache_is(c->argv[2], "skip")) {
		if (!(*flags & CACHE_MUTE))
			*flags |= CACHE_SKIP_NEXT;
	} else {
		sd_resp_error(c->out, sd_redis_syntax);
	}
}

/* Which clients are meant: by CLIENT KILL, and by CLIENT LIST in part. */
struct filter {
	uint64_t id;
	struct sd_slice address, local, user, type; /* p NULL: any */
	bool skip_me;
};

static const char *type_of(const struct cache_session *s)
{
	return cache_subscriptions(s) ? "pubsub" : s->flags & CACHE_MONITOR ? "slave" : "normal";
}

static bool check_type(struct cache_call *c, struct sd_slice type)
{
	static const char *const names[] = {"normal", "master", "replica", "slave", "pubsub"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cache_is(type, names[i]))
			return true;
	sd_resp_errorf(c->out, "ERR Unknown client type '%.*s'", (int)(type.n < 128 ? type.n : 128), type.p);
	return false;
}

static bool is_type(const struct cache_session *s, struct sd_slice type)
{
	return cache_is(type, type_of(s)) || (cache_is(type, "replica") && s->flags & CACHE_MONITOR);
}

static bool is_meant(const struct cache_call *c, const struct cache_session *s, const struct filter *f)
{
	if (f->id && s->id != f->id)
		return false;
	if (f->address.p && !sd_slice_eq(f->address, s->address))
		return false;
	if (f->local.p) /* the address that was connected to is not kept */
		return false;
	if (f->user.p && !(s->flags & CACHE_AUTHENTICATED))
		return false;
	return !(f->type.p && !is_type(s, f->type)) && !(f->skip_me && s == c->session);
}

static bool kill_option(struct cache_call *c, size_t i, struct filter *f)
{
	int64_t n;
	struct sd_slice v = c->argv[i + 1];
	if (cache_is(c->argv[i], "id")) {
		if (sd_resp_parse_int(v, &n) && n > 0) {
			f->id = (uint64_t)n;
			return true;
		}
		sd_resp_error(c->out, "ERR client-id should be greater than 0");
		return false;
	}
	if (cache_is(c->argv[i], "user")) {
		f->user = v;
		if (sd_slice_eq(v, "default"))
			return true;
		sd_resp_errorf(c->out, "ERR No such user '%.*s'", (int)(v.n < 128 ? v.n : 128), v.p);
		return false;
	}
	if (cache_is(c->argv[i], "type")) {
		f->type = v;
		return check_type(c, v);
	}
	if (cache_is(c->argv[i], "skipme") && (cache_is(v, "yes") || cache_is(v, "no"))) {
		f->skip_me = cache_is(v, "yes");
		return true;
	}
	struct sd_slice *address = cache_is(c->argv[i], "addr") ? &f->address : cache_is(c->argv[i], "laddr") ? &f->local : NULL;
	if (address)
		*address = v;
	else
		sd_resp_error(c->out, sd_redis_syntax);
	return address;
}

static int64_t kill_clients(struct cache_call *c, const struct filter *f)
{
	int64_t n = 0;
	for (struct sd_link *k = c->cache->sessions.next; k != &c->cache->sessions; k = k->next) {
		struct cache_session *s = sd_container(k, struct cache_session, link);
		bool me = s == c->session;
		if (!is_meant(c, s, f))
			continue;
		s->flags |= me ? CACHE_QUIT : CACHE_DROP;
		c->cache->dropped |= !me;
		n++;
	}
	return n;
}

static void cmd_client_kill(struct cache_call *c)
{
	struct filter f = {.skip_me = c->argc > 3};
	if (c->argc == 3) {
		f.address = c->argv[2];
		if (kill_clients(c, &f))
			sd_resp_simple(c->out, "OK");
		else
			sd_resp_error(c->out, "ERR No such client");
		return;
	}
	for (size_t i = 2; i < c->argc; i += 2) {
		if (i + 1 == c->argc) {
			sd_resp_error(c->out, sd_redis_syntax);
			return;
		}
		if (!kill_option(c, i, &f))
			return;
	}
	sd_resp_int(c->out, kill_clients(c, &f));
}

static struct cache_session *session_of(const struct cache *c, int64_t id)
{
	for (struct sd_link *k = c->sessions.next; k != &c->sessions; k = k->next) {
		struct cache_session *s = sd_container(k, struct cache_session, link);
		if (s->id == (uint64_t)id)
			return s;
	}
	return NULL;
}

static void list_by_id(struct cache_call *c)
{
	struct sd_text t = {0};
	sd_text_add(&t, "", 0);
	for (size_t i = 3; i < c->argc; i++) {
		int64_t id;
		if (!sd_resp_parse_int(c->argv[i], &id)) {
			free(sd_text_take(&t, NULL));
			sd_resp_error(c->out, "ERR Invalid client ID");
			return;
		}
		const struct cache_session *s = session_of(c->cache, id);
		if (s)
			put_client(&t, s);
	}
	cache_reply_text(c, &t);
}

static void cmd_client_list(struct cache_call *c)
{
	struct sd_text t = {0};
	bool by_type = c->argc == 4 && cache_is(c->argv[2], "type");
	if (c->argc > 3 && cache_is(c->argv[2], "id")) {
		list_by_id(c);
		return;
	}
	if (c->argc > 2 && !by_type) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (by_type && !check_type(c, c->argv[3]))
		return;
	sd_text_add(&t, "", 0);
	for (struct sd_link *k = c->cache->sessions.next; k != &c->cache->sessions; k = k->next) {
		const struct cache_session *s = sd_container(k, struct cache_session, link);
		if (!by_type || is_type(s, c->argv[3]))
			put_client(&t, s);
	}
	cache_reply_text(c, &t);
}

static void wrong_subcommand(struct cache_call *c)
{
	sd_resp_errorf(c->out, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
		       (int)(c->argv[1].n < 128 ? c->argv[1].n : 128), c->argv[1].p);
}

static void cmd_client_unblock(struct cache_call *c)
{
	int64_t id;
	bool error = c->argc == 4 && cache_is(c->argv[3], "error");
	if (c->argc > 4) {
		wrong_subcommand(c);
		return;
	}
	if (c->argc == 4 && !error && !cache_is(c->argv[3], "timeout")) {
		sd_resp_error(c->out, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
		return;
	}
	if (!cache_arg_int(c, 2, &id))
		return;
	struct cache_session *s = session_of(c->cache, id);
	sd_resp_int(c->out, s && cache_unblock(s, error ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : NULL));
}

static void cmd_client_pause(struct cache_call *c)
{
	int64_t ms, now = c->cache->now_ms;
	bool writes = c->argc == 4 && cache_is(c->argv[3], "write");
	if (c->argc > 4)
		wrong_subcommand(c);
	else if (c->argc == 4 && !writes && !cache_is(c->argv[3], "all"))
		sd_resp_error(c->out, "ERR CLIENT PAUSE mode must be WRITE or ALL");
	else if (!sd_resp_parse_int(c->argv[2], &ms))
		sd_resp_error(c->out, "ERR timeout is not an integer or out of range");
	else if (ms < 0)
		sd_resp_error(c->out, "ERR timeout is negative");
	else {
		if (ms < INT64_MAX - now) /* else the end is in the past for Redis, too */
			cache_pause(c->cache, writes ? CACHE_PAUSE_WRITES : CACHE_PAUSE_ALL, now + ms);
		sd_resp_simple(c->out, "OK");
	}
}

static void cmd_client_unpause(struct cache_call *c)
{
	cache_pause(c->cache, CACHE_NO_PAUSE, 0);
	sd_resp_simple(c->out, "OK");
}

const struct cache_command cache_client_commands[] = {
    {SD_REDIS(CLIENT), NULL},
    {SD_REDIS(CLIENT_GETNAME), cmd_client_getname},
    {SD_REDIS(CLIENT_HELP), cache_help},
    {SD_REDIS(CLIENT_ID), cmd_client_id},
    {SD_REDIS(CLIENT_INFO), cmd_client_info},
    {SD_REDIS(CLIENT_KILL), cmd_client_kill},
    {SD_REDIS(CLIENT_LIST), cmd_client_list},
    {SD_REDIS(CLIENT_NO_EVICT), cmd_client_no_evict},
    {SD_REDIS(CLIENT_PAUSE), cmd_client_pause},
    {SD_REDIS(CLIENT_REPLY), cmd_client_reply},
    {SD_REDIS(CLIENT_SETNAME), cmd_client_setname},
    {SD_REDIS(CLIENT_UNBLOCK), cmd_client_unblock},
    {SD_REDIS(CLIENT_UNPAUSE), cmd_client_unpause},
    {0},
};
