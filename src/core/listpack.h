/* listpack.h - a list of short values in one piece of memory, bit for bit as Redis keeps it (Salvatore Sanfilippo's listpack
 * specification, 2017). Pure: it works on memory that the caller gives and makes larger.
 *
 *	bytes (4) count (2) entry entry ... 0xFF
 *
 * bytes: of all, with header and end; count: of entries, 65535 when there are as many or more (then they have to be
 * counted). Numbers are little-endian. An entry is a code, its data, and the length of both once more, to be read backwards:
 *
 *	0vvvvvvv                                 0 to 127
 *	10nnnnnn bytes                           a string of up to 63 bytes
 *	110vvvvv vvvvvvvv                        a number of 13 bits, the high ones first
 *	1110nnnn nnnnnnnn bytes                  a string of up to 4095 bytes
 *	11110000 nnnn (4) bytes                  a longer one
 *	11110001 .. 11110100 data (2, 3, 4, 8)   a number of 16, 24, 32, 64 bits
 *
 * The length at an entry's end has seven bits in each byte, the last byte first; every byte but the one read last has its top
 * bit set. A string that is a number as sd_resp_parse_int takes it is kept as that number.
 *
 * A place is the number of bytes from the start to an entry; 0 is no place. Places stay what they are when the memory moves;
 * a change moves those behind it. To put something in:
 *
 *	sd_listpack_encode(value, &e);
 *	lp = room for sd_listpack_bytes(lp) + e.size;
 *	sd_listpack_insert(lp, at, &e);
 */
#ifndef SD_CORE_LISTPACK_H
#define SD_CORE_LISTPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

#define SD_LISTPACK_HEADER 6
#define SD_LISTPACK_EMPTY  7            /* bytes of one without entries */
#define SD_LISTPACK_MAX    (1ul << 30)  /* bytes that one should not grow beyond */
#define SD_LISTPACK_TEXT   24           /* room for a number's text */

/* An entry that is to be put in. */
struct sd_listpack_new {
	size_t size; /* bytes it takes */
	unsigned head_n;
	unsigned char head[9];
	struct sd_slice body; /* the caller's bytes, which may not be inside the listpack */
};

/* What an entry says. */
struct sd_listpack_value {
	bool is_number;
	int64_t number;
	struct sd_slice text; /* of what is none; inside the listpack */
};

/* False: longer than SD_LISTPACK_MAX. */
bool sd_listpack_encode(struct sd_slice value, struct sd_listpack_new *e);
void sd_listpack_encode_int(int64_t value, struct sd_listpack_new *e);

/* Makes an empty one of SD_LISTPACK_EMPTY bytes. */
void sd_listpack_init(unsigned char *lp);
static inline size_t sd_listpack_bytes(const unsigned char *lp)
{
	return lp[0] | (size_t)lp[1] << 8 | (size_t)lp[2] << 16 | (size_t)lp[3] << 24;
}
/* Entries. O(1), but for 65535 and more. */
size_t sd_listpack_count(const unsigned char *lp);

/* ---- looking ---- */

/* 0: there is none. */
size_t sd_listpack_first(const unsigned char *lp);
size_t sd_listpack_last(const unsigned char *lp);
size_t sd_listpack_next(const unsigned char *lp, size_t at);
size_t sd_listpack_prev(const unsigned char *lp, size_t at); /* of the end's place: the last */
/* index 0: the first, -1: the last. From the nearer end. */
size_t sd_listpack_seek(const unsigned char *lp, int64_t index);
/* Behind the last entry: an insertion there appends. */
static inline size_t sd_listpack_end(const unsigned char *lp)
{
	return sd_listpack_bytes(lp) - 1;
}
void sd_listpack_get(const unsigned char *lp, size_t at, struct sd_listpack_value *v);
/* The bytes; a number's are written into text. */
struct sd_slice sd_listpack_text(const unsigned char *lp, size_t at, char text[SD_LISTPACK_TEXT]);
/* Bytes of the whole entry. */
size_t sd_listpack_size(const unsigned char *lp, size_t at);
bool sd_listpack_equals(const unsigned char *lp, size_t at, struct sd_slice value);
/* The first entry from `at` on that equals value, of which only every (skip + 1)th is looked at: 1 finds a field, and not a
 * value, among pairs. at 0 finds nothing. */
size_t sd_listpack_find(const unsigned char *lp, size_t at, struct sd_slice value, unsigned skip);

/* ---- changing: in place ---- */

/* In front of the entry at `at`, or at the end. Takes e->size more bytes. */
void sd_listpack_insert(unsigned char *lp, size_t at, const struct sd_listpack_new *e);
/* Takes e->size bytes more and sd_listpack_size(lp, at) less. */
void sd_listpack_replace(unsigned char *lp, size_t at, const struct sd_listpack_new *e);
/* Takes out up to n entries from `at` on; the next one is at `at` then, or the end. Returns how many there were. */
size_t sd_listpack_delete(unsigned char *lp, size_t at, size_t n);

/* Bytes of up to *n entries from `at` on; *n becomes how many there are. */
size_t sd_listpack_span(const unsigned char *lp, size_t at, size_t *n);
/* Appends n entries of another one, which are so many bytes. */
void sd_listpack_append(unsigned char *lp, const unsigned char *from, size_t at, size_t bytes, size_t n);

/* At the front without moving what is there: the listpack begins e->size bytes earlier afterwards, or where the entry that was
 * taken out ended. Returns where it begins. */
unsigned char *sd_listpack_push_front(unsigned char *lp, const struct sd_listpack_new *e);
unsigned char *sd_listpack_pop_front(unsigned char *lp);

/* ---- bytes from elsewhere ---- */

/* True: n bytes at p are one listpack, every entry of it whole and the count right; any bytes may be asked about. each, when
 * not NULL, is called for every entry and says whether to go on. */
bool sd_listpack_validate(const unsigned char *p, size_t n,
			  bool (*each)(void *arg, const unsigned char *lp, size_t at), void *arg);

#endif
