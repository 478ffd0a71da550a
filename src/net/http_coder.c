/* http_coder.c - the two libraries behind one face.
 *
 * zstd may look back 128 KiB and no further: a browser must have that much anyway, and a server has it once an answer.
 */
#include "http_coder.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES   16384
#define GZIP_WINDOW (15 + 16) /* 32 KiB, in a gzip frame */
#define GZIP_MEMORY 8         /* zlib's own default */
#define ZSTD_WINDOW 17        /* log2 of bytes */
#define ZSTD_TABLES 15        /* log2 of entries; the usual 2^17 take half a MiB more and save less than 1 % of the bytes */

/* What a step is to achieve, in the order of both tables below. */
enum goal { GO_ON, FLUSH, END };

struct http_coder {
	bool (*step)(struct http_coder *c, const void *p, size_t n, enum goal goal);
	void (*out)(void *arg, const void *p, size_t n);
	void *arg;
	bool failed;
	z_stream gzip;
	ZSTD_CCtx *zstd;
	size_t memory; /* that zlib asked for */
	unsigned char buf[OUT_BYTES];
};

/* ---- gzip ---- */

static void *counted_alloc(void *arg, uInt n, uInt size)
{
	struct http_coder *c = arg;
	c->memory += (size_t)n * size;
	return calloc(n, size);
}

static void counted_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

static bool gzip_step(struct http_coder *c, const void *p, size_t n, enum goal goal)
{
	static const int mode[] = {[GO_ON] = Z_NO_FLUSH, [FLUSH] = Z_SYNC_FLUSH, [END] = Z_FINISH};
	z_stream *z = &c->gzip;
	z->next_in = (unsigned char *)(uintptr_t)p;
	z->avail_in = (uInt)n;
	do {
		z->next_out = c->buf;
		z->avail_out = OUT_BYTES;
		int r = deflate(z, mode[goal]);
		if (r == Z_STREAM_ERROR)
			return false;
		if (z->avail_out < OUT_BYTES)
			c->out(c->arg, c->buf, OUT_BYTES - z->avail_out);
	} while (z->avail_out == 0);
	return true;
}

static bool gzip_begin(struct http_coder *c, int level)
{
	c->step = gzip_step;
	c->gzip.zalloc = counted_alloc;
	c->gzip.zfree = counted_free;
	c->gzip.opaque = c;
	return deflateInit2(&c->gzip, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
}

/* ---- zstd ---- */

static bool zstd_step(struct http_coder *c, const void *p, size_t n, enum goal goal)
{
	static const ZSTD_EndDirective mode[] = {[GO_ON] = ZSTD_e_continue, [FLUSH] = ZSTD_e_flush, [END] = ZSTD_e_end};
	ZSTD_inBuffer in = {p, n, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {c->buf, OUT_BYTES, 0};
		left = ZSTD_compressStream2(c->zstd, &out, &in, mode[goal]);
		if (ZSTD_isError(left))
			return false;
		if (out.pos > 0)
			c->out(c->arg, c->buf, out.pos);
	} while (goal == GO_ON ? in.pos < in.size : left > 0);
	return true;
}

static bool zstd_begin(struct http_coder *c, int level)
{
	const struct {
		ZSTD_cParameter name;
		int value;
	} set[] = {{ZSTD_c_compressionLevel, level},
		   {ZSTD_c_windowLog, ZSTD_WINDOW},
		   {ZSTD_c_hashLog, ZSTD_TABLES},
		   {ZSTD_c_chainLog, ZSTD_TABLES}};
	c->step = zstd_step;
	c->zstd = ZSTD_createCCtx();
	for (size_t i = 0; c->zstd && i < sizeof(set) / sizeof(set[0]); i++)
		if (ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, set[i].name, set[i].value)))
			return false;
	return c->zstd != NULL;
}

/* ---- either ---- */

struct http_coder *http_coder_new(enum sd_http_coding coding, int level, void (*out)(void *arg, const void *p, size_t n),
				  void *arg)
{
	struct http_coder *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->out = out;
	c->arg = arg;
	if (coding == SD_CODING_GZIP ? gzip_begin(c, level) : zstd_begin(c, level))
		return c;
	http_coder_free(c);
	return NULL;
}

void http_coder_free(struct http_coder *c)
{
	if (!c)
		return;
	deflateEnd(&c->gzip); /* does nothing to one that was not begun */
	ZSTD_freeCCtx(c->zstd);
	free(c);
}

static bool step(struct http_coder *c, const void *p, size_t n, enum goal goal)
{
	if (!c->failed)
		c->failed = !c->step(c, p, n, goal);
	return !c->failed;
}

bool http_coder_write(struct http_coder *c, const void *p, size_t n)
{
	return n == 0 || step(c, p, n, GO_ON);
}

bool http_coder_flush(struct http_coder *c)
{
	return step(c, NULL, 0, FLUSH);
}

bool http_coder_end(struct http_coder *c)
{
	return step(c, NULL, 0, END);
}

size_t http_coder_memory(const struct http_coder *c)
{
	return sizeof(*c) + c->memory + (c->zstd ? ZSTD_sizeof_CCtx(c->zstd) : 0);
}
