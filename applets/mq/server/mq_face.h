/* mq_face.h - what the parts of the applet add to its face. */
#ifndef MQ_FACE_H
#define MQ_FACE_H

#include "app/applet.h"
#include "app/run.h"

extern const struct sd_option mq_options[];   /* server/mq_shell.c */
extern const struct sd_service mq_service;    /* server/mq_shell.c */
enum sd_err mq_check(const struct sd_conf *conf, struct sd_error *e); /* server/mq_setup.c */
extern const struct sd_verb mq_verbs[];       /* client/mq_cli.c */

#endif
