/* sh_said.h - what a visitor is told where there is no redirect: a page or JSON, as Accept asks. */
#ifndef SH_SAID_H
#define SH_SAID_H

#include "sh_http.h"

/* Does a browser ask, rather than a program? HTML is named, and JSON is not wanted more. */
bool sh_wants_page(struct sd_slice accept);
/* Answers. code: one that was checked, or "". */
void sh_say_problem(struct sd_http_exchange *x, enum sh_problem p, bool page, const char *code);
/* The same of what no type is for but its status: a request that breaks a rule of HTTP, or that there is no memory for. */
void sh_say_status(struct sd_http_exchange *x, int status, bool page, const char *why);
/* Accept of a head that may be broken: the first line of that name. */
struct sd_slice sh_raw_accept(struct sd_slice raw);

#endif
