/* The checker: each key alone, as many steps for each as are fair, and a violation made short. */
#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"

static const struct sd_lin_limits defaults = {100000000, (size_t)512 << 20};

/* The operations that matter, key by key. */
struct parts {
	struct sd_operation *ops;
	size_t *start;       /* of key i; one more for the end */
	uint32_t *undecided; /* keys */
	size_t nundecided;
};

static void free_parts(struct parts *p)
{
	free(p->ops);
	free(p->start);
	free(p->undecided);
}

/* Sorts by counting: start[k] is moved on to the end of key k, which is where the next one starts. */
static void fill_parts(struct parts *p, const struct sd_history *h)
{
	const struct sd_lin_model *model = sd_history_model(h);
	size_t n = sd_history_count(h), keys = sd_history_keys(h);
	for (size_t i = 0; i < n; i++)
		if (!sd_lin_idle(model, sd_history_at(h, i)))
			p->start[sd_history_at(h, i)->key + 1]++;
	for (size_t k = 0; k < keys; k++)
		p->start[k + 1] += p->start[k];
	for (size_t i = 0; i < n; i++)
		if (!sd_lin_idle(model, sd_history_at(h, i)))
			p->ops[p->start[sd_history_at(h, i)->key]++] = *sd_history_at(h, i);
	memmove(p->start + 1, p->start, keys * sizeof(*p->start));
	p->start[0] = 0;
}

static bool make_parts(struct parts *p, const struct sd_history *h)
{
	size_t keys = sd_history_keys(h);
	p->ops = malloc((sd_history_count(h) + 1) * sizeof(*p->ops));
	p->start = calloc(keys + 1, sizeof(*p->start));
	p->undecided = malloc((keys + 1) * sizeof(*p->undecided));
	if (!p->ops || !p->start || !p->undecided)
		return false;
	fill_parts(p, h);
	for (uint32_t k = 0; k < keys; k++)
		p->undecided[p->nundecided++] = k;
	return true;
}

/* ---- a violation ---- */

static size_t index_of(const struct sd_lin_shrink *s)
{
	return s->n ? s->found.stuck : 0;
}

static void report_violation(const struct sd_history *h, struct parts *p, uint32_t key,
			     const struct sd_lin_limits *limits, const struct sd_lin_found *found,
			     struct sd_lin_report *report)
{
	struct sd_lin_shrink s = {sd_history_model(h),
				  p->ops + p->start[key],
				  p->start[key + 1] - p->start[key],
				  limits->steps,
				  limits->bytes,
				  false,
				  *found};
	report->verdict = SD_VERDICT_VIOLATED;
	report->key = key;
	for (size_t i = 0; i < sd_history_count(h); i++)
		report->of += sd_history_at(h, i)->key == key;
	report->shortest = sd_lin_shrink(&s) && !s.unsure;
	report->steps += limits->steps - s.steps;
	report->ops = malloc((s.n + 1) * sizeof(*report->ops));
	if (!report->ops)
		return;
	memcpy(report->ops, s.ops, s.n * sizeof(*s.ops));
	report->nops = s.n;
	report->last = index_of(&s);
	memcpy(report->states, s.found.states, sizeof(report->states));
	report->nstates = s.found.nstates;
	report->more_states = s.found.more_states;
}

/* ---- all keys ---- */

/* Each of the undecided keys once, with an equal share of the steps that are left. True: one is violated. */
static bool check_round(const struct sd_history *h, struct parts *p, const struct sd_lin_limits *limits,
			struct sd_lin_report *report)
{
	size_t left = p->nundecided;
	p->nundecided = 0;
	for (size_t i = 0; left > 0; i++, left--) {
		uint32_t key = p->undecided[i];
		struct sd_lin_found found;
		uint64_t share = limits->steps > report->steps ? (limits->steps - report->steps) / left : 0;
		sd_lin_search(sd_history_model(h), p->ops + p->start[key], p->start[key + 1] - p->start[key],
			      share, limits->bytes, &found);
		report->steps += found.steps;
		report->bytes = found.bytes > report->bytes ? found.bytes : report->bytes;
		report->keys += found.verdict != SD_VERDICT_UNKNOWN;
		if (found.verdict == SD_VERDICT_VIOLATED) {
			report_violation(h, p, key, limits, &found, report);
			return true;
		}
		if (found.verdict == SD_VERDICT_UNKNOWN) {
			report->why = found.why;
			p->undecided[p->nundecided++] = key;
		}
	}
	return false;
}

/* Keys that were not decided get another round while there are steps that others left and it helps. */
static void check_keys(const struct sd_history *h, struct parts *p, const struct sd_lin_limits *limits,
		       struct sd_lin_report *report)
{
	size_t before = p->nundecided + 1;
	while (p->nundecided > 0 && p->nundecided < before) {
		before = p->nundecided;
		if (check_round(h, p, limits, report)) {
			report->why = NULL;
			return;
		}
		if (report->steps >= limits->steps)
			break;
	}
	report->verdict = p->nundecided ? SD_VERDICT_UNKNOWN : SD_VERDICT_OK;
	if (!p->nundecided)
		report->why = NULL;
}

enum sd_verdict sd_lin_check(const struct sd_history *h, const struct sd_lin_limits *limits,
			     struct sd_lin_report *report)
{
	struct sd_lin_limits l = limits ? *limits : defaults;
	struct parts p = {0};
	l.steps = l.steps ? l.steps : defaults.steps;
	l.bytes = l.bytes ? l.bytes : defaults.bytes;
	*report = (struct sd_lin_report){.verdict = SD_VERDICT_UNKNOWN, .why = "out of memory"};
	if (make_parts(&p, h))
		check_keys(h, &p, &l, report);
	free_parts(&p);
	return report->verdict;
}

void sd_lin_report_free(struct sd_lin_report *report)
{
	free(report->ops);
	report->ops = NULL;
	report->nops = 0;
}

struct sd_history *sd_lin_report_history(const struct sd_history *h, const struct sd_lin_report *report)
{
	struct sd_history *out = report->nops ? sd_history_new(sd_history_model(h)) : NULL;
	for (size_t i = 0; out && i < report->nops; i++) {
		if (sd_history_add(out, sd_history_key(h, report->key), &report->ops[i]) == SD_OK)
			continue;
		sd_history_free(out);
		return NULL;
	}
	return out;
}
