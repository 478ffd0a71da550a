/* wal_format.c - segments as bytes; see sdlab-wal(5). */
#include "wal_format.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/crc32c.h"

#define HEADER_BYTES 128u
#define HEADER_CRC   124u
#define NAME_AT      56u

static const char magic[8] = {'S', 'D', 'L', 'A', 'B', 'W', 'A', 'L'};

/* ---- numbers ---- */

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

bool wal_all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* ---- names ---- */

static bool name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

bool wal_name_ok(const char *name)
{
	size_t n = 0;
	if (!isalnum((unsigned char)name[0]))
		return false;
	while (n <= WAL_NAME && name_byte(name[n]))
		n++;
	return n <= WAL_NAME && name[n] == '\0';
}

void wal_file_name(char out[WAL_FILE], const char *name, uint64_t number)
{
	snprintf(out, WAL_FILE, "%s-%08" PRIu64 ".log", name, number);
}

bool wal_file_parse(const char *file, char *name, uint64_t *number)
{
	char again[WAL_FILE];
	const char *dash = strrchr(file, '-');
	if (!dash || dash == file || (size_t)(dash - file) > WAL_NAME)
		return false;
	uint64_t n = 0;
	const char *p = dash + 1;
	for (; isdigit((unsigned char)*p) && p < dash + 20; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	memcpy(name, file, (size_t)(dash - file));
	name[dash - file] = '\0';
	if (n == 0 || !wal_name_ok(name))
		return false;
	/* There is one way to write it. */
	wal_file_name(again, name, n);
	*number = n;
	return strcmp(again, file) == 0;
}

/* ---- header ---- */

void wal_header_put(uint8_t out[WAL_HEAD], const struct wal_header *h)
{
	memset(out, 0, WAL_HEAD);
	memcpy(out, magic, sizeof(magic));
	put32(out + 8, WAL_VERSION);
	put32(out + 12, WAL_HEAD);
	put64(out + 16, h->number);
	put64(out + 24, h->first_seq);
	put64(out + 32, h->salt);
	put64(out + 40, h->created_ns);
	put32(out + 48, h->flags);
	put32(out + 52, WAL_BLOCK);
	memcpy(out + NAME_AT, h->name, strnlen(h->name, WAL_NAME));
	put32(out + HEADER_CRC, sd_crc32c(0, out, HEADER_CRC));
	memcpy(out + WAL_COPY, out, HEADER_BYTES);
}

/* One copy, whose checksum is right. */
static enum sd_err header_fields(const uint8_t *p, struct wal_header *h, struct sd_error *e)
{
	uint32_t version = get32(p + 8), flags = get32(p + 48);
	if (version != WAL_VERSION)
		return sd_fail(e, SD_EUNSUPPORTED, "is of version %" PRIu32 "; this program reads version %u", version,
			       WAL_VERSION);
	if (flags & ~WAL_GAP)
		return sd_fail(e, SD_EUNSUPPORTED, "has flags %#" PRIx32 ", which this program does not know", flags);
	*h = (struct wal_header){
	    .number = get64(p + 16),
	    .first_seq = get64(p + 24),
	    .salt = get64(p + 32),
	    .created_ns = get64(p + 40),
	    .flags = flags,
	};
	memcpy(h->name, p + NAME_AT, sizeof(h->name) - 1);
	if (get32(p + 12) != WAL_HEAD || get32(p + 52) != WAL_BLOCK || h->number == 0 || h->first_seq == 0 ||
	    !wal_name_ok(h->name) || get32(p + 120) != 0)
		return sd_fail(e, SD_EINVAL, "has a header that makes no sense");
	return SD_OK;
}

static bool copy_good(const uint8_t *p)
{
	return memcmp(p, magic, sizeof(magic)) == 0 && get32(p + HEADER_CRC) == sd_crc32c(0, p, HEADER_CRC);
}

static bool head_zeros(const uint8_t *p)
{
	return wal_all_zero(p + HEADER_BYTES, WAL_COPY - HEADER_BYTES) &&
	       wal_all_zero(p + WAL_COPY + HEADER_BYTES, WAL_HEAD - WAL_COPY - HEADER_BYTES);
}

static enum sd_err header_whole(const uint8_t *p, struct wal_header *h, bool *copy, struct sd_error *e)
{
	bool first = copy_good(p), second = copy_good(p + WAL_COPY);
	if (!first && !second && memcmp(p, magic, sizeof(magic)) != 0)
		return sd_fail(e, SD_EINVAL, "does not begin as a log does (expected SDLABWAL)");
	if (!first && !second)
		return sd_fail(e, SD_EINVAL, "has a header with a bad checksum (expected %08" PRIx32 ", found %08" PRIx32 ")",
			       sd_crc32c(0, p, HEADER_CRC), get32(p + HEADER_CRC));
	enum sd_err err = header_fields(first ? p : p + WAL_COPY, h, e);
	if (err)
		return err;
	*copy = true;
	if (!first || !second)
		return sd_fail(e, SD_EINVAL, "has a bad copy of its header at %u", first ? WAL_COPY : 0);
	if (memcmp(p, p + WAL_COPY, HEADER_BYTES) != 0)
		return sd_fail(e, SD_EINVAL, "has two headers that differ");
	return head_zeros(p) ? SD_OK : sd_fail(e, SD_EINVAL, "has bytes beside its header that are not zero");
}

enum sd_err wal_header_get(const uint8_t *p, size_t n, struct wal_header *h, bool *copy, struct sd_error *e)
{
	uint8_t whole[WAL_HEAD] = {0};
	*copy = false;
	memcpy(whole, p, n < WAL_HEAD ? n : WAL_HEAD);
	enum sd_err err = header_whole(whole, h, copy, e);
	if (!err && n < WAL_HEAD)
		return sd_fail(e, SD_EINVAL, "ends within its header");
	return err;
}

struct wal_key wal_key_of(uint64_t salt)
{
	uint8_t bytes[8];
	put64(bytes, salt);
	return (struct wal_key){.seed = sd_crc32c(0, bytes, sizeof(bytes))};
}

/* ---- fragments ---- */

uint64_t wal_record_end(uint64_t off, uint64_t n)
{
	const uint64_t part = WAL_BLOCK - WAL_FRAG;
	off = wal_place(off);
	uint64_t room = WAL_BLOCK - off % WAL_BLOCK - WAL_FRAG;
	if (n <= room)
		return off + WAL_FRAG + n;
	n -= room;
	off += WAL_FRAG + room;
	uint64_t whole = (n - 1) / part;
	return off + whole * WAL_BLOCK + WAL_FRAG + (n - whole * part);
}

/* The checksum of the fragment at p that stands at off. */
static uint32_t frag_crc(const uint8_t *p, uint32_t off, const struct wal_key *key, uint32_t length)
{
	uint8_t at[4];
	put32(at, off);
	return sd_crc32c(sd_crc32c(key->seed, at, sizeof(at)), p + 4, WAL_FRAG - 4 + length);
}

static void frag_put(uint8_t *p, uint32_t off, const struct wal_key *key, const struct wal_frag *f)
{
	put16(p + 4, f->length);
	p[6] = f->kind;
	p[7] = f->type;
	put64(p + 8, f->seq);
	put32(p + 16, f->synced);
	put32(p + 20, f->rest);
	put32(p, frag_crc(p, off, key, f->length));
}

struct pieces {
	const struct iovec *iov;
	int niov, i;
	size_t used;
};

static void copy_out(struct pieces *from, uint8_t *to, size_t n)
{
	while (n > 0 && from->i < from->niov) {
		const struct iovec *v = &from->iov[from->i];
		size_t take = v->iov_len - from->used < n ? v->iov_len - from->used : n;
		if (take)
			memcpy(to, (const uint8_t *)v->iov_base + from->used, take);
		to += take;
		n -= take;
		from->used += take;
		if (from->used == v->iov_len) {
			from->i++;
			from->used = 0;
		}
	}
}

size_t wal_record_put(uint8_t *out, uint32_t off, const struct wal_key *key, const struct wal_put *put)
{
	struct pieces from = {.iov = put->iov, .niov = put->niov};
	struct wal_frag f = {.seq = put->seq, .synced = put->synced, .type = put->type};
	uint32_t at = (uint32_t)wal_place(off);
	size_t left = put->n;
	memset(out, 0, at - off);
	for (bool first = true;; first = false) {
		uint8_t *p = out + (at - off);
		size_t room = WAL_BLOCK - at % WAL_BLOCK - WAL_FRAG;
		f.length = (uint16_t)(left < room ? left : room);
		left -= f.length;
		f.rest = (uint32_t)left;
		f.kind = left ? (first ? WAL_FIRST : WAL_MIDDLE) : (first ? WAL_FULL : WAL_LAST);
		copy_out(&from, p + WAL_FRAG, f.length);
		frag_put(p, at, key, &f);
		at += WAL_FRAG + f.length;
		if (!left)
			return at - off;
	}
}

size_t wal_mark_put(uint8_t *out, uint32_t off, const struct wal_key *key, uint64_t next_seq)
{
	uint32_t at = (uint32_t)wal_place(off);
	memset(out, 0, at - off);
	frag_put(out + (at - off), at, key, &(struct wal_frag){.seq = next_seq, .kind = WAL_MARK, .synced = at});
	return at - off + WAL_FRAG;
}

static enum wal_look wrong(struct wal_wrong *why, const char *text)
{
	if (why)
		snprintf(why->why, sizeof(why->why), "%s", text);
	return WAL_WRONG;
}

static void frag_read(const uint8_t *p, struct wal_frag *f)
{
	f->length = get16(p + 4);
	f->kind = p[6];
	f->type = p[7];
	f->seq = get64(p + 8);
	f->synced = get32(p + 16);
	f->rest = get32(p + 20);
}

/* What a kind does not allow, though the checksum be right. */
static bool frag_sane(const struct wal_frag *f, uint32_t off, size_t room)
{
	bool to_block_end = off % WAL_BLOCK + WAL_FRAG + f->length == WAL_BLOCK;
	if (f->synced < WAL_HEAD || f->synced > off || f->seq == 0 || f->length > room)
		return false;
	if (f->kind == WAL_FIRST || f->kind == WAL_MIDDLE)
		return f->rest > 0 && to_block_end;
	return f->rest == 0 && (f->kind != WAL_MARK || (f->length == 0 && f->type == 0 && f->synced == off));
}

enum wal_look wal_frag_get(const uint8_t *p, size_t n, uint32_t off, const struct wal_key *key, struct wal_frag *f,
			   struct wal_wrong *why)
{
	if (wal_all_zero(p, n < WAL_FRAG ? n : WAL_FRAG))
		return WAL_ZERO;
	if (n < WAL_FRAG)
		return wrong(why, "is cut off");
	frag_read(p, f);
	/* Without checksums a length must still stay within what is there. */
	if (f->length > n - WAL_FRAG)
		return wrong(why, "has a length that leads out of its block");
	uint32_t is = get32(p), due = frag_crc(p, off, key, f->length);
	if (is != due && !key->blind) {
		if (why)
			snprintf(why->why, sizeof(why->why),
				 "has a bad checksum (expected %08" PRIx32 ", found %08" PRIx32 ")", due, is);
		return WAL_WRONG;
	}
	if (f->kind < WAL_FULL || f->kind > WAL_MARK || (!key->blind && !frag_sane(f, off, n - WAL_FRAG)))
		return wrong(why, "has fields that contradict each other");
	return WAL_GOOD;
}
