/* What is said once: the line a person reads, the JSON line, the counter, and who listens. Lines are read
 * from a file in memory that stands in for standard output. */
#include <cjson/cJSON.h>
#include <sys/mman.h>

#include "app/event.h"
#include "app/metrics.h"
#include "net_rig.h"

static struct rig rig;
static struct sd_events *ev;
static int out, saved_out;

static void setup(void)
{
	fflush(stdout);
	out = memfd_create("events", MFD_CLOEXEC);
	saved_out = dup(1);
	dup2(out, 1);
	rig_make(&rig);
}

static void teardown(void)
{
	rig_halt(&rig);
	sd_events_free(ev);
	rig_free(&rig);
	dup2(saved_out, 1);
	close(saved_out);
	close(out);
}

/* Everything that was printed since the last call. */
static char *said(void)
{
	static char text[1 << 16];
	static off_t from;
	ssize_t n = pread(out, text, sizeof(text) - 1, from);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	from += n;
	return text;
}

static struct sd_log *log_of(bool json, bool colour, const char *tag, const char *service, const char *prefix,
			     int painted)
{
	if (!ev)
		ev = sd_events_new(rig.loop, json, colour);
	struct sd_log *log = sd_log_new(ev, tag, service, prefix, painted);
	ck_assert_ptr_nonnull(log);
	return log;
}

/* ---- for people ---- */

START_TEST(human)
{
	struct sd_log *log = log_of(false, false, "LB", "front", NULL, 31);
	struct sd_field f[] = {{"backend", "8082", 0}, {0}};
	sd_event(log, SD_INFO, "listening", NULL, "Listening on %s:%d", "127.0.0.1", 8080);
	sd_event(log, SD_WARN, "slow", f, "Slow");
	sd_event(log, SD_ERROR, "down", f, "Down");
	ck_assert_str_eq(said(), "[LB] Listening on 127.0.0.1:8080\n[LB] Slow\n[LB] Down\n");
}
END_TEST

START_TEST(column_of_a_stack)
{
	struct sd_log *a = log_of(false, false, "BACKEND", "web-1", "web-1", 36);
	struct sd_log *b = log_of(false, false, "LB", "front", "a-longer-name", 33);
	sd_event(a, SD_INFO, "x", NULL, "one");
	sd_event(b, SD_INFO, "x", NULL, "two");
	sd_events_line(a, "from elsewhere", 14);
	ck_assert_str_eq(
	    said(), "web-1      | [BACKEND] one\na-longer-name | [LB] two\nweb-1      | from elsewhere\n");
}
END_TEST

START_TEST(colours)
{
	struct sd_log *a = log_of(false, true, "LB", "front", "front", 36);
	struct sd_log *plain = log_of(false, true, "LB", "other", NULL, 0);
	sd_event(a, SD_INFO, "x", NULL, "one");
	sd_event(plain, SD_INFO, "x", NULL, "two");
	sd_event(plain, SD_WARN, "x", NULL, "three");
	sd_event(plain, SD_ERROR, "x", NULL, "four");
	ck_assert_str_eq(said(), "\033[36mfront      |\033[0m [LB] one\n[LB] two\n\033[33m[LB] three\033[0m\n"
				 "\033[31m[LB] four\033[0m\n");
}
END_TEST

/* One event is one line, and cannot move the cursor. */
START_TEST(human_line_stays_one)
{
	struct sd_log *log = log_of(false, false, "LB", "front", NULL, 0);
	sd_event(log, SD_INFO, "x", NULL, "%s", "a\nb\r\tc\033[2Jd\177\xc3\xa4\xff");
	ck_assert_str_eq(said(), "[LB] a?b??c?[2Jd?\xc3\xa4?\n");
}
END_TEST

START_TEST(long_sentences_are_cut)
{
	struct sd_log *log = log_of(false, false, "LB", "front", NULL, 0);
	char text[3000], *line;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	text[1022] = '\xc3'; /* the cut is inside of a character */
	text[1023] = '\xa4';
	sd_event(log, SD_INFO, "x", NULL, "%s", text);
	line = said();
	ck_assert_uint_eq(strlen(line), 5 + 1023 + 1);
	ck_assert_str_eq(line + 5 + 1021, "x?\n");
}
END_TEST

