#include "proxy_status.h"

#include <string.h>

static const char *const names[] = {
    [SD_PROXY_OK] = "",
    [SD_PROXY_DNS_ERROR] = "dns_error",
    [SD_PROXY_DESTINATION_UNAVAILABLE] = "destination_unavailable",
    [SD_PROXY_CONNECTION_REFUSED] = "connection_refused",
    [SD_PROXY_CONNECTION_TERMINATED] = "connection_terminated",
    [SD_PROXY_CONNECTION_TIMEOUT] = "connection_timeout",
    [SD_PROXY_CONNECTION_LIMIT_REACHED] = "connection_limit_reached",
    [SD_PROXY_TLS_PROTOCOL_ERROR] = "tls_protocol_error",
    [SD_PROXY_HTTP_REQUEST_ERROR] = "http_request_error",
    [SD_PROXY_HTTP_REQUEST_DENIED] = "http_request_denied",
    [SD_PROXY_HTTP_RESPONSE_INCOMPLETE] = "http_response_incomplete",
    [SD_PROXY_HTTP_RESPONSE_TIMEOUT] = "http_response_timeout",
    [SD_PROXY_HTTP_UPGRADE_FAILED] = "http_upgrade_failed",
    [SD_PROXY_HTTP_PROTOCOL_ERROR] = "http_protocol_error",
    [SD_PROXY_INTERNAL_ERROR] = "proxy_internal_error",
    [SD_PROXY_INTERNAL_RESPONSE] = "proxy_internal_response",
    [SD_PROXY_LOOP_DETECTED] = "proxy_loop_detected",
};

const char *sd_proxy_error_name(enum sd_proxy_error error)
{
	return (size_t)error < sizeof(names) / sizeof(names[0]) ? names[error] : "";
}

static const struct {
	enum sd_err why;
	enum sd_proxy_error connecting, later;
} rows[] = {
    {SD_EREFUSED, SD_PROXY_CONNECTION_REFUSED, SD_PROXY_CONNECTION_TERMINATED},
    {SD_ETIMEOUT, SD_PROXY_CONNECTION_TIMEOUT, SD_PROXY_HTTP_RESPONSE_TIMEOUT},
    {SD_EPROTO, SD_PROXY_TLS_PROTOCOL_ERROR, SD_PROXY_HTTP_PROTOCOL_ERROR},
    {SD_ENOFILES, SD_PROXY_INTERNAL_ERROR, SD_PROXY_INTERNAL_ERROR},
    {SD_ENOMEM, SD_PROXY_INTERNAL_ERROR, SD_PROXY_INTERNAL_ERROR},
};

enum sd_proxy_error sd_proxy_error_of(enum sd_err why, bool connecting)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].why == why)
			return connecting ? rows[i].connecting : rows[i].later;
	return connecting ? SD_PROXY_DESTINATION_UNAVAILABLE : SD_PROXY_CONNECTION_TERMINATED;
}

static char *put(char *o, const char *text)
{
	size_t n = strlen(text);
	memcpy(o, text, n);
	return o + n;
}

size_t sd_proxy_status_write(char out[SD_PROXY_STATUS], enum sd_proxy_error error, const char *details)
{
	char *o = out, *end = out + SD_PROXY_STATUS - 6; /* an escaped byte, the quote, CRLF and the NUL */
	*o = '\0';
	if (error == SD_PROXY_OK)
		return 0;
	o = put(o, "Proxy-Status: sdlab; error=");
	o = put(o, sd_proxy_error_name(error));
	if (details && *details) {
		o = put(o, "; details=\"");
		for (; *details && o < end; details++) {
			if (*details == '"' || *details == '\\')
				*o++ = '\\';
			*o++ = *details >= ' ' && *details <= '~' ? *details : '?';
		}
		*o++ = '"';
	}
	o = put(o, "\r\n");
	*o = '\0';
	return (size_t)(o - out);
}
