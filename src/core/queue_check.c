/* A table of messages in the order in which they were published, and an index of their ids. The order of a
 * stream is that of its messages in the table. */
#include "sdlab/queue_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/mix.h"
#include "core/text.h"

enum {
	ACKNOWLEDGED = 1,
	REFUSED = 2,
	DELIVERED = 4,
	CONSUMED = 8,
};

struct message {
	uint64_t id;
	uint32_t stream;
	uint32_t flags;
};

struct sd_qcheck {
	struct message *messages;
	uint32_t n, room;
	uint32_t *index;  /* open addressing: number + 1; twice as many slots as room, a power of two */
	uint32_t *latest; /* by stream: number + 1 of the latest message that was delivered */
	uint32_t nstreams;
	struct sd_qcheck_report so_far; /* all but what is lost */
};

struct sd_qcheck *sd_qcheck_new(void)
{
	return calloc(1, sizeof(struct sd_qcheck));
}

void sd_qcheck_free(struct sd_qcheck *q)
{
	if (!q)
		return;
	free(q->messages);
	free(q->index);
	free(q->latest);
	free(q);
}

/* ---- the table ---- */

/* The slot where the id is, or would be. */
static uint32_t *slot_of(const struct sd_qcheck *q, uint64_t id)
{
	uint32_t mask = 2 * q->room - 1;
	for (uint64_t at = sd_mix(id);; at++) {
		uint32_t *slot = &q->index[at & mask];
		if (*slot == 0 || q->messages[*slot - 1].id == id)
			return slot;
	}
}

/* NULL: never published. */
static struct message *find(const struct sd_qcheck *q, uint64_t id)
{
	uint32_t *slot = q->n ? slot_of(q, id) : NULL;
	return slot && *slot ? &q->messages[*slot - 1] : NULL;
}

static enum sd_err grow(struct sd_qcheck *q)
{
	uint32_t room = q->room ? 2 * q->room : 64;
	if (room > SD_QCHECK_MOST)
		return SD_ETOOBIG;
	struct message *messages = calloc(room, sizeof(*messages));
	if (!messages)
		return SD_ENOMEM;
	if (q->messages)
		memcpy(messages, q->messages, q->n * sizeof(*messages));
	free(q->messages);
	q->messages = messages;
	uint32_t *index = calloc(2 * (size_t)room, sizeof(*index));
	if (!index)
		return SD_ENOMEM;
	free(q->index);
	q->index = index;
	q->room = room;
	for (uint32_t i = 0; i < q->n; i++)
		*slot_of(q, q->messages[i].id) = i + 1;
	return SD_OK;
}

static enum sd_err grow_streams(struct sd_qcheck *q, uint32_t stream)
{
	uint32_t n = q->nstreams ? q->nstreams : 16;
	while (n <= stream)
		n *= 2;
	uint32_t *latest = realloc(q->latest, n * sizeof(*latest));
	if (!latest)
		return SD_ENOMEM;
	for (uint32_t i = q->nstreams; i < n; i++)
		latest[i] = 0;
	q->latest = latest;
	q->nstreams = n;
	return SD_OK;
}

/* ---- what is told ---- */

enum sd_err sd_qcheck_published(struct sd_qcheck *q, uint32_t stream, uint64_t id)
{
	enum sd_err err = SD_OK;
	if (stream >= SD_QCHECK_STREAMS_MOST)
		return SD_ERANGE;
	if (find(q, id))
		return SD_EEXISTS;
	if (stream >= q->nstreams)
		err = grow_streams(q, stream);
	if (err == SD_OK && (q->n == q->room || !q->messages))
		err = grow(q);
	if (err != SD_OK)
		return err;
	uint32_t *slot = slot_of(q, id);
	q->messages[q->n++] = (struct message){id, stream, 0};
	*slot = q->n;
	q->so_far.published++;
	return SD_OK;
}

static enum sd_err answer(struct sd_qcheck *q, uint64_t id, uint32_t flag, uint64_t *count)
{
	struct message *m = find(q, id);
	if (!m)
		return SD_ENOTFOUND;
	if (m->flags & flag)
		return SD_OK;
	if (m->flags & (ACKNOWLEDGED | REFUSED))
		return SD_EEXISTS;
	m->flags |= flag;
	(*count)++;
	return SD_OK;
}

static void fault(struct sd_qcheck_report *r, enum sd_qcheck_fault kind, uint64_t id)
{
	if (r->count[kind] < SD_QCHECK_EXAMPLES)
		r->example[kind][r->count[kind]] = id;
	r->count[kind]++;
}

enum sd_err sd_qcheck_acknowledged(struct sd_qcheck *q, uint64_t id)
{
	return answer(q, id, ACKNOWLEDGED, &q->so_far.acknowledged);
}

enum sd_err sd_qcheck_refused(struct sd_qcheck *q, uint64_t id)
{
	uint64_t before = q->so_far.refused;
	enum sd_err err = answer(q, id, REFUSED, &q->so_far.refused);
	/* The answer may be told after the delivery that should not have been. */
	if (q->so_far.refused > before && find(q, id)->flags & DELIVERED)
		fault(&q->so_far, SD_QCHECK_REFUSED, id);
	return err;
}

