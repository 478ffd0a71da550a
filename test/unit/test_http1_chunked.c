/* The chunked coding: every body is decoded whole, byte by byte and split at every position, in front of an
 * unreadable page, and must give the same data and the same verdict each time. */
#include <stdlib.h>

#include "http1_rig.h"

struct body {
	const char *bytes;
	size_t n;
	const char *data;    /* good: what comes out */
	const char *refused; /* bad: a part of the reason */
	size_t rest;         /* bytes after the body */
};

#define GOOD(input, out, ...)                                                                                \
	{                                                                                                    \
		.bytes = input, .n = sizeof(input) - 1, .data = out, __VA_ARGS__                             \
	}
#define BAD(input, why)                                                                                      \
	{                                                                                                    \
		.bytes = input, .n = sizeof(input) - 1, .refused = why                                       \
	}

#define TEN "1234567890"
#define S64 "                                                                "
#define S63 "                                                               "
#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct body bodies[] = {
    GOOD("0\r\n\r\n", ""),
    GOOD("0\r\n\r\nGET /", "", .rest = 5),
    GOOD("5\r\nhello\r\n0\r\n\r\n", "hello"),
    GOOD("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n\r\n", "hello world", .rest = 2),
    GOOD("a\r\n" TEN "\r\nA\r\n" TEN "\r\n0\r\n\r\n", TEN TEN),
    GOOD("000000000000000a\r\n" TEN "\r\n0000000000000000\r\n\r\n", TEN),
    GOOD("9\r\n123456789\r\n0f\r\n12345" TEN "\r\n0\r\n\r\n", "12345678912345" TEN),
    GOOD("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    GOOD("1;a\r\nx\r\n0;b=c\r\n\r\n", "x"),
    GOOD("1 ;a\r\nx\r\n0  ; b = \"c;\\\"\x80\" ;d\r\n\r\n", "x"),
    GOOD("1;\r\nx\r\n0\r\n\r\n", "x"),
    GOOD("1" S64 S64 S64 S63 ";\r\nx\r\n0\r\n\r\n", "x"),
    GOOD("1;" X64 X64 X64 X63 "\r\nx\r\n0\r\n\r\n", "x"),
    GOOD("0\r\nA: b\r\n\r\n", ""),
    GOOD("0\r\nA:\r\nX-Sum: \t\x80 c\r\n\r\nx", "", .rest = 1),
    /* sizes */
    BAD("\r\n", "not a hexadecimal"),
    BAD("g\r\n", "not a hexadecimal"),
    BAD(" 5\r\n", "not a hexadecimal"),
    BAD("+5\r\n", "not a hexadecimal"),
    BAD("-5\r\n", "not a hexadecimal"),
    BAD(";a\r\n", "not a hexadecimal"),
    BAD("\n", "not a hexadecimal"),
    BAD("0x5\r\n", "junk"),
    BAD("5_0\r\n", "junk"),
    BAD("5\t;a\r\n", "junk"),
    BAD("5 \r\n", "junk"),
    BAD("5 5\r\n", "junk"),
    BAD("5\0\r\n", "junk"),
    BAD("5\n", "junk"),
    BAD("5\rx", "bare CR"),
    BAD("5\r\r\n", "bare CR"),
    BAD("00000000000000005\r\n", "16 digits"),
    BAD("8000000000000000\r\n", "2^63"),
    BAD("ffffffffffffffff\r\n", "2^63"),
    BAD("10000000000000000\r\n", "16 digits"),
    /* extensions */
    BAD("5;a\n", "control byte"),
    BAD("5;a\tb\r\n", "control byte"),
    BAD("5;a\0\r\n", "control byte"),
    BAD("5;a\x7f\r\n", "control byte"),
    BAD("5;a=\"b\r\n\"\r\n", "control byte"),
    BAD("5;a=\"b\\\r\n", "control byte"),
    BAD("5;a=\"b\\\"\r\n", "control byte"),
    BAD("5;a\rb", "bare CR"),
    BAD("1;" X64 X64 X64 X64, "extension too long"),
    BAD("1 " X64, "junk"),
    BAD("1" S64 S64 S64 S64 "x", "extension too long"),
    BAD("1" S64 S64 S64 S64 ";", "extension too long"),
    /* after the data */
    BAD("5\r\nhello0\r\n\r\n", "no CRLF after"),
    BAD("5\r\nhello\n0\r\n\r\n", "no CRLF after"),
    BAD("5\r\nhello\rx", "bare CR"),
    BAD("5\r\nhello\r\r\n", "bare CR"),
    BAD("5\r\nhello\r\n\r\n", "not a hexadecimal"),
    /* trailers */
    BAD("0\r\n: a\r\n", "malformed trailer"),
    BAD("0\r\n a\r\n", "malformed trailer"),
    BAD("0\r\nA : b\r\n", "malformed trailer"),
    BAD("0\r\nA\r\n", "malformed trailer"),
    BAD("0\r\nA\n", "malformed trailer"),
    BAD("0\r\n\n", "malformed trailer"),
    BAD("0\r\nA: b\r\n c\r\n", "malformed trailer"),
    BAD("0\r\nGET / HTTP/1.1\r\n", "malformed trailer"),
    BAD("0\r\nA: b\n", "control byte"),
    BAD("0\r\nA: b\0\r\n", "control byte"),
    BAD("0\r\nA: b\rc", "bare CR"),
    BAD("0\r\n\rx", "bare CR"),
};

struct decoding {
	struct sd_http_chunked decoder;
	struct guard guard;
	char data[16384];
	size_t ndata;
	size_t consumed;
};

