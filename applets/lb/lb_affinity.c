#include "lb_affinity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/secret.h"
#include "core/proxy_head.h"
#include "lb.h"


/* ---- the configuration ---- */

const struct sd_conf *lb_from(const struct lb_scope *scope, const char *path)
{
	return scope->row && sd_conf_is_set(scope->row, path) ? scope->row : scope->conf;
}

/* Does any pool of it keep clients by a cookie? */
static bool has_cookies(const struct sd_conf *conf)
{
	bool any = sd_conf_has(conf, "sticky.cookie");
	for (size_t i = 0; !any && i < sd_conf_count(conf, "pools"); i++)
		any = sd_conf_has(sd_conf_row(conf, "pools", i), "sticky.cookie");
	return any;
}

/* A token (RFC 9110 section 5.6.2), as names of fields and cookies are. */
static bool is_token(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n < LB_NAME &&
	       n == strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");
}

static bool is_query_name(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n < LB_NAME && n == strcspn(s, "&=# \t\r\n");
}

static enum sd_err check_hash(const struct lb_scope *scope, struct sd_error *e)
{
	const struct sd_conf *conf = lb_from(scope, "hash.on"), *named = lb_from(scope, "hash.name");
	const struct sd_conf *bounded = lb_from(scope, "hash.bound");
	enum lb_hash_on on = (enum lb_hash_on)sd_conf_int(conf, "hash.on");
	const char *name = sd_conf_string(named, "hash.name");
	bool wants_name = on == LB_HASH_HEADER || on == LB_HASH_COOKIE || on == LB_HASH_QUERY;
	double bound = sd_conf_number(bounded, "hash.bound");
	if (wants_name && !name)
		return sd_fail(e, SD_EINVAL, "%s: hash: expected the name of the %s, such as name: session",
			       sd_conf_origin(conf, "hash.on"), sd_conf_string(conf, "hash.on"));
	if (wants_name && !(on == LB_HASH_QUERY ? is_query_name(name) : is_token(name)))
		return sd_fail(e, SD_EINVAL, "%s: hash name: expected 1 to %d letters, digits or signs of a %s name",
			       sd_conf_origin(named, "hash.name"), LB_NAME - 1, sd_conf_string(conf, "hash.on"));
	if (name && !wants_name && named == conf)
		return sd_fail(e, SD_EINVAL, "%s: hash name: not used with on: %s", sd_conf_origin(named, "hash.name"),
			       sd_conf_string(conf, "hash.on"));
	if (bound != 0 && (bound < 1.01 || bound > 1000))
		return sd_fail(e, SD_EINVAL, "%s: hash bound: expected 0, or 1.01 to 1000",
			       sd_conf_origin(bounded, "hash.bound"));
	return SD_OK;
}

static enum sd_err check_cookie(const struct lb_scope *scope, struct sd_error *e)
{
	const struct sd_conf *conf = lb_from(scope, "sticky.cookie");
	const char *cookie = sd_conf_string(conf, "sticky.cookie");
	if (cookie && !is_token(cookie) && (conf == scope->conf || *cookie))
		return sd_fail(e, SD_EINVAL, "%s: sticky cookie: expected a name of 1 to %d letters, digits or signs",
			       sd_conf_origin(conf, "sticky.cookie"), LB_NAME - 1);
	return SD_OK;
}

static enum sd_err check_key(const struct sd_conf *conf, struct sd_error *e)
{
	const char *secret = sd_conf_string(conf, "sticky.secret");
	bool cookie = has_cookies(conf);
	static const char *const others[] = {"sticky.secret", "sticky.secret-file", "sticky.max-age"};
	for (size_t i = 0; !cookie && i < sizeof(others) / sizeof(others[0]); i++)
		if (sd_conf_is_set(conf, others[i]))
			return sd_fail(e, SD_EINVAL, "%s: sticky: expected the name of a cookie as well, such as cookie: lb",
				       sd_conf_origin(conf, others[i]));
	if (secret && sd_conf_has(conf, "sticky.secret-file"))
		return sd_fail(e, SD_EINVAL, "%s: sticky: expected secret or secret-file, not both",
			       sd_conf_origin(conf, "sticky.secret"));
	if (secret && strlen(secret) < SD_STICKY_MIN_SECRET)
		return sd_fail(e, SD_EINVAL, "%s: sticky secret: expected at least %d bytes",
			       sd_conf_origin(conf, "sticky.secret"), SD_STICKY_MIN_SECRET);
	return SD_OK;
}

