/* cache_image.h - values as bytes (core/rdb.h) and back: for DUMP and RESTORE, the snapshot, and copies elsewhere. */
#ifndef CACHE_IMAGE_H
#define CACHE_IMAGE_H

#include "../engine/cache.h"
#include "core/rdb.h"

/* Appends the item as a file has it: its end and use, type, key, value. */
void cache_image_put_item(struct sd_text *t, const struct cache *c, const struct cache_item *it);
/* Appends what DUMP gives: type, value and seal. */
void cache_image_put_dump(struct sd_text *t, const struct cache_item *it);

/* A value being read. Zero it, set cache, and for one value as DUMP gives it sd_rdb_reader_value(&im.reader). */
struct cache_image {
	struct cache *cache;
	struct sd_rdb_reader reader;
	struct sd_text key, text; /* text: of a string */
	int64_t expires_ms, idle_s, freq; /* -1: not said */
	bool empty; /* a collection with nothing in it, which is no value */
	enum cache_type type;
	unsigned encoding;
	void *value; /* of what is no string: this one's until it was stored */
	const struct cache_image_reader *how;
};

/* As sd_rdb_read, but a value comes at once: SD_RDB_DONE says it is there. What is wrong: im->reader.error. */
enum sd_rdb_step cache_image_read(struct cache_image *im, const char *p, size_t n, size_t *took, struct sd_rdb_token *t);
/* Makes the key hold the value; what had that key goes, and the key gets the end and the use that were said. False: out of memory,
 * and the key may be gone. */
bool cache_image_store(struct cache_image *im, struct cache_db *db, struct sd_slice key);
void cache_image_free(struct cache_image *im);

/* ---- what each type adds: cache_image_types.c ---- */

/* How values of a type are written. */
struct cache_image_writer {
	enum sd_rdb_type (*type)(const struct cache_item *it);
	void (*put)(struct sd_text *t, const struct cache_item *it);
};
extern const struct cache_image_writer *const cache_image_writers[CACHE_TYPES];

/* How a type of the file becomes a value. Functions return NULL, or what is wrong. */
struct cache_image_reader {
	enum cache_type type;
	const char *(*begin)(struct cache_image *im); /* NULL: nothing to do */
	const char *(*part)(struct cache_image *im, const struct sd_rdb_token *t);
	const char *(*end)(struct cache_image *im); /* sets im->empty where it is so; NULL: nothing to do */
};
/* NULL: not this one. */
const struct cache_image_reader *cache_image_reader(enum sd_rdb_type type);

#endif
