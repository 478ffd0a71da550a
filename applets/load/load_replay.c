/* load_replay.c - from an access log to what is sent when.
 *
 * Logs say most requests many times. Each different one (method, path, body) is kept once, ready to go, and the schedule
 * has 16 bytes for each entry. Servers log a request when it ends, so entries stand a little out of order: they are
 * sorted by their times, and those with equal times stay as they stood.
 */
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "load_access.h"

#define MAX_LOG      (512u << 20)
#define MAX_ENTRIES  4000000
#define MAX_REQUESTS 1000000
#define MAX_DAYS     31
#define DAY_NS       86400e9

struct replay {
	struct load_builder b;
	size_t room; /* of plan->schedule */
	/* Open addressing: a request + 1, 0 for none; the size is a power of two, and at most half of it is taken. */
	uint32_t *table;
	size_t table_n;
};

/* ---- each different request once ---- */

static uint64_t hash_more(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3u; /* FNV-1a */
	return h;
}

/* A blank between method and path, as in the name of a request; none can be within them. */
static uint64_t hash_of(struct sd_slice method, struct sd_slice path, struct sd_slice body)
{
	uint64_t h = hash_more(0xcbf29ce484222325u, method.p, method.n);
	h = hash_more(hash_more(h, " ", 1), path.p, path.n);
	h = hash_more(hash_more(h, " ", 1), body.p, body.n);
	return h ^ h >> 32;
}

static uint64_t hash_of_request(const struct load_request *r)
{
	const char *blank = strchr(r->name, ' ');
	return hash_of((struct sd_slice){r->name, (size_t)(blank - r->name)}, sd_slice_of(blank + 1),
		       (struct sd_slice){r->bytes + r->n - r->body_n, r->body_n});
}

static bool is_same(const struct load_request *r, const struct load_access *a)
{
	size_t n = a->method.n;
	return strlen(r->name) == n + 1 + a->path.n && memcmp(r->name, a->method.p, n) == 0 && r->name[n] == ' ' &&
	       memcmp(r->name + n + 1, a->path.p, a->path.n) == 0 && r->body_n == a->body.n &&
	       memcmp(r->bytes + r->n - r->body_n, a->body.n ? a->body.p : "", a->body.n) == 0;
}

static bool grow_table(struct replay *r)
{
	const struct load_plan *p = r->b.plan;
	size_t n = r->table_n ? r->table_n * 2 : 64;
	if (p->nrequests * 2 < r->table_n)
		return true;
	uint32_t *table = calloc(n, sizeof(*table));
	if (!table)
		return false;
	for (uint32_t i = 0; i < p->nrequests; i++) {
		size_t at = hash_of_request(&p->requests[i]) & (n - 1);
		while (table[at])
			at = (at + 1) & (n - 1);
		table[at] = i + 1;
	}
	free(r->table);
	r->table = table;
	r->table_n = n;
	return true;
}

static enum sd_err find_request(struct replay *r, const struct load_access *a, uint32_t *out, struct sd_error *e)
{
	struct load_plan *p = r->b.plan;
	if (!grow_table(r))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	size_t at = hash_of(a->method, a->path, a->body) & (r->table_n - 1);
	for (; r->table[at]; at = (at + 1) & (r->table_n - 1))
		if (is_same(&p->requests[r->table[at] - 1], a)) {
			*out = r->table[at] - 1;
			p->requests[*out].weight++;
			p->total_weight++;
			return SD_OK;
		}
	*out = (uint32_t)p->nrequests;
	r->table[at] = *out + 1;
	return load_plan_add(&r->b, 1, a->method, a->path, a->body, e);
}

/* ---- the schedule ---- */

static enum sd_err add_entry(void *arg, const struct load_access *a, struct sd_error *e)
{
	struct replay *r = arg;
	struct load_plan *p = r->b.plan;
	if (p->nschedule == MAX_ENTRIES)
		return sd_fail(e, SD_ERANGE, "expected at most %d entries", MAX_ENTRIES);
	if (p->nschedule == r->room) {
		size_t room = r->room ? r->room * 2 : 256;
		struct load_due *more = realloc(p->schedule, room * sizeof(*more));
		if (!more)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		p->schedule = more;
		r->room = room;
	}
	p->schedule[p->nschedule] = (struct load_due){.offset_ns = a->at_ns, .place = (uint32_t)p->nschedule};
	return find_request(r, a, &p->schedule[p->nschedule++].request, e);
}

static int by_time(const void *a, const void *b)
{
	const struct load_due *x = a, *y = b;
	if (x->offset_ns != y->offset_ns)
		return x->offset_ns < y->offset_ns ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* From times to offsets from the first. */
static enum sd_err set_pace(struct load_plan *p, struct sd_error *e)
{
	qsort(p->schedule, p->nschedule, sizeof(*p->schedule), by_time);
	int64_t from = p->schedule[0].offset_ns;
	double length = (double)(p->schedule[p->nschedule - 1].offset_ns - from) / p->speed;
	if (length > MAX_DAYS * DAY_NS)
		return sd_fail(e, SD_ERANGE, "%s: expected at most %d days to replay, found %.0f: is a time wrong?", p->log,
			       MAX_DAYS, length / DAY_NS);
	for (size_t i = 0; i < p->nschedule; i++)
		p->schedule[i].offset_ns = (int64_t)((double)(p->schedule[i].offset_ns - from) / p->speed + 0.5);
	return SD_OK;
}

static enum sd_err read_log(struct sd_world *w, struct replay *r, struct sd_error *e)
{
	struct load_plan *p = r->b.plan;
	char *text = NULL;
	size_t n;
	enum sd_err err = sd_world_read_file(w, p->log, MAX_LOG, &text, &n, e);
	if (!err)
		err = load_access_read(p->log, text, n, add_entry, r, e);
	free(text);
	free(r->table);
	if (!err && p->nschedule == 0)
		err = sd_fail(e, SD_EINVAL, "%s: expected requests as JSON, one object a line; found none", p->log);
	return err;
}

enum sd_err load_replay_make(struct sd_world *w, const struct sd_conf *conf, const char *log, const char *url,
			     struct load_plan *out, struct sd_error *e)
{
	struct replay r = {0};
	enum sd_err err = load_plan_begin(w, conf, url, (unsigned)sd_conf_int(conf, "conns"), out, &r.b, e);
	r.b.literal = true;
	r.b.max = MAX_REQUESTS;
	out->speed = sd_conf_number(conf, "speed");
	if (!err && (!load_plan_http(out) || !sd_slice_eq(r.b.path, "/")))
		err = sd_fail(e, SD_EUSAGE, "expected http://HOST[:PORT] alone, since the paths are those of the log");
	if (!err && !(out->speed > 0))
		err = sd_fail(e, SD_EUSAGE, "--speed: expected more than 0");
	if (!err && !(out->log = strdup(log)))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = read_log(w, &r, e);
	if (!err)
		err = set_pace(out, e);
	out->max_requests = out->nschedule;
	if (out->threads > out->max_requests)
		out->threads = (unsigned)out->max_requests;
	if (err)
		load_plan_free(out);
	return err;
}
