/* limit_store.c - the link to a server that keeps limits for several others. */
#include "limit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resp_url.h"
#include "net/resp_link.h"

#define MOST       8192
#define MOST_BYTES (4 << 20)

enum state { FIRST, DOWN, LUA, THROTTLE };

struct sd_limit_store {
	struct sd_limit_store_conf conf;
	struct sd_resp_link *link;
	struct sd_tls_client *tls; /* NULL, both: plain */
	struct sd_tls_target *target;
	enum state state;
	char sha[48];
	struct sd_link waiting; /* struct sd_limit_call.link; only in FIRST */
	bool complained;        /* about answers, since it stands */
};

static void lose(struct sd_limit_call *c)
{
	c->end(c, SD_LIMIT_LOST);
}

static bool fits(struct sd_limit_call *c, enum sd_limit_tongue tongue)
{
	for (size_t i = 0; i < c->n; i++)
		if (sd_limit_fits(c->items[i].name, &c->items[i].limit, tongue, &c->why))
			return false;
	return true;
}

/* ---- one request in Lua ---- */

static void complain(struct sd_limit_store *s, const struct sd_resp_value *reply)
{
	char what[192];
	bool error = sd_resp_is_error(reply->kind);
	if (s->complained)
		return;
	s->complained = true;
	snprintf(what, sizeof(what), "%.*s", error ? (int)(reply->text.n < 160 ? reply->text.n : 160) : 26,
		 error ? reply->text.p : "an answer of another form");
	s->conf.odd(s->conf.arg, what);
}

static void on_evaluated(void *arg, enum sd_err err, const struct sd_resp_value *reply);

static void evaluate(struct sd_limit_call *c)
{
	struct sd_limit_words words;
	sd_limit_evaluate(&words, c->again ? NULL : c->store->sha, c->op, c->items, c->keys, c->n);
	if (sd_resp_link_ask(c->store->link, words.n, words.argv, on_evaluated, c))
		lose(c);
}

static void on_evaluated(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct sd_limit_call *c = arg;
	if (err) {
		lose(c);
	} else if (sd_limit_evaluated(reply, c->items, c->n, c->answers)) {
		c->end(c, SD_LIMIT_STORED);
	} else if (!c->again && sd_resp_is_error(reply->kind) && sd_slice_starts(reply->text, "NOSCRIPT")) {
		c->again = true; /* its scripts were thrown away */
		evaluate(c);
	} else {
		complain(c->store, reply);
		lose(c);
	}
}

/* ---- one request for each limit ---- */

static void nobody(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	(void)arg;
	(void)err;
	(void)reply;
}

/* Of those that were taken while another was refused, or not answered; what does not get through was taken for nothing. */
static void give_back(struct sd_limit_call *c)
{
	struct sd_limit_words words;
	for (size_t i = 0; i < c->n; i++) {
		struct sd_ratelimit_answer *one = &c->answers[i];
		struct sd_limit_item item = c->items[i];
		if (!one->allowed)
			continue;
		item.used = 0;
		sd_limit_throttle(&words, SD_LIMIT_SETTLE, &item, c->keys[i]);
		sd_resp_link_ask(c->store->link, words.n, words.argv, nobody, NULL);
		one->remaining = one->remaining + item.cost < one->most ? one->remaining + item.cost : one->most;
	}
}

static void throttled(struct sd_limit_call *c)
{
	bool all = !c->lost;
	for (size_t i = 0; i < c->n; i++)
		all &= c->answers[i].allowed;
	if (!all && c->op == SD_LIMIT_TAKE)
		give_back(c);
	c->end(c, c->lost ? SD_LIMIT_LOST : SD_LIMIT_STORED);
}

/* They come in the order in which they were asked. */
static void on_throttled(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct sd_limit_call *c = arg;
	size_t i = c->got++;
	if (err || !sd_limit_throttled(reply, c->op, &c->items[i], &c->answers[i])) {
		if (reply)
			complain(c->store, reply);
		c->lost = true;
	}
	if (--c->left == 0)
		throttled(c);
}

