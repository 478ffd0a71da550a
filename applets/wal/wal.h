/* wal.h - the verbs of wal. The log itself is src/disk/wal.h; nothing here knows its format. */
#ifndef WAL_H
#define WAL_H

#include "app/applet.h"
#include "disk/wal.h"

int wal_dump(struct sd_verb_call *call);
int wal_check(struct sd_verb_call *call);
int wal_salvage(struct sd_verb_call *call);
int wal_append(struct sd_verb_call *call);

/* Prints "sdlab wal VERB: cause" and returns 1. */
int wal_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);

#endif
