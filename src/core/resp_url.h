/* resp_url.h - where a cache is, as one text: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; resp:// is the same, rediss:// is
 * over TLS. In user and password %40 stands for an @. Pure.
 */
#ifndef SD_CORE_RESP_URL_H
#define SD_CORE_RESP_URL_H

#include <stdint.h>

#include "resp.h"
#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_RESP_SECRET 512

struct sd_resp_url {
	bool secure;
	struct sd_slice host;     /* with port when there is one, as it stands in the URL: "[::1]:7001" */
	bool has_port;
	struct sd_slice shown;    /* from the host on: what may be printed */
	char user[SD_RESP_SECRET], password[SD_RESP_SECRET]; /* "": none; the caller wipes them */
	int64_t db;
};

/* Is it one, by its first letters? */
bool sd_resp_url_is(const char *url);
/* The slices point into url. *e never has the password in it. SD_EUSAGE. */
enum sd_err sd_resp_url_parse(const char *url, struct sd_resp_url *out, struct sd_error *e);

/* Writes the requests that say who one is and choose the database, where that is needed (AUTH, SELECT), and returns how many they
 * are. "" and NULL: none. */
unsigned sd_resp_greet(struct sd_resp_out *o, const char *user, const char *password, int64_t db);

#endif
