/* breaker_replay.c - outcomes of a file through a breaker, in the time that the file says: would it have opened?
 *
 * A line is a call: when it began, how it ended, and how long it took when that matters.
 *
 *	0s     ok
 *	100ms  503
 *	0.2s   timeout  5s
 */
#include <stdlib.h>
#include <string.h>

#include "breaker.h"
#include "core/units.h"

#define MAX_FILE (256u << 20)

struct line {
	char at[48], how[32], took[48];
};

struct replay {
	struct sd_verb_call *call;
	struct breaker_story story;
	int64_t at_ns;
	uint64_t number;
	bool states;
};

static bool outcome_of(const char *word, struct sd_breaker_outcome *out)
{
	static const struct {
		const char *word;
		enum sd_breaker_kind kind;
	} words[] = {{"ok", SD_BREAKER_SUCCESS},     {"cancel", SD_BREAKER_IGNORED}, {"connect", SD_BREAKER_CONNECT},
		     {"timeout", SD_BREAKER_TIMEOUT}, {"broken", SD_BREAKER_BROKEN},  {"error", SD_BREAKER_ERROR}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			*out = (struct sd_breaker_outcome){.kind = words[i].kind};
			return true;
		}
	int64_t status;
	if (sd_parse_int(word, &status) || status < 100 || status > 599)
		return false;
	*out = sd_breaker_http((int)status, -1);
	return true;
}

static enum breaker_verdict verdict_of(const struct sd_breaker_outcome *how)
{
	return how->kind == SD_BREAKER_IGNORED ? BREAKER_IGNORE : sd_breaker_failure(how->kind) ? BREAKER_FAIL : BREAKER_OK;
}

/* One call of the file. */
static void play(struct replay *r, const struct sd_breaker_outcome *how, int64_t took_ns)
{
	struct sd_breaker *b = r->story.b;
	struct sd_breaker_ticket t;
	struct sd_breaker_stats before;
	bool let = !sd_breaker_allow(b, r->at_ns, &t, NULL);
	sd_breaker_stats(b, r->at_ns, &before);
	if (let) {
		r->at_ns += took_ns;
		if (!r->states)
			breaker_say_trying(&r->story, r->number, r->at_ns);
		sd_breaker_done(b, &t, how, r->at_ns);
	}
	if (!r->states) {
		breaker_say(&r->story, r->number, let ? verdict_of(how) : BREAKER_REJECTED, &before, r->at_ns);
		return;
	}
	struct sd_breaker_stats after;
	sd_breaker_stats(b, r->at_ns, &after);
	fprintf(r->call->out, "%s %s\n", let ? "called" : "rejected", sd_breaker_state_name(after.state));
}

static enum sd_err play_line(struct replay *r, const char *text, size_t n, struct sd_error *e)
{
	struct line l = {0};
	char line[160];
	struct sd_breaker_outcome how;
	int64_t at, took = 0;
	snprintf(line, sizeof(line), "%.*s", (int)(n < 159 ? n : 159), text);
	int words = sscanf(line, "%47s %31s %47s", l.at, l.how, l.took);
	if (words <= 0 || l.at[0] == '#')
		return SD_OK;
	r->number++;
	if (words < 2 || sd_parse_duration(l.at, &at) || (words > 2 && sd_parse_duration(l.took, &took)) || took < 0)
		return sd_fail(e, SD_EINVAL, "expected TIME OUTCOME [DURATION], such as \"1.5s 503 20ms\", found \"%.60s\"", line);
	if (!outcome_of(l.how, &how))
		return sd_fail(e, SD_EINVAL, "expected ok, a status, connect, timeout, broken, error or cancel, found \"%s\"", l.how);
	if (at < r->at_ns && r->number > 1)
		at = r->at_ns; /* one at a time */
	r->at_ns = at;
	play(r, &how, took);
	return SD_OK;
}

static void on_changed(void *arg, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns)
{
	breaker_say_changed(arg, from, to, now_ns);
}

static enum sd_err play_all(struct replay *r, const char *text, size_t n, struct sd_error *e)
{
	const char *end = text + n;
	for (unsigned number = 1; text < end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((stop ? stop : end) - text);
		if (play_line(r, text, length, e))
			return sd_wrap(e, "%s:%u", r->call->args[0], number);
		text += length + 1;
	}
	return SD_OK;
}

int breaker_replay(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_breaker_conf rules;
	struct replay r = {.call = call, .states = sd_conf_bool(call->conf, "states")};
	char *text = NULL;
	size_t n;
	enum sd_err err = breaker_rules(call->world, call->conf, &rules, &e);
	rules.hooks = (struct sd_breaker_hooks){.changed = on_changed, .arg = &r.story};
	if (!err)
		err = sd_world_read_file(call->world, call->args[0], MAX_FILE, &text, &n, &e);
	if (!err)
		err = sd_breaker_new(&rules, &r.story.b, &e);
	r.story.out = call->out;
	r.story.conf = &rules;
	r.story.json = sd_conf_bool(call->conf, "json");
	r.story.verbose = sd_conf_bool(call->conf, "verbose");
	r.story.changes = cJSON_CreateArray();
	if (!err)
		err = play_all(&r, text, n, &e);
	if (err)
		fprintf(call->err, "sdlab breaker replay: %s\n", e.text);
	else if (!r.states)
		breaker_say_summary(&r.story, NULL, r.at_ns);
	cJSON_Delete(r.story.changes);
	sd_breaker_free(r.story.b);
	free(text);
	return err == SD_EUSAGE ? 2 : err != SD_OK;
}