/* A message that is flagged may have been delivered before, to somebody who did not live to tell: it says
 * nothing about order. */
static void deliver_first(struct sd_qcheck *q, struct message *m, bool redelivered)
{
	uint32_t number = (uint32_t)(m - q->messages) + 1, *latest = &q->latest[m->stream];
	m->flags |= DELIVERED;
	q->so_far.delivered++;
	if (redelivered)
		return;
	if (number > *latest) {
		*latest = number;
		return;
	}
	if (q->so_far.count[SD_QCHECK_REORDERED] == 0)
		q->so_far.overtaken_by = q->messages[*latest - 1].id;
	fault(&q->so_far, SD_QCHECK_REORDERED, m->id);
}

void sd_qcheck_delivered(struct sd_qcheck *q, uint64_t id, bool redelivered)
{
	struct message *m = find(q, id);
	q->so_far.deliveries++;
	if (!m) {
		fault(&q->so_far, SD_QCHECK_PHANTOM, id);
		return;
	}
	if (m->flags & REFUSED)
		fault(&q->so_far, SD_QCHECK_REFUSED, id);
	if (!(m->flags & DELIVERED))
		deliver_first(q, m, redelivered);
	else if (m->flags & CONSUMED)
		fault(&q->so_far, SD_QCHECK_CONSUMED, id);
	else if (!redelivered)
		fault(&q->so_far, SD_QCHECK_DUPLICATED, id);
	else
		q->so_far.redelivered++;
}

enum sd_err sd_qcheck_consumed(struct sd_qcheck *q, uint64_t id)
{
	struct message *m = find(q, id);
	if (!m || !(m->flags & DELIVERED))
		return SD_ENOTFOUND;
	m->flags |= CONSUMED;
	return SD_OK;
}

/* ---- the report ---- */

void sd_qcheck_report(const struct sd_qcheck *q, struct sd_qcheck_report *report)
{
	*report = q->so_far;
	for (uint32_t i = 0; i < q->n; i++)
		if ((q->messages[i].flags & (ACKNOWLEDGED | DELIVERED)) == ACKNOWLEDGED)
			fault(report, SD_QCHECK_LOST, q->messages[i].id);
}

bool sd_qcheck_good(const struct sd_qcheck_report *report, unsigned allow)
{
	for (int i = 0; i < SD_QCHECK_FAULTS; i++)
		if (report->count[i] > 0 && !(allow & SD_QCHECK_ALLOW(i)))
			return false;
	return true;
}

static const struct {
	const char *name, *means;
} faults[SD_QCHECK_FAULTS] = {
    [SD_QCHECK_LOST] = {"lost", "acknowledged, never delivered"},
    [SD_QCHECK_PHANTOM] = {"phantom", "delivered, never published"},
    [SD_QCHECK_REFUSED] = {"refused", "delivered, though the publisher was told no"},
    [SD_QCHECK_DUPLICATED] = {"duplicated", "delivered again without being flagged"},
    [SD_QCHECK_CONSUMED] = {"consumed", "delivered again after the consumer's acknowledgement"},
    [SD_QCHECK_REORDERED] = {"reordered", "delivered after a later one of its stream"},
};

static void add_fault(struct sd_text *t, const struct sd_qcheck_report *r, int kind)
{
	uint64_t n = r->count[kind];
	sd_text_format(t, "%-10s %10llu  %s:", faults[kind].name, (unsigned long long)n, faults[kind].means);
	for (uint64_t i = 0; i < n && i < SD_QCHECK_EXAMPLES; i++)
		sd_text_format(t, " %llu", (unsigned long long)r->example[kind][i]);
	if (n > SD_QCHECK_EXAMPLES)
		sd_text_format(t, " ...");
	if (kind == SD_QCHECK_REORDERED)
		sd_text_format(t, " (the first after %llu)", (unsigned long long)r->overtaken_by);
	sd_text_add(t, "\n", 1);
}

char *sd_qcheck_report_text(const struct sd_qcheck_report *r)
{
	struct sd_text t = {0};
	sd_text_format(&t,
		       "%llu published (%llu acknowledged, %llu refused, %llu without answer), %llu of them "
		       "delivered in %llu "
		       "deliveries, %llu flagged again\n",
		       (unsigned long long)r->published, (unsigned long long)r->acknowledged,
		       (unsigned long long)r->refused,
		       (unsigned long long)(r->published - r->acknowledged - r->refused),
		       (unsigned long long)r->delivered, (unsigned long long)r->deliveries,
		       (unsigned long long)r->redelivered);
	for (int i = 0; i < SD_QCHECK_FAULTS; i++)
		if (r->count[i] > 0)
			add_fault(&t, r, i);
	if (sd_qcheck_good(r, 0))
		sd_text_format(&t, "nothing lost, invented, doubled or out of order\n");
	return sd_text_take(&t, NULL);
}