/* ---- for programs ---- */

static const char *string(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	ck_assert_msg(cJSON_IsString(v), "no string called %s", key);
	return v->valuestring;
}

START_TEST(json_line)
{
	struct sd_log *log = log_of(true, true, "LB", "front", "front", 36);
	struct sd_field f[] = {
	    {"backend", "8082", 0}, {"failures", NULL, 3}, {"since", NULL, -1234567890123}, {0}};
	sd_event(log, SD_WARN, "backend_down", f, "Backend %d is down", 8082);
	char *line = said();
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	ck_assert_str_eq(strstr(line, ",\"level\""),
			 ",\"level\":\"warn\",\"service\":\"front\",\"event\":\"backend_down\","
			 "\"message\":\"Backend 8082 is "
			 "down\",\"backend\":\"8082\",\"failures\":3,\"since\":-1234567890123}\n");
	cJSON *o = cJSON_Parse(line);
	const char *when = string(o, "time");
	int y, mo, d, h, mi, s, ms, n = 0;
	ck_assert_int_eq(sscanf(when, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo, &d, &h, &mi, &s, &ms, &n),
			 7);
	ck_assert_int_eq(n, 24);
	cJSON_Delete(o);
	sd_event(log, SD_INFO, "a", NULL, "one");
	ck_assert_ptr_nonnull(strstr(
	    said(), "\"level\":\"info\",\"service\":\"front\",\"event\":\"a\",\"message\":\"one\"}\n"));
	sd_event(log, SD_ERROR, "b", &(struct sd_field){0}, "two");
	ck_assert_ptr_nonnull(strstr(
	    said(), "\"level\":\"error\",\"service\":\"front\",\"event\":\"b\",\"message\":\"two\"}\n"));
}
END_TEST

/* Each byte that is not 0, in the sentence and in a field, comes back or is a question mark. */
START_TEST(json_of_odd_bytes)
{
	struct sd_log *log = log_of(true, false, "LB", "front", NULL, 0);
	for (int c = 1; c < 256; c++) {
		char text[] = {'<', (char)c, '>', '\0'},
		     want[] = {'<', (char)(c < 0x80 ? c : '?'), '>', '\0'};
		struct sd_field f[] = {{"field", text, 0}, {0}};
		sd_event(log, SD_INFO, "x", f, "%s", text);
		char *line = said();
		ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
		for (const char *p = line; p[1]; p++)
			ck_assert_msg((unsigned char)*p >= 0x20, "byte %d is there as it is", c);
		cJSON *o = cJSON_Parse(line);
		ck_assert_msg(o != NULL, "not JSON: %s", line);
		ck_assert_str_eq(string(o, "message"), want);
		ck_assert_str_eq(string(o, "field"), want);
		cJSON_Delete(o);
	}
}
END_TEST

