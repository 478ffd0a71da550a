/* lsm_own.c - properties and footer; the filter is in lsm_own_filter.c. */
#include "lsm_own.h"

#include "varint.h"

/* ---- properties ---- */

/* In the order of their names, as a block has its keys. */
static const struct row {
	const char *name;
	size_t at;
} rows[] = {
#define ROW(field) {#field, offsetof(struct sd_lsm_props, field)}
    ROW(blob_bytes),  ROW(blobs),	 ROW(data_blocks), ROW(data_bytes), ROW(ending),	 ROW(entries),	   ROW(expanded_bytes),
    ROW(filter_bytes), ROW(gone),	 ROW(key_bytes),   ROW(newest_seq), ROW(oldest_seq), ROW(ranges),	   ROW(value_bytes),
#undef ROW
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t *field(struct sd_lsm_props *p, size_t at)
{
	return (uint64_t *)(void *)((char *)p + at);
}

struct sd_slice sd_lsm_props_put(const struct sd_lsm_props *p, struct sd_lsm_block_out *block)
{
	struct sd_lsm_props copy = *p;
	char value[SD_VARINT_MAX];
	sd_lsm_block_begin(block, 1);
	for (size_t i = 0; i < NROWS; i++) {
		size_t n = sd_put_varint(value, *field(&copy, rows[i].at));
		sd_lsm_block_add(block, sd_slice_of(rows[i].name), (struct sd_slice){value, n});
	}
	return sd_lsm_block_end(block);
}

bool sd_lsm_props_get(struct sd_slice block, struct sd_lsm_props *p)
{
	struct sd_lsm_block b;
	struct sd_lsm_at at = {.block = &b};
	bool good = sd_lsm_block_open(&b, block.p, block.n);
	*p = (struct sd_lsm_props){0};
	if (good)
		sd_lsm_at_first(&at);
	for (; good && at.valid; sd_lsm_at_next(&at))
		for (size_t i = 0; i < NROWS && good; i++)
			if (sd_slice_eq(at.key, rows[i].name))
				good = sd_get_varint(at.value.p, at.value.n, UINT64_MAX, field(p, rows[i].at)) == at.value.n && at.value.n > 0;
	good = good && !at.damaged;
	sd_lsm_at_free(&at);
	return good;
}

/* ---- footer ---- */

#define SUMMED 36

void sd_lsm_own_footer_put(char to[SD_LSM_FOOTER], const struct sd_lsm_handle *meta, const struct sd_lsm_handle *index)
{
	sd_put_le(to, meta->at, 8);
	sd_put_le(to + 8, meta->n, 8);
	sd_put_le(to + 16, index->at, 8);
	sd_put_le(to + 24, index->n, 8);
	sd_put_le(to + 32, SD_LSM_OWN_VERSION, 4);
	sd_put_le(to + SUMMED, sd_lsm_mask(sd_crc32c(0, to, SUMMED)), 4);
	sd_put_le(to + 40, SD_LSM_OWN_MAGIC, 8);
}

enum sd_err sd_lsm_own_footer_get(const char from[SD_LSM_FOOTER], struct sd_lsm_handle *meta, struct sd_lsm_handle *index,
				  uint32_t *version)
{
	if (sd_get_le(from + 40, 8) != SD_LSM_OWN_MAGIC || sd_get_le(from + SUMMED, 4) != sd_lsm_mask(sd_crc32c(0, from, SUMMED)))
		return SD_EDAMAGED;
	*version = (uint32_t)sd_get_le(from + 32, 4);
	*meta = (struct sd_lsm_handle){sd_get_le(from, 8), sd_get_le(from + 8, 8)};
	*index = (struct sd_lsm_handle){sd_get_le(from + 16, 8), sd_get_le(from + 24, 8)};
	return *version > SD_LSM_OWN_VERSION ? SD_EUNSUPPORTED : SD_OK;
}
