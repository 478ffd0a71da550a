/* Any bytes, as a request, as a response and as a chunked body. Beside not crashing, these must hold:
 *
 *   - bytes that come one at a time, or in two parts, end in the verdict of the whole;
 *   - a head is found no later than its bytes end, and every slice lies in it;
 *   - the summary of a head agrees with its fields;
 *   - a chunked body gives the same data however it is split.
 *
 * Inputs are copied to blocks of just their size, so that the address sanitizer sees a byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "core/http1_write.h"
#include "sdlab/http1.h"

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

#define SMALL 300 /* up to here each prefix gets a block of its own */

struct kind {
	bool response;
	enum sd_http_method asked;
	struct sd_http_limits limits;
};

static const struct kind kinds[] = {
    {.response = false},
    {.response = false, .limits = {.max_head = 64, .max_target = 8, .max_fields = 2}},
    {.response = true, .asked = SD_HTTP_GET},
    {.response = true, .asked = SD_HTTP_HEAD},
    {.response = true, .asked = SD_HTTP_CONNECT, .limits = {.max_fields = 3}},
};

static struct sd_http_head whole, pieces;

static char *copy_of(const void *bytes, size_t n)
{
	char *p = malloc(n ? n : 1);
	HOLDS(p);
	return n ? memcpy(p, bytes, n) : p;
}

static ssize_t parse(const struct kind *k, const char *p, size_t n, size_t seen, struct sd_http_head *head)
{
	return k->response ? sd_http_parse_response(p, n, seen, &k->limits, k->asked, head)
			   : sd_http_parse_request(p, n, seen, &k->limits, head);
}

static void inside(struct sd_slice s, const char *p, ssize_t n)
{
	if (s.n == 1 && (*s.p == '/' || *s.p == '*')) /* a path that the target did not have */
		return;
	HOLDS(s.n == 0 || (s.p >= p && s.p + s.n <= p + n));
}

static void check_fields(const struct sd_http_head *h, const char *p, ssize_t n)
{
	size_t length_fields = 0;
	for (size_t i = 0; i < h->nfields; i++) {
		const struct sd_http_field *f = &h->fields[i];
		HOLDS(f->name.n > 0 && f->id < SD_HTTP_F_COUNT);
		HOLDS(f->name.p >= p && f->name.p + f->name.n < f->value.p);
		HOLDS(f->value.p + f->value.n + 2 <= p + n);
		HOLDS(!memchr(f->value.p, '\n', f->value.n) && !memchr(f->value.p, '\0', f->value.n));
		HOLDS((f->id == SD_HTTP_F_HOST) == sd_slice_ieq(f->name, "host"));
		length_fields += f->id == SD_HTTP_F_CONTENT_LENGTH;
		sd_http_hop_by_hop(h, f);
	}
	HOLDS(length_fields == (size_t)h->has_content_length);
}

static void check_framing(const struct kind *k, const struct sd_http_head *h)
{
	const struct sd_http_field *te = sd_http_find(h, SD_HTTP_F_TRANSFER_ENCODING);
	HOLDS(!te || sd_slice_ieq(te->value, "chunked"));
	HOLDS(!te || !h->has_content_length);
	HOLDS(h->framing != SD_HTTP_BODY_CHUNKED || te);
	HOLDS(h->framing != SD_HTTP_BODY_LENGTH || h->has_content_length);
	HOLDS(h->framing != SD_HTTP_BODY_CLOSE || (k->response && !h->keep_alive));
	HOLDS(k->response || h->minor == 0 || sd_http_find(h, SD_HTTP_F_HOST));
	HOLDS(h->content_length <= INT64_MAX);
}

