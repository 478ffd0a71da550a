/* proxy_status.h - why a proxy answered by itself: the Proxy-Status field (RFC 9209). Pure. */
#ifndef SD_CORE_PROXY_STATUS_H
#define SD_CORE_PROXY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/err.h"

/* The registered types of error (RFC 9209 section 2.3) that are said here. */
enum sd_proxy_error {
	SD_PROXY_OK, /* none: no field */
	SD_PROXY_DNS_ERROR,
	SD_PROXY_DESTINATION_UNAVAILABLE,
	SD_PROXY_CONNECTION_REFUSED,
	SD_PROXY_CONNECTION_TERMINATED,
	SD_PROXY_CONNECTION_TIMEOUT,
	SD_PROXY_CONNECTION_LIMIT_REACHED,
	SD_PROXY_TLS_PROTOCOL_ERROR,
	SD_PROXY_HTTP_REQUEST_ERROR,
	SD_PROXY_HTTP_REQUEST_DENIED,
	SD_PROXY_HTTP_RESPONSE_INCOMPLETE,
	SD_PROXY_HTTP_RESPONSE_TIMEOUT,
	SD_PROXY_HTTP_UPGRADE_FAILED,
	SD_PROXY_HTTP_PROTOCOL_ERROR,
	SD_PROXY_INTERNAL_ERROR,
	SD_PROXY_INTERNAL_RESPONSE,
	SD_PROXY_LOOP_DETECTED,
};

/* "connection_refused"; "" for SD_PROXY_OK. */
const char *sd_proxy_error_name(enum sd_proxy_error error);
/* What it means that a call to a backend ended so: before anything was sent (connecting), or later. */
enum sd_proxy_error sd_proxy_error_of(enum sd_err why, bool connecting);

#define SD_PROXY_STATUS 400
/* `Proxy-Status: sdlab; error=connection_refused; details="..."` with CRLF, terminated; returns its length. Details are
 * cut to fit; bytes a structured string cannot hold (RFC 8941 section 3.3.3) become '?'. */
size_t sd_proxy_status_write(char out[SD_PROXY_STATUS], enum sd_proxy_error error, const char *details);

#endif
