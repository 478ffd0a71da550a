/* mq_keep.h - what outlives the broker, and where: the store behind the option data-dir. All calls take NULL: nothing is kept. */
#ifndef MQ_KEEP_H
#define MQ_KEEP_H

#include "mq_shell.h"

/* *out NULL with SD_OK: there is no data-dir; says so. What is made is for s->keep. */
enum sd_err mq_keep_new(struct mq_shell *s, struct mq_keep **out, struct sd_error *e);
struct mq_journal mq_keep_journal(struct mq_keep *k);
/* Blocks: restores what the folder has into s->mq, and says what that was. */
enum sd_err mq_keep_open(struct mq_shell *s, struct sd_error *e);
/* The end of a turn. */
void mq_keep_turn(struct mq_keep *k);
/* Everything is on the disk, then done is called; or at once. */
void mq_keep_close(struct mq_keep *k, void (*done)(void *arg), void *arg);
void mq_keep_stop(struct mq_keep *k);
void mq_keep_free(struct mq_keep *k);

#endif