static bool has_words(struct sd_limit_call *c)
{
	struct sd_limit_words words;
	if (!fits(c, SD_LIMIT_THROTTLE))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (!sd_limit_throttle(&words, c->op, &c->items[i], c->keys[i])) {
			sd_fail(&c->why, SD_EUSAGE, "a store without Lua gives back, but neither charges nor forgets");
			return false;
		}
	return true;
}

static void throttle(struct sd_limit_call *c)
{
	struct sd_limit_words words;
	if (!has_words(c)) {
		c->end(c, SD_LIMIT_UNABLE);
		return;
	}
	for (size_t i = 0; i < c->n && !c->lost; i++) {
		sd_limit_throttle(&words, c->op, &c->items[i], c->keys[i]);
		c->lost = sd_resp_link_ask(c->store->link, words.n, words.argv, on_throttled, c) != SD_OK;
		c->left += !c->lost;
	}
	if (c->left == 0)
		lose(c);
}

static void send_call(struct sd_limit_store *s, struct sd_limit_call *c)
{
	switch (s->state) {
	case LUA:
		if (fits(c, SD_LIMIT_LUA))
			evaluate(c);
		else
			c->end(c, SD_LIMIT_UNABLE);
		break;
	case THROTTLE: throttle(c); break;
	case FIRST: sd_list_add(&s->waiting, &c->link); break;
	case DOWN: lose(c); break;
	}
}

void sd_limit_store_ask(struct sd_limit_store *s, struct sd_limit_call *c)
{
	c->store = s;
	c->left = c->got = 0;
	c->lost = c->again = false;
	c->why = (struct sd_error){0};
	memset(c->answers, 0, c->n * sizeof(*c->answers));
	send_call(s, c);
}

/* ---- which tongue ---- */

static void flush_waiting(struct sd_limit_store *s)
{
	while (!sd_list_empty(&s->waiting)) {
		struct sd_limit_call *c = sd_container(s->waiting.next, struct sd_limit_call, link);
		sd_list_del(&c->link);
		send_call(s, c);
	}
}

static void stands(struct sd_limit_store *s, enum state state)
{
	s->state = state;
	s->complained = false;
	s->conf.up(s->conf.arg, state == LUA ? "in Lua" : "with CL.THROTTLE");
	flush_waiting(s);
}

static void on_down(void *arg, const char *why)
{
	struct sd_limit_store *s = arg;
	bool was_down = s->state == DOWN;
	s->state = DOWN;
	if (!was_down)
		s->conf.down(s->conf.arg, why);
	flush_waiting(s);
}

static void on_info(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct sd_limit_store *s = arg;
	struct sd_error e = {0};
	if (err == SD_ECANCELED || (err && !sd_resp_link_stands(s->link)))
		return;
	if (err || !sd_limit_has_throttle(reply))
		sd_resp_link_break(s->link, SD_EPROTO, err ? "it does not answer" : "it has neither Lua nor CL.THROTTLE");
	else if (s->conf.fits && s->conf.fits(s->conf.arg, SD_LIMIT_THROTTLE, &e))
		sd_resp_link_break(s->link, SD_EUSAGE, e.text);
	else
		stands(s, THROTTLE);
}

static void ask_words(struct sd_limit_store *s, const char *const *words, size_t n, sd_resp_answered *fn)
{
	struct sd_slice argv[3];
	for (size_t i = 0; i < n; i++)
		argv[i] = sd_slice_of(words[i]);
	if (sd_resp_link_ask(s->link, n, argv, fn, s))
		sd_resp_link_break(s->link, SD_ENOMEM, "out of memory");
}

static void on_loaded(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	static const char *const info[] = {"COMMAND", "INFO", "CL.THROTTLE"};
	struct sd_limit_store *s = arg;
	if (err == SD_ECANCELED || (err && !sd_resp_link_stands(s->link)))
		return;
	if (err) {
		sd_resp_link_break(s->link, err, "it does not answer");
	} else if (reply->kind == SD_RESP_BULK && reply->text.n == 40) {
		snprintf(s->sha, sizeof(s->sha), "%.40s", reply->text.p);
		stands(s, LUA);
	} else {
		ask_words(s, info, 3, on_info);
	}
}

static void on_up(void *arg)
{
	const char *const load[] = {"SCRIPT", "LOAD", sd_limit_script};
	ask_words(arg, load, 3, on_loaded);
}

