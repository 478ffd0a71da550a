/* sh_page_login.c - who may use the dashboard: a password, and cookies that say it was given.
 *
 *	cookie  WHEN "." CHANCE "." MAC    when the session ends (seconds, hexadecimal), 16 random digits, 64 digits
 *	MAC   = HMAC-SHA256(key, "session " WHEN "." CHANCE)
 *	token = HMAC-SHA256(key, "token " cookie)
 *	key   = HMAC-SHA256(secret of the database, "dashboard " password)
 *
 * Another secret ends all sessions. The database is asked for it again every few seconds that somebody calls, since another server may have made
 * one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../store/sh_store.h"
#include "app/secret.h"
#include "core/client_key.h"
#include "core/same_secret.h"
#include "core/sticky.h"
#include "core/url_text.h"
#include "net/tls_hmac.h"
#include "sh_page_int.h"
#include "world/world.h"

#define COOKIE	 "sdlab_session"
#define LASTS_S	 (12 * 3600)
#define SKEW_S	 3600 /* a clock that was set back by more than this ends a session, and makes none longer */
#define FRESH_NS INT64_C(5000000000)
#define TRIES	 10 /* of a client in a minute */
#define MAX_KEYS 10000

/* One try comes back every six seconds. */
static const struct sd_ratelimit_limit tries = {
    .kind = SD_RATELIMIT_TOKEN_BUCKET, .count = TRIES, .burst = TRIES, .period_ns = INT64_C(60) * 1000000000};

/* ---- signatures ---- */

static struct sd_slice bytes(const void *p, size_t n)
{
	return (struct sd_slice){p, n};
}

/* HMAC of two texts, one after the other, as 64 hexadecimal digits; "" when memory ran out. */
static void sign(const struct sh_page *p, const char *what, struct sd_slice text, char out[SH_TOKEN_MAX])
{
	uint8_t mac[SD_HMAC_BYTES];
	char both[SH_SESSION_MAX + 16];
	int n = snprintf(both, sizeof(both), "%s %.*s", what, (int)text.n, text.p);
	out[0] = '\0';
	if (n < 0 || (size_t)n >= sizeof(both) || !sd_hmac_sha256(bytes(p->key, sizeof(p->key)), both, (size_t)n, mac))
		return;
	for (size_t i = 0; i < sizeof(mac); i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

/* ---- sessions ---- */

static int64_t now_s(const struct sh_call *c)
{
	return sh_now_ms(c->sh) / 1000;
}

static bool good(const struct sh_call *c, struct sd_slice cookie)
{
	char mac[SH_TOKEN_MAX], when[20];
	const char *dot = memrchr(cookie.p, '.', cookie.n), *first = memchr(cookie.p, '.', cookie.n);
	if (!dot || dot == first || cookie.n >= SH_SESSION_MAX || (size_t)(first - cookie.p) >= sizeof(when))
		return false;
	sign(c->sh->page, "session", bytes(cookie.p, (size_t)(dot - cookie.p)), mac);
	if (!mac[0] || !sd_same_secret(bytes(dot + 1, cookie.n - (size_t)(dot + 1 - cookie.p)), mac))
		return false;
	snprintf(when, sizeof(when), "%.*s", (int)(first - cookie.p), cookie.p);
	int64_t left = strtoll(when, NULL, 16) - now_s(c);
	return left > 0 && left <= LASTS_S + SKEW_S;
}

bool sh_session_read(struct sh_call *c, struct sh_session *s)
{
	struct sd_slice cookie;
	if (!sd_pairs_find(c->cookie, ';', COOKIE, &cookie) || !good(c, cookie))
		return false;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)cookie.n, cookie.p);
	sign(c->sh->page, "token", cookie, s->token);
	return s->token[0];
}

static void set_cookie(struct sh_call *c, const char *value, int lasts_s)
{
	sh_answer_field(c, "Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", COOKIE, value, lasts_s, c->secure ? "; Secure" : "");
}

