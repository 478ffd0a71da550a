/* http_files_head.c - from a file to the head of an answer: conditions, ranges, errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http1_write.h"
#include "core/media_type.h"
#include "http_files_int.h"

#define SECOND_NS 1000000000

void files_refuse(struct sd_file_answer *a, int status, const char *extra, const char *why)
{
	char text[256], lines[SD_PROXY_STATUS + FILES_NAME + 32];
	enum sd_proxy_error error = !a->x->server->proxy || status < 400 ? SD_PROXY_OK
				    : status < 500		     ? SD_PROXY_HTTP_REQUEST_ERROR
								     : SD_PROXY_INTERNAL_ERROR;
	int n = snprintf(text, sizeof(text), "%d %s: %s\n", status, sd_http_status_text(status), why);
	size_t used = sd_proxy_status_write(lines, error, why);
	snprintf(lines + used, sizeof(lines) - used, "%s", extra ? extra : "");
	a->status = status;
	sd_http_say(a->x, status, lines, "text/plain; charset=utf-8", text, (size_t)n);
	a->sent = a->x->out_body ? (uint64_t)n : 0;
	files_over(a, false);
	sd_http_finish(a->x);
}

static void refuse_err(struct sd_file_answer *a, enum sd_err err)
{
	if (err == SD_ENOTFOUND)
		files_refuse(a, 404, NULL, "there is no such file");
	else if (err == SD_EPERM)
		files_refuse(a, 403, NULL, "the file may not be read");
	else
		files_refuse(a, 500, NULL, "the file cannot be read");
}

/* A folder without '/' is elsewhere; anything else that is no file is not there. */
static void no_file(struct sd_file_answer *a)
{
	char extra[FILES_NAME + 32];
	if (a->found.info.kind != SD_KIND_FOLDER || !a->location[0]) {
		files_refuse(a, 404, NULL, "there is no such file");
		return;
	}
	snprintf(extra, sizeof(extra), "Location: %s\r\n", a->location);
	files_refuse(a, 308, extra, "this is a folder");
}

/* ---- what is said of a file ---- */

static int64_t modified_s(const struct sd_file_info *info)
{
	return info->modified_ns / SECOND_NS - (info->modified_ns % SECOND_NS < 0);
}

/* Weak where the bytes that are sent are not those of the file. */
static size_t write_etag(const struct sd_file_info *info, bool weak, char out[FILES_ETAG])
{
	return (size_t)snprintf(out, FILES_ETAG, "%s\"%llx-%llx-%llx\"", weak ? "W/" : "", (unsigned long long)info->id,
				(unsigned long long)info->size, (unsigned long long)info->modified_ns);
}

static const char *type_of(const struct sd_file_answer *a)
{
	return sd_media_type(sd_slice_of(a->name));
}

/* Is this file one that is compressed on the way, for those that take it? */
static bool may_encode(const struct sd_file_answer *a)
{
	return a->encode_conf && a->encode_conf->codings && a->found.coding == SD_CODING_IDENTITY &&
	       a->found.info.size >= a->encode_conf->min_bytes && sd_media_compressible(sd_slice_of(type_of(a)));
}

/* For this client? Parts are sent as they are, so whoever asks for some gets none that is compressed. */
static void choose_encoding(struct sd_file_answer *a, const struct sd_http_head *head)
{
	if (may_encode(a) && !sd_http_find_name(head, "range"))
		a->encoding = sd_http_choose_coding(head, a->encode_conf->codings);
}

/* The head up to what differs between whole, part and unchanged. */
static void begin_head(struct sd_file_answer *a, int status, struct sd_slice etag)
{
	struct sd_http_exchange *x = a->x;
	char date[30];
	a->status = status;
	sd_http_begin(x, status, (struct sd_slice){0});
	sd_http_date(x);
	sd_http_field(x, sd_slice_of("ETag"), etag);
	sd_http_write_date(date, modified_s(&a->found.info) * SECOND_NS);
	sd_http_field(x, sd_slice_of("Last-Modified"), (struct sd_slice){date, 29});
	if (a->files->precompressed || may_encode(a))
		sd_http_field_text(x, "Vary", "Accept-Encoding");
	enum sd_http_coding coding = a->found.coding != SD_CODING_IDENTITY ? a->found.coding : a->encoding;
	if (coding != SD_CODING_IDENTITY && status != 304)
		sd_http_field_text(x, "Content-Encoding", sd_http_coding_name(coding));
}

/* ---- several ranges ---- */

