/* lb_conf.c - from a configuration to rules, backends and a snapshot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "lb.h"
#include "lb_files.h"

/* ---- rules ---- */

/* "200-399" or "204". */
static enum sd_err parse_status(const char *text, struct lb_rules *r, struct sd_error *e)
{
	const char *dash = strchr(text, '-');
	char low[8];
	int64_t from = 0, to = 0;
	snprintf(low, sizeof(low), "%.*s", (int)(dash && dash - text < 7 ? dash - text : 7), text);
	bool ok = sd_parse_int(low, &from) == SD_OK && sd_parse_int(dash ? dash + 1 : low, &to) == SD_OK;
	if (!ok || from < 100 || to > 599 || from > to)
		return sd_fail(e, SD_EINVAL, "expected a status such as 204 or a range such as 200-399, found \"%.60s\"",
			       text);
	r->status_low = (int)from;
	r->status_high = (int)to;
	return SD_OK;
}

static bool fits_a_request(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 127)
			return false;
	return true;
}

static enum sd_err check_times(const struct lb_scope *scope, const struct lb_rules *r, struct sd_error *e)
{
	const char *short_one = r->interval_ns < 1000000 ? "health.interval" : "health.timeout";
	if (r->interval_ns >= 1000000 && r->timeout_ns >= 1000000)
		return SD_OK;
	return sd_fail(e, SD_EINVAL, "%s: health interval and timeout: expected at least 1ms",
		       sd_conf_origin(lb_from(scope, short_one), short_one));
}

/* What an HTTP check says. */
static enum sd_err check_asks(const struct lb_scope *scope, struct lb_rules *out, struct sd_error *e)
{
	const struct sd_conf *pc = lb_from(scope, "health.path"), *hc = lb_from(scope, "health.host");
	const char *path = sd_conf_string(pc, "health.path"), *host = sd_conf_string(hc, "health.host");
	if (path[0] != '/' || strlen(path) >= sizeof(out->path) || !fits_a_request(path))
		return sd_fail(e, SD_EINVAL, "%s: health path: expected a path such as /health, found \"%.100s\"",
			       sd_conf_origin(pc, "health.path"), path);
	if (host && (!*host || strlen(host) >= sizeof(out->host) || !fits_a_request(host)))
		return sd_fail(e, SD_EINVAL, "%s: health host: expected a host name, found \"%.100s\"",
			       sd_conf_origin(hc, "health.host"), host);
	snprintf(out->path, sizeof(out->path), "%s", path);
	snprintf(out->host, sizeof(out->host), "%s", host ? host : "");
	return SD_OK;
}

enum sd_err lb_rules_make(const struct lb_scope *scope, enum lb_mode mode, struct lb_rules *out, struct sd_error *e)
{
	*out = (struct lb_rules){
	    .health = {.fall = (uint32_t)sd_conf_int(lb_from(scope, "health.fall"), "health.fall"),
		       .rise = (uint32_t)sd_conf_int(lb_from(scope, "health.rise"), "health.rise"),
		       .eject_ns = sd_conf_int(scope->conf, "eject.time"),
		       .eject_max_ns = sd_conf_int(scope->conf, "eject.max-time"),
		       .eject_jitter = sd_conf_number(scope->conf, "eject.jitter")},
	    .type = (enum lb_check_type)sd_conf_int(lb_from(scope, "health.type"), "health.type"),
	    .interval_ns = sd_conf_int(lb_from(scope, "health.interval"), "health.interval"),
	    .timeout_ns = sd_conf_int(lb_from(scope, "health.timeout"), "health.timeout"),
	    .jitter = sd_conf_number(lb_from(scope, "health.jitter"), "health.jitter"),
	};
	const struct sd_conf *status = lb_from(scope, "health.status");
	if (out->type == LB_CHECK_AUTO)
		out->type = mode == LB_HTTP ? LB_CHECK_HTTP : LB_CHECK_TCP;
	enum sd_err err = check_times(scope, out, e);
	if (!err)
		err = check_asks(scope, out, e);
	if (err)
		return err;
	err = parse_status(sd_conf_string(status, "health.status"), out, e);
	return err ? sd_wrap(e, "%s: health status", sd_conf_origin(status, "health.status")) : SD_OK;
}

