/* What clients say of themselves and of where they come from, and clicks as bytes: of a journal, of a message, of a sketch. What is taken is
 * within its bounds, and is the same when it is written and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/shortener/clicks/sh_entry.h"
#include "core/hll.h"
#include "core/user_agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void texts(struct sd_slice s)
{
	char host[SH_ENTRY_TEXT];
	struct sd_user_agent u = sd_user_agent_parse(s);
	HOLDS(u.kind < SD_CLIENT_PREFETCH && u.device < SD_DEVICES);
	sd_is_prefetch(s);
	struct sd_slice h = sh_referrer_host(s, host);
	for (size_t i = 0; i < h.n; i++)
		HOLDS(h.p[i] > ' ' && h.p[i] < 0x7f && !(h.p[i] >= 'A' && h.p[i] <= 'Z') && h.p[i] != '/' && h.p[i] != '@');
}

static void entries(struct sd_slice rest)
{
	struct sh_entry e;
	uint8_t again[SH_ENTRY_MAX];
	const char *at = rest.p;
	while (sh_entry_next(&rest, &e)) {
		size_t n = sh_entry_put(again, &e);
		HOLDS(n == (size_t)(rest.p - at) && memcmp(again, at, 35) == 0); /* the 36th is not kept */
		at = rest.p;
	}
}

static void message(struct sd_slice m)
{
	struct sh_block b;
	size_t at = 0;
	bool bad = false;
	while (sh_message_next(m, &at, &b, &bad)) {
		HOLDS(at <= m.n && b.clicks.n <= m.n);
		entries(b.clicks);
	}
}

static void sketch(const uint8_t *p, size_t n)
{
	struct sd_hll h = {{0}}, back = {{0}};
	uint8_t bytes[SD_HLL_DENSE];
	if (!sd_hll_get(&h, p, n))
		return;
	HOLDS(sd_hll_count(&h) >= 0);
	HOLDS(sd_hll_get(&back, bytes, sd_hll_put(&h, bytes)) && memcmp(&h, &back, sizeof(h)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sd_slice s = {(const char *)data, size};
	texts(s);
	entries(s);
	message(s);
	sketch(data, size);
	return 0;
}
