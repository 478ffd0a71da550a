/* queue_check.h - compares what was published with what was delivered: lost, invented, twice, out of order.
 *
 * For message queues too busy for a search (history.h): one look at each message, about 32 bytes of memory
 * for it, any number of producers and consumers. It is told what happens while it happens, or from logs
 * afterwards: a message must be told as published before it is told as delivered, so tell of it before it is
 * sent. No I/O, no clock; one thread at a time.
 */
#ifndef SDLAB_QUEUE_CHECK_H
#define SDLAB_QUEUE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sd_qcheck;

enum {
	SD_QCHECK_STREAMS_MOST = 65536,
	SD_QCHECK_EXAMPLES = 8,
};
#define SD_QCHECK_MOST UINT32_C(0x40000000) /* messages */

/* NULL: out of memory. */
struct sd_qcheck *sd_qcheck_new(void);
void sd_qcheck_free(struct sd_qcheck *q);

/* A message is about to be published. `id` is unique among all. Messages of one stream (0 to
 * SD_QCHECK_STREAMS_MOST - 1) are expected in the order in which they are told here: a stream is one producer
 * on one queue. Until its answer is told its outcome is unknown. SD_EEXISTS: that id was there before.
 * SD_ERANGE: stream. SD_ETOOBIG, SD_ENOMEM. */
enum sd_err sd_qcheck_published(struct sd_qcheck *q, uint32_t stream, uint64_t id);
/* The queue acknowledged it (must be delivered), or refused it (must not be). SD_ENOTFOUND: not published.
 * SD_EEXISTS: the other answer was told before. */
enum sd_err sd_qcheck_acknowledged(struct sd_qcheck *q, uint64_t id);
enum sd_err sd_qcheck_refused(struct sd_qcheck *q, uint64_t id);
/* A consumer got it; `redelivered` when the queue said that this may not be the first time. Order is that of
 * these calls. Never fails: what was not published is a phantom. */
void sd_qcheck_delivered(struct sd_qcheck *q, uint64_t id, bool redelivered);
/* The queue has surely seen the consumer's acknowledgement: it must not deliver the message again.
 * SD_ENOTFOUND: not published, or not delivered so far. */
enum sd_err sd_qcheck_consumed(struct sd_qcheck *q, uint64_t id);

enum sd_qcheck_fault {
	SD_QCHECK_LOST,       /* acknowledged, never delivered */
	SD_QCHECK_PHANTOM,    /* delivered, never published */
	SD_QCHECK_REFUSED,    /* delivered, though refused */
	SD_QCHECK_DUPLICATED, /* delivered again, not flagged as redelivered */
	SD_QCHECK_CONSUMED,   /* delivered again after its consumer had acknowledged it, flagged or not */
	SD_QCHECK_REORDERED,  /* delivered for the first time, not flagged, after a later one of its stream */
	SD_QCHECK_FAULTS,
};

struct sd_qcheck_report {
	uint64_t published, acknowledged, refused; /* messages; those without answer are the difference */
	uint64_t deliveries;                       /* all */
	uint64_t delivered;                        /* messages delivered at least once */
	uint64_t redelivered; /* deliveries after the first that were flagged, and not after consumption:
				 allowed */
	/* Of each kind: how many deliveries (of lost: messages), and the ids of the first SD_QCHECK_EXAMPLES.
	 */
	uint64_t count[SD_QCHECK_FAULTS];
	uint64_t example[SD_QCHECK_FAULTS][SD_QCHECK_EXAMPLES];
	uint64_t overtaken_by; /* the later message that came before the first reordered one */
};

/* Fills the report for what was told so far; more may be told afterwards. */
void sd_qcheck_report(const struct sd_qcheck *q, struct sd_qcheck_report *report);
/* Whether there is no fault but those in `allow`, a sum of SD_QCHECK_ALLOW(SD_QCHECK_...). */
#define SD_QCHECK_ALLOW(fault) (1u << (fault))
bool sd_qcheck_good(const struct sd_qcheck_report *report, unsigned allow);
/* For people: a line of totals, and one for each kind of fault there is, with examples. The caller frees it.
 * NULL: out of memory. */
char *sd_qcheck_report_text(const struct sd_qcheck_report *report);

#ifdef __cplusplus
}
#endif

#endif