/* ---- checks across options ---- */

/* What an address is called when nobody named it: a service of the stack by its name. */
static const char *short_name(const char *address, char *out, size_t n)
{
	const char *slash = strrchr(address, '/');
	if (strncmp(address, "inproc:", 7) == 0)
		snprintf(out, n, "%s", address + 7);
	else if (strncmp(address, "unix:", 5) == 0)
		snprintf(out, n, "%.*s", (int)strcspn(slash ? slash + 1 : address + 5, "."), slash ? slash + 1 : address + 5);
	else
		snprintf(out, n, "%s", address);
	return out;
}

const char *lb_row_name(const struct sd_conf *row, char out[SD_ADDR_TEXT])
{
	const char *name = sd_conf_string(row, "name");
	if (!name)
		return short_name(sd_conf_string(row, "address"), out, SD_ADDR_TEXT);
	snprintf(out, SD_ADDR_TEXT, "%s", name);
	return out;
}

enum sd_err lb_row_check(const struct sd_conf *row, struct sd_error *e)
{
	const char *given = sd_conf_string(row, "name");
	struct sd_addr addr;
	if (given && (!*given || strlen(given) >= LB_LABEL || strchr(given, '/')))
		return sd_fail(e, SD_EINVAL, "%s: expected 1 to %d bytes without '/'", sd_conf_at(row, "name"),
			       LB_LABEL - 1);
	if (sd_addr_parse(sd_conf_string(row, "address"), "127.0.0.1", &addr, e))
		return sd_wrap(e, "%s", sd_conf_at(row, "address"));
	if (addr.port == 0 && (addr.kind == SD_ADDR_INET || addr.kind == SD_ADDR_NAME))
		return sd_fail(e, SD_EINVAL, "%s: expected a port from 1 to 65535",
			       sd_conf_at(row, "address"));
	return lb_tls_check_row(row, e);
}

static enum sd_err check_row(const struct sd_conf *conf, size_t i, struct sd_error *e)
{
	const struct sd_conf *row = sd_conf_row(conf, "backends", i);
	char name[SD_ADDR_TEXT], other[SD_ADDR_TEXT];
	enum sd_err err = lb_row_check(row, e);
	if (err)
		return err;
	lb_row_name(row, name);
	for (size_t k = 0; k < i; k++)
		if (strcmp(name, lb_row_name(sd_conf_row(conf, "backends", k), other)) == 0)
			return sd_fail(e, SD_EINVAL, "%s: backend \"%s\" is there twice; give each a name of its own",
				       sd_conf_origin(row, "address"), name);
	return SD_OK;
}

/* HTTP over a tunnel would be requests that nobody here sees: those protocols are never changed to. */
static bool carries_requests(const char *name)
{
	return strncasecmp(name, "h2", 2) == 0 || strncasecmp(name, "http", 4) == 0 || strncasecmp(name, "tls", 3) == 0;
}

static bool is_protocol(const char *name)
{
	static const char tchar[] = "!#$%&'*+-.^_`|~/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = strlen(name);
	return n > 0 && n < LB_UPGRADE && strspn(name, tchar) == n;
}

/* The names with commas between. */
static enum sd_err upgrades_make(const struct sd_conf *conf, char out[LB_UPGRADES], struct sd_error *e)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < sd_conf_count(conf, "upgrades"); i++) {
		const char *name = sd_conf_list_item(conf, "upgrades", i);
		if (carries_requests(name))
			return sd_fail(e, SD_EINVAL, "%s: %.40s would carry requests past the balancer",
				       sd_conf_at(conf, "upgrades"), name);
		if (!is_protocol(name) || n + strlen(name) + 2 > LB_UPGRADES)
			return sd_fail(e, SD_EINVAL,
				       "%s: expected protocols such as websocket, or any, found \"%.40s\"",
				       sd_conf_at(conf, "upgrades"), name);
		n += (size_t)snprintf(out + n, LB_UPGRADES - n, "%s%s", n ? "," : "", name);
	}
	return SD_OK;
}

