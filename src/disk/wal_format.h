/* wal_format.h - what a segment of the log is made of: bytes in, numbers out, and back. Nothing here does I/O.
 *
 * The format is in sdlab-wal(5), with the argument why a torn tail and damage can be told apart. Private to src/disk and
 * its tests.
 */
#ifndef SD_DISK_WAL_FORMAT_H
#define SD_DISK_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sdlab/err.h"

#define WAL_VERSION 1u
#define WAL_HEAD    1024u /* bytes before the first fragment */
#define WAL_COPY    512u  /* where the second copy of the header begins */
#define WAL_BLOCK   32768u
#define WAL_FRAG    24u /* bytes of a fragment before its part of the record */
#define WAL_ROOM    32u /* no fragment begins where fewer are left in the block */
#define WAL_NAME    40u /* longest name of a log */
#define WAL_GAP     1u  /* flag: records may be missing before this segment */
#define WAL_MAX     (1u << 30) /* largest segment size and record */

struct wal_header {
	uint64_t number, first_seq, salt, created_ns;
	uint32_t flags;
	char name[64];
};

/* What the salt adds to each checksum of a segment; `blind` is for tests that show what would happen without. */
struct wal_key {
	uint32_t seed;
	bool blind;
};

enum wal_kind { WAL_FULL = 1, WAL_FIRST, WAL_MIDDLE, WAL_LAST, WAL_MARK };

struct wal_frag {
	uint64_t seq;
	uint32_t synced, rest;
	uint16_t length;
	uint8_t kind, type;
};

/* A record, or the part of it that is to come. */
struct wal_put {
	uint64_t seq;
	uint32_t synced;
	uint8_t type;
	const struct iovec *iov;
	int niov;
	size_t n; /* the sum of iov */
};

/* ---- names ---- */

bool wal_name_ok(const char *name);
#define WAL_FILE 80 /* bytes of a file's name, with its NUL */
void wal_file_name(char out[WAL_FILE], const char *name, uint64_t number);
/* Is `file` the name of a segment? Then name (WAL_NAME + 1 bytes) and number. */
bool wal_file_parse(const char *file, char *name, uint64_t *number);

/* ---- header ---- */

/* Both copies: all WAL_HEAD bytes. */
void wal_header_put(uint8_t out[WAL_HEAD], const struct wal_header *h);
/* From what there is of the first WAL_HEAD bytes. SD_OK: both copies are good. SD_EUNSUPPORTED: good, but of a version or
 * with flags that are unknown. SD_EINVAL: not good; *copy tells whether h is filled, from one good copy. The text says
 * what, without the file. */
enum sd_err wal_header_get(const uint8_t *p, size_t n, struct wal_header *h, bool *copy, struct sd_error *e);
struct wal_key wal_key_of(uint64_t salt);

/* ---- fragments ---- */

/* Where a fragment that is due at `off` begins: there, or with the next block. */
static inline uint64_t wal_place(uint64_t off)
{
	uint64_t left = WAL_BLOCK - off % WAL_BLOCK;
	return left < WAL_ROOM ? off + left : off;
}
/* Where a record of n bytes that is due at `off` would end. */
uint64_t wal_record_end(uint64_t off, uint64_t n);
/* Writes a record that is due at file offset `off` to out, which is what comes to stand there: padding, fragments. Returns
 * how many bytes: wal_record_end(off, put->n) - off. */
size_t wal_record_put(uint8_t *out, uint32_t off, const struct wal_key *key, const struct wal_put *put);
/* The same for a mark. */
size_t wal_mark_put(uint8_t *out, uint32_t off, const struct wal_key *key, uint64_t next_seq);

/* What stands at `off`, with n bytes to the end of the block or file. */
enum wal_look {
	WAL_GOOD,
	WAL_ZERO, /* no fragment: zeros where its head would be */
	WAL_WRONG,
};
struct wal_wrong {
	char why[96]; /* "has a bad checksum (expected 9f3c0a11, found 00000000)" */
};
/* why may be NULL: nobody asks. */
enum wal_look wal_frag_get(const uint8_t *p, size_t n, uint32_t off, const struct wal_key *key, struct wal_frag *f,
			   struct wal_wrong *why);
bool wal_all_zero(const uint8_t *p, size_t n);

#endif
