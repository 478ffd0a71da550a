#include "http_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool sd_http_url_parse(const char *text, struct sd_http_url *out)
{
	bool secure = strncasecmp(text, "https://", 8) == 0;
	const char *host = secure ? text + 8 : strncasecmp(text, "http://", 7) == 0 ? text + 7 : text;
	size_t n = strcspn(host, "/?#");
	if (n == 0 || strstr(host, "://"))
		return false;
	const char *bracket = memchr(host, ']', n), *colon = memrchr(host, ':', n);
	bool closed = *host == '[' && bracket, has_port = colon && (!bracket || colon > bracket);
	*out = (struct sd_http_url){
	    .host = {host, n},
	    .name = {host + closed, closed ? (size_t)(bracket - host) - 1 : has_port ? (size_t)(colon - host) : n},
	    .path = host[n] == '/' ? (struct sd_slice){host + n, strcspn(host + n, "#")} : sd_slice_of("/"),
	    .secure = secure,
	    .has_port = has_port,
	};
	return true;
}

enum sd_err sd_http_url_addr(const struct sd_http_url *u, struct sd_addr *out, struct sd_error *e)
{
	char text[300];
	snprintf(text, sizeof(text), "%.*s%s", (int)(u->host.n < 280 ? u->host.n : 280), u->host.p,
		 u->has_port ? "" : u->secure ? ":443" : ":80");
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", out, e);
	return err ? sd_wrap(e, "URL") : SD_OK;
}