enum sd_err lb_check_conf(const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "backends");
	if (n == 0)
		return sd_fail(e, sd_conf_is_set(conf, "backends") ? SD_EINVAL : SD_EUSAGE,
			       "%s%sno backends: expected at least one, such as --backend 127.0.0.1:8081 or, in the file, "
			       "backends: [{address: 127.0.0.1:8081}]",
			       sd_conf_is_set(conf, "backends") ? sd_conf_origin(conf, "backends") : "",
			       sd_conf_is_set(conf, "backends") ? ": " : "");
	if (n > SD_BALANCE_MAX)
		return sd_fail(e, SD_EINVAL, "%zu backends: expected at most %d", n, SD_BALANCE_MAX);
	for (size_t i = 0; i < n; i++) {
		enum sd_err err = check_row(conf, i, e);
		if (err)
			return err;
	}
	for (size_t i = 0; i < sd_conf_count(conf, "trusted-proxies"); i++) {
		struct sd_cidr net;
		if (sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", i), &net, e))
			return sd_wrap(e, "%s", sd_conf_at(conf, "trusted-proxies"));
	}
	if (sd_conf_has(conf, "access-log") && sd_conf_int(conf, "mode") == LB_TCP)
		return sd_fail(e, SD_EINVAL, "%s: expected mode: http, where there are requests to write down",
			       sd_conf_at(conf, "access-log"));
	char names[LB_UPGRADES];
	if (upgrades_make(conf, names, e))
		return SD_EINVAL;
	enum sd_err err = lb_pools_check(conf, e);
	if (!err)
		err = lb_routes_check(conf, e);
	return err ? err : lb_limits_check(conf, e);
}

enum sd_err lb_check_files(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e)
{
	enum sd_err err = lb_affinity_find(w, conf, e);
	for (size_t i = 0; !err && i < sd_conf_count(conf, "backends"); i++)
		err = lb_tls_find(w, sd_conf_row(conf, "backends", i), e);
	for (size_t i = 0; !err && i < sd_conf_count(conf, "routes"); i++)
		err = lb_files_find(w, sd_conf_row(conf, "routes", i), e);
	return err;
}

/* ---- backends ---- */

static struct lb_backend *find(struct lb *lb, const char *name, const char *address)
{
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (strcmp(b->name, name) == 0 && strcmp(b->address, address) == 0)
			return b;
	}
	return NULL;
}

