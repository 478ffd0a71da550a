/* sh_shared.c - the cache that servers share, and what they tell each other of changes. Keys are PREFIX and the code; the channel is PREFIX
 * and "changed", its messages the name of the server that tells, a blank, and the code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resp_url.h"
#include "net/resp_link.h"
#include "sh_lookup_int.h"

#define MS	     1000000ll
#define MOST	     8192
#define MOST_BYTES   (8 << 20)
#define UNTOLD_AGAIN (500 * MS)
#define KEY_ROOM     (128 + SH_CODE_MAX)

struct sh_shared {
	struct sh_lookup *k;
	struct sd_resp_link *link, *ear;
	char prefix[128], channel[SD_RESP_CHANNEL], shown[256];
	char name[24]; /* who we are */
	bool closing;
	struct sd_link untold; /* struct change */
	size_t nuntold;
	struct sd_timer again;
	struct sd_rng rng;
};

/* A question: GET and PTTL, which are answered one after the other. */
struct question {
	struct sh_shared *s;
	sh_shared_fn *fn;
	void *arg;
	struct sh_record *rec;
	int64_t left_ns;
	unsigned waits;
	bool good, fillable;
};

/* A change that the others are to hear of. */
struct change {
	struct sd_link link;
	struct sh_shared *s;
	unsigned left;
	bool failed;
	size_t n;
	char code[];
};

static struct sd_slice key_of(const struct sh_shared *s, struct sd_slice code, char out[KEY_ROOM])
{
	int n = snprintf(out, KEY_ROOM, "%s%.*s", s->prefix, (int)code.n, code.p);
	return (struct sd_slice){out, (size_t)n};
}

static struct sd_slice number(int64_t n, char out[24])
{
	return (struct sd_slice){out, (size_t)snprintf(out, 24, "%lld", (long long)n)};
}

static void count_error(struct sh_shared *s)
{
	sd_count(&s->k->n.cache_errors, 1);
}

/* ---- asking ---- */

static void read_value(struct question *q, const struct sd_resp_value *v)
{
	struct sh_record rec;
	q->good = v->kind == SD_RESP_NULL || v->kind == SD_RESP_BULK;
	q->fillable = v->kind == SD_RESP_NULL;
	if (v->kind == SD_RESP_BULK && sh_record_read(v->text, &rec))
		q->rec = sh_record_copy(&rec);
	else if (v->kind == SD_RESP_BULK)
		q->good = sd_slice_eq(v->text, SH_TOMBSTONE);
}

static void answered(struct question *q)
{
	struct sh_shared *s = q->s;
	if (--q->waits)
		return;
	bool found = q->good && q->rec && q->left_ns > 0;
	if (!q->good && !s->closing)
		count_error(s);
	else if (!s->closing)
		sd_count(found ? &s->k->n.cache_hits : &s->k->n.cache_misses, 1);
	q->fn(q->arg, found ? q->rec : NULL, q->left_ns, q->good && q->fillable);
	free(q->rec);
	free(q);
}

static void on_value(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct question *q = arg;
	if (!err)
		read_value(q, reply);
	answered(q);
}

/* A value without an end is not ours, and what is gone by now may have been replaced: neither is taken. */
static void on_left(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct question *q = arg;
	int64_t most = q->s->k->conf.life_ns;
	if (!err && reply->kind == SD_RESP_INT && reply->n > 0)
		q->left_ns = reply->n < most / MS ? reply->n * MS : most;
	answered(q);
}

bool sh_shared_get(struct sh_shared *s, struct sd_slice code, sh_shared_fn *fn, void *arg)
{
	char key[KEY_ROOM];
	const struct sd_slice get[] = {{"GET", 3}, key_of(s, code, key)}, left[] = {{"PTTL", 4}, get[1]};
	struct question *q = sd_resp_link_stands(s->link) ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		count_error(s);
		return false;
	}
	*q = (struct question){.s = s, .fn = fn, .arg = arg, .waits = 1};
	if (sd_resp_link_ask(s->link, 2, get, on_value, q)) {
		count_error(s);
		free(q);
		return false;
	}
	q->waits += sd_resp_link_ask(s->link, 2, left, on_left, q) == SD_OK;
	return true;
}

/* ---- filling ---- */

static void on_filled(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct sh_shared *s = arg;
	if (err == SD_ECANCELED)
		return;
	if (err || sd_resp_is_error(reply->kind))
		count_error(s);
	else
		sd_count(&s->k->n.cache_fills, reply->kind != SD_RESP_NULL);
}

