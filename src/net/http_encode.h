/* http_encode.h - answers that are compressed on their way: gzip and zstd.
 *
 * Left alone are those that are short, of a type that does not become smaller, compressed already, a part (206), without a
 * body (1xx, 204, 304), or marked Cache-Control: no-transform. An answer that is compressed has no Content-Length, a weak
 * ETag, no ranges, and none of the fields that count its bytes (Content-Digest and the like); whether it is or not, where it
 * might have been it has Vary: Accept-Encoding. A HEAD is answered as its GET would be.
 *
 * What the origin sent is held back for as long as more keeps coming, and flushed once it pauses, so that what comes slowly
 * is passed on slowly. One answer takes 300 KiB of memory with gzip, 1.2 MiB with zstd, whatever its length.
 *
 * An answer in which a secret stands beside something that the sender of a request chooses should not be compressed where
 * others can see its length: they could guess the secret letter by letter (the attack is called BREACH). Nothing here can
 * know which these are.
 */
#ifndef SD_NET_HTTP_ENCODE_H
#define SD_NET_HTTP_ENCODE_H

#include "core/http_coding.h"
#include "http_server.h"

struct sd_http_encode_conf {
	unsigned codings;   /* a set of SD_CODING_BIT */
	uint64_t min_bytes; /* shorter bodies are left alone, where the length is known */
	int gzip_level;     /* 1 to 9 */
	int zstd_level;     /* 1 to 19 */
};
/* Both, from 1 KiB, levels 5 and 3. */
extern const struct sd_http_encode_conf sd_http_encode_defaults;

#define SD_LENGTH_UNKNOWN UINT64_MAX

/* Might this answer be compressed, whatever the client takes? Of the answer's head only status and fields are looked at. */
bool sd_http_encodable(const struct sd_http_encode_conf *conf, const struct sd_http_head *answer, uint64_t length);

/* Of a field of an encodable answer: true when it is not to be sent as it is (with identity: never), after sending what
 * stands for it. */
bool sd_http_encode_field(struct sd_http_exchange *x, enum sd_http_coding coding, const struct sd_http_field *f);
/* The fields that come on top, for an encodable answer. Then sd_http_head_done, with SD_HTTP_UNKNOWN unless identity. */
void sd_http_encode_fields(struct sd_http_exchange *x, enum sd_http_coding coding, const struct sd_http_head *answer);

/* ---- bodies ---- */

struct sd_http_encode;

/* coding is not identity. NULL: out of memory. */
struct sd_http_encode *sd_http_encode_new(const struct sd_http_encode_conf *conf, enum sd_http_coding coding,
					  struct sd_http_exchange *x);
/* As sd_http_write. False: out of memory; the answer cannot be completed. */
bool sd_http_encode_write(struct sd_http_encode *e, const void *p, size_t n);
/* Writes what is left; then sd_http_finish. */
bool sd_http_encode_end(struct sd_http_encode *e);
/* Before x ends, or when it has; NULL is fine. */
void sd_http_encode_free(struct sd_http_encode *e);
/* Bytes it takes now. */
size_t sd_http_encode_memory(const struct sd_http_encode *e);

#endif
