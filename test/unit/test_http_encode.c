/* Compressed answers: which, with what head, and that what comes out is what went in. */
#include <zlib.h>
#include <zstd.h>

#include "core/rng.h"
#include "net/http_encode.h"
#include "net_rig.h"

/* ---- a server that encodes what an origin's head and the test say ---- */

struct fixture {
	struct rig rig;
	struct sd_http_server server;
	struct sd_addr addr;
	struct sd_http_encode_conf conf;
	const char *answer; /* head of the origin */
	const char *body;
	size_t n, step; /* step 0: all at once, then the end */
	bool endless;	/* the end is not written */
	struct sd_http_encode *encode;
	struct sd_http_exchange *x;
	size_t memory;
};

static struct fixture *f;

static struct sd_http_head origin;

static void read_origin(const char *text, enum sd_http_method method)
{
	size_t n = strlen(text);
	ck_assert_msg(sd_http_parse_response(text, n, 0, NULL, method, &origin) == (ssize_t)n, "%s: %s", text,
		      origin.error_reason);
}

static uint64_t length_of(const struct sd_http_head *head)
{
	return head->has_content_length ? head->content_length : SD_LENGTH_UNKNOWN;
}

static void write_body(struct sd_http_exchange *x)
{
	for (size_t at = 0; at < f->n;) {
		size_t n = f->step && f->step < f->n - at ? f->step : f->n - at;
		if (f->encode)
			ck_assert(sd_http_encode_write(f->encode, f->body + at, n));
		else
			sd_http_write(x, f->body + at, n);
		at += n;
	}
	if (f->encode && f->memory < sd_http_encode_memory(f->encode))
		f->memory = sd_http_encode_memory(f->encode);
}

static void finish(void *arg)
{
	struct sd_http_exchange *x = f->x;
	(void)arg;
	if (f->encode)
		ck_assert(sd_http_encode_end(f->encode));
	sd_http_encode_free(f->encode);
	f->encode = NULL;
	f->x = NULL;
	sd_http_finish(x);
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	read_origin(f->answer, head->method);
	bool may = sd_http_encodable(&f->conf, &origin, length_of(&origin));
	enum sd_http_coding coding = may ? sd_http_choose_coding(head, f->conf.codings) : SD_CODING_IDENTITY;
	sd_http_begin(x, origin.status, (struct sd_slice){0});
	for (size_t i = 0; i < origin.nfields; i++) {
		const struct sd_http_field *field = &origin.fields[i];
		if (field->id != SD_HTTP_F_CONTENT_LENGTH && field->id != SD_HTTP_F_TRANSFER_ENCODING &&
		    !(may && sd_http_encode_field(x, coding, field)))
			sd_http_field(x, field->name, field->value);
	}
	if (may)
		sd_http_encode_fields(x, coding, &origin);
	bool coded = coding != SD_CODING_IDENTITY;
	sd_http_head_done(x, coded ? SD_HTTP_UNKNOWN : (int64_t)f->n);
	f->encode = coded && head->method != SD_HTTP_HEAD ? sd_http_encode_new(&f->conf, coding, x) : NULL;
	f->x = x;
	if (head->method != SD_HTTP_HEAD)
		write_body(x);
	if (!f->endless)
		finish(NULL);
}

static void on_gone(struct sd_http_exchange *x)
{
	(void)x;
	sd_http_encode_free(f->encode);
	f->encode = NULL;
}

static const struct sd_http_handler handler = {.request = on_request, .gone = on_gone};

static void setup(void)
{
	struct sd_error e = {0};
	f = calloc(1, sizeof *f);
	f->conf = sd_http_encode_defaults;
	rig_make(&f->rig);
	ck_assert_int_eq(sd_addr_parse("127.0.0.1:0", "127.0.0.1", &f->addr, &e), SD_OK);
	sd_http_server_init(&f->server, f->rig.loop, &sd_http_server_defaults, &handler, f);
	ck_assert_msg(sd_http_server_listen(&f->server, &f->addr, false, &e) == SD_OK, "%s", e.text);
	rig_run(&f->rig);
}

static void stop_on_loop(void *arg)
{
	(void)arg;
	sd_http_server_stop(&f->server);
}

static void teardown(void)
{
	rig_call(&f->rig, stop_on_loop, NULL);
	rig_free(&f->rig);
	free(f);
}

static struct peer *ask(const char *method, const char *accept)
{
	char head[512];
	struct peer *c = peer_connect(f->addr.port);
	snprintf(head, sizeof head, "%s / HTTP/1.1\r\nHost: h\r\n%s%s%s\r\n", method, accept ? "Accept-Encoding: " : "",
		 accept ? accept : "", accept ? "\r\n" : "");
	peer_say(c, head);
	return c;
}

