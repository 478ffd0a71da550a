/* sh_record.h - what of a link a redirect needs, and how it is written down for the cache that servers share. Pure.
 *
 *	1:ID:STATUS:FLAGS:FROM:UNTIL:URL    a link; FLAGS are letters: d disabled, q forwards the query, v counts visits;
 *	                                    FROM and UNTIL milliseconds since 1970, STATUS and these empty where there is none
 *	1-                                  there is no such link
 *	1x                                  a tombstone: it was changed just now, ask the store
 *
 * What begins with another version is taken for nothing, so that servers of two versions may share a cache.
 */
#ifndef SH_RECORD_H
#define SH_RECORD_H

#include "sh_lookup.h"

struct sh_record {
	bool none; /* there is no such link: nothing else is said */
	bool disabled, forward_query, limited;
	uint16_t status;
	uint64_t id;
	int64_t valid_from_ms, valid_until_ms;
	struct sd_slice url;
};

#define SH_RECORD_TEXT (SH_URL_MAX + 128) /* room for one */
#define SH_TOMBSTONE   "1x"

void sh_record_of(const struct sh_link *link, struct sh_record *out);
/* How many bytes; 0: the URL is too long. */
size_t sh_record_write(const struct sh_record *rec, char out[SH_RECORD_TEXT]);
/* url points into text. False: it is none, or a tombstone. */
bool sh_record_read(struct sd_slice text, struct sh_record *out);
/* FOUND, UNKNOWN, NOT_YET, EXPIRED or DISABLED at this time of the wall clock; t may be NULL. A link is valid from its first millisecond on,
 * and not any more in the millisecond until which it is. */
enum sh_look sh_record_judge(const struct sh_record *rec, int64_t now_ms, struct sh_target *t);
/* A copy in one piece, for free. NULL: out of memory. */
struct sh_record *sh_record_copy(const struct sh_record *rec);

#endif
