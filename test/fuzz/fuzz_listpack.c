/* Any bytes as a listpack. What is taken can be walked both ways, and stays one through every kind of change. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/listpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())
#define ROOM             64

static size_t walk(const unsigned char *lp)
{
	char text[SD_LISTPACK_TEXT];
	size_t n = 0, back = 0;
	for (size_t at = sd_listpack_first(lp); at; at = sd_listpack_next(lp, at), n++) {
		struct sd_slice s = sd_listpack_text(lp, at, text);
		HOLDS(sd_listpack_equals(lp, at, s));
		HOLDS(n > 100 || sd_listpack_seek(lp, (int64_t)n) == at);
	}
	for (size_t at = sd_listpack_last(lp); at; at = sd_listpack_prev(lp, at))
		back++;
	HOLDS(back == n && sd_listpack_count(lp) == n);
	return n;
}

static void change(unsigned char *lp, size_t n)
{
	struct sd_listpack_new e;
	HOLDS(sd_listpack_encode((struct sd_slice){"-70000", 6}, &e));
	sd_listpack_insert(lp, sd_listpack_end(lp), &e);
	sd_listpack_insert(lp, SD_LISTPACK_HEADER, &e);
	HOLDS(walk(lp) == n + 2);
	size_t middle = sd_listpack_seek(lp, (int64_t)n / 2);
	HOLDS(sd_listpack_encode((struct sd_slice){"middle", 6}, &e));
	sd_listpack_replace(lp, middle, &e);
	HOLDS(sd_listpack_find(lp, sd_listpack_first(lp), (struct sd_slice){"middle", 6}, 0) <= middle);
	HOLDS(walk(lp) == n + 2);
	unsigned char *behind = sd_listpack_pop_front(lp);
	HOLDS(walk(behind) == n + 1);
	HOLDS(sd_listpack_delete(behind, sd_listpack_last(behind), 5) == 1);
	HOLDS(walk(behind) == n && sd_listpack_validate(behind, sd_listpack_bytes(behind), NULL, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *exact = malloc(size ? size : 1), *roomy = malloc(size + ROOM);
	if (!exact || !roomy)
		abort();
	if (size) {
		memcpy(exact, data, size);
		memcpy(roomy, data, size);
	}
	if (sd_listpack_validate(exact, size, NULL, NULL))
		change(roomy, walk(exact));
	free(exact);
	free(roomy);
	return 0;
}
