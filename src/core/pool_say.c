/* pool_say.c - what is known of a pool, in numbers and in words. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pool_int.h"
#include "units.h"

#define NAMED 3 /* holders in one line */

const char *sd_pool_why_text(enum sd_pool_why why)
{
	static const char *const texts[] = {
#define X(code, text) text,
	    SD_POOL_WHY_LIST(X)
#undef X
	};
	return (unsigned)why < SD_POOL_WHYS ? texts[why] : "unknown";
}

void sd_pool_stats(const struct sd_pool *p, struct sd_pool_stats *out)
{
	*out = p->count;
	out->size = pool_size(p);
	out->idle = p->n[SLOT_IDLE];
	out->lent = p->n[SLOT_LENT];
	out->opening = p->n[SLOT_OPENING];
	out->checking = p->n[SLOT_CHECKING];
	out->closing = p->n[SLOT_CLOSING];
	out->waiting = p->nwaiting;
	out->leases = p->issued;
	out->backoff_until_ns = p->retry_ns;
}

const struct sd_hdr *sd_pool_waits(struct sd_pool *p)
{
	if (p->waits && p->served_at_once) {
		sd_hdr_record(p->waits, 0, (int64_t)p->served_at_once);
		p->served_at_once = 0;
	}
	return p->waits;
}

size_t sd_pool_holders(const struct sd_pool *p, int64_t now_ns, struct sd_pool_held *out, size_t n)
{
	size_t at = 0;
	for (const struct sd_link *k = p->lent.next; k != &p->lent && at < n; k = k->next) {
		const struct slot *s = sd_container(k, struct slot, link);
		out[at++] = (struct sd_pool_held){s->holder, now_ns - s->since_ns, s->number};
	}
	return at;
}

void sd_pool_each(const struct sd_pool *p, void (*fn)(void *arg, void *resource, bool lent), void *arg)
{
	for (uint32_t i = 0; i < p->nslots; i++) {
		const struct slot *s = p->slots[i];
		if (s->state == SLOT_IDLE || s->state == SLOT_LENT)
			fn(arg, s->resource, s->state == SLOT_LENT);
	}
}

struct line {
	char *p;
	size_t n, room;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(l->p + l->n, l->room - l->n, fmt, args);
	va_end(args);
	if (n > 0)
		l->n = l->n + (size_t)n < l->room ? l->n + (size_t)n : l->room - 1;
}

/* As people say it: 61s, 250ms. */
static const char *age(int64_t ns, char out[SD_UNIT_TEXT])
{
	int64_t unit = ns >= 10000000000ll ? 1000000000 : ns >= 10000000 ? 1000000 : ns >= 10000 ? 1000 : 1;
	return sd_format_duration(ns / unit * unit, out);
}

static const char *base(const char *file)
{
	const char *slash = strrchr(file, '/');
	return slash ? slash + 1 : file;
}

static void add_holder(struct line *l, const struct sd_pool_held *h)
{
	char text[SD_UNIT_TEXT];
	if (h->holder.site)
		add(l, "%s:%d (%s)", base(h->holder.site->file), h->holder.site->line, h->holder.site->function);
	else
		add(l, "somewhere");
	if (h->holder.tag)
		add(l, " \"%.40s\"", h->holder.tag);
	if (h->holder.who)
		add(l, " thread %" PRIu64, h->holder.who);
	add(l, " for %s", age(h->age_ns, text));
}

static void add_holders(struct line *l, const struct sd_pool *p, int64_t now_ns)
{
	struct sd_pool_held held[NAMED];
	size_t n = sd_pool_holders(p, now_ns, held, NAMED);
	for (size_t i = 0; i < n; i++) {
		add(l, i ? ", " : "; held longest: ");
		add_holder(l, &held[i]);
	}
}

enum sd_err sd_pool_explain(const struct sd_pool *p, int64_t now_ns, const struct sd_pool_waiter *w, enum sd_err err,
			    struct sd_error *e)
{
	char text[SD_UNIT_TEXT];
	if (!e)
		return err;
	struct line l = {e->text, 0, sizeof(e->text)};
	e->code = err;
	if (err == SD_ECANCELED) {
		add(&l, "the pool was shut");
		return err;
	}
	if (err == SD_ETIMEOUT && w)
		add(&l, "nothing free within %s: ", age(now_ns - w->since_ns, text));
	else
		add(&l, "nothing free: ");
	add(&l, "%u of %u in use, %u being opened, %u waiting", p->n[SLOT_LENT], p->conf.max_size, p->n[SLOT_OPENING], p->nwaiting);
	if (w)
		add(&l, ", %u before this one", w->ahead);
	if (p->failures)
		add(&l, "; the last %u opens failed: %s", p->failures, p->last_failure);
	add_holders(&l, p, now_ns);
	return err;
}
