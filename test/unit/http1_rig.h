/* http1_rig.h - runs one message through the head parser in every way it can arrive, and says in a line what
 * came out. Shared by the tests of requests and of responses. */
#ifndef SDLAB_TEST_HTTP1_RIG_H
#define SDLAB_TEST_HTTP1_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "guard.h"
#include "sdlab/http1.h"

/* A row of a table: a message, and either what is made of it or why it is refused. */
struct row {
	const char *bytes;
	size_t n;
	int refused;      /* the status, 0 when the message is good */
	const char *says; /* good: summary of the head; refused: a part of the reason */
	struct sd_http_limits limits;
	enum sd_http_method asked; /* responses */
};

#define ROW(input, status, text, ...)                                                                        \
	{                                                                                                    \
		.bytes = input, .n = sizeof(input) - 1, .refused = status, .says = text, __VA_ARGS__         \
	}

struct rig {
	bool response;
	struct guard guard;
	struct sd_http_head head;
};

static inline struct rig *rig_new(bool response)
{
	struct rig *rig = malloc(sizeof *rig);
	ck_assert_ptr_nonnull(rig);
	rig->response = response;
	rig->guard = guard_new(1 << 17);
	return rig;
}

static inline void rig_free(struct rig *rig)
{
	guard_free(&rig->guard);
	free(rig);
}

/* The first n bytes, at the guard page, of which `seen` were seen before. */
static inline ssize_t rig_parse(struct rig *rig, const struct row *row, size_t n, size_t seen)
{
	const char *p = guard_put(&rig->guard, row->bytes, n);
	memset(&rig->head, 0xa5, sizeof rig->head); /* nothing may be left over */
	if (rig->response)
		return sd_http_parse_response(p, n, seen, &row->limits, row->asked, &rig->head);
	return sd_http_parse_request(p, n, seen, &row->limits, &rig->head);
}

static inline void rig_framing(char *out, size_t size, const struct sd_http_head *head)
{
	static const char *const names[] = {"none", "length", "chunked", "close-ends"};
	int n = snprintf(out, size, "%s", names[head->framing]);
	if (head->has_content_length)
		snprintf(out + n, size - (size_t)n, ":%llu", (unsigned long long)head->content_length);
}

#define SLICE(s) (int)(s).n, (s).n ? (s).p : ""

/* "GET /path?query @host 1.1 length:5 keep", or "200 'OK' 1.1 chunked close", and then what is special. */
static inline const char *rig_summary(const struct rig *rig, char *out, size_t size)
{
	const struct sd_http_head *h = &rig->head;
	char start[512], framing[64], upgrade[64] = "";
	if (rig->response)
		snprintf(start, sizeof start, "%d '%.*s'", h->status, SLICE(h->reason));
	else
		snprintf(start, sizeof start, "%s%.*s %.*s?%.*s @%.*s",
			 h->method ? "" : "other:", SLICE(h->method_text), SLICE(h->path), SLICE(h->query),
			 SLICE(h->host));
	rig_framing(framing, sizeof framing, h);
	if (h->connection_upgrade)
		snprintf(upgrade, sizeof upgrade, " upgrade:%.*s", SLICE(h->upgrade));
	snprintf(out, size, "%s 1.%d %s %s%s%s%s%s", start, h->minor, framing,
		 h->keep_alive ? "keep" : "close", h->expect_continue ? " expect" : "",
		 h->te_trailers ? " trailers" : "", upgrade, h->connection_nominates ? " nominates" : "");
	return out;
}

/* Prints bytes so that a failed row can be found in the table. */
static inline const char *rig_show(const struct row *row)
{
	static char out[400];
	size_t at = 0;
	for (size_t i = 0; i < row->n && at < sizeof out - 5; i++) {
		unsigned char c = (unsigned char)row->bytes[i];
		at += (size_t)snprintf(out + at, sizeof out - at, c >= 32 && c < 127 ? "%c" : "\\x%02x", c);
	}
	return out;
}

static inline void rig_verdict(const struct rig *rig, const struct row *row, ssize_t got, ssize_t good,
			       const char *how)
{
	char line[1024];
	if (row->refused) {
		ck_assert_msg(got == SD_HTTP_BAD, "%s: %s: not refused but %zd", rig_show(row), how, got);
		ck_assert_msg(rig->head.error_status == row->refused, "%s: %s: refused with %d, not %d",
			      rig_show(row), how, rig->head.error_status, row->refused);
		ck_assert_msg(strstr(rig->head.error_reason, row->says) != NULL, "%s: %s: reason is: %s",
			      rig_show(row), how, rig->head.error_reason);
		return;
	}
	ck_assert_msg(got == good, "%s: %s: %zd instead of %zd (%d)", rig_show(row), how, got, good,
		      got == SD_HTTP_BAD ? rig->head.error_status : 0);
	ck_assert_msg(strcmp(rig_summary(rig, line, sizeof line), row->says) == 0,
		      "%s: %s:\n  expected %s\n  got      %s", rig_show(row), how, row->says, line);
}

/* Where the head ends: a row holds one head, or one and "|" with bytes of the next message. */
static inline size_t rig_head_length(const struct row *row)
{
	const char *end = memmem(row->bytes, row->n, "\r\n\r\n|", 5);
	return end ? (size_t)(end + 4 - row->bytes) : row->n;
}

/* Byte by byte, as from a very slow peer. */
static inline void rig_drip(struct rig *rig, const struct row *row)
{
	ssize_t r = SD_HTTP_INCOMPLETE;
	for (size_t n = 1; n <= row->n && r == SD_HTTP_INCOMPLETE; n++)
		r = rig_parse(rig, row, n, n - 1);
	rig_verdict(rig, row, r, (ssize_t)rig_head_length(row), "byte by byte");
}

/* Cut off at every byte: never a head, and of a good head never a refusal. Then the rest comes. */
static inline void rig_cut(struct rig *rig, const struct row *row)
{
	size_t whole = rig_head_length(row);
	for (size_t n = 0; n < whole; n++) {
		ssize_t r = rig_parse(rig, row, n, 0);
		if (r != SD_HTTP_INCOMPLETE) {
			ck_assert_msg(row->refused && r == SD_HTTP_BAD, "%s: cut at %zu: %zd", rig_show(row),
				      n, r);
			rig_verdict(rig, row, r, 0, "cut");
			continue;
		}
		if (n > 0) /* nothing new */
			ck_assert_int_eq(rig_parse(rig, row, n, n), SD_HTTP_INCOMPLETE);
		r = rig_parse(rig, row, row->n, n);
		rig_verdict(rig, row, r, (ssize_t)whole, "in two parts");
	}
}

static inline void rig_run(struct rig *rig, const struct row *row)
{
	rig_verdict(rig, row, rig_parse(rig, row, row->n, 0), (ssize_t)rig_head_length(row), "whole");
	rig_drip(rig, row);
	rig_cut(rig, row);
}

static inline void rig_run_all(bool response, const struct row *rows, size_t n)
{
	struct rig *rig = rig_new(response);
	for (size_t i = 0; i < n; i++)
		rig_run(rig, &rows[i]);
	rig_free(rig);
}

#define RUN_ALL(response, rows) rig_run_all(response, rows, sizeof(rows) / sizeof *(rows))

/* A main for a file of tests. */
static inline int rig_main(Suite *s)
{
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

static inline void rig_add(Suite *s, const char *name, const TTest *test)
{
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test);
	suite_add_tcase(s, tc);
}

#endif
