/* sh_http.h - what a worker answers: redirects, and what goes to the API and the pages. */
#ifndef SH_HTTP_H
#define SH_HTTP_H

#include "../shortener.h"

/* server->arg is a struct sh_worker. */
extern const struct sd_http_handler sh_http_handler;

#endif
