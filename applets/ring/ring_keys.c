/* ring_keys.c - keys, a line each. */
#include <stdlib.h>
#include <string.h>

#include "ring.h"

#define MAX_KEYS (1u << 30)

enum sd_err ring_keys_open(struct sd_world *w, const char *file, struct ring_keys *k, struct sd_error *e)
{
	*k = (struct ring_keys){0};
	return sd_world_read_file(w, file, MAX_KEYS, &k->text, &k->n, e);
}

bool ring_keys_next(struct ring_keys *k, struct sd_slice *key)
{
	while (k->at < k->n) {
		const char *p = k->text + k->at, *end = memchr(p, '\n', k->n - k->at);
		size_t n = end ? (size_t)(end - p) : k->n - k->at;
		k->at += n + 1;
		if (n && p[n - 1] == '\r')
			n--;
		*key = (struct sd_slice){p, n};
		if (n)
			return true;
	}
	return false;
}

void ring_keys_close(struct ring_keys *k)
{
	free(k->text);
	k->text = NULL;
}
