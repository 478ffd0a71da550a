/* An RDB file, or a value as DUMP gives it (the first byte decides), from arbitrary bytes, whole and in small pieces: the same comes
 * out, nothing is read outside, each token has its bytes, and nothing is kept that the bytes cannot stand for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc64.h"
#include "core/lzf.h"
#include "core/rdb.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static uint64_t mix(uint64_t sum, const struct sd_rdb_token *t)
{
	uint64_t fields[6] = {t->kind, t->type, t->n, t->m, (uint64_t)t->expires_ms, t->a.n};
	sum = sd_crc64(sum, fields, sizeof(fields));
	sum = sd_crc64(sum, t->a.p, t->a.n);
	sum = sd_crc64(sum, t->b.p, t->b.n);
	return sd_crc64(sum, &t->score, sizeof(t->score));
}

/* A checksum of all that was said, and how it ended. */
static uint64_t play(const unsigned char *data, size_t size, bool alone, size_t piece)
{
	struct sd_rdb_reader r = {0};
	struct sd_rdb_token t;
	enum sd_rdb_step step;
	uint64_t sum = 0;
	size_t at = 0, have = piece < size ? piece : size, took, steps = 0;
	if (alone)
		sd_rdb_reader_value(&r);
	for (;;) {
		/* a piece of just its size, so that the address sanitizer sees a byte too far */
		char *copy = malloc(have - at + 1);
		memcpy(copy, data + at, have - at);
		step = sd_rdb_read(&r, copy, have - at, &took, &t);
		if (step == SD_RDB_TOKEN)
			sum = mix(sum, &t);
		free(copy);
		require(took <= have - at, "took more than there is");
		require(r.unpacked[0].room <= size * SD_LZF_BEST && r.unpacked[1].room <= size * SD_LZF_BEST, "memory that no bytes stand for");
		require(++steps <= (SD_LZF_BEST + 4) * size + 16, "no progress");
		at += took;
		if (step == SD_RDB_BAD || (step == SD_RDB_TOKEN && t.kind == SD_RDB_END) || (step == SD_RDB_MORE && have == size))
			break;
		if (step == SD_RDB_MORE) {
			require(r.need > have - at, "asks for what is there");
			have = have + piece < size ? have + piece : size;
		}
	}
	require(step != SD_RDB_BAD || r.error[0], "no reason");
	require(r.offset == at, "another offset");
	sd_rdb_reader_free(&r);
	return sd_crc64(sum, &step, sizeof(step));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	if (!size)
		return 0;
	bool alone = data[0] & 1;
	data++;
	size--;
	uint64_t whole = play(data, size, alone, size);
	/* a value alone is given whole, since nobody says where it ends */
	require(alone || play(data, size, alone, 1 + size / 7) == whole, "another story in pieces");
	return 0;
}
