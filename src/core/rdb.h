/* rdb.h - RDB, the file in which Redis keeps its data; version 10 (Redis 7.0), read down to version 1. Pure and a piece at a
 * time both ways: neither side holds more than one string, or one packed value, of the file.
 *
 *	"REDIS0010"
 *	250 name value          about who wrote it, any number of times
 *	254 length              the database that follows
 *	251 length length       its keys, and those that expire
 *	[253 seconds (4 bytes) | 252 milliseconds (8 bytes)] [248 length: idle seconds] [249 byte: frequency]
 *	type (byte) key value   a key; what expires and what it is used go before it
 *	255 checksum            CRC64 (crc64.h) of all before it, 8 bytes; 0: none was made
 *
 * A length is 00llllll, or 01llllll and a byte, or 128 and 4 bytes, or 129 and 8 bytes, highest first; every other number has
 * its lowest byte first. A string is a length and so many bytes, or 192, 193, 194 and a number of 1, 2, 4 bytes that stands
 * for its digits, or 195, the packed and the unpacked length and what LZF made of it. Values by their type:
 *
 *	 0 string     a string                          11 set        an intset in a string
 *	 1 list       length, strings                   12 zset       a ziplist in a string
 *	 2 set        length, strings                   13 hash       a ziplist in a string
 *	 3 zset       length, (string, score as text)   14 list       length, ziplists in strings
 *	 4 hash       length, (field, value)            16 hash       a listpack in a string
 *	 5 zset       length, (string, score: 8 bytes)  17 zset       a listpack in a string
 *	10 list       a ziplist in a string             18 list       length, (1 and a string | 2 and a listpack in a string)
 *
 * DUMP gives type and value, the version (2 bytes) and the checksum of all that.
 */
#ifndef SD_CORE_RDB_H
#define SD_CORE_RDB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "core/ziplist.h"
#include "sdlab/slice.h"

#define SD_RDB_VERSION 10
/* A string may be so long at most. */
#define SD_RDB_STRING_MAX (1ull << 32)

enum sd_rdb_type {
	SD_RDB_STRING = 0,
	SD_RDB_LIST = 1,
	SD_RDB_SET = 2,
	SD_RDB_ZSET_TEXT = 3,
	SD_RDB_HASH = 4,
	SD_RDB_ZSET = 5,
	SD_RDB_LIST_ZIPLIST = 10,
	SD_RDB_SET_INTSET = 11,
	SD_RDB_ZSET_ZIPLIST = 12,
	SD_RDB_HASH_ZIPLIST = 13,
	SD_RDB_LIST_ZIPLISTS = 14,
	SD_RDB_HASH_LISTPACK = 16,
	SD_RDB_ZSET_LISTPACK = 17,
	SD_RDB_LIST_NODES = 18,
};

enum sd_rdb_node {
	SD_RDB_PLAIN = 1,
	SD_RDB_PACKED = 2,
};

/* ---- writing: each appends ---- */

void sd_rdb_put_head(struct sd_text *t);
void sd_rdb_put_aux(struct sd_text *t, const char *name, const char *value);
void sd_rdb_put_db(struct sd_text *t, uint64_t number);
void sd_rdb_put_sizes(struct sd_text *t, uint64_t keys, uint64_t expiring);
/* Before a key. at_ms since the epoch. */
void sd_rdb_put_expiry(struct sd_text *t, int64_t at_ms);
void sd_rdb_put_idle(struct sd_text *t, uint64_t seconds);
void sd_rdb_put_freq(struct sd_text *t, uint8_t freq);
/* Then its type, the key as a string, and the value by its type. */
void sd_rdb_put_type(struct sd_text *t, enum sd_rdb_type type);
void sd_rdb_put_length(struct sd_text *t, uint64_t n);
/* As a number where its digits are one. */
void sd_rdb_put_string(struct sd_text *t, struct sd_slice s);
void sd_rdb_put_int(struct sd_text *t, int64_t v);
void sd_rdb_put_score(struct sd_text *t, double v);
/* The end, up to the checksum: whoever writes all bytes out has it. */
void sd_rdb_put_end(struct sd_text *t);
/* What makes type and value (all that is in t) something that RESTORE takes. */
void sd_rdb_put_seal(struct sd_text *t);

/* ---- reading ---- */

enum sd_rdb_kind {
	SD_RDB_AUX,  /* a: name, b: value */
	SD_RDB_DB,   /* n: number */
	SD_RDB_SIZES, /* n: keys, m: of these expire; a hint, nobody vouches for it */
	SD_RDB_KEY,  /* a: key; type, expires_ms, idle_s, freq; n: parts to come, as it says */
	SD_RDB_PART, /* see below */
	SD_RDB_DONE, /* the value has no more parts */
	SD_RDB_END,  /* of the file, and its checksum is right */
};

/* Slices are valid until the next call. Ziplists are taken apart: what had one comes as the type of strings, and n says nothing.
 *
 *	string a      list a      set a      hash a, b      zset a, score      intset, listpack a      list of nodes: n node, a
 */
struct sd_rdb_token {
	enum sd_rdb_kind kind;
	enum sd_rdb_type type;
	struct sd_slice a, b;
	uint64_t n, m;
	double score;
	int64_t expires_ms, idle_s, freq; /* -1: not said */
};

enum sd_rdb_step {
	SD_RDB_TOKEN,
	SD_RDB_MORE, /* the next token is not whole: have r->need bytes from here on before the next try, at least */
	SD_RDB_BAD,  /* r->error says what is wrong, r->offset where; out of memory is one of the reasons */
};

/* Zero it, or sd_rdb_reader_value. */
struct sd_rdb_reader {
	uint64_t offset, crc; /* of the bytes taken */
	size_t need;
	unsigned version; /* of the file; 0: its head was not read */
	enum sd_rdb_place { SD_RDB_AT_HEAD, SD_RDB_AT_KEY, SD_RDB_AT_PART, SD_RDB_AT_END } at;
	bool alone; /* type and value without key */
	uint8_t type; /* as the file says */
	uint64_t left; /* parts of the value that are still to be read */
	int64_t expires_ms, idle_s, freq;
	struct sd_ziplist_reader ziplist;
	bool in_ziplist;
	struct sd_rdb_unpacked {
		char *p;
		size_t room;
		char number[24];
	} unpacked[2];
	char error[160];
};

/* For one value as DUMP gives it, without its seal: KEY (with no key), parts, DONE and END. */
void sd_rdb_reader_value(struct sd_rdb_reader *r);
/* The next token of p[0..n); *took bytes are done with, whatever it returns (after SD_RDB_TOKEN: once the token is). */
enum sd_rdb_step sd_rdb_read(struct sd_rdb_reader *r, const char *p, size_t n, size_t *took, struct sd_rdb_token *t);
void sd_rdb_reader_free(struct sd_rdb_reader *r);
/* Is the seal of this right? *value: what it seals. */
bool sd_rdb_check_seal(struct sd_slice dump, struct sd_slice *value);

#endif
