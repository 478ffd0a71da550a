/* resp.h - RESP, the protocol of Redis, versions 2 and 3: requests read, replies written. Pure: bytes in, bytes out.
 *
 * A request is an array of bulk strings, or a line of words (inline) with quotes as a shell has them:
 *
 *	*2\r\n$3\r\nGET\r\n$1\r\nk\r\n          GET "k"\r\n
 *
 * Everything else is refused with the words of Redis 7 (src/networking.c of its protocol tests), after which the connection
 * is closed: nobody can know where the next request begins.
 */
#ifndef SD_CORE_RESP_H
#define SD_CORE_RESP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sdlab/slice.h"

#define SD_RESP_INCOMPLETE (-2)
#define SD_RESP_BAD        (-1)

#define SD_RESP_MAX_INLINE (64 * 1024)
#define SD_RESP_MAX_ARGS   (1024 * 1024)
#define SD_RESP_MAX_BULK   (512ll * 1024 * 1024)

/* What a reader may be asked to take. */
struct sd_resp_limits {
	int64_t max_args, max_bulk;
	bool stranger; /* did not say yet who it is, and may not take much memory meanwhile */
};

/* How far the reading of one request came; zero it to start, sd_resp_reader_free at the end. The caller keeps the bytes
 * from the request's beginning and may move them between calls. */
struct sd_resp_reader {
	size_t at;       /* bytes looked at */
	int64_t want;    /* arguments announced and not read yet */
	int64_t bulk;    /* bytes of the one being read; -1: its length is not known yet */
	bool open;       /* inside an array */
	size_t argc, room;
	struct sd_resp_place {
		size_t at, n;
	} *places;       /* of arguments, from the request's beginning */
	struct sd_slice *argv;
	char *words;     /* arguments of an inline request, which quotes may have changed */
	size_t need;     /* after SD_RESP_INCOMPLETE: no sense in trying before so many bytes are there */
	char error[128]; /* after SD_RESP_BAD: "Protocol error: invalid bulk length" */
};

/* Reads one request from p[0..n). Returns its length, with argc and argv set until the next call: argv points into p, or into
 * the reader. argc 0: an empty request, which is passed over. SD_RESP_INCOMPLETE: more bytes are needed, what was
 * understood is kept. SD_RESP_BAD: error says why; out of memory is one of the reasons. */
ssize_t sd_resp_read(struct sd_resp_reader *r, const char *p, size_t n, const struct sd_resp_limits *limits);
/* For the next request. */
void sd_resp_reader_reset(struct sd_resp_reader *r);
void sd_resp_reader_free(struct sd_resp_reader *r);

/* A number as RESP writes it and commands take it: decimal, no sign but '-', no leading zero, no space. */
bool sd_resp_parse_int(struct sd_slice s, int64_t *out);

/* ---- replies ---- */

struct sd_resp_out {
	char *p;
	size_t n, room;
	bool resp3;
	bool full; /* out of memory: the reply is not whole, and the connection has to end */
};

/* Room for so many bytes behind what is there; NULL: out of memory. */
char *sd_resp_room(struct sd_resp_out *o, size_t more);
void sd_resp_raw(struct sd_resp_out *o, const void *p, size_t n);
void sd_resp_simple(struct sd_resp_out *o, const char *text);
/* "ERR no such key"; bytes that would end the line go at its end, and become spaces inside. */
void sd_resp_error(struct sd_resp_out *o, const char *text);
void sd_resp_errorf(struct sd_resp_out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sd_resp_int(struct sd_resp_out *o, int64_t v);
void sd_resp_bulk(struct sd_resp_out *o, const void *p, size_t n);
void sd_resp_text(struct sd_resp_out *o, const char *text);
void sd_resp_null(struct sd_resp_out *o);       /* a value that is not there: $-1 or _ */
void sd_resp_null_array(struct sd_resp_out *o); /* *-1 or _ */
void sd_resp_array(struct sd_resp_out *o, size_t n);
void sd_resp_map(struct sd_resp_out *o, size_t pairs); /* an array of twice as many in RESP2 */
void sd_resp_set(struct sd_resp_out *o, size_t n);
void sd_resp_push(struct sd_resp_out *o, size_t n);
void sd_resp_bool(struct sd_resp_out *o, bool v);
/* As Redis writes doubles: the shortest text of 17 digits that is exact; inf, -inf, nan. A bulk string in RESP2. */
void sd_resp_double(struct sd_resp_out *o, double v);
void sd_resp_verbatim(struct sd_resp_out *o, const char *kind, const char *text); /* kind: "txt" */
/* The number of items is known only afterwards: returns the place to give to the next function. */
size_t sd_resp_later(struct sd_resp_out *o);
void sd_resp_now(struct sd_resp_out *o, size_t place, char type, size_t n);

/* The decimal digits; returns how many bytes they are, without a NUL at the end. */
size_t sd_resp_int_text(char out[24], int64_t v);
/* The text of a double as above; returns its length. */
size_t sd_resp_double_text(char out[40], double v);

#endif
