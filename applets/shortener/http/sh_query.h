/* sh_query.h - a target with the query of a request. Pure. */
#ifndef SH_QUERY_H
#define SH_QUERY_H

#include "sdlab/slice.h"

/* Writes the target with the query's parameters behind its own and in front of its fragment; of a parameter that both have (by its
 * name as it is written) those of the request stay. Returns the length; 0 when room is too small. Not terminated. */
size_t sh_query_merge(struct sd_slice target, struct sd_slice query, char *out, size_t room);

#endif