void sh_shared_fill(struct sh_shared *s, struct sd_slice code, const struct sh_record *rec, int64_t asked_ns, int64_t life_ns)
{
	char key[KEY_ROOM], value[SH_RECORD_TEXT], ms[24];
	int64_t age = sd_loop_now_ns(s->k->conf.control) - asked_ns;
	int64_t left = life_ns - (int64_t)((double)life_ns / 10 * sd_rng_unit(&s->rng)) - age;
	size_t n = sh_record_write(rec, value);
	if (!n || left < MS || age >= SH_FILL_MS * MS || !sd_resp_link_stands(s->link))
		return;
	const struct sd_slice set[] = {{"SET", 3}, key_of(s, code, key), {value, n}, {"PX", 2}, number(left / MS, ms), {"NX", 2}};
	if (sd_resp_link_ask(s->link, 6, set, on_filled, s))
		count_error(s);
}

/* ---- telling ---- */

static void tell_later(struct change *c)
{
	struct sh_shared *s = c->s;
	if (s->nuntold >= SH_UNTOLD) {
		sd_count(&s->k->n.lost, 1);
		free(c);
		return;
	}
	c->failed = false;
	s->nuntold++;
	sd_count(&s->k->n.untold, 1);
	sd_list_add(&s->untold, &c->link);
	if (!s->again.slot)
		sd_loop_timer_set(s->k->conf.control, &s->again, sd_loop_now_ns(s->k->conf.control) + UNTOLD_AGAIN);
}

static void on_told(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct change *c = arg;
	struct sh_shared *s = c->s;
	c->failed |= err || sd_resp_is_error(reply->kind);
	if (--c->left)
		return;
	if (s->closing) {
		free(c);
	} else if (c->failed) {
		count_error(s);
		tell_later(c);
	} else {
		sd_count(&s->k->n.told, 1);
		free(c);
	}
}

/* First the tombstone, then the news: whoever hears finds the tombstone. */
static void tell(struct change *c)
{
	struct sh_shared *s = c->s;
	struct sd_slice code = {c->code, c->n};
	char key[KEY_ROOM], ms[24], text[sizeof(s->name) + SH_CODE_MAX + 2];
	int n = snprintf(text, sizeof(text), "%s %.*s", s->name, (int)code.n, code.p);
	const struct sd_slice set[] = {{"SET", 3}, key_of(s, code, key), sd_slice_of(SH_TOMBSTONE), {"PX", 2}, number(SH_TOMBSTONE_MS, ms)};
	const struct sd_slice publish[] = {{"PUBLISH", 7}, sd_slice_of(s->channel), {text, (size_t)n}};
	c->left = 1;
	if (!sd_resp_link_stands(s->link) || sd_resp_link_ask(s->link, 5, set, on_told, c)) {
		tell_later(c);
		return;
	}
	if (sd_resp_link_ask(s->link, 3, publish, on_told, c))
		c->failed = true;
	else
		c->left++;
}

/* A limit of what waits makes the rest wait for the next time. */
static void tell_untold(struct sh_shared *s)
{
	struct sd_link waited;
	if (!sd_resp_link_stands(s->link) || sd_list_empty(&s->untold))
		return;
	waited = s->untold;
	waited.next->prev = waited.prev->next = &waited;
	sd_list_init(&s->untold);
	s->nuntold = 0;
	while (!sd_list_empty(&waited)) {
		struct change *c = sd_container(waited.next, struct change, link);
		sd_list_del(&c->link);
		tell(c);
	}
}

static void on_again(struct sd_timer *t)
{
	struct sh_shared *s = sd_container(t, struct sh_shared, again);
	tell_untold(s);
	if (s->nuntold && !s->again.slot)
		sd_loop_timer_set(s->k->conf.control, t, sd_loop_now_ns(s->k->conf.control) + UNTOLD_AGAIN);
}

void sh_shared_changed(struct sh_shared *s, struct sd_slice code)
{
	struct change *c = calloc(1, sizeof(*c) + code.n);
	if (!c) {
		sd_count(&s->k->n.lost, 1);
		return;
	}
	c->s = s;
	c->n = code.n;
	memcpy(c->code, code.p, code.n);
	sd_list_init(&c->link);
	tell(c);
}

/* ---- hearing ---- */

static void on_message(void *arg, struct sd_slice text)
{
	struct sh_shared *s = arg;
	const char *blank = text.n ? memchr(text.p, ' ', text.n) : NULL;
	if (!blank)
		return;
	struct sd_slice who = {text.p, (size_t)(blank - text.p)}, code = {blank + 1, text.n - who.n - 1};
	if (!code.n || code.n > SH_CODE_MAX || sd_slice_eq(who, s->name))
		return;
	sd_count(&s->k->n.heard, 1);
	sh_flight_changed(s->k, code);
}

static void on_hears(void *arg)
{
	struct sh_shared *s = arg;
	sh_flight_hears(s->k, true);
}

