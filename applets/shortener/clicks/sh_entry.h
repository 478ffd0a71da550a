/* sh_entry.h - clicks as bytes: in the journal, and in the messages of a queue. The format is sdlab-shortener-clicks(5). Pure.
 *
 * A record of the journal holds the clicks of one turn of a worker: the number of the run that wrote it, then an entry each.
 * A message holds records of one run, in order.
 */
#ifndef SH_ENTRY_H
#define SH_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "sdlab/slice.h"

#define SH_RECORD_CLICKS 1 /* type of such records */
#define SH_RECORD_HEAD	 8 /* the run */
#define SH_ENTRY_HEAD	 36
#define SH_ENTRY_TEXT	 255 /* of a host, and of a path */
#define SH_ENTRY_MAX	 (SH_ENTRY_HEAD + 2 * SH_ENTRY_TEXT)

#define SH_ENTRY_IS_HEAD  1u /* asked for with HEAD */
#define SH_ENTRY_VISITOR  2u /* visitor is a hash */

struct sh_entry {
	uint64_t link; /* 0: an orphan */
	int64_t time_ms;
	uint64_t visitor;
	uint8_t flags, kind, device, browser, system;
	char country[2];	   /* zeros: not known */
	struct sd_slice host, path; /* SH_ENTRY_TEXT at most; longer ones are cut */
};

/* Into SH_ENTRY_MAX bytes; how many. */
size_t sh_entry_put(uint8_t *out, const struct sh_entry *e);
/* Takes the next one. False: there is none; *rest is empty then, or is none. */
bool sh_entry_next(struct sd_slice *rest, struct sh_entry *out);

/* One record of a journal. */
struct sh_block {
	uint64_t source, seq; /* the run, and its number in the journal */
	uint64_t floor;	      /* all before and with this one were taken for good: whoever misses them need not wait for them */
	struct sd_slice clicks;
};
/* A record as it was read: clicks points into it. False: it is none. */
bool sh_block_of(struct sd_slice record, uint64_t seq, struct sh_block *out);

/* ---- messages ---- */

#define SH_MESSAGE_HEAD 28
/* Begins a message of records of this run; then each of them. */
void sh_message_begin(struct sd_text *t, uint64_t source, uint64_t floor);
void sh_message_add(struct sd_text *t, uint64_t seq, struct sd_slice clicks);
/* The first call has *at 0. False: that was all, or it is no message: *bad tells. */
bool sh_message_next(struct sd_slice message, size_t *at, struct sh_block *out, bool *bad);

/* The host of a Referer in lower case, without port and a leading "www."; empty: there is none, or it is no http URL. Strict: letters, digits,
 * hyphens and dots only, or an address in brackets. */
struct sd_slice sh_referrer_host(struct sd_slice referer, char out[SH_ENTRY_TEXT]);
/* What of a path may be kept: printable ASCII. */
struct sd_slice sh_orphan_path(struct sd_slice path, char out[SH_ENTRY_TEXT]);

#endif