/* ---- the way back ---- */

static size_t gunzip(const char *p, size_t n, char *out, size_t room)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)p, .avail_in = (uInt)n, .next_out = (unsigned char *)out, .avail_out = (uInt)room};
	ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
	int r = inflate(&z, Z_SYNC_FLUSH);
	ck_assert_msg(r == Z_STREAM_END || r == Z_OK || r == Z_BUF_ERROR, "inflate: %d", r);
	size_t got = room - z.avail_out;
	inflateEnd(&z);
	return got;
}

static size_t unzstd(const char *p, size_t n, char *out, size_t room)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_outBuffer o = {out, room, 0};
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, 17); /* no decoder needs more */
	while (in.pos < in.size)
		ck_assert(!ZSTD_isError(ZSTD_decompressStream(d, &o, &in)));
	ZSTD_freeDCtx(d);
	return o.pos;
}

static size_t decoded(const char *coding, const char *p, size_t n, char *out, size_t room)
{
	return strcmp(coding, "gzip") == 0 ? gunzip(p, n, out, room) : unzstd(p, n, out, room);
}

#define HEAD200 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

/* Text with some pattern and some noise. */
static char *text_of(size_t n)
{
	struct sd_rng rng;
	char *p = malloc(n + 1);
	sd_rng_seed(&rng, n);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(sd_rng_below(&rng, 4) ? 'a' + i % 17 : 'A' + sd_rng_below(&rng, 26));
	p[n] = 0;
	return p;
}

START_TEST(round_trips)
{
	static const size_t sizes[] = {0, 1, 1000, 16384, 65536, 3000000}, steps[] = {0, 1, 7, 8192, 100000};
	static const char *const coding[] = {"gzip", "zstd"};
	f->conf.min_bytes = 0;
	f->answer = HEAD200 "\r\n";
	for (size_t i = 0; i < 6; i++) {
		char *text = text_of(sizes[i]), *back = malloc(sizes[i] + 1);
		f->body = text;
		f->n = sizes[i];
		for (size_t k = 0; k < 10; k++) {
			f->step = steps[k / 2];
			if (f->step && f->n / f->step > 20000)
				continue;
			struct peer *c = ask("GET", coding[k % 2]);
			peer_answer(c, 200);
			ck_assert(peer_has(c, k % 2 ? "Content-Encoding: zstd" : "Content-Encoding: gzip"));
			ck_assert(sizes[i] < 2000 || c->body_n < sizes[i]);
			ck_assert_uint_eq(decoded(coding[k % 2], c->body, c->body_n, back, sizes[i] + 1), sizes[i]);
			ck_assert(memcmp(back, text, sizes[i]) == 0);
			peer_free(c);
		}
		free(text);
		free(back);
	}
	ck_assert_uint_lt(SEEN(&f->rig, f->memory), 1300000);
}
END_TEST

/* What the origin sent comes although it does not go on. */
START_TEST(flushed_when_the_origin_pauses)
{
	static const char *const coding[] = {"gzip", "zstd"};
	char back[4096];
	f->answer = HEAD200 "\r\n";
	f->body = "said before the pause";
	f->n = strlen(f->body);
	f->endless = true;
	struct peer *c = ask("GET", coding[_i]);
	char coded[4096], line[64];
	size_t n = 0;
	peer_head(c);
	while (decoded(coding[_i], coded, n, back, sizeof back) < f->n) {
		peer_line(c, line, sizeof line);
		size_t k = strtoul(line, NULL, 16);
		ck_assert_uint_gt(k, 0);
		peer_need(c, k + 2);
		memcpy(coded + n, c->in, k);
		n += k;
		peer_take(c, k + 2);
	}
	ck_assert(memcmp(back, "said before the pause", 21) == 0);
	rig_call(&f->rig, finish, NULL);
	peer_chunks(c); /* and it ends in order */
	peer_free(c);
}
END_TEST