enum sd_err lb_affinity_check(const struct lb_scope *scope, struct sd_error *e)
{
	const struct sd_conf *conf = lb_from(scope, "hash.on");
	enum sd_err err = check_hash(scope, e);
	if (!err)
		err = check_cookie(scope, e);
	if (!err)
		err = check_key(scope->conf, e);
	if (err || (enum lb_mode)sd_conf_int(scope->conf, "mode") == LB_HTTP)
		return err;
	if ((enum lb_hash_on)sd_conf_int(conf, "hash.on") != LB_HASH_CLIENT)
		return sd_fail(e, SD_EINVAL, "%s: hash: expected on: client in TCP mode, which sees no requests",
			       sd_conf_origin(conf, "hash.on"));
	conf = lb_from(scope, "sticky.cookie");
	if (sd_conf_has(conf, "sticky.cookie"))
		return sd_fail(e, SD_EINVAL, "%s: sticky: there are no cookies in TCP mode; use algorithm: hash",
			       sd_conf_origin(conf, "sticky.cookie"));
	return SD_OK;
}

/* ---- the key of the cookies ---- */

enum sd_err lb_affinity_find(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e)
{
	char text[SD_SECRET_MAX + 1];
	size_t n = 0;
	const char *file = sd_conf_string(conf, "sticky.secret-file");
	enum sd_err err = file && has_cookies(conf) ? sd_secret_read(w, file, SD_STICKY_MIN_SECRET, text, &n, e) : SD_OK;
	explicit_bzero(text, n);
	return err ? sd_wrap(e, "%s: sticky secret-file", sd_conf_origin(conf, "sticky.secret-file")) : SD_OK;
}

enum sd_err lb_affinity_key(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	const char *secret = sd_conf_string(conf, "sticky.secret"), *file = sd_conf_string(conf, "sticky.secret-file");
	char text[SD_SECRET_MAX + 1];
	size_t n = 0;
	if (!has_cookies(conf))
		return SD_OK;
	if (secret) {
		lb->sticky_key = sd_sticky_key(secret, strlen(secret));
	} else if (file) {
		enum sd_err err = sd_secret_read(lb->run->spec.world, file, SD_STICKY_MIN_SECRET, text, &n, e);
		if (err)
			return sd_wrap(e, "%s: sticky secret-file", sd_conf_origin(conf, "sticky.secret-file"));
		lb->sticky_key = sd_sticky_key(text, n);
	} else if (!lb->sticky_made) {
		/* one made here stays over reloads */
		sd_world_random(lb->run->spec.world, &lb->sticky_key, sizeof(lb->sticky_key));
		sd_event(lb->run->log, SD_WARN, "sticky_key_made", NULL,
			 "Sticky sessions will not survive a restart: no sticky secret is set");
	}
	lb->sticky_made = !secret && !file;
	explicit_bzero(text, n);
	return SD_OK;
}

/* ---- snapshots ---- */

void lb_affinity_make(const struct lb *lb, const struct lb_scope *scope, const char *pool, struct lb_affinity_rules *out)
{
	const char *name = sd_conf_string(lb_from(scope, "hash.name"), "hash.name");
	const struct sd_conf *from = lb_from(scope, "sticky.cookie");
	const char *cookie = sd_conf_string(from, "sticky.cookie");
	const struct sd_conf *algorithm = lb_from(scope, "algorithm");
	/* two pools that shared a cookie would overwrite each other's */
	bool shared = from == scope->conf && strcmp(pool, LB_DEFAULT_POOL) != 0;
	out->hash = sd_conf_int(algorithm, "algorithm") == SD_BALANCE_HASH;
	out->on = (enum lb_hash_on)sd_conf_int(lb_from(scope, "hash.on"), "hash.on");
	out->sticky = cookie && *cookie;
	out->key = lb->sticky_key;
	out->max_age_s = sd_conf_int(lb_from(scope, "sticky.max-age"), "sticky.max-age") / 1000000000;
	snprintf(out->name, sizeof(out->name), "%s", name ? name : "");
	snprintf(out->cookie, sizeof(out->cookie), "%s%s%s", cookie ? cookie : "", shared ? "-" : "", shared ? pool : "");
}

/* ---- what a request says ---- */

static bool find_cookie(const struct sd_http_head *head, const char *name, struct sd_slice *value)
{
	for (size_t i = 0; i < head->nfields; i++)
		if (sd_slice_ieq(head->fields[i].name, "cookie") &&
		    sd_pairs_find(head->fields[i].value, ';', name, value))
			return true;
	return false;
}

static struct sd_slice client_of(const struct sd_peer *client)
{
	if (client->kind != SD_ADDR_INET)
		return (struct sd_slice){NULL, 0};
	return (struct sd_slice){(const char *)client->ip, client->v6 ? 16 : 4};
}

