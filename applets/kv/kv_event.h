/* kv_event.h - what a store does behind its user's back, in words: the same in a server's log, to COMPACT and to `kv compact`. */
#ifndef KV_EVENT_H
#define KV_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/kv.h"

/* Tables that come, and compactions that begin and end. False: of another event, there is nothing in `text`. */
bool kv_event_text(const struct sd_kv_event *e, char *text, size_t size);

#endif
