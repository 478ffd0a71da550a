/* breaker_reason.c - what an outcome means, and why a breaker is as it is. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "breaker_int.h"

/* ---- outcomes ---- */

struct sd_breaker_outcome sd_breaker_http(int status, int64_t retry_after_ns)
{
	bool asks = status == 429 && retry_after_ns >= 0;
	bool bad = asks || (status >= 500 && status <= 599 && status != 501 && status != 505);
	bool heard = bad && (status == 429 || status == 503) && retry_after_ns > 0;
	return (struct sd_breaker_outcome){
	    .kind = bad ? SD_BREAKER_STATUS : SD_BREAKER_SUCCESS,
	    .code = (uint16_t)(bad ? status : 0),
	    .retry_after_ns = heard ? retry_after_ns : 0,
	};
}

struct sd_breaker_outcome sd_breaker_error(enum sd_err err)
{
	static const struct {
		enum sd_err err;
		enum sd_breaker_kind kind;
	} kinds[] = {
	    {SD_OK, SD_BREAKER_SUCCESS},	  {SD_ECANCELED, SD_BREAKER_IGNORED}, {SD_EREFUSED, SD_BREAKER_CONNECT},
	    {SD_EUNREACHABLE, SD_BREAKER_CONNECT}, {SD_ENOTFOUND, SD_BREAKER_CONNECT}, {SD_ETLS, SD_BREAKER_CONNECT},
	    {SD_ETIMEOUT, SD_BREAKER_TIMEOUT},	  {SD_ERESET, SD_BREAKER_BROKEN},     {SD_EEOF, SD_BREAKER_BROKEN},
	    {SD_EPROTO, SD_BREAKER_BROKEN},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].err == err)
			return (struct sd_breaker_outcome){.kind = kinds[i].kind};
	return (struct sd_breaker_outcome){.kind = SD_BREAKER_ERROR};
}

/* ---- the last failures ---- */

void sd_breaker_note(struct sd_breaker *b, uint64_t gen, const struct sd_breaker_outcome *how, int64_t now_ns)
{
	size_t i = COUNT(b->failures) % SD_BREAKER_LAST;
	WRITE(b->last_at[i], now_ns);
	WRITE(b->last_what[i], gen << 24 | (uint64_t)how->kind << 16 | how->code);
}

static enum sd_breaker_kind kind_of(uint64_t what)
{
	return (enum sd_breaker_kind)(what >> 16 & 0xff);
}

size_t sd_breaker_last(const struct sd_breaker *b, struct sd_breaker_failure *out, size_t n)
{
	uint64_t all = READ(b->failures);
	size_t i = 0;
	for (; i < n && i < SD_BREAKER_LAST && i < all; i++) {
		size_t at = (all - 1 - i) % SD_BREAKER_LAST;
		uint64_t what = READ(b->last_what[at]);
		out[i] = (struct sd_breaker_failure){READ(b->last_at[at]), kind_of(what), (uint16_t)what};
	}
	return i;
}

/* ---- the reason ---- */

struct text {
	char *at;
	size_t left;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
	t->at += used;
	t->left -= used;
}

/* 12 s. What is still to come is rounded up, so that nobody who waits that long is early. */
static void put_span(struct text *t, int64_t ns, bool up)
{
	static const struct {
		int64_t from, unit;
		const char *name;
	} units[] = {{10800000000000, 3600000000000, "h"}, {180000000000, 60000000000, "min"}, {2000000000, 1000000000, "s"}, {0, 1000000, "ms"}};
	size_t i = 0;
	while (ns < units[i].from)
		i++;
	int64_t n = ns > 0 ? ns / units[i].unit + (up && ns % units[i].unit != 0) : 0;
	put(t, "%lld %s", (long long)n, units[i].name);
}

static void put_kind(struct text *t, enum sd_breaker_kind kind, uint16_t code)
{
	static const char *const words[SD_BREAKER_KINDS] = {
	    "succeeded", "were ignored", "could not connect", "timed out", "answered", "broke off", "failed"};
	put(t, "%s", words[kind < SD_BREAKER_KINDS ? kind : SD_BREAKER_ERROR]);
	if (kind == SD_BREAKER_STATUS)
		put(t, " %u", code);
}

struct kinds {
	struct {
		uint64_t what; /* kind and code */
		uint32_t n;
	} of[SD_BREAKER_LAST];
	uint32_t different, all;
};

/* The kinds of the newest failures of a generation, at most n of them. */
static void collect(const struct sd_breaker *b, uint64_t gen, uint32_t n, struct kinds *k)
{
	uint64_t newest = READ(b->failures);
	memset(k, 0, sizeof(*k));
	for (uint32_t back = 0; back < SD_BREAKER_LAST && back < newest && k->all < n; back++) {
		uint64_t what = READ(b->last_what[(newest - 1 - back) % SD_BREAKER_LAST]);
		uint32_t i = 0;
		if (what >> 24 != (gen & 0xffffffffff))
			continue;
		while (i < k->different && k->of[i].what != (what & 0xffffff))
			i++;
		k->of[i].what = what & 0xffffff;
		k->of[i].n++;
		k->different += i == k->different;
		k->all++;
	}
}

