/* breaker_window.c - counting: the last so many calls, or those of the last so long.
 *
 * Calls end on many threads at a time, and nobody waits. A slot is exchanged, so each entry is taken out by exactly one
 * thread. Between exchange and sum another thread may take out what was not yet added, so sums may be below 0 for a moment:
 * they are kept above BIAS, one for each thread that can be between the two.
 *
 * A tag has fewer bits than a generation. What seems to be newer by a little is newer: who finds it was held up on its way here,
 * and counts for nothing. Anything else is from before, however the bits went round. (Numbers of windows come round after 2^28 of them,
 * a month of the shortest.)
 */
#include "breaker_int.h"

#define BIAS  5000u
#define FRESH ((uint64_t)BIAS << 32 | (uint64_t)BIAS << 16 | BIAS)
_Static_assert(SD_BREAKER_MAX_WINDOW + 2 * BIAS <= 65535, "a sum stays within its 16 bits");

#define LATELY 15

#define SLOT_FAILED 1u
#define SLOT_SLOW   2u
#define SLOT_USED   4u

/* ---- the last calls ---- */

static uint32_t slot_tag(uint64_t gen)
{
	return (uint32_t)(gen << 3);
}

static uint64_t slot_worth(uint32_t slot)
{
	return 1ull << 32 | (uint64_t)((slot & SLOT_SLOW) != 0) << 16 | (slot & SLOT_FAILED);
}

static uint32_t sum_at(uint64_t sums, unsigned shift)
{
	uint32_t v = sums >> shift & 0xffff;
	return v > BIAS ? v - BIAS : 0;
}

static void read_sums(uint64_t sums, struct counts *out)
{
	out->calls = sum_at(sums, 32);
	out->slow = sum_at(sums, 16);
	out->failures = sum_at(sums, 0);
}

static uint32_t next_slot(struct sd_breaker *b)
{
	uint32_t i = COUNT(b->next), window = b->conf.window;
	if (i < window)
		return i;
	if (i == window) /* who drew this one takes a round off; others may draw more meanwhile */
		atomic_fetch_sub_explicit(&b->next, window, memory_order_relaxed);
	return i % window;
}

static bool count_call(struct sd_breaker *b, uint64_t gen, uint32_t bits, struct counts *out)
{
	_Atomic uint32_t *slot = &b->slots[next_slot(b)];
	uint32_t is = slot_tag(gen) | SLOT_USED | bits, was = READ(*slot);
	if (was != is)
		was = atomic_exchange_explicit(slot, is, memory_order_acq_rel);
	if (was == is) { /* one like it leaves, so mostly nothing is written here: the sums stay */
		read_sums(READ(b->sums), out);
		return true;
	}
	uint64_t sums = READ(b->sums), changed;
	bool late;
	do {
		uint16_t behind = (uint16_t)((sums >> 48) - gen);
		late = behind > 0 && behind <= LATELY;
		changed = behind == 0 || late ? sums : (uint64_t)(uint16_t)gen << 48 | FRESH;
		if (!late)
			changed += slot_worth(is);
		if ((was & SLOT_USED) && (uint16_t)(was >> 3) == (uint16_t)(changed >> 48))
			changed -= slot_worth(was);
	} while (!SWAP(b->sums, &sums, changed));
	read_sums(changed, out);
	return !late;
}

/* ---- the last moments ---- */

#define COUNT_BITS 24
#define COUNT_MAX  ((1ull << COUNT_BITS) - 1)

static uint64_t bucket_tag(uint64_t gen, uint64_t round)
{
	return (gen & 0xfff) << 28 | (round & 0xfffffff);
}

/* Is a word with this tag newer than the other? */
static bool newer(uint64_t tag, uint64_t other)
{
	uint64_t gens = ((tag >> 28) - (other >> 28)) & 0xfff, rounds = (tag - other) & 0xfffffff;
	return gens ? gens <= LATELY : rounds > 0 && rounds <= LATELY;
}

static void count_in(_Atomic uint64_t *word, uint64_t tag)
{
	uint64_t w = READ(*word), changed;
	do {
		uint64_t has = w >> COUNT_BITS;
		if (w && newer(has, tag))
			return;
		if (has == tag && (w & COUNT_MAX) == COUNT_MAX)
			return;
		changed = has == tag ? w + 1 : tag << COUNT_BITS | 1;
	} while (!SWAP(*word, &w, changed));
}

