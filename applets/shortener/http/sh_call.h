/* sh_call.h - a call between the worker that gathers it and the table that runs it. */
#ifndef SH_CALL_H
#define SH_CALL_H

#include "sh_http.h"

/* On the worker. Copies what is asked; x->user is it from now on. NULL: out of memory. */
struct sh_call *sh_call_new(struct sh_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head);
void sh_call_send(struct sh_call *c);
/* On the control loop: finds the row, checks who asks and what, and runs it. */
void sh_call_run(struct sh_call *c);
/* Into out, terminated; "+" is a blank. False: too long, or it has a zero byte. */
bool sh_query_value(struct sd_slice raw, char *out, size_t room);

#endif
