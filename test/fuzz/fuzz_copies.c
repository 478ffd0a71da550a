/* Any bytes as messages between nodes of a cluster of caches. Beside not crashing: what is taken as a message of states is taken apart
 * to its last byte, and a set of slots that is read is written as the same bytes.
 *
 * The input is copied to a block of just its size, so that the address sanitizer sees a byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/cluster/cache_copies_int.h"

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void check_set(struct sd_slice p)
{
	struct copies_set set;
	struct sd_text t = {0};
	if (!copies_get_set(p, &set))
		return;
	copies_put_set(&t, &set);
	HOLDS(t.n == p.n && (!p.n || memcmp(t.p, p.p, p.n) == 0));
	free(t.p);
}

static void check_states(struct sd_slice p, size_t head, bool (*get)(struct sd_slice *, struct copies_state *))
{
	struct copies_state s;
	p = (struct sd_slice){p.p + head, p.n - head};
	while (p.n) {
		const char *end = p.p + p.n;
		HOLDS(get(&p, &s) && s.stamp && s.key.p + s.key.n <= end && (!s.image.n || s.image.p + s.image.n <= end));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	char *p = malloc(size - 1 ? size - 1 : 1);
	HOLDS(p);
	memcpy(p, data + 1, size - 1);
	struct sd_slice body = {p, size - 1};
	unsigned kind = CACHE_DATA_KIND + data[0] % (COPIES_KINDS + 1 - CACHE_DATA_KIND);
	if (copies_is_message(kind, body) && kind == COPIES_CHANGES)
		check_states(body, 8, copies_get_state);
	else if (copies_is_message(kind, body) && kind == COPIES_OFFER)
		check_states(body, 4, copies_get_offer);
	check_set(body);
	free(p);
	return 0;
}
