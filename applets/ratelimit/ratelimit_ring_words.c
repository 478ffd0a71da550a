/* ratelimit_ring_words.c - what a server asks the owner of a key, and what that answers. Pure. */
#include <string.h>

#include "ratelimit_ring.h"

#define ANSWERS 6

static const char *const ops[] = {"take", "peek", "settle", "forget"};

static struct sd_slice number(char out[24], int64_t v)
{
	return (struct sd_slice){out, sd_resp_int_text(out, v)};
}

/* ---- questions ---- */

static int64_t extra_of(const struct sd_ratelimit_limit *l)
{
	return l->kind == SD_RATELIMIT_FIXED_WINDOW ? l->aligned : l->kind == SD_RATELIMIT_SLIDING_LOG ? l->buckets : 0;
}

static void write_item(struct rl_ring_words *w, const struct sd_limit_item *item, char numbers[RL_RING_WORDS][24])
{
	static const char *const kinds[] = {"b", "b", "b", "q", "f", "s", "l"};
	const struct sd_ratelimit_limit *l = &item->limit;
	const int64_t before[] = {l->count, l->period_ns, l->burst, extra_of(l), (int64_t)item->scope};
	const int64_t behind[] = {item->cost, item->used, item->age_ns};
	w->argv[w->n++] = sd_slice_of(kinds[l->kind]);
	for (size_t k = 0; k < 5; k++)
		w->argv[w->n++] = number(numbers[k], before[k]);
	w->argv[w->n++] = item->key;
	for (size_t k = 0; k < 3; k++)
		w->argv[w->n++] = number(numbers[5 + k], behind[k]);
}

void rl_ring_write(struct rl_ring_words *w, const char *member, enum sd_limit_op op, const struct sd_limit_item *items, size_t n, uint32_t which)
{
	w->argv[0] = sd_slice_of(RL_RING_NAME);
	w->argv[1] = sd_slice_of(member);
	w->argv[2] = sd_slice_of(ops[op]);
	w->n = 3;
	for (size_t i = 0; i < n; i++)
		if (which >> i & 1)
			write_item(w, &items[i], w->numbers[i]);
}

static bool read_kind(struct sd_slice word, enum sd_ratelimit_kind *out)
{
	static const struct {
		char letter;
		enum sd_ratelimit_kind kind;
	} kinds[] = {{'b', SD_RATELIMIT_GCRA},	 {'q', SD_RATELIMIT_LEAKY_QUEUE}, {'f', SD_RATELIMIT_FIXED_WINDOW},
		     {'s', SD_RATELIMIT_SLIDING_COUNTER}, {'l', SD_RATELIMIT_SLIDING_LOG}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (word.n == 1 && word.p[0] == kinds[i].letter) {
			*out = kinds[i].kind;
			return true;
		}
	return false;
}

static bool read_number(struct sd_slice word, int64_t most, int64_t *out)
{
	return sd_resp_parse_int(word, out) && *out >= 0 && *out <= most;
}

/* NULL, or what was expected. */
static const char *read_item(const struct sd_slice *argv, struct sd_limit_item *item)
{
	int64_t v[RL_RING_WORDS] = {0};
	static const int64_t most[RL_RING_WORDS] = {0, UINT32_MAX, INT64_MAX, UINT32_MAX, UINT32_MAX, 0, 0, UINT32_MAX, UINT32_MAX, INT64_MAX};
	*item = (struct sd_limit_item){.key = argv[6]};
	if (!read_kind(argv[0], &item->limit.kind))
		return "a kind of b, q, f, s or l";
	for (size_t k = 1; k < RL_RING_WORDS; k++)
		if (k == 5 ? !sd_resp_parse_int(argv[k], &v[k]) : k != 6 && !read_number(argv[k], most[k], &v[k]))
			return "numbers of a limit";
	item->limit.count = (uint32_t)v[1];
	item->limit.period_ns = v[2];
	item->limit.burst = (uint32_t)v[3];
	item->limit.aligned = item->limit.kind == SD_RATELIMIT_FIXED_WINDOW && v[4];
	item->limit.buckets = item->limit.kind == SD_RATELIMIT_SLIDING_LOG ? (uint32_t)v[4] : 0;
	item->scope = (uint64_t)v[5];
	item->cost = (uint32_t)v[7];
	item->used = (uint32_t)v[8];
	item->age_ns = v[9];
	return sd_ratelimit_check(&item->limit, NULL) ? "a limit that can be" : NULL;
}

const char *rl_ring_read(size_t argc, const struct sd_slice *argv, struct rl_question *q)
{
	const char *fault = NULL;
	size_t op = 0;
	if (argc <= 3 || argc > RL_RING_ARGS || (argc - 3) % RL_RING_WORDS)
		return "1 to 16 limits of 10 words";
	while (op < sizeof(ops) / sizeof(ops[0]) && !sd_slice_eq(argv[2], ops[op]))
		op++;
	if (op == sizeof(ops) / sizeof(ops[0]))
		return "take, peek, settle or forget";
	q->op = (enum sd_limit_op)op;
	q->n = (argc - 3) / RL_RING_WORDS;
	for (size_t i = 0; i < q->n && !fault; i++)
		fault = read_item(argv + 3 + i * RL_RING_WORDS, &q->items[i]);
	return fault;
}

/* ---- answers ---- */

void rl_ring_reply(struct sd_resp_out *out, const struct sd_ratelimit_answer *answers, size_t n)
{
	sd_resp_array(out, n * ANSWERS);
	for (size_t i = 0; i < n; i++) {
		const struct sd_ratelimit_answer *a = &answers[i];
		const int64_t v[ANSWERS] = {a->allowed, a->remaining, a->retry_ns, a->next_ns, a->reset_ns, a->delay_ns};
		for (size_t k = 0; k < ANSWERS; k++)
			sd_resp_int(out, v[k]);
	}
}

static bool read_answer(const struct sd_resp_value *v, uint32_t most, struct sd_ratelimit_answer *out)
{
	for (size_t k = 0; k < ANSWERS; k++)
		if (v[k].kind != SD_RESP_INT || v[k].n < (k == 2 ? -1 : 0))
			return false;
	*out = (struct sd_ratelimit_answer){.allowed = v[0].n == 1, .most = most, .remaining = (uint32_t)v[1].n, .retry_ns = v[2].n,
					    .next_ns = v[3].n, .reset_ns = v[4].n, .delay_ns = v[5].n};
	return v[0].n <= 1 && v[1].n <= most;
}

bool rl_ring_answers(const struct sd_resp_value *reply, const struct sd_limit_item *items, size_t n, uint32_t which,
		     struct sd_ratelimit_answer *answers)
{
	const struct sd_resp_value *v = reply + 1;
	if (reply->kind != SD_RESP_ARRAY || reply->items != (size_t)__builtin_popcount(which) * ANSWERS)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!(which >> i & 1))
			continue;
		if (!read_answer(v, sd_ratelimit_most(&items[i].limit), &answers[i]))
			return false;
		v += ANSWERS;
	}
	return true;
}