static void check_head(const struct kind *k, const struct sd_http_head *h, const char *p, size_t len,
		       ssize_t n)
{
	HOLDS(n > 0 && (size_t)n <= len && memcmp(p + n - 4, "\r\n\r\n", 4) == 0);
	HOLDS(h->nfields <= SD_HTTP_MAX_FIELDS);
	inside(h->method_text, p, n);
	inside(h->target, p, n);
	inside(h->path, p, n);
	inside(h->query, p, n);
	inside(h->host, p, n);
	inside(h->reason, p, n);
	inside(h->upgrade, p, n);
	check_fields(h, p, n);
	check_framing(k, h);
}

static void same_verdict(ssize_t a, ssize_t b)
{
	HOLDS(a == b);
	if (a == SD_HTTP_BAD) {
		HOLDS(whole.error_status == pieces.error_status);
		HOLDS(whole.error_reason == pieces.error_reason);
	} else if (a > 0) {
		HOLDS(whole.nfields == pieces.nfields && whole.framing == pieces.framing);
		HOLDS(whole.content_length == pieces.content_length && whole.keep_alive == pieces.keep_alive);
	}
}

/* Byte by byte until there is a verdict. */
static ssize_t drip(const struct kind *k, const char *p, size_t len)
{
	ssize_t r = SD_HTTP_INCOMPLETE;
	for (size_t n = 1; n <= len && r == SD_HTTP_INCOMPLETE; n++) {
		char *own = len <= SMALL ? copy_of(p, n) : NULL;
		r = parse(k, own ? own : p, n, n - 1, &pieces);
		free(own);
	}
	return r;
}

static void try_head(const struct kind *k, const char *p, size_t len)
{
	ssize_t r = parse(k, p, len, 0, &whole), slow = drip(k, p, len);
	if (r > 0)
		check_head(k, &whole, p, len, r);
	if (r == SD_HTTP_BAD)
		HOLDS(k->response ? whole.error_status == 502 : whole.error_status >= 400);
	/* a fault that is not a forbidden byte may show only at the end, which may be missing here */
	if (slow != SD_HTTP_INCOMPLETE || r != SD_HTTP_BAD)
		same_verdict(r, slow);
	if (len > 1 && parse(k, p, len / 2, 0, &pieces) == SD_HTTP_INCOMPLETE) {
		slow = parse(k, p, len, len / 2, &pieces);
		if (slow != SD_HTTP_INCOMPLETE || r != SD_HTTP_BAD)
			same_verdict(r, slow);
	}
}

/* Decodes in pieces of `step` bytes into out; returns the bytes of data, or -1 when refused. */
static ssize_t unchunk(const char *p, size_t len, size_t step, char *out, size_t *consumed)
{
	struct sd_http_chunked c = {0};
	size_t at = 0, n = 0;
	while (at < len && !c.done) {
		struct sd_slice run;
		size_t piece = len - at < step ? len - at : step;
		ssize_t used = sd_http_chunked_decode(&c, p + at, piece, &run);
		if (used == SD_HTTP_BAD) {
			HOLDS(c.error && run.n == 0 && !c.done);
			return -1;
		}
		HOLDS(used > 0 && (size_t)used <= piece && run.n <= (size_t)used);
		HOLDS(run.n == 0 || (run.p >= p + at && run.p + run.n <= p + at + used));
		memcpy(out + n, run.p, run.n);
		n += run.n;
		at += (size_t)used;
	}
	*consumed = at;
	return (ssize_t)n;
}

static void try_body(const char *p, size_t len)
{
	static const size_t steps[] = {1, 2, 7};
	char *a = copy_of(p, len), *b = copy_of(p, len);
	size_t used_a = 0, used_b = 0;
	ssize_t n = unchunk(p, len, len, a, &used_a);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		HOLDS(unchunk(p, len, steps[i], b, &used_b) == n);
		HOLDS(n < 0 || (used_a == used_b && memcmp(a, b, (size_t)n) == 0));
	}
	free(a);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = copy_of(data, size);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		try_head(&kinds[i], p, size);
	try_body(p, size);
	free(p);
	return 0;
}
