/* http_fetch.h - one request, waited for: for client verbs. */
#ifndef SD_NET_HTTP_FETCH_H
#define SD_NET_HTTP_FETCH_H

#include "sdlab/http1.h"
#include "world/loop.h"

#define SD_FETCH_MAX (16u << 20)

/* Sends METHOD PATH to addr ("127.0.0.1:8079", "unix:/run/x.sock") and waits at most timeout_ns to connect and as
 * long for each next piece of the answer. No name is looked up. On SD_OK *status is set and
 * *body, NUL-terminated, is the caller's to free; at most SD_FETCH_MAX bytes. */
enum sd_err sd_http_fetch(struct sd_world *w, const char *addr, const char *method, const char *path, int64_t timeout_ns,
			  int *status, char **body, size_t *n, struct sd_error *e);
/* The same with a body. */
enum sd_err sd_http_fetch_with(struct sd_world *w, const char *addr, const char *method, const char *path, const char *sent,
			       size_t sent_n, int64_t timeout_ns, int *status, char **body, size_t *n, struct sd_error *e);
/* And with fields of the head, each with its CRLF: "Authorization: Basic Zw==\r\n"; a Host only as the first of them, else
 * it is localhost. */
enum sd_err sd_http_fetch_fields(struct sd_world *w, const char *addr, const char *method, const char *path, const char *fields,
				 struct sd_slice sent, int64_t timeout_ns, int *status, char **body, size_t *n, struct sd_error *e);

#endif