bool sd_limit_store_decides(const struct sd_limit_store *s)
{
	return s->state == LUA || s->state == THROTTLE;
}

const char *sd_limit_store_why(const struct sd_limit_store *s)
{
	return sd_limit_store_decides(s) ? "" : sd_resp_link_why(s->link);
}

/* ---- life ---- */

static enum sd_err find_addr(const char *url, struct sd_resp_url *out, struct sd_addr *addr, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	enum sd_err err = sd_resp_url_parse(url, out, e);
	if (err)
		return err;
	snprintf(text, sizeof(text), "%.*s%s", (int)(out->host.n < 240 ? out->host.n : 240), out->host.p, out->has_port ? "" : ":6379");
	return sd_addr_parse(text, "127.0.0.1", addr, e) ? (e->code = SD_EUSAGE) : SD_OK;
}

enum sd_err sd_limit_store_check(const char *url, bool *secure, struct sd_error *e)
{
	struct sd_resp_url parts = {0};
	struct sd_addr addr;
	enum sd_err err = find_addr(url, &parts, &addr, e);
	*secure = parts.secure;
	explicit_bzero(&parts, sizeof(parts));
	return err;
}

/* Its certificate is to be for the host of the URL, without port and brackets. */
static enum sd_err find_tls(struct sd_limit_store *s, struct sd_world *world, const struct sd_resp_url *url, struct sd_error *e)
{
	struct sd_tls_client_conf c = {.ca = s->conf.ca, .insecure = s->conf.insecure};
	struct sd_slice host = url->host;
	char name[256];
	if (host.n && *host.p == '[') {
		const char *close = memchr(host.p, ']', host.n);
		host = (struct sd_slice){host.p + 1, close ? (size_t)(close - host.p) - 1 : host.n - 1};
	} else if (url->has_port) {
		host.n = (size_t)((const char *)memrchr(host.p, ':', host.n) - host.p);
	}
	if (host.n >= sizeof(name))
		return sd_fail(e, SD_EUSAGE, "the host name of the URL is too long");
	snprintf(name, sizeof(name), "%.*s", (int)host.n, host.p);
	s->tls = sd_tls_client_new(world, &c, e);
	s->target = s->tls ? sd_tls_target_new(s->tls, name) : NULL;
	return s->target ? SD_OK : e->code ? e->code : sd_fail(e, SD_ENOMEM, "out of memory");
}

static void free_store(struct sd_limit_store *s)
{
	sd_tls_target_free(s->target);
	sd_tls_client_release(s->tls);
	free(s);
}

static enum sd_err open_link(struct sd_limit_store *s, struct sd_loop *l, struct sd_resp_url *url, struct sd_error *e)
{
	struct sd_resp_link_conf how = sd_resp_link_defaults;
	enum sd_err err = find_addr(s->conf.url, url, &how.addr, e);
	if (!err && url->secure)
		err = find_tls(s, sd_loop_world(l), url, e);
	if (err)
		return err;
	how.tls = s->target;
	how.user = url->user;
	how.password = url->password;
	how.db = url->db;
	how.timeout_ns = s->conf.timeout_ns;
	how.most = MOST;
	how.most_bytes = MOST_BYTES;
	how.up = on_up;
	how.down = on_down;
	how.arg = s;
	s->link = sd_resp_link_open(l, &how);
	return s->link ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

struct sd_limit_store *sd_limit_store_open(struct sd_loop *l, const struct sd_limit_store_conf *conf, struct sd_error *e)
{
	struct sd_resp_url url = {0};
	struct sd_limit_store *s = calloc(1, sizeof(*s));
	if (!s) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	s->conf = *conf;
	sd_list_init(&s->waiting);
	enum sd_err err = open_link(s, l, &url, e);
	explicit_bzero(&url, sizeof(url));
	s->conf.url = s->conf.ca = NULL;
	if (err) {
		free_store(s);
		return NULL;
	}
	return s;
}

void sd_limit_store_close(struct sd_limit_store *s)
{
	if (!s)
		return;
	s->state = DOWN;
	flush_waiting(s);
	sd_resp_link_close(s->link);
	free_store(s);
}