bool sh_session_make(struct sh_call *c, struct sh_session *s)
{
	char mac[SH_TOKEN_MAX];
	uint64_t chance;
	sd_world_random(c->sh->run->spec.world, &chance, sizeof(chance));
	int n = snprintf(s->text, sizeof(s->text), "%llx.%016llx", (unsigned long long)(now_s(c) + LASTS_S), (unsigned long long)chance);
	sign(c->sh->page, "session", bytes(s->text, (size_t)n), mac);
	snprintf(s->text + n, sizeof(s->text) - (size_t)n, ".%s", mac);
	sign(c->sh->page, "token", sd_slice_of(s->text), s->token);
	if (!mac[0] || !s->token[0])
		return false;
	set_cookie(c, s->text, LASTS_S);
	return true;
}

void sh_session_end(struct sh_call *c)
{
	set_cookie(c, "", 0);
}

bool sh_session_token(const struct sh_session *s, struct sd_slice said)
{
	return sd_same_secret(said, s->token);
}

/* ---- the key ---- */

struct wait {
	struct sd_link link;
	struct sh_call *c;
	sh_page_key_fn *fn;
};

static void wake_all(struct sh_page *p)
{
	while (!sd_list_empty(&p->waits)) {
		struct wait *w = sd_container(p->waits.next, struct wait, link);
		sd_list_del(&w->link);
		w->fn(w->c, p->has_key);
		free(w);
	}
}

static void make_key(struct sh_page *p, const struct sd_siphash_key *secret)
{
	uint8_t before[SH_KEY_BYTES];
	struct sd_text t = {0};
	bool had = p->has_key;
	memcpy(before, p->key, sizeof(before));
	sd_text_add(&t, "dashboard ", 10);
	if (p->password)
		sd_text_add(&t, p->password, strlen(p->password));
	p->has_key = !t.full && sd_hmac_sha256(bytes(secret, sizeof(*secret)), t.p, t.n, p->key);
	if (t.p)
		explicit_bzero(t.p, t.n);
	free(t.p);
	if (had && memcmp(before, p->key, sizeof(before)) != 0)
		sh_live_end_all(p->sh);
	explicit_bzero(before, sizeof(before));
}

static void on_secret(void *arg, const struct sd_error *e, const struct sd_siphash_key *secret)
{
	struct sh_page *p = arg;
	p->asking = false;
	p->fresh_until_ns = sd_world_mono_ns(p->sh->run->spec.world) + FRESH_NS;
	if (!e->code)
		make_key(p, secret); /* else the one it has stays: without its database the dashboard does nothing */
	wake_all(p);
}

void sh_page_with_key(struct sh_call *c, sh_page_key_fn *fn)
{
	struct sh_page *p = c->sh->page;
	bool fresh = p->has_key && !p->asking && sd_world_mono_ns(p->sh->run->spec.world) < p->fresh_until_ns;
	struct wait *w = fresh ? NULL : malloc(sizeof(*w));
	if (!w) {
		fn(c, p->has_key);
		return;
	}
	*w = (struct wait){.c = c, .fn = fn};
	sd_list_add(&p->waits, &w->link);
	if (p->asking)
		return;
	p->asking = true;
	sh_store_secret(p->sh->store, "dashboard", on_secret, p);
}

/* ---- who calls ---- */

static bool is_loopback(struct sd_slice ip)
{
	struct sd_addr a = {.kind = SD_ADDR_INET};
	while (ip.n && ip.p[0] == ' ')
		ip = bytes(ip.p + 1, ip.n - 1);
	while (ip.n && ip.p[ip.n - 1] == ' ')
		ip.n--;
	return sd_ip_parse(ip, a.ip, &a.v6) && sd_addr_is_loopback(&a);
}

/* All that proxies tell of must be near: what a client wrote there itself is one of them at most. */
static bool all_near(struct sd_slice list)
{
	while (list.n) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;
		if (!is_loopback(bytes(list.p, n)))
			return false;
		list.p += n + (comma != NULL);
		list.n -= n + (comma != NULL);
	}
	return true;
}