/* who: as the client's address is kept; it outlives the slice. */
static struct sd_slice key_of(const struct lb_affinity_rules *a, const struct sd_http_head *head,
			      const struct sd_peer *who)
{
	struct sd_slice v = {NULL, 0};
	const struct sd_http_field *f;
	switch (a->on) {
	case LB_HASH_CLIENT:
		return client_of(who);
	case LB_HASH_HEADER:
		f = sd_http_find_name(head, a->name);
		return f ? f->value : v;
	case LB_HASH_COOKIE:
		find_cookie(head, a->name, &v);
		return v;
	case LB_HASH_QUERY:
		sd_pairs_find(head->query, '&', a->name, &v);
		return v;
	default:
		return head->path;
	}
}

static void set_key(const struct lb_pool *pool, struct sd_slice text, struct lb_affinity *out)
{
	out->has_key = text.n > 0;
	if (out->has_key)
		out->key = sd_ring_hash(pool->balance.ring, text.p, text.n);
}

void lb_affinity_of_client(const struct lb_worker *w, uint32_t pool, const struct sd_peer *client, struct lb_affinity *out)
{
	*out = (struct lb_affinity){0};
	if (pool != LB_NO_POOL && w->snap->pools[pool].affinity.hash)
		set_key(&w->snap->pools[pool], client_of(client), out);
}

static void read_cookie(struct lb_worker *w, const struct lb_affinity_rules *a, const struct sd_http_head *head,
			struct lb_affinity *out)
{
	struct sd_slice value;
	if (!find_cookie(head, a->cookie, &value))
		return;
	out->had_cookie = sd_sticky_read(&a->key, value, &out->pin);
	if (out->had_cookie)
		return;
	out->pin = 0;
	sd_count(&w->sticky_bad, 1);
}

/* A trusted proxy in front that took TLS off says so. */
static bool says_https(const struct lb_snapshot *s, const struct sd_http_head *head, const struct sd_peer *peer)
{
	const struct sd_http_field *f = sd_http_find(head, SD_HTTP_F_X_FORWARDED_PROTO);
	return f && sd_slice_ieq(f->value, "https") && sd_proxy_is_trusted(peer, s->trusted, s->ntrusted);
}

void lb_affinity_of(struct lb_worker *w, uint32_t pool, const struct sd_http_head *head, const struct sd_peer *peer,
		    bool tls, struct lb_affinity *out)
{
	const struct lb_snapshot *s = w->snap;
	*out = (struct lb_affinity){0};
	if (pool == LB_NO_POOL)
		return;
	const struct lb_affinity_rules *a = &s->pools[pool].affinity;
	if (a->hash) {
		struct sd_peer who = *peer;
		if (a->on == LB_HASH_CLIENT)
			who = sd_proxy_client(head, peer, s->trusted, s->ntrusted);
		set_key(&s->pools[pool], key_of(a, head, &who), out);
	}
	if (a->sticky) {
		out->secure = tls || says_https(s, head, peer);
		read_cookie(w, a, head, out);
	}
}

/* ---- pins ---- */

int lb_affinity_pinned(const struct lb_snapshot *s, uint32_t pool, const struct lb_affinity *a, const uint64_t *tried)
{
	if (!a->pin || pool == LB_NO_POOL || !s->pools[pool].affinity.sticky)
		return -1;
	const struct lb_entry *entries = &s->entries[s->pools[pool].first];
	for (size_t i = 0; i < s->pools[pool].n; i++)
		if (entries[i].sticky_id == a->pin)
			return entries[i].well && !(tried[i / 64] >> (i % 64) & 1) ? (int)i : -1;
	return -1;
}

void lb_affinity_answer(struct lb_worker *w, uint32_t pool, struct sd_http_exchange *x, const struct lb_affinity *a,
			const struct lb_backend *b)
{
	char value[SD_STICKY_TEXT + 1], text[LB_NAME + LB_POOL + SD_STICKY_TEXT + 96], age[40] = "";
	if (pool == LB_NO_POOL || !w->snap->pools[pool].affinity.sticky)
		return;
	const struct lb_affinity_rules *rules = &w->snap->pools[pool].affinity;
	uint64_t id = sd_sticky_id(&rules->key, b->name);
	if (a->pin == id) {
		sd_count(&w->sticky_kept, 1);
		return;
	}
	sd_count(a->had_cookie ? &w->sticky_moved : &w->sticky_new, 1);
	sd_sticky_write(&rules->key, id, value);
	if (rules->max_age_s > 0)
		snprintf(age, sizeof(age), "; Max-Age=%lld", (long long)rules->max_age_s);
	snprintf(text, sizeof(text), "%s=%s; Path=/; HttpOnly; SameSite=Lax%s%s", rules->cookie, value,
		 a->secure ? "; Secure" : "", age);
	sd_http_field_text(x, "Set-Cookie", text);
}
