/* breaker_say.c - what is said of a run: a line for each request, and a summary. */
#include <stdlib.h>
#include <string.h>

#include "breaker.h"

#define TOLD 2 /* rejections of an opening, before they are left out */
#define MS   1e6

static const char *name(enum sd_breaker_state state)
{
	return sd_breaker_state_name(state);
}

/* What the tool calls an outcome. */
static const char *kind_name(const struct sd_breaker_failure *f, char out[32])
{
	static const char *const names[SD_BREAKER_KINDS] = {"success", "ignored", "connect", "timeout", "status", "broken", "error"};
	if (f->kind == SD_BREAKER_STATUS)
		snprintf(out, 32, "%u", f->code);
	else
		snprintf(out, 32, "%s", names[f->kind]);
	return out;
}

/* "30 seconds later" */
static void say_later(struct breaker_story *s, int64_t ns)
{
	int64_t seconds = ns / 1000000000;
	if (seconds > 0)
		fprintf(s->out, "[%lld second%s later]\n", (long long)seconds, seconds == 1 ? "" : "s");
	else
		fprintf(s->out, "[%lld ms later]\n", (long long)(ns / 1000000));
}

void breaker_say_trying(struct breaker_story *s, uint64_t number, int64_t now_ns)
{
	struct sd_breaker_stats st;
	sd_breaker_stats(s->b, now_ns, &st);
	if (s->json || st.state != SD_BREAKER_HALF_OPEN || s->trying)
		return;
	if (s->elided > TOLD && !s->verbose)
		say_later(s, now_ns - st.opened_ns);
	s->trying = true;
	fprintf(s->out, "Request %llu: TRYING (circuit: %s)\n", (unsigned long long)number, name(st.state));
	fflush(s->out);
}

/* What of the rules the failures have come to. */
static void say_failures(struct breaker_story *s, const struct sd_breaker_stats *before, int64_t now_ns)
{
	const struct sd_breaker_conf *c = s->conf;
	struct sd_breaker_stats st;
	sd_breaker_stats(s->b, now_ns, &st);
	bool tripped = st.state != SD_BREAKER_CLOSED; /* which counts anew */
	if (c->failures)
		fprintf(s->out, ", failures: %u/%u", tripped ? c->failures : st.failures, c->failures);
	else if (c->consecutive)
		fprintf(s->out, ", failures: %u/%u", tripped ? before->in_a_row + 1 : st.in_a_row, c->consecutive);
	else if (!tripped)
		fprintf(s->out, ", failures: %u of %u", st.failures, st.calls);
}

static void say_rejected(struct breaker_story *s, uint64_t number, const struct sd_breaker_stats *before, int64_t now_ns)
{
	char why[SD_BREAKER_REASON];
	s->elided++;
	if (s->verbose)
		fprintf(s->out, "Request %llu: REJECTED (circuit: %s): %s\n", (unsigned long long)number, name(before->state),
			sd_breaker_reason(s->b, now_ns, why));
	else if (s->elided <= TOLD)
		fprintf(s->out, "Request %llu: REJECTED (circuit: %s)%s\n", (unsigned long long)number, name(before->state),
			s->elided == 1 ? " ← Fast fail, didn't even try" : "");
	else if (s->elided == TOLD + 1)
		fputs("...\n", s->out);
}

static void say_done(struct breaker_story *s, uint64_t number, enum breaker_verdict verdict, const struct sd_breaker_stats *before,
		     int64_t now_ns)
{
	static const char *const words[] = {"OK", "FAIL", "IGNORED"};
	bool half = before->state == SD_BREAKER_HALF_OPEN;
	fprintf(s->out, "Request %llu: %s (circuit: %s", (unsigned long long)number, words[verdict], name(before->state));
	if (half)
		fprintf(s->out, ", successes: %u/%u", before->probed + (verdict == BREAKER_OK), s->conf->successes);
	else if (verdict == BREAKER_FAIL)
		say_failures(s, before, now_ns);
	fprintf(s->out, ")%s\n", s->recovered && !half && verdict == BREAKER_OK ? " ← Recovered!" : "");
	s->recovered = s->recovered && half;
}

void breaker_say(struct breaker_story *s, uint64_t number, enum breaker_verdict verdict, const struct sd_breaker_stats *before,
		 int64_t now_ns)
{
	s->n++;
	s->ok += verdict == BREAKER_OK;
	s->failed += verdict == BREAKER_FAIL;
	s->ignored += verdict == BREAKER_IGNORE;
	s->rejected += verdict == BREAKER_REJECTED;
	if (s->json)
		return;
	if (verdict == BREAKER_REJECTED)
		say_rejected(s, number, before, now_ns);
	else
		say_done(s, number, verdict, before, now_ns);
	fflush(s->out);
}