static bool peer_is_near(const struct sd_peer *peer)
{
	struct sd_addr a = {.kind = SD_ADDR_INET, .v6 = peer->v6};
	memcpy(a.ip, peer->ip, sizeof(a.ip));
	return peer->kind == SD_ADDR_UNIX || peer->kind == SD_ADDR_INPROC || (peer->kind == SD_ADDR_INET && sd_addr_is_loopback(&a));
}

/* A page elsewhere whose name was made to lead here (DNS rebinding) asks for its own name. */
static bool host_is_near(struct sd_slice host)
{
	if (host.n && host.p[0] == '[') {
		const char *end = memchr(host.p, ']', host.n);
		return end && is_loopback(bytes(host.p + 1, (size_t)(end - host.p) - 1));
	}
	const char *colon = memchr(host.p, ':', host.n);
	host.n = colon ? (size_t)(colon - host.p) : host.n;
	return sd_slice_ieq(host, "localhost") || is_loopback(host);
}

bool sh_page_is_near(const struct sh_call *c)
{
	return peer_is_near(&c->peer) && all_near(c->forwarded) && host_is_near(c->host);
}

struct session_call {
	sh_page_session_fn *fn;
};

static bool changes(const struct sh_call *c)
{
	return c->method != SD_HTTP_GET && c->method != SD_HTTP_HEAD;
}

static bool is_good(struct sh_call *c)
{
	struct sh_session s = {0};
	bool open = c->sh->page->password || sh_page_is_near(c);
	return open && sh_session_read(c, &s) && (!changes(c) || sh_session_token(&s, c->csrf));
}

static void on_session_key(struct sh_call *c, bool has)
{
	struct session_call *s = c->mine;
	sh_page_session_fn *fn = s->fn;
	c->mine = NULL;
	free(s);
	fn(c, has && is_good(c));
}

void sh_page_session(struct sh_call *c, sh_page_session_fn *fn)
{
	struct sd_slice cookie;
	struct session_call *s = c->sh->page && sd_pairs_find(c->cookie, ';', COOKIE, &cookie) ? malloc(sizeof(*s)) : NULL;
	if (!s) {
		fn(c, false);
		return;
	}
	s->fn = fn;
	c->mine = s;
	sh_page_with_key(c, on_session_key);
}

bool sh_page_guards(const struct sh_page *p)
{
	return p && p->password;
}

/* ---- logging in and out ---- */