START_TEST(json_is_utf8)
{
	static const char *const cases[][2] = {
	    {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
	    {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"},
	    {"\xc3", "?"},                /* cut */
	    {"\xe2\x82", "??"},           /* cut */
	    {"\xf0\x9f\x98", "???"},      /* cut */
	    {"\xc3\x28", "?("},           /* no continuation */
	    {"\xa4z", "?z"},              /* nothing but one */
	    {"\xc0\xaf\xc1\xbf", "????"}, /* longer than need be */
	    {"\xe0\x80\xaf", "???"},      /* longer than need be */
	    {"\xf0\x80\x80\xaf", "????"}, /* longer than need be */
	    {"\xed\xa0\x80", "???"},      /* half of a pair */
	    {"\xf4\x90\x80\x80", "????"}, /* beyond the last */
	    {"\xf5\x80\x80\x80", "????"}, /* beyond the last */
	    {"\xfe\xff", "??"},
	};
	struct sd_log *log = log_of(true, false, "LB", "front", NULL, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sd_field f[] = {{"field", cases[i][0], 0}, {0}};
		sd_event(log, SD_INFO, "x", f, "%s", cases[i][0]);
		cJSON *o = cJSON_Parse(said());
		ck_assert_str_eq(string(o, "message"), cases[i][1]);
		ck_assert_str_eq(string(o, "field"), cases[i][1]);
		cJSON_Delete(o);
	}
}
END_TEST

/* ---- who listens ---- */

struct ear {
	struct sd_event_listener listener;
	char name[64], json[4096];
	int heard, leave_after; /* 0: stays */
};

static void on_hear(struct sd_event_listener *l, const char *name, const char *json, size_t n)
{
	struct ear *e = sd_container(l, struct ear, listener);
	ck_assert_uint_eq(strlen(json), n);
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->json, sizeof(e->json), "%s", json);
	if (++e->heard == e->leave_after)
		sd_events_unlisten(l);
}

static void listen_with(struct ear *e)
{
	e->listener.fn = on_hear;
	sd_events_listen(ev, &e->listener);
}

START_TEST(listeners)
{
	struct sd_log *log = log_of(false, false, "LB", "front", NULL, 0);
	struct ear a = {0}, b = {.leave_after = 2}, c = {0};
	sd_event(log, SD_INFO, "before", NULL, "nobody listens");
	listen_with(&a);
	listen_with(&b);
	listen_with(&c);
	for (int i = 1; i <= 3; i++)
		sd_event(log, SD_INFO, "counted", NULL, "%d", i);
	ck_assert_int_eq(a.heard, 3);
	ck_assert_int_eq(b.heard, 2);
	ck_assert_int_eq(c.heard, 3);
	ck_assert_str_eq(a.name, "counted");
	ck_assert_str_eq(a.json, c.json);
	ck_assert_str_eq(strstr(a.json, "\"level\""),
			 "\"level\":\"info\",\"service\":\"front\",\"event\":\"counted\",\"message\":\"3\"}");
	ck_assert_ptr_nonnull(strstr(b.json, "\"message\":\"2\"}"));
	/* people read what they always did */
	ck_assert_str_eq(said(), "[LB] nobody listens\n[LB] 1\n[LB] 2\n[LB] 3\n");
	sd_events_unlisten(&a.listener);
	sd_events_unlisten(&c.listener);
	sd_event(log, SD_INFO, "after", NULL, "nobody listens");
	ck_assert_int_eq(a.heard + b.heard + c.heard, 8);
}
END_TEST

/* ---- counters ---- */

static void is_metrics(const char *want)
{
	struct sd_metrics *m = sd_metrics_new();
	size_t n;
	sd_events_metrics(ev, m);
	char *text = sd_metrics_text(m, &n);
	ck_assert_str_eq(text, want);
	free(text);
	sd_metrics_free(m);
}

#define TOTAL "# HELP sdlab_events_total Things that happened, by name\n# TYPE sdlab_events_total counter\n"
#define DROPPED                                                                                              \
	"# HELP sdlab_events_dropped_total Events lost because the log fell behind\n"                        \
	"# TYPE sdlab_events_dropped_total counter\nsdlab_events_dropped_total "

START_TEST(counters)
{
	struct sd_log *a = log_of(false, false, "LB", "front", NULL, 0);
	struct sd_log *b = log_of(false, false, "BACKEND", "web-1", NULL, 0);
	is_metrics(TOTAL DROPPED "0\n");
	char name[] = "up"; /* names need not live on */
	sd_event(a, SD_INFO, name, NULL, "x");
	name[0] = 'U';
	sd_event(a, SD_INFO, "down", NULL, "x");
	sd_event(a, SD_WARN, "up", NULL, "y");
	sd_event(b, SD_INFO, "up", NULL, "z");
	is_metrics(TOTAL "sdlab_events_total{service=\"front\",event=\"down\"} 1\n"
			 "sdlab_events_total{service=\"front\",event=\"up\"} 2\n"
			 "sdlab_events_total{service=\"web-1\",event=\"up\"} 1\n" DROPPED "0\n");
}
END_TEST

/* ---- from other threads ---- */

#define THREADS 4

struct speaker {
	pthread_t id;
	struct sd_log *log;
	int number, events;
};

static void *speak(void *arg)
{
	struct speaker *s = arg;
	for (int i = 0; i < s->events; i++) {
		struct sd_field f[] = {{"thread", NULL, s->number}, {"i", NULL, i}, {0}};
		sd_event(s->log, SD_INFO, "spoken", f, "%d of %d", i, s->number);
	}
	return NULL;
}

static void speak_all(struct sd_log *log, struct speaker s[THREADS], int events)
{
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct speaker){.log = log, .number = i, .events = events};
		ck_assert_int_eq(pthread_create(&s[i].id, NULL, speak, &s[i]), 0);
	}
}