static struct lb_backend *make(struct lb *lb, const char *name, const char *address, struct sd_error *e)
{
	struct lb_backend *b = calloc(1, sizeof(*b));
	if (b) {
		b->lb = lb;
		b->id = ++lb->next_id;
		b->refs = 1;
		b->nthreads = lb->nworkers;
		b->name = strdup(name);
		b->address = strdup(address);
		b->cells = aligned_alloc(64, lb->nworkers * sizeof(*b->cells));
	}
	if (!b || !b->name || !b->address || !b->cells) {
		if (b)
			lb_backend_release(b);
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	memset(b->cells, 0, lb->nworkers * sizeof(*b->cells));
	sd_list_init(&b->link);
	if (sd_addr_parse(address, "127.0.0.1", &b->addr, e)) {
		lb_backend_release(b);
		return NULL;
	}
	if (b->addr.kind != SD_ADDR_NAME)
		b->resolved = b->addr;
	sd_list_add(&lb->backends, &b->link);
	return b;
}

void lb_backend_release(struct lb_backend *b)
{
	if (__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(b->name);
	free(b->address);
	free(b->cells);
	lb_tls_release(b->tls);
	lb_tls_release(b->tls_next);
	free(b);
}

static void take_row(struct lb_backend *b, const struct sd_conf *row)
{
	b->listed = true;
	b->weight = (uint32_t)sd_conf_int(row, "weight");
	b->max_connections = (uint32_t)sd_conf_int(row, "max-connections");
	b->send_proxy = (uint8_t)sd_conf_int(row, "send-proxy");
	b->backup = sd_conf_bool(row, "backup");
	snprintf(b->pool, sizeof(b->pool), "%s", sd_conf_string(row, "pool"));
}

/* How health is found out in its pool. */
static void take_rules(struct lb_backend *b, const struct sd_conf *conf)
{
	struct lb_scope scope = lb_pool_scope(conf, b->pool);
	lb_rules_make(&scope, b->lb->mode, &b->rules, NULL); /* checked before */
}

/* What was prepared for nothing goes: the TLS that was to be, and backends that were made and never listed. */
static void undo(struct lb *lb)
{
	for (struct sd_link *k = lb->backends.next, *next; k != &lb->backends; k = next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		next = k->next;
		lb_tls_cancel(b);
		if (b->listed)
			continue;
		sd_list_del(&b->link);
		lb_backend_release(b);
	}
}

struct lb_backend *lb_backend_add(struct lb *lb, const struct sd_conf *row, struct sd_error *e)
{
	char name[SD_ADDR_TEXT];
	const char *address = sd_conf_string(row, "address");
	lb_row_name(row, name);
	struct lb_backend *b = find(lb, name, address);
	if (!b)
		b = make(lb, name, address, e);
	if (!b || lb_tls_prepare(b, row, e)) {
		undo(lb);
		return NULL;
	}
	take_row(b, row);
	take_rules(b, lb->conf);
	lb_tls_commit(b);
	lb_labels(lb);
	return b;
}

size_t lb_backends_listed(const struct lb *lb)
{
	size_t n = 0;
	for (const struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		n += sd_container(k, struct lb_backend, link)->listed;
	return n;
}

static enum sd_err prepare(struct lb *lb, const struct sd_conf *row, struct sd_error *e)
{
	char name[SD_ADDR_TEXT];
	const char *address = sd_conf_string(row, "address");
	lb_row_name(row, name);
	struct lb_backend *b = find(lb, name, address);
	if (!b && !(b = make(lb, name, address, e)))
		return e ? e->code : SD_ENOMEM;
	return lb_tls_prepare(b, row, e);
}

enum sd_err lb_backends_make(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "backends");
	char name[SD_ADDR_TEXT];
	/* First all that can fail, so that a refused configuration changes nothing. */
	for (size_t i = 0; i < n; i++) {
		enum sd_err err = prepare(lb, sd_conf_row(conf, "backends", i), e);
		if (err) {
			undo(lb);
			return err;
		}
	}
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		sd_container(k, struct lb_backend, link)->listed = false;
	for (size_t i = 0; i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "backends", i);
		struct lb_backend *b = find(lb, lb_row_name(row, name), sd_conf_string(row, "address"));
		take_row(b, row);
		take_rules(b, conf);
		lb_tls_commit(b);
		/* the order of the file is the order of the rotation */
		sd_list_del(&b->link);
		sd_list_add(&lb->backends, &b->link);
	}
	lb_labels(lb);
	return SD_OK;
}

static bool port_is_unique(struct lb *lb, const struct lb_backend *me)
{
	if (me->addr.kind != SD_ADDR_INET || !sd_addr_is_loopback(&me->addr))
		return false;
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		const struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (b != me && b->listed && b->addr.port == me->addr.port)
			return false;
	}
	return true;
}

/* What a person calls it: a port on this machine, a service of the stack, else its address. */
void lb_labels(struct lb *lb)
{
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		char text[SD_ADDR_TEXT];
		if (!b->listed)
			continue;
		if (port_is_unique(lb, b))
			snprintf(b->label, sizeof(b->label), "%u", b->addr.port);
		else if (b->addr.kind == SD_ADDR_INPROC || b->addr.kind == SD_ADDR_UNIX)
			short_name(b->address, b->label, sizeof(b->label));
		else
			snprintf(b->label, sizeof(b->label), "%.63s", sd_addr_format(&b->addr, text));
	}
}

/* ---- snapshots ---- */

static bool trusted_make(struct lb_snapshot *s, const struct sd_conf *conf)
{
	s->ntrusted = sd_conf_count(conf, "trusted-proxies");
	if (s->ntrusted == 0)
		return true;
	s->trusted = calloc(s->ntrusted, sizeof(*s->trusted));
	for (size_t i = 0; s->trusted && i < s->ntrusted; i++)
		sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", i), &s->trusted[i], NULL);
	return s->trusted != NULL;
}

