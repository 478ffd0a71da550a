/* lsm_zstd.c - a few places where contexts lie that nobody uses; who finds none makes one. */
#include "lsm_zstd.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#define PLACES 16

struct sd_lsm_zstd {
	_Atomic(ZSTD_DCtx *) idle[PLACES];
};

struct sd_lsm_zstd *sd_lsm_zstd_new(void)
{
	struct sd_lsm_zstd *z = malloc(sizeof(*z));
	for (int i = 0; z && i < PLACES; i++)
		atomic_init(&z->idle[i], NULL);
	return z;
}

void sd_lsm_zstd_free(struct sd_lsm_zstd *z)
{
	for (int i = 0; z && i < PLACES; i++)
		ZSTD_freeDCtx(atomic_load(&z->idle[i]));
	free(z);
}

static ZSTD_DCtx *borrow(struct sd_lsm_zstd *z)
{
	for (int i = 0; z && i < PLACES; i++) {
		ZSTD_DCtx *d = atomic_load_explicit(&z->idle[i], memory_order_relaxed);
		if (d && (d = atomic_exchange_explicit(&z->idle[i], NULL, memory_order_acquire)))
			return d;
	}
	return ZSTD_createDCtx();
}

static void give_back(struct sd_lsm_zstd *z, ZSTD_DCtx *d)
{
	for (int i = 0; z && i < PLACES; i++) {
		ZSTD_DCtx *none = NULL;
		if (atomic_compare_exchange_strong_explicit(&z->idle[i], &none, d, memory_order_release, memory_order_relaxed))
			return;
	}
	ZSTD_freeDCtx(d);
}

bool sd_lsm_zstd_length(const void *p, size_t n, size_t *length)
{
	unsigned long long says = ZSTD_getFrameContentSize(p, n);
	if (says == ZSTD_CONTENTSIZE_UNKNOWN || says == ZSTD_CONTENTSIZE_ERROR || says > SIZE_MAX)
		return false;
	*length = (size_t)says;
	return true;
}

enum sd_err sd_lsm_zstd_expand(struct sd_lsm_zstd *z, const void *p, size_t n, void *to, size_t length)
{
	ZSTD_DCtx *d = borrow(z);
	if (!d)
		return SD_ENOMEM;
	size_t got = ZSTD_decompressDCtx(d, to, length, p, n);
	give_back(z, d);
	return !ZSTD_isError(got) && got == length ? SD_OK : SD_EDAMAGED;
}

/* ---- compressing ---- */

struct sd_lsm_zstd_out {
	ZSTD_CCtx *c;
	char *room;
	size_t size;
	int level;
};

struct sd_lsm_zstd_out *sd_lsm_zstd_out_new(int level)
{
	struct sd_lsm_zstd_out *z = calloc(1, sizeof(*z));
	if (z && !(z->c = ZSTD_createCCtx())) {
		free(z);
		return NULL;
	}
	if (z)
		z->level = level;
	return z;
}

void sd_lsm_zstd_out_free(struct sd_lsm_zstd_out *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->c);
	free(z->room);
	free(z);
}

/* Zstandard gives up early when what it has room for is less than what it needs. */
struct sd_slice sd_lsm_zstd_squeeze(struct sd_lsm_zstd_out *z, struct sd_slice bytes)
{
	size_t room = bytes.n - bytes.n / 8;
	if (room > z->size) {
		char *more = realloc(z->room, room);
		if (!more)
			return (struct sd_slice){NULL, 0};
		z->room = more;
		z->size = room;
	}
	size_t n = ZSTD_compressCCtx(z->c, z->room, room, bytes.p, bytes.n, z->level);
	return ZSTD_isError(n) ? (struct sd_slice){NULL, 0} : (struct sd_slice){z->room, n};
}
