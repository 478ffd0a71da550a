#include "lb_affinity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proxy_head.h"
#include "lb.h"
#include "world/file.h"

/* At most so many points, 12 MB: with very many backends, or heavy ones, each gets fewer, and shares are less exact. */
#define MAX_POINTS (1u << 20)
#define MAX_SECRET 4096

/* ---- the configuration ---- */

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

static enum sd_err check_hash(const struct sd_conf *conf, struct sd_error *e)
{
	enum lb_hash_on on = (enum lb_hash_on)sd_conf_int(conf, "hash.on");
	const char *name = sd_conf_string(conf, "hash.name");
	bool wants_name = on == LB_HASH_HEADER || on == LB_HASH_COOKIE || on == LB_HASH_QUERY;
	double bound = sd_conf_number(conf, "hash.bound");
	if (wants_name && !name)
		return sd_fail(e, SD_EINVAL, "%s: hash: expected the name of the %s, such as name: session",
			       sd_conf_origin(conf, "hash.on"), sd_conf_string(conf, "hash.on"));
	if (wants_name && !(on == LB_HASH_QUERY ? is_query_name(name) : is_token(name)))
		return sd_fail(e, SD_EINVAL, "%s: hash name: expected 1 to %d letters, digits or signs of a %s name",
			       sd_conf_origin(conf, "hash.name"), LB_NAME - 1, sd_conf_string(conf, "hash.on"));
	if (name && !wants_name)
		return sd_fail(e, SD_EINVAL, "%s: hash name: not used with on: %s", sd_conf_origin(conf, "hash.name"),
			       sd_conf_string(conf, "hash.on"));
	if (bound != 0 && (bound < 1.01 || bound > 1000))
		return sd_fail(e, SD_EINVAL, "%s: hash bound: expected 0, or 1.01 to 1000",
			       sd_conf_origin(conf, "hash.bound"));
	return SD_OK;
}

static enum sd_err check_sticky(const struct sd_conf *conf, struct sd_error *e)
{
	const char *cookie = sd_conf_string(conf, "sticky.cookie"), *secret = sd_conf_string(conf, "sticky.secret");
	static const char *const others[] = {"sticky.secret", "sticky.secret-file", "sticky.max-age"};
	for (size_t i = 0; !cookie && i < sizeof(others) / sizeof(others[0]); i++)
		if (sd_conf_is_set(conf, others[i]))
			return sd_fail(e, SD_EINVAL, "%s: sticky: expected the name of a cookie as well, such as cookie: lb",
				       sd_conf_origin(conf, others[i]));
	if (cookie && !is_token(cookie))
		return sd_fail(e, SD_EINVAL, "%s: sticky cookie: expected a name of 1 to %d letters, digits or signs",
			       sd_conf_origin(conf, "sticky.cookie"), LB_NAME - 1);
	if (secret && sd_conf_has(conf, "sticky.secret-file"))
		return sd_fail(e, SD_EINVAL, "%s: sticky: expected secret or secret-file, not both",
			       sd_conf_origin(conf, "sticky.secret"));
	if (secret && strlen(secret) < SD_STICKY_MIN_SECRET)
		return sd_fail(e, SD_EINVAL, "%s: sticky secret: expected at least %d bytes",
			       sd_conf_origin(conf, "sticky.secret"), SD_STICKY_MIN_SECRET);
	return SD_OK;
}

enum sd_err lb_affinity_check(const struct sd_conf *conf, struct sd_error *e)
{
	enum sd_err err = check_hash(conf, e);
	if (!err)
		err = check_sticky(conf, e);
	if (err || (enum lb_mode)sd_conf_int(conf, "mode") == LB_HTTP)
		return err;
	if ((enum lb_hash_on)sd_conf_int(conf, "hash.on") != LB_HASH_CLIENT)
		return sd_fail(e, SD_EINVAL, "%s: hash: expected on: client in TCP mode, which sees no requests",
			       sd_conf_origin(conf, "hash.on"));
	if (sd_conf_has(conf, "sticky.cookie"))
		return sd_fail(e, SD_EINVAL, "%s: sticky: there are no cookies in TCP mode; use algorithm: hash",
			       sd_conf_origin(conf, "sticky.cookie"));
	return SD_OK;
}

/* ---- the key of the cookies ---- */

