/* Fields about what a client has and wants: the first byte says how large the representation is, the rest is one field
 * value that stands for each of them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http1_write.h"
#include "core/http_coding.h"
#include "core/http_cond.h"
#include "core/http_date.h"
#include "core/http_range.h"
#include "core/media_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void ranges(struct sd_slice value, uint64_t size)
{
	struct sd_http_ranges r;
	char text[SD_HTTP_CONTENT_RANGE];
	enum sd_http_range_verdict verdict = sd_http_read_ranges(value, size, &r);
	HOLDS((verdict == SD_HTTP_RANGE_PARTS) == (r.n > 0) || verdict == SD_HTTP_RANGE_WHOLE);
	for (unsigned i = 0; verdict == SD_HTTP_RANGE_PARTS && i < r.n; i++) {
		HOLDS(r.n <= SD_HTTP_RANGES && r.range[i].first <= r.range[i].last && r.range[i].last < size);
		HOLDS(sd_http_write_content_range(text, &r.range[i], size) < SD_HTTP_CONTENT_RANGE);
		for (unsigned k = 0; k < i; k++)
			HOLDS(r.range[k].last + 1 < r.range[i].first || r.range[i].last + 1 < r.range[k].first);
	}
}

static void date(struct sd_slice value)
{
	int64_t s, again;
	char text[30];
	if (!sd_http_read_date(value, 1795320000, &s) || s > 9000000000 || s < -9000000000)
		return;
	sd_http_write_date(text, s * 1000000000);
	HOLDS(sd_http_read_date(sd_slice_of(text), 0, &again) && again == s);
}

static void conditions(struct sd_slice value)
{
	static const char *const names[] = {"If-Match", "If-None-Match", "If-Range", "If-Modified-Since",
					    "If-Unmodified-Since", "Accept-Encoding"};
	static struct sd_http_head head;
	const struct sd_http_validators v = {{"\"abc\"", 5}, 784111777};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		head.method = SD_HTTP_GET;
		head.nfields = 1;
		head.fields[0] = (struct sd_http_field){sd_slice_of(names[i]), value, SD_HTTP_F_OTHER};
		int status = sd_http_precondition(&head, &v, 1795320000);
		HOLDS(status == 200 || status == 304 || status == 412);
		sd_http_if_range(&head, &v, 1795320000);
		HOLDS(sd_http_choose_coding(&head, 0) == SD_CODING_IDENTITY);
		HOLDS(sd_http_choose_coding(&head, 3) <= SD_CODING_IDENTITY);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = {0, 1, 2, 60, 1000, 1ull << 40, UINT64_MAX};
	if (size == 0)
		return 0;
	char *copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data + 1, size - 1);
	struct sd_slice value = {copy, size - 1};
	ranges(value, sizes[data[0] % (sizeof(sizes) / sizeof(sizes[0]))]);
	date(value);
	conditions(value);
	sd_media_compressible(value);
	HOLDS(sd_media_type(value) != NULL);
	free(copy);
	return 0;
}
