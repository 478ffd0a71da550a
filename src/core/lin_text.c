/* A report for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "sdlab/history.h"

enum {
	WIDTH = 56,  /* columns of the drawing, at most */
	LINES = 200, /* operations that are printed, at most: the last ones */
	CALL = 64,   /* bytes of an operation as text */
};

/* ---- one operation ---- */

static void value_text(int64_t v, char *text, size_t size)
{
	if (v == SD_NIL)
		snprintf(text, size, "nil");
	else
		snprintf(text, size, "%lld", (long long)v);
}

static void result_text(const struct sd_lin_kind *kind, const struct sd_operation *op, char *text,
			size_t size)
{
	char value[32];
	value_text(op->result, value, sizeof(value));
	if (op->outcome != SD_OUTCOME_OK)
		snprintf(text, size, " -> %s", op->outcome == SD_OUTCOME_UNKNOWN ? "?" : "failed");
	else if (kind->answer == SD_ANSWER_NONE)
		snprintf(text, size, "%s", "");
	else
		snprintf(text, size, " -> %s",
			 kind->answer == SD_ANSWER_VALUE ? value
			 : op->result                    ? "yes"
							 : "no");
}

void sd_operation_text(const struct sd_lin_model *model, const struct sd_operation *op, char *text,
		       size_t size)
{
	const struct sd_lin_kind *kind = &model->kinds[op->kind];
	char args[2][32] = {"", ""}, result[48];
	for (int i = 0; i < kind->nargs; i++)
		value_text(op->arg[i], args[i], sizeof(args[i]));
	result_text(kind, op, result, sizeof(result));
	snprintf(text, size, "%s(%s%s%s)%s", kind->name, args[0], kind->nargs > 1 ? ", " : "", args[1],
		 result);
}

/* ---- the drawing ---- */

struct drawing {
	const struct sd_operation *ops;
	size_t first, n; /* the operations that are drawn */
	int64_t *times;  /* when something happened among these, each once, in order */
	size_t ntimes;
	int client_width, call_width;
};

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void collect_times(struct drawing *d)
{
	size_t n = 0;
	for (size_t i = d->first; i < d->n; i++) {
		d->times[n++] = d->ops[i].invoked;
		if (d->ops[i].answered != SD_NEVER)
			d->times[n++] = d->ops[i].answered;
	}
	if (n > 0)
		qsort(d->times, n, sizeof(*d->times), by_value);
	for (size_t i = 0; i < n; i++)
		if (d->ntimes == 0 || d->times[d->ntimes - 1] != d->times[i])
			d->times[d->ntimes++] = d->times[i];
}

static void measure(struct drawing *d, const struct sd_lin_model *model)
{
	char text[CALL];
	for (size_t i = d->first; i < d->n; i++) {
		int client = snprintf(NULL, 0, "%lu", (unsigned long)d->ops[i].client);
		sd_operation_text(model, &d->ops[i], text, sizeof(text));
		int call = (int)strlen(text);
		d->client_width = client > d->client_width ? client : d->client_width;
		d->call_width = call > d->call_width ? call : d->call_width;
	}
}

/* Only the order of times is drawn: three columns for each, or as many as there is room for. */
static size_t column(const struct drawing *d, int64_t at)
{
	const int64_t *p = bsearch(&at, d->times, d->ntimes, sizeof(at), by_value);
	size_t rank = p ? (size_t)(p - d->times) : d->ntimes - 1;
	return 3 * d->ntimes <= WIDTH ? 3 * rank : rank * (WIDTH - 1) / d->ntimes;
}

static void draw_bar(struct sd_text *t, const struct drawing *d, const struct sd_operation *op)
{
	bool open = op->answered == SD_NEVER;
	size_t from = column(d, op->invoked),
	       to = open ? column(d, d->times[d->ntimes - 1]) + 2 : column(d, op->answered);
	sd_text_fill(t, ' ', from);
	sd_text_add(t, "|", 1);
	if (to <= from)
		return;
	sd_text_fill(t, open ? '.' : '-', to - from - 1);
	sd_text_add(t, open ? ">" : "|", 1);
}

static void draw(struct sd_text *t, const struct drawing *d, const struct sd_lin_model *model, size_t last)
{
	char text[CALL];
	for (size_t i = d->first; i < d->n; i++) {
		sd_operation_text(model, &d->ops[i], text, sizeof(text));
		sd_text_format(t, "%s client %-*lu  %-*s  ", i == last ? "*" : " ", d->client_width,
			       (unsigned long)d->ops[i].client, d->call_width, text);
		draw_bar(t, d, &d->ops[i]);
		sd_text_add(t, "\n", 1);
	}
}

static void draw_all(struct sd_text *t, const struct sd_lin_model *model, const struct sd_lin_report *r)
{
	struct drawing d = {.ops = r->ops, .n = r->nops};
	d.first = r->nops > LINES ? r->nops - LINES : 0;
	d.times = malloc((2 * (d.n - d.first) + 1) * sizeof(*d.times));
	if (!d.times) {
		t->full = true;
		return;
	}
	collect_times(&d);
	measure(&d, model);
	if (d.first > 0)
		sd_text_format(t, "  ... %zu operations before these\n", d.first);
	draw(t, &d, model, r->last);
	free(d.times);
}

/* ---- words ---- */

/* Quotes and control characters as in the text of a history. */
static void add_key(struct sd_text *t, struct sd_slice key)
{
	for (size_t i = 0; i < key.n; i++) {
		unsigned char c = (unsigned char)key.p[i];
		if (c < 0x20 || c == 0x7f)
			sd_text_format(t, "\\u%04x", c);
		else
			sd_text_format(t, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
	}
}

static void add_states(struct sd_text *t, const struct sd_lin_report *r)
{
	for (size_t i = 0; i < r->nstates; i++) {
		bool end = i + 1 == r->nstates && !r->more_states;
		sd_text_format(t, "%s%s", i == 0 ? "" : end ? " or " : ", ", r->states[i]);
	}
	if (r->more_states)
		sd_text_format(t, " or others");
}

static void add_violation(struct sd_text *t, const struct sd_history *h, const struct sd_lin_report *r)
{
	const struct sd_lin_model *model = sd_history_model(h);
	char text[CALL];
	sd_text_format(t, "not linearizable: %s \"", model->name);
	add_key(t, sd_history_key(h, r->key));
	sd_text_format(t, "\"; %zu of its %zu operations show it%s\n", r->nops, r->of,
		       r->shortest ? "" : " (fewer might; out of steps)");
	if (r->nops == 0)
		return;
	draw_all(t, model, r);
	sd_operation_text(model, &r->ops[r->last], text, sizeof(text));
	sd_text_format(t, "* client %lu saw %s; at any moment it could have happened, expected: %s ",
		       (unsigned long)r->ops[r->last].client, text, model->name);
	add_states(t, r);
	sd_text_add(t, "\n", 1);
}

char *sd_lin_report_text(const struct sd_history *h, const struct sd_lin_report *r)
{
	struct sd_text t = {0};
	if (r->verdict == SD_VERDICT_OK)
		sd_text_format(&t, "linearizable: %zu operations on %zu keys, %s\n", sd_history_count(h),
			       sd_history_keys(h), sd_history_model(h)->name);
	else if (r->verdict == SD_VERDICT_UNKNOWN)
		sd_text_format(&t, "unknown: %s after %llu steps; %zu of %zu keys are linearizable\n",
			       r->why ? r->why : "not decided", (unsigned long long)r->steps, r->keys,
			       sd_history_keys(h));
	else
		add_violation(&t, h, r);
	return sd_text_take(&t, NULL);
}
