/* A PROXY header. What is taken was incomplete at every byte before, and needed no byte that is not its own; what it says
 * of two addresses can be written in either version and read back.
 */
#include <stdlib.h>
#include <string.h>

#include "core/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static bool inside(struct sd_slice s, const uint8_t *data, size_t n)
{
	return !s.p || (s.p >= (const char *)data && s.p + s.n <= (const char *)data + n);
}

static void written_and_read(const struct sd_pp_header *said)
{
	char out[SD_PP_WRITE_MAX];
	for (int version = 1; version <= 2; version++) {
		struct sd_pp_header again;
		size_t n = sd_pp_write(out, version, &said->from, &said->to);
		HOLDS(sd_pp_parse(out, n, &again) == (ssize_t)n);
		HOLDS(again.from.port == said->from.port && memcmp(again.from.ip, said->from.ip, 16) == 0);
		HOLDS(again.to.port == said->to.port && memcmp(again.to.ip, said->to.ip, 16) == 0);
	}
}

static bool same(struct sd_slice said, struct sd_slice again)
{
	if (said.n == 0 || said.n > 255)
		return again.n == 0;
	return said.n == again.n && memcmp(said.p, again.p, said.n) == 0;
}

/* What is told of TLS is told again, but for what has no room in it. */
static void told_again(const struct sd_pp_header *said)
{
	char *out = malloc(SD_PP_WRITE_MAX); /* its own size, so that a byte too many is seen */
	const struct sd_pp_extra extra = {said->alpn, said->authority, said->ssl};
	struct sd_pp_header again;
	HOLDS(out != NULL);
	size_t n = sd_pp_write_with(out, 2, &said->from, &said->to, &extra);
	HOLDS(sd_pp_parse(out, n, &again) == (ssize_t)n && again.checked);
	HOLDS(same(said->alpn, again.alpn) && same(said->authority, again.authority));
	HOLDS(said->ssl.there == again.ssl.there && said->ssl.client == again.ssl.client && said->ssl.verify == again.ssl.verify);
	HOLDS(same(said->ssl.version, again.ssl.version));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sd_pp_header h, part;
	ssize_t n = sd_pp_parse(data, size, &h);
	if (n == SD_PP_BAD) {
		HOLDS(h.why != NULL);
		return 0;
	}
	if (n == SD_PP_INCOMPLETE) {
		HOLDS(size < SD_PP_MAX && sd_pp_need(data, size) >= 1 && sd_pp_need(data, size) <= SD_PP_MAX - size);
		return 0;
	}
	HOLDS((size_t)n <= size && n <= SD_PP_MAX);
	for (size_t k = 0; k < (size_t)n; k++)
		HOLDS(sd_pp_parse(data, k, &part) == SD_PP_INCOMPLETE && sd_pp_need(data, k) <= (size_t)n - k);
	HOLDS(inside(h.alpn, data, (size_t)n) && inside(h.authority, data, (size_t)n) && inside(h.unique_id, data, (size_t)n));
	HOLDS(inside(h.netns, data, (size_t)n) && inside(h.from_path, data, (size_t)n) && inside(h.ssl.key, data, (size_t)n));
	HOLDS(h.local || h.from.kind == SD_ADDR_UNIX || h.from.kind == SD_ADDR_INET);
	if (h.from.kind == SD_ADDR_INET)
		written_and_read(&h);
	if (!h.local)
		told_again(&h);
	return 0;
}
