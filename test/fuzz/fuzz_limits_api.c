/* Any bytes as a question about limits, over HTTP or of a peer. What is taken can be asked of a table, and says the same in the words of
 * a peer; what is refused is refused in a line.
 *
 * Bytes that begin with { are JSON of the API; others are lines, each a word of RATELIMIT.DECIDE.
 */
#include <stdlib.h>
#include <string.h>

#include "../../applets/ratelimit/ratelimit_api.h"
#include "../../applets/ratelimit/ratelimit_ring.h"

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())
#define NOW	INT64_C(1795363676842099144)

static struct sd_ratelimit *table;
static struct sd_limits *policy;

static void setup(void)
{
	struct sd_ratelimit_conf conf = {.max_keys = 100, .log_bytes = 1 << 16};
	struct sd_error e;
	policy = sd_limits_new(1);
	HOLDS(policy && sd_limits_add_quota(policy, "login", "10/min", "all", &e) == SD_OK);
	HOLDS(sd_ratelimit_new(&conf, &table) == SD_OK);
}

static void ask(const struct rl_question *q)
{
	struct sd_ratelimit_ask asks[RL_RULES];
	struct sd_ratelimit_answer answers[RL_RULES];
	HOLDS(q->n >= 1 && q->n <= RL_RULES);
	for (size_t i = 0; i < q->n; i++)
		asks[i] = (struct sd_ratelimit_ask){&q->items[i].limit, q->items[i].scope, q->items[i].key, q->items[i].cost};
	enum sd_err err = sd_ratelimit_take(table, asks, q->n, NOW, answers);
	HOLDS(err == SD_OK || err == SD_EAGAIN);
	for (size_t i = 0; i < q->n; i++) {
		HOLDS(answers[i].remaining <= answers[i].most);
		HOLDS(q->items[i].age_ns >= 0 && memchr(q->items[i].name, 0, sizeof(q->items[i].name)));
		sd_ratelimit_settle(table, &asks[i], q->items[i].used, NOW > q->items[i].age_ns ? NOW - q->items[i].age_ns : 0, NOW);
	}
}

static void same(const struct rl_question *q)
{
	struct rl_ring_words words;
	struct rl_question again;
	rl_ring_write(&words, "a:1", q->op, q->items, q->n, (1u << q->n) - 1);
	HOLDS(!rl_ring_read(words.n, words.argv, &again) && again.n == q->n && again.op == q->op);
	for (size_t i = 0; i < q->n; i++) {
		const struct sd_limit_item *a = &q->items[i], *b = &again.items[i];
		HOLDS(a->scope == b->scope && a->cost == b->cost && a->used == b->used && a->age_ns == b->age_ns);
		HOLDS(a->key.n == b->key.n && (a->key.n == 0 || memcmp(a->key.p, b->key.p, a->key.n) == 0));
		HOLDS(a->limit.count == b->limit.count && a->limit.period_ns == b->limit.period_ns);
		HOLDS(sd_ratelimit_most(&a->limit) == sd_ratelimit_most(&b->limit));
	}
}

static const char *read_words(const uint8_t *data, size_t size, struct rl_question *q)
{
	struct sd_slice argv[RL_RING_ARGS + 1];
	const char *at = (const char *)data, *end = at + size;
	size_t n = 0;
	while (at < end && n <= RL_RING_ARGS) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		argv[n++] = (struct sd_slice){at, (size_t)((line ? line : end) - at)};
		at = line ? line + 1 : end;
	}
	return rl_ring_read(n, argv, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rl_question q = {.op = SD_LIMIT_TAKE};
	const char *fault;
	cJSON *tree = NULL;
	if (!table)
		setup();
	if (size > RL_BODY)
		return 0;
	if (size && data[0] == '{') {
		tree = cJSON_ParseWithLength((const char *)data, size);
		fault = cJSON_IsObject(tree) ? rl_api_read(policy, NOW, tree, &q) : "an object";
	} else {
		fault = read_words(data, size, &q);
	}
	if (fault) {
		HOLDS(fault[0] && !strchr(fault, '\n'));
	} else {
		same(&q);
		ask(&q);
	}
	cJSON_Delete(tree);
	return 0;
}