static void entries_make(struct lb *lb, struct lb_snapshot *s, const char *pool)
{
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (!b->listed || strcmp(b->pool, pool) != 0)
			continue;
		__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
		bool known = b->resolved.kind != SD_ADDR_NONE, well = sd_health_usable(&b->health);
		s->entries[s->n++] = (struct lb_entry){
		    .backend = b,
		    .addr = b->resolved,
		    .weight = b->weight,
		    .max_connections = b->max_connections,
		    .send_proxy = b->send_proxy,
		    .tls = lb_tls_of(b),
		    .trial = lb_trial_of(b),
		    .usable = well && b->admin == LB_READY && known,
		    .in_reach = b->admin == LB_READY && known,
		    .well = well && known,
		    .backup = b->backup,
		};
	}
}

static bool pools_begin(struct lb *lb, const struct sd_conf *conf, struct lb_snapshot *s)
{
	char names[LB_MAX_POOLS][LB_POOL];
	size_t n = lb_pool_names(conf, names);
	s->pools = calloc(n, sizeof(*s->pools));
	for (; s->pools && s->npools < n; s->npools++) {
		struct lb_pool *p = &s->pools[s->npools];
		memcpy(p->name, names[s->npools], LB_POOL);
		p->first = s->n;
		entries_make(lb, s, p->name);
		p->n = s->n - p->first;
	}
	return s->pools != NULL;
}

bool lb_eject_conf(const struct sd_conf *conf, struct sd_breaker_conf *out)
{
	double rate = sd_conf_number(conf, "eject.rate");
	int64_t retry_ns = sd_conf_int(conf, "eject.retry-after");
	*out = (struct sd_breaker_conf){
	    .consecutive = (uint32_t)sd_conf_int(conf, "eject.failures"),
	    .failure_rate = rate,
	    .window_ns = rate > 0 ? sd_conf_int(conf, "eject.window") : 0,
	    .minimum = rate > 0 ? (uint32_t)sd_conf_int(conf, "eject.minimum") : 0,
	    .open_ns = 1, /* it never opens */
	    .retry_max_ns = retry_ns,
	    .retry_opens = retry_ns > 0,
	};
	return rate > 0 || out->consecutive > 0 || retry_ns > 0;
}

struct lb_snapshot *lb_snapshot_make(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = lb_backends_listed(lb);
	struct lb_snapshot *s = calloc(1, sizeof(*s) + n * sizeof(s->entries[0]));
	if (!s || !trusted_make(s, conf)) {
		free(s);
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	s->refs = 1;
	s->retry_buffer = (uint64_t)sd_conf_int(conf, "retry-buffer");
	s->queue_size = (uint32_t)sd_conf_int(conf, "queue.size");
	s->queue_timeout_ns = sd_conf_int(conf, "queue.timeout");
	s->ejects = lb_eject_conf(conf, &s->eject);
	s->observe = sd_conf_int(conf, "eject.observe") == 1;
	s->tunnel_timeout_ns = sd_conf_int(conf, "tunnel-timeout");
	s->retry_after_s = (sd_conf_int(conf, "health.interval") + 999999999) / 1000000000;
	s->log = lb->log;
	s->routes = lb_routes_hold(lb->routes);
	s->limits = sd_limits_hold(lb->limiting.now);
	s->access = sd_conf_has(conf, "access-log") ? (int)sd_conf_int(conf, "access-log-format") : -1;
	s->trace = sd_conf_bool(conf, "trace");
	s->why = sd_conf_int(conf, "why-header") == 1;
	s->forwarded = (enum sd_proxy_style)sd_conf_int(conf, "forwarded");
	upgrades_make(conf, s->upgrades, NULL);
	s->budget = (struct sd_budget_rules){
	    .share = sd_conf_number(conf, "retry-budget"),
	    .min_per_second = (double)sd_conf_int(conf, "retry-budget-min") / lb->nworkers,
	};
	enum sd_err err = pools_begin(lb, conf, s) ? lb_pools_make(lb, conf, s, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	if (err) {
		lb_snapshot_release(s);
		return NULL;
	}
	return s;
}

void lb_snapshot_release(struct lb_snapshot *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		lb_backend_release(s->entries[i].backend);
		lb_tls_release(s->entries[i].tls);
		lb_trial_release(s->entries[i].trial);
	}
	for (size_t i = 0; i < s->npools; i++)
		sd_ring_release(s->pools[i].balance.ring);
	lb_routes_release(s->routes);
	sd_limits_release(s->limits);
	free(s->pools);
	free(s->trusted);
	free(s);
}