/* The same time for every wrong one: what is compared are MACs of both. */
static bool is_password(const struct sh_page *p, const char *said)
{
	uint8_t a[SD_HMAC_BYTES], b[SD_HMAC_BYTES];
	unsigned diff = 0;
	if (!sd_hmac_sha256(bytes(p->key, sizeof(p->key)), said, strlen(said), a) ||
	    !sd_hmac_sha256(bytes(p->key, sizeof(p->key)), p->password, strlen(p->password), b))
		return false;
	for (size_t i = 0; i < sizeof(a); i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static void back_to_page(struct sh_call *c)
{
	sh_answer_field(c, "Location", "/dashboard");
	sh_answer(c, 303, NULL, NULL, 0);
}

static bool read_field(const struct sh_call *c, const char *name, char *out, size_t room)
{
	return sh_query_get((struct sd_slice){c->body.p, c->body.n}, name, out, room);
}

static void try_password(struct sh_call *c, struct sd_ratelimit_ask *ask)
{
	struct sh_page *p = c->sh->page;
	char said[SD_SECRET_MAX + 1];
	struct sh_session s = {0};
	int64_t now = sd_world_mono_ns(c->sh->run->spec.world);
	struct sd_ratelimit_answer answer;
	if (sd_ratelimit_take(p->tries, ask, 1, now, &answer)) {
		sh_answer_field(c, "Retry-After", "%lld", (long long)((answer.retry_ns + 999999999) / 1000000000));
		sh_page_login_form(c, 429, "Too many tries. Wait a moment.");
	} else if (!read_field(c, "password", said, sizeof(said)) || !is_password(p, said)) {
		sh_page_login_form(c, 403, "That is not the password.");
	} else if (!sh_session_make(c, &s)) {
		sh_answer_problem(c, SH_INTERNAL, NULL, "out of memory");
	} else {
		sd_ratelimit_refund(p->tries, ask, now, now);
		back_to_page(c);
	}
	explicit_bzero(said, sizeof(said));
}

static void log_in(struct sh_call *c, bool has_key)
{
	struct sd_client_key key = {0};
	struct sd_ratelimit_ask ask = {.limit = &tries, .cost = 1};
	sd_client_key_of(&c->peer, &key);
	ask.key = bytes(key.bytes, sizeof(key.bytes));
	if (!has_key)
		sh_answer_problem(c, SH_DB_AWAY, NULL, "The dashboard needs the database.");
	else if (!c->sh->page->password)
		back_to_page(c);
	else
		try_password(c, &ask);
}

void sh_run_login(struct sh_call *c)
{
	sh_page_with_key(c, log_in);
}

static bool may_log_out(struct sh_call *c)
{
	char token[SH_TOKEN_MAX];
	struct sh_session s = {0};
	return sh_session_read(c, &s) && read_field(c, "token", token, sizeof(token)) && sh_session_token(&s, sd_slice_of(token));
}

static void log_out(struct sh_call *c, bool has_key)
{
	if (has_key && may_log_out(c))
		sh_session_end(c);
	back_to_page(c);
}

void sh_run_logout(struct sh_call *c)
{
	sh_page_with_key(c, log_out);
}

/* A new secret was made, or not. Calls that came meanwhile waited for it. */
static void on_renewed(void *arg, const struct sd_error *e, const struct sd_siphash_key *secret)
{
	struct sh_call *c = arg;
	on_secret(c->sh->page, e, secret);
	if (e->code) {
		sh_answer_failed(c, e->code, e);
		return;
	}
	sh_session_end(c);
	back_to_page(c);
}

static void log_out_all(struct sh_call *c, bool has_key)
{
	struct sh_page *p = c->sh->page;
	if (!has_key) {
		sh_answer_problem(c, SH_DB_AWAY, NULL, "The dashboard needs the database.");
	} else if (!may_log_out(c)) {
		back_to_page(c);
	} else {
		p->asking = true; /* who comes now waits for the new one */
		sh_store_secret_renew(p->sh->store, "dashboard", on_renewed, c);
	}
}

void sh_run_logout_all(struct sh_call *c)
{
	sh_page_with_key(c, log_out_all);
}

/* ---- life ---- */

enum sd_err sh_page_check(const struct sd_conf *conf, struct sd_error *e)
{
	const char *text = sd_conf_string(conf, "dashboard-password");
	if (!text || (*text && !sd_conf_has(conf, "dashboard-password-file")))
		return SD_OK;
	return sd_fail(e, SD_EUSAGE, "%s: expected %s", sd_conf_at(conf, "dashboard-password"),
		       *text ? "it or dashboard-password-file, found both" : "a password, found an empty one");
}

enum sd_err sh_page_open(struct sh *sh, const struct sd_conf *conf, struct sh_page **out, struct sd_error *e)
{
	struct sh_page *p = calloc(1, sizeof(*p));
	struct sd_ratelimit_conf limits = {.max_keys = MAX_KEYS};
	if (!p)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	p->sh = sh;
	sd_list_init(&p->waits);
	sd_world_random(sh->run->spec.world, limits.secret, sizeof(limits.secret));
	enum sd_err err = sd_secret_of(sh->run->spec.world, conf, "dashboard-password", "dashboard-password-file", &p->password, e);
	if (!err && sd_ratelimit_new(&limits, &p->tries))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (err)
		sh_page_close(p);
	else
		*out = p;
	return err;
}

void sh_page_close(struct sh_page *p)
{
	if (!p)
		return;
	if (p->password)
		explicit_bzero(p->password, strlen(p->password));
	free(p->password);
	explicit_bzero(p->key, sizeof(p->key));
	sd_ratelimit_free(p->tries);
	free(p);
}