static enum sd_err read_secret(struct sd_world *world, const char *name, char *out, size_t *n, struct sd_error *e)
{
	struct sd_file *f;
	enum sd_err err = sd_file_open(world, name, 0, &f, e);
	if (err)
		return err;
	err = sd_file_read(f, out, MAX_SECRET, 0, n, e);
	sd_file_close(f);
	while (!err && *n > 0 && (out[*n - 1] == '\n' || out[*n - 1] == '\r'))
		--*n;
	if (!err && *n < SD_STICKY_MIN_SECRET)
		return sd_fail(e, SD_EINVAL, "%s: expected at least %d bytes, found %zu", name, SD_STICKY_MIN_SECRET, *n);
	return err;
}

enum sd_err lb_affinity_key(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	const char *secret = sd_conf_string(conf, "sticky.secret"), *file = sd_conf_string(conf, "sticky.secret-file");
	char text[MAX_SECRET];
	size_t n = 0;
	if (!sd_conf_has(conf, "sticky.cookie"))
		return SD_OK;
	if (secret) {
		lb->sticky_key = sd_sticky_key(secret, strlen(secret));
	} else if (file) {
		enum sd_err err = read_secret(lb->run->spec.world, file, text, &n, e);
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

static uint32_t points_for_each(const struct lb_snapshot *s)
{
	uint64_t weights = 0;
	uint32_t vnodes = SD_RING_VNODES_DEFAULT;
	for (size_t i = 0; i < s->n; i++)
		weights += s->entries[i].weight;
	/* by halves, so that a backend more or less changes it rarely: it moves keys of all */
	while (vnodes > 1 && weights * vnodes > MAX_POINTS)
		vnodes /= 2;
	return vnodes;
}

/* One ring serves as long as names and weights stay: health does not change it, so that a backend that comes back finds
 * its keys as they were. */
static enum sd_err ring_make(struct lb *lb, const struct sd_conf *conf, struct lb_snapshot *s, struct sd_error *e)
{
	const char *seed = sd_conf_string(conf, "hash.seed");
	struct sd_ring_node *nodes = calloc(s->n + 1, sizeof(*nodes));
	struct sd_ring_conf c = {.kind = SD_RING_VNODES, .vnodes = points_for_each(s)};
	static const struct sd_siphash_key of_seeds = {3, 0};
	if (!nodes)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (seed)
		c.seed = sd_siphash(&of_seeds, seed, strlen(seed));
	for (size_t i = 0; i < s->n; i++) {
		const struct lb_backend *b = s->entries[i].backend;
		nodes[i] = (struct sd_ring_node){b->id, sd_slice_of(b->name), s->entries[i].weight};
	}
	enum sd_err err = SD_OK;
	if (!lb->ring || !sd_ring_is(lb->ring, &c, nodes, s->n)) {
		struct sd_ring *made;
		err = sd_ring_build(&c, nodes, s->n, &made);
		if (!err) {
			sd_ring_release(lb->ring);
			lb->ring = made;
		}
	}
	free(nodes);
	if (err)
		return sd_fail(e, err, "cannot make the ring of backends: %s", sd_err_text(err));
	s->balance.ring = sd_ring_hold(lb->ring);
	return SD_OK;
}

/* Says when the pool came into need, or out of it. */
static void say_tier(struct lb *lb, const struct lb_snapshot *s)
{
	static const char *const used[] = {"all are used, whatever their health", "none is used"};
	struct sd_balance_target targets[SD_BALANCE_MAX];
	for (size_t i = 0; i < s->n; i++)
		targets[i] = (struct sd_balance_target){.weight = s->entries[i].weight,
							.usable = s->entries[i].usable,
							.in_reach = s->entries[i].in_reach,
							.backup = s->entries[i].backup};
	struct sd_balance_tier was = lb->tier, is = sd_balance_tier(&s->balance, targets, s->n);
	lb->tier = is;
	if (is.panic && !was.panic)
		sd_event(lb->run->log, SD_WARN, "panic_begins", NULL, "Panic: %zu of %zu backends usable, so %s", is.usable,
			 is.of, used[s->balance.panic]);
	else if (!is.panic && was.panic)
		sd_event(lb->run->log, SD_INFO, "panic_ends", NULL, "Panic is over: %zu of %zu backends usable", is.usable,
			 is.of);
	if (is.backup && !was.backup)
		sd_event(lb->run->log, SD_WARN, "backups_serve", NULL, "No primary is usable: the backups serve");
	else if (!is.backup && was.backup)
		sd_event(lb->run->log, SD_INFO, "primaries_serve", NULL, "The primaries serve again");
}

/* One that was not usable and now is came back; at the very start nobody did. */
static void note_since(struct lb *lb, struct lb_snapshot *s)
{
	int64_t now = sd_loop_now_ns(lb->run->spec.control);
	for (size_t i = 0; i < s->n; i++) {
		struct lb_entry *entry = &s->entries[i];
		struct lb_backend *b = entry->backend;
		if (!lb->now)
			b->since_ns = SD_BALANCE_LONG_AGO;
		else if (entry->usable && !b->was_usable)
			b->since_ns = now;
		b->was_usable = entry->usable;
		entry->since_ns = b->since_ns;
	}
}

enum sd_err lb_affinity_make(struct lb *lb, const struct sd_conf *conf, struct lb_snapshot *s, struct sd_error *e)
{
	struct lb_affinity_rules *a = &s->affinity;
	const char *name = sd_conf_string(conf, "hash.name"), *cookie = sd_conf_string(conf, "sticky.cookie");
	s->balance = (struct sd_balance_conf){
	    .algorithm = (enum sd_balance_algorithm)sd_conf_int(conf, "algorithm"),
	    .panic_threshold = sd_conf_number(conf, "panic.threshold"),
	    .panic = (enum sd_balance_panic)sd_conf_int(conf, "panic.use"),
	    .slow_start_ns = sd_conf_int(conf, "slow-start"),
	    .bound = sd_conf_number(conf, "hash.bound"),
	};
	s->budget = (struct sd_budget_rules){
	    .share = sd_conf_number(conf, "retry-budget"),
	    .min_per_second = (double)sd_conf_int(conf, "retry-budget-min") / lb->nworkers,
	};
	a->hash = s->balance.algorithm == SD_BALANCE_HASH;
	a->on = (enum lb_hash_on)sd_conf_int(conf, "hash.on");
	a->sticky = cookie != NULL;
	a->key = lb->sticky_key;
	a->max_age_s = sd_conf_int(conf, "sticky.max-age") / 1000000000;
	snprintf(a->name, sizeof(a->name), "%s", name ? name : "");
	snprintf(a->cookie, sizeof(a->cookie), "%s", cookie ? cookie : "");
	note_since(lb, s);
	say_tier(lb, s);
	for (size_t i = 0; a->sticky && i < s->n; i++)
		s->entries[i].sticky_id = sd_sticky_id(&a->key, s->entries[i].backend->name);
	return a->hash ? ring_make(lb, conf, s, e) : SD_OK;
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

static void set_key(const struct lb_worker *w, struct sd_slice text, struct lb_affinity *out)
{
	out->has_key = text.n > 0;
	if (out->has_key)
		out->key = sd_ring_hash(w->snap->balance.ring, text.p, text.n);
}

void lb_affinity_of_client(const struct lb_worker *w, const struct sd_peer *client, struct lb_affinity *out)
{
	*out = (struct lb_affinity){0};
	if (w->snap->affinity.hash)
		set_key(w, client_of(client), out);
}

static void read_cookie(struct lb_worker *w, const struct sd_http_head *head, struct lb_affinity *out)
{
	const struct lb_affinity_rules *a = &w->snap->affinity;
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

void lb_affinity_of(struct lb_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, bool tls,
		    struct lb_affinity *out)
{
	const struct lb_snapshot *s = w->snap;
	*out = (struct lb_affinity){0};
	if (s->affinity.hash) {
		struct sd_peer who = *peer;
		if (s->affinity.on == LB_HASH_CLIENT)
			who = sd_proxy_client(head, peer, s->trusted, s->ntrusted);
		set_key(w, key_of(&s->affinity, head, &who), out);
	}
	if (s->affinity.sticky) {
		out->secure = tls || says_https(s, head, peer);
		read_cookie(w, head, out);
	}
}

/* ---- pins ---- */

int lb_affinity_pinned(const struct lb_worker *w, const struct lb_affinity *a, const uint64_t *tried)
{
	const struct lb_snapshot *s = w->snap;
	for (size_t i = 0; a->pin && s->affinity.sticky && i < s->n; i++)
		if (s->entries[i].sticky_id == a->pin)
			return s->entries[i].well && !(tried[i / 64] >> (i % 64) & 1) ? (int)i : -1;
	return -1;
}

void lb_affinity_answer(struct lb_worker *w, struct sd_http_exchange *x, const struct lb_affinity *a,
			const struct lb_backend *b)
{
	const struct lb_affinity_rules *rules = &w->snap->affinity;
	char value[SD_STICKY_TEXT + 1], text[LB_NAME + SD_STICKY_TEXT + 96], age[40] = "";
	if (!rules->sticky)
		return;
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
