/* A path of a URL. What is taken is its own normal form, in place too, and has neither dot segments nor bytes that were
 * refused.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void no_dot_segment(const char *p, size_t n)
{
	for (size_t from = 1; from <= n;) {
		const char *slash = memchr(p + from, '/', n - from);
		size_t to = slash ? (size_t)(slash - p) : n;
		HOLDS(to - from == 0 || to - from > 2 || memcmp(p + from, "..", to - from) != 0);
		from = to + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *once = malloc(size + 1), *twice = malloc(size + 1);
	if (!once || !twice)
		abort();
	const char *why = NULL;
	ssize_t n = sd_http_path_normalise((struct sd_slice){(const char *)data, size}, once, size, &why);
	HOLDS((n < 0) == (why != NULL));
	if (n >= 0) {
		HOLDS((size_t)n <= size && n > 0 && once[0] == '/' && !memchr(once, '\\', (size_t)n) && !memchr(once, 0, (size_t)n));
		no_dot_segment(once, (size_t)n);
		HOLDS(sd_http_path_normalise((struct sd_slice){once, (size_t)n}, twice, (size_t)n, NULL) == n);
		HOLDS(memcmp(once, twice, (size_t)n) == 0);
		ssize_t f = sd_http_path_file((struct sd_slice){once, (size_t)n}, twice, size);
		HOLDS(f < n && (f <= 0 || (twice[0] != '/' && !strstr(twice, "//") && !strstr(twice, "/../"))));
		memcpy(twice, data, size);
		HOLDS(sd_http_path_normalise((struct sd_slice){twice, size}, twice, size, NULL) == n);
		HOLDS(memcmp(once, twice, (size_t)n) == 0);
	}
	free(once);
	free(twice);
	return 0;
}