/* Hands over one piece, in front of the guard page, until it is used up or the decoder has enough. */
static void feed(struct decoding *d, const char *bytes, size_t n)
{
	const char *in = guard_put(&d->guard, bytes, n);
	size_t at = 0;
	while (at < n && !d->decoder.done && !d->decoder.error) {
		struct sd_slice run = {0};
		ssize_t used = sd_http_chunked_decode(&d->decoder, in + at, n - at, &run);
		ck_assert(used > 0 || (used == SD_HTTP_BAD && d->decoder.error && run.n == 0));
		if (used < 0)
			return;
		ck_assert(run.p >= in + at && run.p + run.n <= in + at + used);
		ck_assert_uint_le(d->ndata + run.n, sizeof d->data);
		memcpy(d->data + d->ndata, run.p, run.n);
		d->ndata += run.n;
		at += (size_t)used;
	}
	d->consumed += at;
}

static void restart(struct decoding *d)
{
	d->decoder = (struct sd_http_chunked){0};
	d->ndata = d->consumed = 0;
}

static void check_body(const struct decoding *d, const struct body *b)
{
	struct row shown = {.bytes = b->bytes, .n = b->n};
	if (b->refused) {
		ck_assert_msg(d->decoder.error && strstr(d->decoder.error, b->refused), "%s: %s",
			      rig_show(&shown), d->decoder.error ? d->decoder.error : "not refused");
		ck_assert(!d->decoder.done);
		return;
	}
	ck_assert_msg(d->decoder.done, "%s: %s", rig_show(&shown), d->decoder.error);
	ck_assert_uint_eq(d->ndata, strlen(b->data));
	ck_assert_mem_eq(d->data, b->data, d->ndata);
	ck_assert_uint_eq(d->consumed, b->n - b->rest);
}

static void run_body(struct decoding *d, const struct body *b)
{
	for (size_t cut = 0; cut <= b->n; cut++) {
		restart(d);
		feed(d, b->bytes, cut);
		ck_assert(!d->decoder.done || cut >= b->n - b->rest);
		feed(d, b->bytes + cut, b->n - cut);
		check_body(d, b);
	}
	restart(d);
	for (size_t i = 0; i < b->n; i++)
		feed(d, b->bytes + i, 1);
	check_body(d, b);
}

START_TEST(all_bodies)
{
	struct decoding d = {.guard = guard_new(1 << 16)};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		run_body(&d, &bodies[i]);
	guard_free(&d.guard);
}
END_TEST

START_TEST(runs)
{
	static const char in[] = "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nnext";
	struct sd_http_chunked c = {0};
	struct sd_slice run;
	ck_assert_int_eq(sd_http_chunked_decode(&c, in, 0, &run), 0);
	ck_assert_uint_eq(run.n, 0);
	ck_assert_int_eq(sd_http_chunked_decode(&c, in, sizeof in - 1, &run), 13); /* up to the next run */
	ck_assert_ptr_eq(run.p, in + 3);
	ck_assert_uint_eq(run.n, 5);
	ck_assert_int_eq(sd_http_chunked_decode(&c, in + 13, sizeof in - 14, &run), 10);
	ck_assert(sd_slice_eq(run, "abc"));
	ck_assert(c.done);
	ck_assert_int_eq(sd_http_chunked_decode(&c, in + 23, 4, &run), 0);
	ck_assert_uint_eq(run.n, 0);
}
END_TEST

START_TEST(refusal_lasts)
{
	struct sd_http_chunked c = {0};
	struct sd_slice run;
	ck_assert_int_eq(sd_http_chunked_decode(&c, "1\r\nabc", 6, &run), SD_HTTP_BAD);
	ck_assert_uint_eq(run.n, 0);
	ck_assert_int_eq(sd_http_chunked_decode(&c, "\r\n", 2, &run), SD_HTTP_BAD);
	ck_assert(!c.done);
}
END_TEST

/* 2^63 - 1 is a size, and is counted down without loss. */
START_TEST(largest_chunk)
{
	struct sd_http_chunked c = {0};
	struct sd_slice run;
	ck_assert_int_eq(sd_http_chunked_decode(&c, "7fffffffffffffff\r\nab", 20, &run), 20);
	ck_assert(sd_slice_eq(run, "ab"));
	ck_assert_uint_eq(c.left, INT64_MAX - 2);
}
END_TEST

static const char *decode_trailers(size_t bytes)
{
	char *in = malloc(bytes + 8);
	struct sd_http_chunked c = {0};
	struct sd_slice run;
	ck_assert_ptr_nonnull(in);
	memcpy(in, "0\r\n", 3);
	memset(in + 3, 'a', bytes);
	in[4] = ':';
	memcpy(in + 3 + bytes - 4, "\r\n\r\n", 4);
	sd_http_chunked_decode(&c, in, bytes + 3, &run);
	free(in);
	return c.done ? "done" : c.error;
}

START_TEST(trailer_limit)
{
	ck_assert_str_eq(decode_trailers(100), "done");
	ck_assert_str_eq(decode_trailers(8192), "done");
	ck_assert_ptr_nonnull(strstr(decode_trailers(8193), "trailer section too long"));
	ck_assert_ptr_nonnull(strstr(decode_trailers(20000), "trailer section too long"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1 chunked");
	rig_add(s, "all bodies", all_bodies);
	rig_add(s, "runs", runs);
	rig_add(s, "refusal lasts", refusal_lasts);
	rig_add(s, "largest chunk", largest_chunk);
	rig_add(s, "trailer limit", trailer_limit);
	return rig_main(s);
}
