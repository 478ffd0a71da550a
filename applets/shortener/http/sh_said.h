/* sh_said.h - what a visitor is told where there is no redirect: a page or JSON, as Accept asks. */
#ifndef SH_SAID_H
#define SH_SAID_H

#include "sh_http.h"

/* Does a browser ask, rather than a program? HTML is named, and JSON is not wanted more. */
bool sh_wants_page(struct sd_slice accept);
/* Answers. code: one that was checked, or "". */
void sh_say_problem(struct sd_http_exchange *x, enum sh_problem p, bool page, const char *code);

#endif