static void join_all(struct speaker s[THREADS])
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(s[i].id, NULL);
}

/* Each thread's own come in its order. */
struct counting {
	struct sd_event_listener listener;
	int next[THREADS], total;
};

static void on_count(struct sd_event_listener *l, const char *name, const char *json, size_t n)
{
	struct counting *c = sd_container(l, struct counting, listener);
	int thread, i;
	(void)name;
	(void)n;
	const char *at = strstr(json, "\"thread\":");
	ck_assert_msg(at && sscanf(at, "\"thread\":%d,\"i\":%d}", &thread, &i) == 2, "%s", json);
	ck_assert_int_eq(i, c->next[thread]);
	c->next[thread]++;
	c->total++;
}

static bool all_came(void *arg)
{
	const struct counting *c = arg;
	return c->total == THREADS * 500;
}

START_TEST(threads)
{
	struct sd_log *log = log_of(true, false, "LB", "front", NULL, 0);
	struct counting c = {.listener.fn = on_count};
	struct speaker s[THREADS];
	sd_events_listen(ev, &c.listener);
	rig_run(&rig);
	speak_all(log, s, 500);
	join_all(s);
	rig_wait(&rig, "every event", all_came, &c);
	rig_halt(&rig);
	is_metrics(TOTAL "sdlab_events_total{service=\"front\",event=\"spoken\"} 2000\n" DROPPED "0\n");
}
END_TEST

/* The control loop does not come to it: what is too much is dropped and counted, and there is room again
 * later. */
START_TEST(dropping)
{
	struct sd_log *log = log_of(false, false, "LB", "front", NULL, 0);
	struct counting c = {.listener.fn = on_count};
	struct speaker s[THREADS];
	speak_all(log, s, SD_EVENTS_MAX / THREADS + 10);
	join_all(s);
	is_metrics(TOTAL DROPPED "40\n");
	sd_loop_flush(rig.loop);
	is_metrics(TOTAL "sdlab_events_total{service=\"front\",event=\"spoken\"} 10000\n" DROPPED "40\n");
	sd_events_listen(ev, &c.listener);
	speak_all(log, s, 10);
	join_all(s);
	sd_loop_flush(rig.loop);
	ck_assert_int_eq(c.total, 40);
	is_metrics(TOTAL "sdlab_events_total{service=\"front\",event=\"spoken\"} 10040\n" DROPPED "40\n");
}
END_TEST

START_TEST(nothing_to_free)
{
	sd_events_free(NULL);
}
END_TEST

int main(void)
{
	TCase *people = tcase_create("people"), *programs = tcase_create("programs"),
	      *many = tcase_create("threads");
	TCase *cases[] = {people, programs, many};
	for (size_t i = 0; i < 3; i++)
		tcase_add_checked_fixture(cases[i], setup, teardown);
	tcase_add_test(people, human);
	tcase_add_test(people, column_of_a_stack);
	tcase_add_test(people, colours);
	tcase_add_test(people, human_line_stays_one);
	tcase_add_test(people, long_sentences_are_cut);
	tcase_add_test(programs, json_line);
	tcase_add_test(programs, json_of_odd_bytes);
	tcase_add_test(programs, json_is_utf8);
	tcase_add_test(programs, listeners);
	tcase_add_test(programs, counters);
	tcase_add_test(many, threads);
	tcase_add_test(many, dropping);
	tcase_add_test(many, nothing_to_free);
	return rig_main_of(cases, 3, "event");
}