static void choose_boundary(struct sd_file_answer *a)
{
	unsigned char bytes[BOUNDARY / 2];
	sd_world_random(a->files->world, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(a->boundary + 2 * i, 3, "%02x", bytes[i]);
}

size_t files_part_head(const struct sd_file_answer *a, unsigned part, char out[FILES_PART_HEAD])
{
	char range[SD_HTTP_CONTENT_RANGE];
	sd_http_write_content_range(range, &a->ranges.range[part], a->found.info.size);
	return (size_t)snprintf(out, FILES_PART_HEAD, "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
				a->boundary, type_of(a), range);
}

size_t files_parts_end(const struct sd_file_answer *a, char out[FILES_PART_HEAD])
{
	return (size_t)snprintf(out, FILES_PART_HEAD, "\r\n--%s--\r\n", a->boundary);
}

static uint64_t length_of(const struct sd_http_range *r)
{
	return r->last - r->first + 1;
}

static uint64_t multipart_length(const struct sd_file_answer *a)
{
	char text[FILES_PART_HEAD];
	uint64_t n = files_parts_end(a, text);
	for (unsigned i = 0; i < a->ranges.n; i++)
		n += files_part_head(a, i, text) + length_of(&a->ranges.range[i]);
	return n;
}

/* ---- the answers ---- */

static void say_parts(struct sd_file_answer *a, struct sd_slice etag)
{
	char text[SD_HTTP_CONTENT_RANGE];
	begin_head(a, 206, etag);
	if (a->ranges.n == 1) {
		sd_http_write_content_range(text, &a->ranges.range[0], a->found.info.size);
		sd_http_field_text(a->x, "Content-Type", type_of(a));
		sd_http_field_text(a->x, "Content-Range", text);
		sd_http_head_done(a->x, (int64_t)length_of(&a->ranges.range[0]));
		return;
	}
	a->multipart = true;
	choose_boundary(a);
	snprintf(text, sizeof(text), "multipart/byteranges; boundary=%s", a->boundary);
	sd_http_field_text(a->x, "Content-Type", text);
	sd_http_head_done(a->x, (int64_t)multipart_length(a));
}

static void say_whole(struct sd_file_answer *a, struct sd_slice etag)
{
	uint64_t size = a->found.info.size;
	begin_head(a, 200, etag);
	bool coded = a->encoding != SD_CODING_IDENTITY;
	if (!coded)
		sd_http_field_text(a->x, "Accept-Ranges", "bytes");
	sd_http_field_text(a->x, "Content-Type", type_of(a));
	sd_http_head_done(a->x, coded ? SD_HTTP_UNKNOWN : (int64_t)size);
	a->ranges = (struct sd_http_ranges){.n = size > 0, .range = {{0, size - 1}}};
}

static void say_unchanged(struct sd_file_answer *a, struct sd_slice etag)
{
	begin_head(a, 304, etag);
	sd_http_head_done(a->x, a->encoding == SD_CODING_IDENTITY ? (int64_t)a->found.info.size : SD_HTTP_UNKNOWN);
	files_over(a, false);
	sd_http_finish(a->x);
}

static void say_unsatisfiable(struct sd_file_answer *a)
{
	char range[SD_HTTP_CONTENT_RANGE], extra[SD_HTTP_CONTENT_RANGE + 32];
	sd_http_write_content_range(range, NULL, a->found.info.size);
	snprintf(extra, sizeof(extra), "Content-Range: %s\r\n", range);
	files_refuse(a, 416, extra, "the file has none of these bytes");
}

/* Which bytes are wanted: only of a single Range field, of a GET, and when If-Range holds. */
static enum sd_http_range_verdict ranges(struct sd_file_answer *a, const struct sd_http_head *head,
					 const struct sd_http_validators *v, int64_t now_s)
{
	const struct sd_http_field *range = NULL;
	for (size_t i = 0; i < head->nfields; i++) {
		if (!sd_slice_ieq(head->fields[i].name, "range"))
			continue;
		if (range)
			return SD_HTTP_RANGE_WHOLE;
		range = &head->fields[i];
	}
	if (!range || head->method != SD_HTTP_GET || !sd_http_if_range(head, v, now_s))
		return SD_HTTP_RANGE_WHOLE;
	return sd_http_read_ranges(range->value, a->found.info.size, &a->ranges);
}

bool files_decide(struct sd_file_answer *a, const struct sd_http_head *head)
{
	char text[FILES_ETAG];
	if (a->found.err || !a->found.file) {
		if (a->found.err)
			refuse_err(a, a->found.err);
		else
			no_file(a);
		return false;
	}
	choose_encoding(a, head);
	if (a->encoding != SD_CODING_IDENTITY && head->method == SD_HTTP_GET)
		a->encode = sd_http_encode_new(a->encode_conf, a->encoding, a->x);
	if (!a->encode && head->method == SD_HTTP_GET)
		a->encoding = SD_CODING_IDENTITY; /* no memory: as it is */
	struct sd_slice etag = {text, write_etag(&a->found.info, a->encoding != SD_CODING_IDENTITY, text)};
	struct sd_http_validators v = {etag, modified_s(&a->found.info)};
	int64_t now_s = sd_world_wall_ns(a->files->world) / SECOND_NS;
	int status = sd_http_precondition(head, &v, now_s);
	if (status == 412) {
		files_refuse(a, 412, NULL, "the file is not as the request says");
		return false;
	}
	if (status == 304) {
		say_unchanged(a, etag);
		return false;
	}
	switch (ranges(a, head, &v, now_s)) {
	case SD_HTTP_RANGE_NONE:
		say_unsatisfiable(a);
		return false;
	case SD_HTTP_RANGE_PARTS:
		say_parts(a, etag);
		return true;
	default:
		say_whole(a, etag);
		return true;
	}
}
