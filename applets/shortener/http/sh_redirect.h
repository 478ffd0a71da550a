/* sh_redirect.h - from a code to an answer, on a worker. */
#ifndef SH_REDIRECT_H
#define SH_REDIRECT_H

#include "sh_http.h"

/* The path may be a code: one part of letters, digits, '-' and '_' that is no word of ours; *code is it. A '/' behind it is fine. */
bool sh_redirect_is_code(struct sd_slice path, struct sd_slice *code);
void sh_redirect(struct sh_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head, struct sd_slice code);

#endif
