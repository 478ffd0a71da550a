/* lsm.h - what the files of a log-structured merge tree have in common, in the format of LevelDB (google/leveldb,
 * doc/table_format.md, doc/log_format.md, doc/impl.md) and in our own. sdlab-kv(5) tells all of it.
 *
 * An internal key is the user's key and eight bytes: the sequence number of the write, and its kind. Of one user key the newest
 * comes first, so that a search for (key, sequence) finds what was there at that time.
 */
#ifndef SD_CORE_LSM_H
#define SD_CORE_LSM_H

#include "bytes.h"
#include "crc32c.h"
#include "sdlab/slice.h"

#define SD_LSM_LEVELS  7
#define SD_LSM_SEQ_MAX ((UINT64_C(1) << 56) - 1)
#define SD_LSM_TAIL    8 /* of an internal key */

/* The first two are LevelDB's; the others are in stores of our own format only. 5 to 14 are kept for what a key may hold one day. */
enum sd_lsm_kind {
	SD_LSM_GONE = 0,
	SD_LSM_VALUE = 1,
	SD_LSM_ENDING = 2,	/* value: when it ends (8 bytes, ms since 1970), then the value */
	SD_LSM_BLOB = 3,	/* value: where the value is: number of the blob file, offset, length (varints) */
	SD_LSM_ENDING_BLOB = 4, /* value: when it ends, then the same */
	SD_LSM_RANGE_GONE = 15, /* key: from; value: to before which key; empty, to the end, only in a batch until it is written */
};
#define SD_LSM_KIND_SEEK SD_LSM_RANGE_GONE /* the highest: (key, seq, this) comes before all that (key, seq) has */
#define SD_LSM_ENDS	 8		   /* bytes before a value that ends */

static inline bool sd_lsm_ends(enum sd_lsm_kind kind)
{
	return kind == SD_LSM_ENDING || kind == SD_LSM_ENDING_BLOB;
}
/* Whether it is no more at that time (ms since 1970; 0: nothing ends). A value too short to say when it ends has ended. */
static inline bool sd_lsm_has_ended(enum sd_lsm_kind kind, struct sd_slice value, int64_t now_ms)
{
	return sd_lsm_ends(kind) && now_ms > 0 &&
	       (value.n < SD_LSM_ENDS || sd_get_le(value.p, SD_LSM_ENDS) <= (uint64_t)now_ms);
}

static inline bool sd_lsm_kind_ok(unsigned kind)
{
	return kind <= SD_LSM_ENDING_BLOB || kind == SD_LSM_RANGE_GONE;
}
static inline bool sd_lsm_key_ok(struct sd_slice internal)
{
	return internal.n >= SD_LSM_TAIL && sd_lsm_kind_ok((uint8_t)internal.p[internal.n - SD_LSM_TAIL]);
}
/* Sets of kinds: what a format's entries may be. Ranges are kept apart from entries. */
#define SD_LSM_KINDS_LEVELDB 0x0003u
#define SD_LSM_KINDS_OWN     0x001fu
#define SD_LSM_KINDS_RANGE   0x8000u
#define SD_LSM_KINDS_ANY     0xffffu
static inline bool sd_lsm_key_is(struct sd_slice internal, unsigned kinds)
{
	return internal.n >= SD_LSM_TAIL && (uint8_t)internal.p[internal.n - SD_LSM_TAIL] < 16 &&
	       (kinds >> internal.p[internal.n - SD_LSM_TAIL] & 1) != 0;
}
static inline struct sd_slice sd_lsm_user(struct sd_slice internal)
{
	return (struct sd_slice){internal.p, internal.n - SD_LSM_TAIL};
}
/* Sequence number and kind: seq << 8 | kind. */
static inline uint64_t sd_lsm_tail(struct sd_slice internal)
{
	return sd_get_le(internal.p + internal.n - SD_LSM_TAIL, SD_LSM_TAIL);
}
static inline uint64_t sd_lsm_seq(struct sd_slice internal)
{
	return sd_lsm_tail(internal) >> 8;
}
static inline enum sd_lsm_kind sd_lsm_kind(struct sd_slice internal)
{
	return (enum sd_lsm_kind)(sd_lsm_tail(internal) & 0xff);
}

/* Byte by byte, the shorter first. Eight bytes at a time, since a call of memcmp costs more than most keys. */
static inline int sd_lsm_bytewise(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;
	while (n - i >= 8) {
		uint64_t x = sd_get_be(a.p + i, 8), y = sd_get_be(b.p + i, 8);
		if (x != y)
			return x < y ? -1 : 1;
		i += n - i > 8 && n - i < 16 ? n - i - 8 : 8; /* the last word may overlap the one before */
	}
	for (; i < n; i++)
		if (a.p[i] != b.p[i])
			return (uint8_t)a.p[i] < (uint8_t)b.p[i] ? -1 : 1;
	return (a.n > b.n) - (a.n < b.n);
}
/* User keys upwards, sequence numbers downwards. Both are at least SD_LSM_TAIL long. */
static inline int sd_lsm_internal(struct sd_slice a, struct sd_slice b)
{
	int c = sd_lsm_bytewise(sd_lsm_user(a), sd_lsm_user(b));
	if (c)
		return c;
	uint64_t x = sd_lsm_tail(a), y = sd_lsm_tail(b);
	return (x < y) - (x > y);
}

/* Bytes of a file in a line for people: at most 60, and those that are no letters, digits or signs of ASCII as '?'. */
#define SD_LSM_SHOWN 64
static inline const char *sd_lsm_shown(char to[SD_LSM_SHOWN], struct sd_slice bytes)
{
	size_t n = bytes.n < 60 ? bytes.n : 60;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)((uint8_t)bytes.p[i] - 32u < 95 ? bytes.p[i] : '?');
	memcpy(to + n, bytes.n > n ? "..." : "", bytes.n > n ? 4 : 1);
	return to;
}

/* Checksums are kept so that the checksum of what holds one is not a special number. */
static inline uint32_t sd_lsm_mask(uint32_t crc)
{
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

#endif
