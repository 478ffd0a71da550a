/* http_url.h - http://HOST[:PORT]/PATH taken apart. */
#ifndef SD_CORE_HTTP_URL_H
#define SD_CORE_HTTP_URL_H

#include <stdbool.h>

#include "addr.h"
#include "sdlab/err.h"
#include "sdlab/slice.h"

/* Slices of the text that was parsed. */
struct sd_http_url {
	struct sd_slice host; /* with port, as written: what Host says */
	struct sd_slice name; /* without port and brackets: what a certificate is to be for */
	struct sd_slice path; /* with query, without fragment; "/" when there is none */
	bool secure;	      /* https */
	bool has_port;
};

/* A text without a scheme is http. False: it is of another scheme, or has no host. */
bool sd_http_url_parse(const char *text, struct sd_http_url *out);
/* Where it is; SD_ADDR_NAME is still to be looked up. */
enum sd_err sd_http_url_addr(const struct sd_http_url *u, struct sd_addr *out, struct sd_error *e);

#endif