static uint32_t count_of(uint64_t w, uint64_t tag)
{
	return w >> COUNT_BITS == tag ? (uint32_t)(w & COUNT_MAX) : 0;
}

static void sum_buckets(const struct sd_breaker *b, uint64_t gen, uint64_t epoch, struct counts *out)
{
	for (uint64_t back = 0; back < BUCKETS && back <= epoch; back++) {
		const struct bucket *k = &b->buckets[(epoch - back) % BUCKETS];
		uint64_t tag = bucket_tag(gen, (epoch - back) / BUCKETS);
		out->calls += count_of(READ(k->calls), tag);
		out->failures += count_of(READ(k->failures), tag);
		out->slow += count_of(READ(k->slow), tag);
	}
}

static uint64_t epoch_of(const struct sd_breaker *b, int64_t now_ns)
{
	return (uint64_t)(now_ns > 0 ? now_ns : 0) / (uint64_t)b->bucket_ns;
}

/* A division costs as much as all the rest, and the bucket is mostly the one of the last call. */
static uint64_t epoch_again(struct sd_breaker *b, int64_t now_ns)
{
	uint64_t epoch = READ(b->epoch);
	if ((uint64_t)now_ns - epoch * (uint64_t)b->bucket_ns < (uint64_t)b->bucket_ns)
		return epoch;
	epoch = epoch_of(b, now_ns);
	WRITE(b->epoch, epoch);
	return epoch;
}

static bool count_moment(struct sd_breaker *b, uint64_t gen, uint32_t bits, int64_t now_ns, struct counts *out)
{
	uint64_t epoch = epoch_again(b, now_ns), tag = bucket_tag(gen, epoch / BUCKETS);
	struct bucket *k = &b->buckets[epoch % BUCKETS];
	count_in(&k->calls, tag);
	if (bits & SLOT_FAILED)
		count_in(&k->failures, tag);
	if (bits & SLOT_SLOW)
		count_in(&k->slow, tag);
	if (!bits)
		return false; /* a success opens nothing: no need to add up */
	sum_buckets(b, gen, epoch, out);
	return true;
}

/* ---- in a row ---- */

static uint32_t in_a_row(struct sd_breaker *b, uint64_t gen, bool failed)
{
	uint64_t w = READ(b->in_a_row), is;
	do {
		uint32_t behind = (uint32_t)((w >> 32) - gen);
		if ((behind > 0 && behind <= LATELY) || (!failed && (behind || (uint32_t)w == 0)))
			return 0;
		is = behind == 0 && failed ? w + 1 : (uint64_t)(uint32_t)gen << 32 | failed;
	} while (!SWAP(b->in_a_row, &w, is));
	return (uint32_t)is;
}

bool sd_breaker_count(struct sd_breaker *b, uint64_t gen, bool failed, bool slow, int64_t now_ns, struct counts *sum)
{
	uint32_t bits = (failed ? SLOT_FAILED : 0) | (slow ? SLOT_SLOW : 0);
	bool changed = false;
	*sum = (struct counts){.in_a_row = in_a_row(b, gen, failed)};
	if (b->slots)
		changed = count_call(b, gen, bits, sum);
	else if (b->buckets)
		changed = count_moment(b, gen, bits, now_ns, sum);
	return changed || failed;
}

void sd_breaker_count_anew(struct sd_breaker *b, uint64_t gen)
{
	WRITE(b->sums, (uint64_t)(uint16_t)gen << 48 | FRESH);
	for (int i = 0; b->buckets && i < BUCKETS; i++) {
		WRITE(b->buckets[i].calls, 0);
		WRITE(b->buckets[i].failures, 0);
		WRITE(b->buckets[i].slow, 0);
	}
}

void sd_breaker_counts(const struct sd_breaker *b, uint64_t gen, int64_t now_ns, struct counts *sum)
{
	uint64_t row = READ(b->in_a_row), sums = READ(b->sums);
	*sum = (struct counts){.in_a_row = row >> 32 == (uint32_t)gen ? (uint32_t)row : 0};
	if (b->slots && sums >> 48 == (uint16_t)gen)
		read_sums(sums, sum);
	else if (b->buckets)
		sum_buckets(b, gen, epoch_of(b, now_ns), sum);
}