static void on_deaf(void *arg, const char *why)
{
	struct sh_shared *s = arg;
	(void)why; /* the other link says it */
	if (!s->k->deaf)
		sh_flight_hears(s->k, false);
}

/* ---- life ---- */

static void on_up(void *arg)
{
	struct sh_shared *s = arg;
	if (s->k->conf.log)
		sd_event(s->k->conf.log, SD_INFO, "cache", NULL, "The cache %s answers", s->shown);
	tell_untold(s);
}

static void on_down(void *arg, const char *why)
{
	struct sh_shared *s = arg;
	if (s->k->conf.log)
		sd_event(s->k->conf.log, SD_WARN, "cache-gone", NULL, "The cache %s is gone, meanwhile the database is asked: %s", s->shown, why);
}

static enum sd_err find_addr(const char *url, struct sd_resp_url *out, struct sd_addr *addr, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	enum sd_err err = sd_resp_url_parse(url, out, e);
	if (err)
		return err;
	if (out->secure)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found rediss://, which is not known here");
	snprintf(text, sizeof(text), "%.*s%s", (int)(out->host.n < 240 ? out->host.n : 240), out->host.p, out->has_port ? "" : ":6379");
	return sd_addr_parse(text, "127.0.0.1", addr, e) ? (e->code = SD_EUSAGE) : SD_OK;
}

enum sd_err sh_shared_check(const char *url, struct sd_error *e)
{
	struct sd_resp_url parts;
	struct sd_addr addr;
	enum sd_err err = find_addr(url, &parts, &addr, e);
	explicit_bzero(&parts, sizeof(parts));
	return err;
}

static bool open_links(struct sh_shared *s, struct sd_resp_link_conf *how)
{
	struct sd_loop *l = s->k->conf.control;
	how->timeout_ns = s->k->conf.cache_timeout_ns;
	how->arg = s;
	how->most = MOST;
	how->most_bytes = MOST_BYTES;
	how->up = on_up;
	how->down = on_down;
	s->link = sd_resp_link_open(l, how);
	/* It finds out in SH_DEAF_MS that nothing comes any more. */
	how->timeout_ns = SH_DEAF_MS / 8 * MS;
	how->heartbeat_ns = SH_DEAF_MS / 2 * MS;
	how->up = on_hears;
	how->down = on_deaf;
	how->channel = s->channel;
	how->message = on_message;
	s->ear = s->link ? sd_resp_link_open(l, how) : NULL;
	return s->ear;
}

enum sd_err sh_shared_open(struct sh_lookup *k, struct sh_shared **out, struct sd_error *e)
{
	struct sd_resp_link_conf how = sd_resp_link_defaults;
	struct sd_resp_url url;
	uint64_t chance[2];
	struct sh_shared *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = find_addr(k->conf.cache, &url, &how.addr, e);
	*out = s;
	s->k = k;
	s->again.fn = on_again;
	sd_list_init(&s->untold);
	sd_world_random(sd_loop_world(k->conf.control), chance, sizeof(chance));
	sd_rng_seed(&s->rng, chance[1]);
	snprintf(s->name, sizeof(s->name), "%016llx", (unsigned long long)chance[0]);
	snprintf(s->prefix, sizeof(s->prefix), "%s", k->conf.prefix);
	snprintf(s->channel, sizeof(s->channel), "%schanged", k->conf.prefix);
	how.user = url.user;
	how.password = url.password;
	how.db = url.db;
	if (!err) {
		snprintf(s->shown, sizeof(s->shown), "%.*s", (int)(url.shown.n < 250 ? url.shown.n : 250), url.shown.p);
		err = open_links(s, &how) ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
	}
	explicit_bzero(&url, sizeof(url));
	return err;
}

void sh_shared_close(struct sh_shared *s)
{
	if (!s)
		return;
	s->closing = true;
	sd_loop_timer_cancel(s->k->conf.control, &s->again);
	sd_resp_link_close(s->ear);
	sd_resp_link_close(s->link);
	while (!sd_list_empty(&s->untold)) {
		struct change *c = sd_container(s->untold.next, struct change, link);
		sd_list_del(&c->link);
		free(c);
	}
	free(s);
}

bool sh_shared_ready(const struct sh_shared *s, char *why, size_t n)
{
	bool stands = sd_resp_link_stands(s->link), hears = sd_resp_link_stands(s->ear);
	if (!stands)
		snprintf(why, n, "the cache %s does not answer: %s", s->shown, sd_resp_link_why(s->link));
	else if (!hears)
		snprintf(why, n, "changes of other servers are not heard from %s: %s", s->shown, sd_resp_link_why(s->ear));
	return stands && hears;
}
