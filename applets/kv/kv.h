/* kv.h - the verbs and the service of kv. The format is src/core/lsm*.h, folders of it are src/disk/lsm*.h; nothing here knows either. */
#ifndef KV_H
#define KV_H

#include "app/applet.h"
#include "disk/lsm_dir.h"

/* server/kv_server.c */
extern const struct sd_option kv_options[];
extern const struct sd_service kv_service;
enum sd_err kv_conf_check(const struct sd_conf *conf, struct sd_error *e);

int kv_get(struct sd_verb_call *call);
int kv_dump(struct sd_verb_call *call);
int kv_stats(struct sd_verb_call *call);
int kv_check(struct sd_verb_call *call);
int kv_import(struct sd_verb_call *call);
int kv_repair(struct sd_verb_call *call);
int kv_compact(struct sd_verb_call *call);
int kv_checkpoint(struct sd_verb_call *call);

/* Prints "sdlab kv VERB: cause" and returns 1. */
int kv_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);
/* Opens the folder that the first operand names, and prints what is odd about it on standard error. */
enum sd_err kv_open(const struct sd_verb_call *call, struct sd_lsm_dir **d, struct sd_error *e);

/* ---- kv_own.c: folders through the store itself ---- */
/* Whether it would open this one: it sees what no file shows by itself, as a manifest that names a log which is gone. What is odd is not
 * told once more. */
enum sd_err kv_opens(const struct sd_verb_call *call, struct sd_error *e);
/* Those of our own format, whose values may end or lie apart. */
bool kv_is_own(const struct sd_verb_call *call);
enum sd_err kv_own_find(struct sd_verb_call *call, struct sd_slice key, struct sd_lsm_answer *found, struct sd_error *e);
/* Every key that is there, from one on; SD_ECANCELED from `each` ends it. */
typedef enum sd_err kv_each(void *arg, struct sd_slice key, struct sd_slice value, struct sd_error *e);
enum sd_err kv_own_walk(struct sd_verb_call *call, struct sd_slice from, kv_each *each, void *arg, struct sd_error *e);
/* As kv_opens, and reads every value. */
enum sd_err kv_own_values(const struct sd_verb_call *call, struct sd_error *e);

/* Bytes as a person may type them: tab, line feed, carriage return and backslash as \t \n \r \\, what else is not printable
 * UTF-8 as \xHH. */
void kv_print(FILE *out, struct sd_slice s);
/* Back again, in place; false: a backslash with something else behind it. */
bool kv_unescape(char *p, size_t *n);

#endif