START_TEST(which)
{
	static const struct {
		const char *answer;
		bool want;
	} t[] = {
	    {HEAD200 "Content-Length: 2000\r\n\r\n", true},
	    {HEAD200 "Content-Length: 1024\r\n\r\n", true},
	    {HEAD200 "Content-Length: 1023\r\n\r\n", false},
	    {HEAD200 "Transfer-Encoding: chunked\r\n\r\n", true},
	    {"HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\n", true},
	    {"HTTP/1.1 206 Part\r\nContent-Type: text/html\r\nContent-Range: bytes 0-1/2\r\n\r\n", false},
	    {"HTTP/1.1 204 No\r\nContent-Type: text/html\r\n\r\n", false},
	    {"HTTP/1.1 304 No\r\nContent-Type: text/html\r\n\r\n", false},
	    {"HTTP/1.1 200 OK\r\n\r\n", false},
	    {"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", false},
	    {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", false},
	    {HEAD200 "Content-Encoding: br\r\n\r\n", false},
	    {HEAD200 "Content-Encoding: identity\r\n\r\n", false},
	    {HEAD200 "Cache-Control: max-age=1, No-Transform\r\n\r\n", false},
	    {HEAD200 "Cache-Control: max-age=1\r\nCache-Control: no-transform\r\n\r\n", false},
	    {HEAD200 "Cache-Control: no-transforms\r\n\r\n", true},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		read_origin(t[i].answer, SD_HTTP_GET);
		ck_assert_msg(sd_http_encodable(&f->conf, &origin, length_of(&origin)) == t[i].want, "%s", t[i].answer);
	}
	f->conf.codings = 0;
	read_origin(t[0].answer, SD_HTTP_GET);
	ck_assert(!sd_http_encodable(&f->conf, &origin, 2000));
}
END_TEST

static char *encoded_head(const char *method, const char *accept, const char *fields)
{
	static char head[20000], answer[1024];
	char *text = text_of(2000);
	snprintf(answer, sizeof answer, "%s%s\r\n", HEAD200, fields);
	f->answer = answer;
	f->body = text;
	f->n = 2000;
	struct peer *c = ask(method, accept);
	if (strcmp(method, "HEAD") == 0)
		peer_head(c);
	else
		peer_answer(c, 200);
	snprintf(head, sizeof head, "%s", c->head);
	peer_free(c);
	free(text);
	return head;
}

#define HAS(head, line) ck_assert_msg(strstr(head, "\r\n" line "\r\n") != NULL, "%s", head)
#define NOT(head, name) ck_assert_msg(!strcasestr(head, "\r\n" name ":"), "%s", head)

START_TEST(heads)
{
	char *h = encoded_head("GET", "gzip",
			       "Content-Length: 2000\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\n"
			       "Content-Digest: x\r\nRepr-Digest: y\r\nDigest: z\r\nX-Own: kept\r\n");
	HAS(h, "ETag: W/\"abc\"");
	HAS(h, "Content-Encoding: gzip");
	HAS(h, "Vary: Accept-Encoding");
	HAS(h, "Transfer-Encoding: chunked");
	HAS(h, "X-Own: kept");
	NOT(h, "Content-Length");
	NOT(h, "Accept-Ranges");
	NOT(h, "Content-MD5");
	NOT(h, "Content-Digest");
	NOT(h, "Repr-Digest");
	NOT(h, "Digest");
	/* who does not take it gets all as it was, and caches are told */
	h = encoded_head("GET", NULL, "Content-Length: 2000\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\n");
	HAS(h, "ETag: \"abc\"");
	HAS(h, "Accept-Ranges: bytes");
	HAS(h, "Content-Length: 2000");
	HAS(h, "Vary: Accept-Encoding");
	NOT(h, "Content-Encoding");
	h = encoded_head("GET", "gzip", "ETag: W/\"abc\"\r\nVary: Origin\r\n");
	HAS(h, "ETag: W/\"abc\"");
	HAS(h, "Vary: Origin");
	HAS(h, "Vary: Accept-Encoding");
	h = encoded_head("GET", "gzip", "Vary: Origin, accept-encoding\r\n");
	ck_assert_ptr_null(strstr(h, "Vary: Accept-Encoding"));
	h = encoded_head("GET", "gzip", "Vary: *\r\n");
	ck_assert_ptr_null(strstr(h, "Vary: Accept-Encoding"));
	h = encoded_head("HEAD", "zstd", "Content-Length: 2000\r\nETag: \"abc\"\r\n");
	HAS(h, "Content-Encoding: zstd");
	HAS(h, "ETag: W/\"abc\"");
	NOT(h, "Content-Length");
	h = encoded_head("GET", "gzip", "Cache-Control: no-transform\r\n");
	NOT(h, "Content-Encoding");
	NOT(h, "Vary");
}
END_TEST

static bool no_encode(void *arg)
{
	(void)arg;
	return !f->encode && f->server.stats.active == 0;
}

START_TEST(a_client_that_leaves)
{
	char *text = text_of(100000);
	f->answer = HEAD200 "\r\n";
	f->body = text;
	f->n = 100000;
	f->endless = true;
	struct peer *c = ask("GET", "gzip");
	peer_head(c);
	peer_reset(c);
	rig_wait(&f->rig, "the client to be missed", no_encode, NULL);
	peer_free(c);
	free(text);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("encode");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, round_trips);
	tcase_add_loop_test(t, flushed_when_the_origin_pauses, 0, 2);
	tcase_add_test(t, which);
	tcase_add_test(t, heads);
	tcase_add_test(t, a_client_that_leaves);
	return rig_main_of(&t, 1, "http_encode");
}
