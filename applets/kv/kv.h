/* kv.h - the verbs of kv. The format is src/core/lsm*.h, folders of it are src/disk/lsm*.h; nothing here knows either. */
#ifndef KV_H
#define KV_H

#include "app/applet.h"
#include "disk/lsm_dir.h"

int kv_get(struct sd_verb_call *call);
int kv_dump(struct sd_verb_call *call);
int kv_stats(struct sd_verb_call *call);
int kv_check(struct sd_verb_call *call);
int kv_import(struct sd_verb_call *call);

/* Prints "sdlab kv VERB: cause" and returns 1. */
int kv_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);
/* Opens the folder that the first operand names, and prints what is odd about it on standard error. */
enum sd_err kv_open(const struct sd_verb_call *call, struct sd_lsm_dir **d, struct sd_error *e);

/* Bytes as a person may type them: tab, line feed, carriage return and backslash as \t \n \r \\, what else is not printable
 * UTF-8 as \xHH. */
void kv_print(FILE *out, struct sd_slice s);
/* Back again, in place; false: a backslash with something else behind it. */
bool kv_unescape(char *p, size_t *n);

#endif