void breaker_say_changed(struct breaker_story *s, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns)
{
	char why[SD_BREAKER_REASON];
	cJSON *o = cJSON_CreateObject();
	if (from == SD_BREAKER_CLOSED)
		s->opened_ns = now_ns;
	if (to == SD_BREAKER_CLOSED)
		s->open_ns += now_ns - s->opened_ns;
	if (to == SD_BREAKER_OPEN) {
		s->opened++;
		s->elided = 0;
	}
	s->trying = false;
	s->recovered = to == SD_BREAKER_CLOSED;
	cJSON_AddNumberToObject(o, "at_ms", (double)(now_ns - s->began_ns) / MS);
	cJSON_AddStringToObject(o, "from", name(from));
	cJSON_AddStringToObject(o, "to", name(to));
	cJSON_AddStringToObject(o, "why", sd_breaker_reason(s->b, now_ns, why));
	cJSON_AddItemToArray(s->changes, o);
}

/* ---- the end ---- */

static void say_json(struct breaker_story *s, const struct sd_breaker_stats *st, const char *interrupted, int64_t now_ns)
{
	struct sd_breaker_failure last[SD_BREAKER_LAST];
	char text[SD_BREAKER_REASON], kind[32];
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "requests", (double)s->n);
	cJSON_AddNumberToObject(o, "ok", (double)s->ok);
	cJSON_AddNumberToObject(o, "failed", (double)s->failed);
	cJSON_AddNumberToObject(o, "ignored", (double)s->ignored);
	cJSON_AddNumberToObject(o, "rejected", (double)s->rejected);
	cJSON_AddNumberToObject(o, "ms", (double)(now_ns - s->began_ns) / MS);
	cJSON_AddStringToObject(o, "state", name(st->state));
	cJSON_AddStringToObject(o, "why", sd_breaker_reason(s->b, now_ns, text));
	cJSON_AddNumberToObject(o, "opened", (double)s->opened);
	cJSON_AddNumberToObject(o, "open_ms", (double)s->open_ns / MS);
	cJSON_AddBoolToObject(o, "interrupted", interrupted != NULL);
	cJSON_AddItemToObject(o, "changes", s->changes);
	cJSON *list = cJSON_AddArrayToObject(o, "last_failures");
	size_t n = sd_breaker_last(s->b, last, SD_BREAKER_LAST);
	for (size_t i = 0; i < n; i++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddNumberToObject(f, "at_ms", (double)(last[i].at_ns - s->began_ns) / MS);
		cJSON_AddStringToObject(f, "kind", kind_name(&last[i], kind));
		cJSON_AddItemToArray(list, f);
	}
	char *json = cJSON_PrintUnformatted(o);
	fprintf(s->out, "%s\n", json ? json : "");
	free(json);
	cJSON_Delete(o);
	s->changes = NULL;
}

/* "last failures: 503, 503, timeout" */
static void say_last(struct breaker_story *s)
{
	struct sd_breaker_failure last[SD_BREAKER_LAST];
	char kind[32];
	size_t n = sd_breaker_last(s->b, last, SD_BREAKER_LAST);
	for (size_t i = n; i > 0; i--)
		fprintf(s->out, "%s%s%s", i == n ? "Last failures: " : ", ", kind_name(&last[i - 1], kind), i == 1 ? "\n" : "");
}

static void say_text(struct breaker_story *s, const struct sd_breaker_stats *st, const char *interrupted, int64_t now_ns)
{
	char why[SD_BREAKER_REASON];
	fprintf(s->out, "\n%s%llu requests in %.1f s: %llu ok, %llu failed, %llu rejected without a try", interrupted ? interrupted : "",
		(unsigned long long)s->n, (double)(now_ns - s->began_ns) / 1e9, (unsigned long long)s->ok,
		(unsigned long long)s->failed, (unsigned long long)s->rejected);
	if (s->ignored)
		fprintf(s->out, ", %llu ignored", (unsigned long long)s->ignored);
	fputc('\n', s->out);
	if (s->opened)
		fprintf(s->out, "The circuit opened %llu time%s and was not closed for %.1f s.\n", (unsigned long long)s->opened,
			s->opened == 1 ? "" : "s", (double)s->open_ns / 1e9);
	sd_breaker_reason(s->b, now_ns, why);
	fprintf(s->out, "Now %s: %s\n", name(st->state), why + (strncmp(why, "closed: ", 8) == 0 ? 8 : 0));
	say_last(s);
}

int breaker_say_summary(struct breaker_story *s, const char *interrupted, int64_t now_ns)
{
	struct sd_breaker_stats st;
	sd_breaker_tick(s->b, now_ns);
	sd_breaker_stats(s->b, now_ns, &st);
	if (st.state != SD_BREAKER_CLOSED)
		s->open_ns += now_ns - s->opened_ns;
	if (s->json)
		say_json(s, &st, interrupted, now_ns);
	else
		say_text(s, &st, interrupted, now_ns);
	cJSON_Delete(s->changes);
	s->changes = NULL;
	return interrupted || st.state != SD_BREAKER_CLOSED;
}
