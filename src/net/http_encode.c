/* http_encode.c - which answers are compressed, what that changes in their head, and when a body is flushed. */
#include "http_encode.h"

#include <stdlib.h>
#include <string.h>

#include "core/media_type.h"
#include "http_coder.h"

#define PAUSE_NS 5000000 /* nothing new for so long: what is held back goes out */

const struct sd_http_encode_conf sd_http_encode_defaults = {
    .codings = SD_CODING_BIT(SD_CODING_ZSTD) | SD_CODING_BIT(SD_CODING_GZIP),
    .min_bytes = 1024,
    .gzip_level = 5,
    .zstd_level = 3,
};

/* ---- which ---- */

/* Does any field of this name list this? */
static bool lists(const struct sd_http_head *head, const char *name, const char *what)
{
	for (size_t i = 0; i < head->nfields; i++) {
		struct sd_slice list = head->fields[i].value, item;
		if (!sd_slice_ieq(head->fields[i].name, name))
			continue;
		while (sd_http_list_next(&list, &item))
			if (sd_slice_ieq(item, what))
				return true;
	}
	return false;
}

bool sd_http_encodable(const struct sd_http_encode_conf *conf, const struct sd_http_head *answer, uint64_t length)
{
	int status = answer->status;
	const struct sd_http_field *type = sd_http_find(answer, SD_HTTP_F_CONTENT_TYPE);
	if (status < 200 || status == 204 || status == 206 || status == 304 || !conf->codings)
		return false;
	if (!type || !sd_media_compressible(type->value) || length < conf->min_bytes)
		return false;
	return !sd_http_find_name(answer, "content-encoding") && !sd_http_find_name(answer, "content-range") &&
	       !lists(answer, "cache-control", "no-transform");
}

/* ---- the head ---- */

static void weaken(struct sd_http_exchange *x, const struct sd_http_field *f)
{
	char etag[1024] = "W/";
	if (sd_slice_starts(f->value, "W/") || f->value.n + 2 > sizeof(etag)) {
		if (sd_slice_starts(f->value, "W/"))
			sd_http_field(x, f->name, f->value);
		return;
	}
	memcpy(etag + 2, f->value.p, f->value.n);
	sd_http_field(x, f->name, (struct sd_slice){etag, f->value.n + 2});
}

bool sd_http_encode_field(struct sd_http_exchange *x, enum sd_http_coding coding, const struct sd_http_field *f)
{
	static const char *const dropped[] = {"accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"};
	if (coding == SD_CODING_IDENTITY)
		return false;
	if (f->id == SD_HTTP_F_CONTENT_LENGTH)
		return true;
	if (f->id != SD_HTTP_F_OTHER)
		return false;
	if (sd_slice_ieq(f->name, "etag")) {
		weaken(x, f);
		return true;
	}
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		if (sd_slice_ieq(f->name, dropped[i]))
			return true;
	return false;
}

void sd_http_encode_fields(struct sd_http_exchange *x, enum sd_http_coding coding, const struct sd_http_head *answer)
{
	if (coding != SD_CODING_IDENTITY)
		sd_http_field_text(x, "Content-Encoding", sd_http_coding_name(coding));
	if (!lists(answer, "vary", "accept-encoding") && !lists(answer, "vary", "*"))
		sd_http_field_text(x, "Vary", "Accept-Encoding");
}

/* ---- bodies ---- */

struct sd_http_encode {
	struct sd_http_exchange *x;
	struct sd_loop *loop;
	struct http_coder *coder;
	struct sd_timer timer;
	int64_t flush_ns; /* when it is to be flushed, unless more comes; SD_NEVER: nothing is held back */
};

static void to_exchange(void *arg, const void *p, size_t n)
{
	sd_http_write(arg, p, n);
}

/* Was moved to later while it ran: a timer is set once for many writes. */
static void on_timer(struct sd_timer *t)
{
	struct sd_http_encode *e = sd_container(t, struct sd_http_encode, timer);
	if (e->flush_ns == SD_NEVER)
		return;
	if (e->flush_ns > sd_loop_now_ns(e->loop)) {
		sd_loop_timer_set(e->loop, t, e->flush_ns);
		return;
	}
	e->flush_ns = SD_NEVER;
	http_coder_flush(e->coder);
}

struct sd_http_encode *sd_http_encode_new(const struct sd_http_encode_conf *conf, enum sd_http_coding coding,
					  struct sd_http_exchange *x)
{
	struct sd_http_encode *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	int level = coding == SD_CODING_GZIP ? conf->gzip_level : conf->zstd_level;
	e->coder = http_coder_new(coding, level, to_exchange, x);
	if (!e->coder) {
		free(e);
		return NULL;
	}
	e->x = x;
	e->loop = x->server->loop;
	e->timer.fn = on_timer;
	e->flush_ns = SD_NEVER;
	return e;
}

bool sd_http_encode_write(struct sd_http_encode *e, const void *p, size_t n)
{
	if (!http_coder_write(e->coder, p, n))
		return false;
	e->flush_ns = sd_loop_now_ns(e->loop) + PAUSE_NS;
	if (!e->timer.slot)
		sd_loop_timer_set(e->loop, &e->timer, e->flush_ns);
	return true;
}

bool sd_http_encode_end(struct sd_http_encode *e)
{
	e->flush_ns = SD_NEVER;
	return http_coder_end(e->coder);
}

void sd_http_encode_free(struct sd_http_encode *e)
{
	if (!e)
		return;
	sd_loop_timer_cancel(e->loop, &e->timer);
	http_coder_free(e->coder);
	free(e);
}

size_t sd_http_encode_memory(const struct sd_http_encode *e)
{
	return sizeof(*e) + http_coder_memory(e->coder);
}
