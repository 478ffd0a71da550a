/* route.h - which rule a request falls under: by the host it asks for and the beginning of its path.
 *
 *	host        api.test       that name and no other
 *	            *.test         every name below test, at any depth
 *	            (none)         every name, also none
 *	path        /v1            /v1 itself and what is below it: /v1/x, but not /v1x
 *	            /v1/           only what is below it
 *	            /              everything
 *
 * The most particular rule wins, whatever the order they are written in: an exact name before a longer suffix before a
 * shorter one before no host; for the same host the longer path. Where a host's rules have none for the path, the next
 * host is asked. Of equal rules the first whose places fit wins. Names are compared without regard to case, without port
 * and without a final dot; paths byte by byte, so normalise them first.
 *
 * A set is never changed once made and may be read from any thread. Cost of a search: labels of the host times segments
 * of the path (no more bytes of it than the longest rule has) times the logarithm of the rules; nothing is allocated.
 */
#ifndef SD_CORE_ROUTE_H
#define SD_CORE_ROUTE_H

#include <stdint.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_ROUTE_MAX      4096 /* rules of a set */
#define SD_ROUTE_HOST_MAX 253  /* bytes (RFC 1035 section 2.3.4, without the final dot) */
#define SD_ROUTE_PATH_MAX 1024
#define SD_ROUTE_NONE     SIZE_MAX
#define SD_ROUTE_ANYWHERE UINT32_MAX

struct sd_route_rule {
	struct sd_slice host; /* empty: any */
	struct sd_slice path; /* begins with '/' */
	uint32_t places;      /* a bit for each place (listener) where the rule holds */
};

struct sd_route_set;

/* SD_EINVAL with a text that says what was expected of a host or path. */
enum sd_err sd_route_check(const struct sd_route_rule *rule, struct sd_error *e);

/* Copies the rules, which sd_route_check found right; what it returns for one is its index. NULL: out of memory, or more
 * than SD_ROUTE_MAX. */
struct sd_route_set *sd_route_set_new(const struct sd_route_rule *rules, size_t n);
void sd_route_set_free(struct sd_route_set *set);

/* place: the number of its bit. host as in Host, port and all. SD_ROUTE_NONE: no rule fits. */
size_t sd_route_find(const struct sd_route_set *set, unsigned place, struct sd_slice host, struct sd_slice path);

#endif