/* "6 of 10 timed out"; "6 of 10 failed: 4 timed out, 2 answered 503"; of more than are kept, "60 of 100 failed, of the last 8 ..." */
static void put_failures(struct text *t, const struct sd_breaker *b, uint64_t gen, uint32_t failures)
{
	struct kinds k;
	collect(b, gen, failures, &k);
	if (k.different == 1 && k.all == failures) {
		put(t, " ");
		put_kind(t, kind_of(k.of[0].what), (uint16_t)k.of[0].what);
		return;
	}
	put(t, " failed");
	for (uint32_t i = 0; i < k.different && i < 3; i++) {
		put(t, i ? ", " : k.all < failures ? ", lately " : ": ");
		put(t, "%u ", k.of[i].n);
		put_kind(t, kind_of(k.of[i].what), (uint16_t)k.of[i].what);
	}
}

static void put_counts(struct text *t, const struct sd_breaker *b, uint64_t gen, const struct counts *sum)
{
	if (sum->calls == 0 && sum->in_a_row == 0) {
		put(t, "nothing failed");
	} else if (sum->calls == 0) {
		put(t, "%u in a row", sum->in_a_row);
		put_failures(t, b, gen, sum->in_a_row);
	} else {
		put(t, "%u of %u", sum->failures, sum->calls);
		put_failures(t, b, gen, sum->failures);
	}
}

static void put_one(struct text *t, const struct sd_breaker *b, uint64_t gen, const char *what)
{
	struct kinds k;
	collect(b, gen, 1, &k);
	put(t, "%s ", what);
	if (k.all)
		put_kind(t, kind_of(k.of[0].what), (uint16_t)k.of[0].what);
	else
		put(t, "was slow");
}

/* What made it open. */
static void put_why(struct text *t, const struct sd_breaker *b)
{
	uint64_t gen = READ(b->why_gen);
	struct counts sum = {READ(b->why_calls), READ(b->why_failures), READ(b->why_slow), READ(b->why_in_a_row)};
	switch ((enum rule)READ(b->why_rule)) {
	case RULE_CONSECUTIVE:
		sum.calls = 0;
		put_counts(t, b, gen, &sum);
		break;
	case RULE_SLOW:
		put(t, "%u of %u took ", sum.slow, sum.calls);
		put_span(t, b->conf.slow_ns, true);
		put(t, " or longer");
		break;
	case RULE_RETRY:
		put_one(t, b, gen, "a call");
		break;
	case RULE_PROBE:
		put_one(t, b, gen, "a probe");
		break;
	case RULE_TOLD:
		put(t, "by hand");
		break;
	default:
		put_counts(t, b, gen, &sum);
	}
}

static void put_next(struct text *t, const struct sd_breaker *b, uint64_t w, int64_t now_ns)
{
	int64_t left = READ(b->until_ns) - now_ns;
	const char *what = b->conf.successes ? "next probe" : "closes";
	if (word_state(w) == SD_BREAKER_HALF_OPEN) {
		put(t, ", %u of %u probes succeeded, %u out", word_probed(w), b->conf.successes, word_lent(w));
		return;
	}
	put(t, left > 0 ? ", %s in " : ", %s with the next call", what);
	if (left > 0)
		put_span(t, left, true);
	if (left > 0 && READ(b->asked))
		put(t, ", as it asked");
}

char *sd_breaker_reason(const struct sd_breaker *b, int64_t now_ns, char out[SD_BREAKER_REASON])
{
	struct text t = {out, SD_BREAKER_REASON};
	struct counts sum;
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	if (word_state(w) == SD_BREAKER_FORCED_OPEN) {
		put(&t, "forced open");
	} else if (word_state(w) == SD_BREAKER_OPEN || word_state(w) == SD_BREAKER_HALF_OPEN) {
		put(&t, "opened ");
		put_span(&t, now_ns - READ(b->opened_ns), false);
		put(&t, " ago: ");
		put_why(&t, b);
		put_next(&t, b, w, now_ns);
	} else {
		sd_breaker_counts(b, word_gen(w), now_ns, &sum);
		put(&t, word_state(w) == SD_BREAKER_CLOSED ? "closed: " : "forced closed: ");
		put_counts(&t, b, word_gen(w), &sum);
	}
	return out;
}

const char *sd_breaker_state_name(enum sd_breaker_state state)
{
	static const char *const names[] = {"CLOSED", "OPEN", "HALF-OPEN", "FORCED-OPEN", "FORCED-CLOSED"};
	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

void sd_breaker_stats(const struct sd_breaker *b, int64_t now_ns, struct sd_breaker_stats *out)
{
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	struct counts sum;
	sd_breaker_counts(b, word_gen(w), now_ns, &sum);
	*out = (struct sd_breaker_stats){
	    .state = word_state(w),
	    .generation = word_gen(w),
	    .calls = sum.calls,
	    .failures = sum.failures,
	    .slow = sum.slow,
	    .in_a_row = sum.in_a_row,
	    .lent = word_state(w) == SD_BREAKER_HALF_OPEN ? word_lent(w) : 0,
	    .probed = word_state(w) == SD_BREAKER_HALF_OPEN ? word_probed(w) : 0,
	    .out = READ(b->out),
	    .opened_ns = READ(b->opened_ns),
	    .until_ns = READ(b->until_ns),
	    .openings = READ(b->openings),
	    .all_failures = READ(b->failures),
	    .all_refused = READ(b->refused),
	    .all_late = READ(b->late),
	    .all_opened = READ(b->opened),
	    .all_lost = READ(b->lost),
	};
}
