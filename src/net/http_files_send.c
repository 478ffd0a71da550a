/* http_files_send.c - the body: pieces of a file, as fast as the client takes them. */
#include <stdlib.h>

#include "http_files_int.h"

static void cut(struct sd_file_answer *a);

static void finish(struct sd_file_answer *a)
{
	if (a->encode && !sd_http_encode_end(a->encode)) {
		cut(a);
		return;
	}
	files_over(a, false);
	sd_http_finish(a->x);
}

/* The head is out and promised more than there is. */
static void cut(struct sd_file_answer *a)
{
	files_over(a, true);
	sd_http_abort(a->x);
}

/* False: out of memory. */
static bool wrote(struct sd_file_answer *a, const char *p, size_t n)
{
	if (a->encode && !sd_http_encode_write(a->encode, p, n))
		return false;
	if (!a->encode)
		sd_http_write(a->x, p, n);
	a->sent += n;
	a->at += n;
	a->left -= n;
	return true;
}

/* Goes to the next part, in multipart with its head; false when there is none. */
static bool next_part(struct sd_file_answer *a)
{
	char text[FILES_PART_HEAD];
	if (a->part == a->ranges.n) {
		if (a->multipart)
			sd_http_write(a->x, text, files_parts_end(a, text));
		return false;
	}
	if (a->multipart)
		sd_http_write(a->x, text, files_part_head(a, a->part, text));
	const struct sd_http_range *r = &a->ranges.range[a->part++];
	a->at = r->first;
	a->left = r->last - r->first + 1;
	return true;
}

static size_t piece_size(const struct sd_file_answer *a)
{
	return a->left < FILES_PIECE ? (size_t)a->left : FILES_PIECE;
}

static void read_run(struct sd_work *work)
{
	struct sd_file_answer *a = sd_container(work, struct sd_file_answer, work);
	if (sd_file_read(a->found.file, a->piece, piece_size(a), a->at, &a->piece_n, NULL))
		a->piece_n = 0;
}

/* False when x is gone. */
static bool read_later(struct sd_file_answer *a)
{
	if (!a->piece)
		a->piece = malloc(FILES_PIECE);
	if (a->piece && files_submit(a, read_run))
		return true;
	cut(a);
	return false;
}

/* One piece, if it is in memory. */
static enum sd_err send_piece(struct sd_file_answer *a)
{
	_Static_assert(FILES_PIECE <= SD_LOOP_SCRATCH, "a piece is read into the loop's buffer");
	char *buf = sd_loop_scratch(a->x->server->loop);
	size_t got;
	enum sd_err err = sd_file_read_now(a->found.file, buf, piece_size(a), a->at, &got, NULL);
	if (err)
		return err;
	if (got == 0)
		return SD_EEOF;
	return wrote(a, buf, got) ? SD_OK : SD_ENOMEM;
}

/* Is it all in memory, as far as can be told from a byte here and there? */
static enum sd_err is_near(struct sd_file_answer *a, size_t n)
{
	for (uint64_t at = a->at; at < a->at + n;) {
		char byte;
		size_t got;
		enum sd_err err = sd_file_read_now(a->found.file, &byte, 1, at, &got, NULL);
		if (err || got == 0)
			return err ? err : SD_EEOF;
		uint64_t next = at + FILES_PROBE, last = a->at + n - 1;
		at = at < last && next > last ? last : next;
	}
	return SD_OK;
}

/* Some bytes without a copy through here; SD_EUNSUPPORTED when they are to be read. */
static enum sd_err send_span(struct sd_file_answer *a)
{
	size_t n = a->left < FILES_SPAN ? (size_t)a->left : FILES_SPAN;
	if (a->left < FILES_SMALL || a->no_span || a->encode)
		return SD_EUNSUPPORTED;
	enum sd_err err = is_near(a, n);
	if (err)
		return err;
	ssize_t went = sd_http_send_file(a->x, a->found.file, a->at, n);
	if (went < 0) {
		a->no_span = went == -SD_EUNSUPPORTED;
		return (enum sd_err)-went;
	}
	a->sent += (uint64_t)went;
	a->at += (uint64_t)went;
	a->left -= (uint64_t)went;
	return SD_OK;
}

static enum sd_err send_some(struct sd_file_answer *a)
{
	enum sd_err err = send_span(a);
	return err == SD_EUNSUPPORTED ? send_piece(a) : err;
}

bool files_send(struct sd_file_answer *a)
{
	uint64_t until = 0;
	if (a->x->method == SD_HTTP_HEAD) {
		finish(a);
		return false;
	}
	while (!sd_http_backlog(a->x)) {
		if (a->left == 0 && !next_part(a)) {
			finish(a);
			return false;
		}
		uint64_t left = a->left;
		enum sd_err err = until < FILES_TURN ? send_some(a) : SD_OK;
		if (err == SD_EAGAIN)
			return read_later(a);
		if (err) {
			cut(a);
			return false;
		}
		if (until >= FILES_TURN)
			sd_http_yield(a->x);
		until += left - a->left;
	}
	return true; /* goes on when drained */
}

bool files_piece_read(struct sd_file_answer *a)
{
	if (a->piece_n == 0) {
		cut(a);
		return false;
	}
	if (!wrote(a, a->piece, a->piece_n)) {
		cut(a);
		return false;
	}
	return files_send(a);
}
