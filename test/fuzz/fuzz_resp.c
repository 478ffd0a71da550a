/* Any bytes, as requests to a cache and as replies of one. Beside not crashing, these must hold:
 *
 *   - bytes that come one at a time, or in pieces, end in the verdict of the whole;
 *   - every argument and every piece of a string lies in what was given;
 *   - a reply ends where its depth says, and its tree has as many values as it says.
 *
 * Inputs are copied to blocks of just their size, so that the address sanitizer sees a byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "core/resp_reply.h"

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

#define LARGEST 4096

static const struct sd_resp_limits request_limits[] = {
    {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, false}, {16, 64, false}, {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, true}};
static const struct sd_resp_reply_limits reply_limits[] = {
    {SD_RESP_MAX_BULK, 1 << 20, 1 << 30}, {.max_bulk = 32, .max_items = 6, .max_bytes = 100}};

static char *copy_of(const void *bytes, size_t n)
{
	char *p = malloc(n ? n : 1);
	HOLDS(p);
	return n ? memcpy(p, bytes, n) : p;
}

/* What was read: its end, and all its bytes mixed. */
struct verdict {
	ssize_t end; /* bytes of whole requests or replies; SD_RESP_BAD */
	uint64_t sum;
	char error[128];
};

static void mix(struct verdict *v, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v->sum = (v->sum ^ (unsigned char)p[i]) * 0x100000001b3u;
}

static void same(const struct verdict *a, const struct verdict *b)
{
	HOLDS(a->end == b->end && a->sum == b->sum && strcmp(a->error, b->error) == 0);
}

/* ---- requests ---- */

/* Those that are whole, given in steps. */
static struct verdict requests(const char *p, size_t n, size_t step, const struct sd_resp_limits *limits)
{
	struct sd_resp_reader r = {0};
	struct verdict v = {0};
	size_t at = 0, have = 0;
	while (v.end >= 0 && have < n) {
		have = n - have < step ? n : have + step;
		while (at < have) {
			char *own = copy_of(p + at, have - at);
			ssize_t took = sd_resp_read(&r, own, have - at, limits);
			if (took == SD_RESP_BAD) {
				v.end = SD_RESP_BAD;
				memcpy(v.error, r.error, sizeof(v.error));
			}
			for (size_t i = 0; took > 0 && i < r.argc; i++) {
				HOLDS(r.argv[i].n <= (size_t)took);
				mix(&v, r.argv[i].p, r.argv[i].n);
				mix(&v, "|", 1);
			}
			if (took == SD_RESP_INCOMPLETE)
				HOLDS(r.need > have - at);
			free(own);
			if (took <= 0)
				break;
			HOLDS((size_t)took <= have - at);
			at += (size_t)took;
			v.end = (ssize_t)at;
			mix(&v, "\n", 1);
			sd_resp_reader_reset(&r);
		}
	}
	sd_resp_reader_free(&r);
	return v;
}

/* ---- replies ---- */

static void check_tree(const struct sd_resp_tree *tree)
{
	HOLDS(tree->values[0].span == tree->n);
	for (size_t i = 0; i < tree->n; i++) {
		const struct sd_resp_value *v = &tree->values[i], *item = v + 1;
		for (size_t k = 0; k < v->items; k++)
			item = sd_resp_after(item);
		HOLDS(item == sd_resp_after(v) && (size_t)(item - tree->values) <= tree->n);
	}
}

static void mix_tree(struct verdict *v, const struct sd_resp_tree *tree)
{
	for (size_t i = 0; i < tree->n; i++) {
		char kind = (char)tree->values[i].kind;
		mix(v, &kind, 1);
		mix(v, tree->values[i].text.p, tree->values[i].text.n);
	}
}

static struct verdict replies(const char *p, size_t n, size_t step, const struct sd_resp_reply_limits *limits)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_tree tree = {0};
	struct verdict v = {0};
	size_t at = 0, have = 0;
	ssize_t took = 0;
	while (took != SD_RESP_BAD && have < n) {
		have = n - have < step ? n : have + step;
		while (at < have && took != SD_RESP_BAD) {
			struct sd_resp_token t;
			char *own = copy_of(p + at, have - at);
			took = sd_resp_next(&r, own, have - at, limits, &t);
			HOLDS(took == SD_RESP_BAD || took == SD_RESP_INCOMPLETE || (took > 0 && (size_t)took <= have - at));
			if (took > 0) {
				HOLDS(!t.text.n || (t.text.p >= own && t.text.p + t.text.n <= own + took));
				HOLDS(t.depth <= SD_RESP_MAX_DEPTH && (!t.last || r.depth == 0));
				HOLDS(sd_resp_tree_add(&tree, &t) == SD_OK);
			}
			free(own);
			if (took <= 0)
				break;
			at += (size_t)took;
			if (t.last) {
				check_tree(&tree);
				mix_tree(&v, &tree);
				sd_resp_tree_reset(&tree);
				v.end = (ssize_t)at;
			}
		}
	}
	if (took == SD_RESP_BAD) {
		v.end = SD_RESP_BAD;
		memcpy(v.error, r.error, sizeof(v.error));
	}
	sd_resp_tree_free(&tree);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 3, 16};
	if (size > LARGEST)
		return 0;
	char *p = copy_of(data, size);
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		for (size_t i = 0; i < sizeof(request_limits) / sizeof(request_limits[0]); i++) {
			struct verdict a = requests(p, size, size, &request_limits[i]), b = requests(p, size, steps[s], &request_limits[i]);
			same(&a, &b);
		}
		for (size_t i = 0; i < sizeof(reply_limits) / sizeof(reply_limits[0]); i++) {
			struct verdict a = replies(p, size, size, &reply_limits[i]), b = replies(p, size, steps[s], &reply_limits[i]);
			same(&a, &b);
		}
	}
	free(p);
	return 0;
}
