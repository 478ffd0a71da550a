#include "url_text.h"

#include <ctype.h>

static int hex(char c)
{
	c = (char)tolower((unsigned char)c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sd_url_unescape(struct sd_slice s, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		bool coded = s.p[i] == '%' && s.n - i > 2 && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0;
		char c = coded ? (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])) : s.p[i];
		i += coded ? 2 : 0;
		if (!c || n + 1 == room)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

bool sd_url_login(struct sd_slice login, bool password_first, char *user, char *password, size_t room)
{
	const char *colon = memchr(login.p, ':', login.n);
	size_t n = colon ? (size_t)(colon - login.p) : password_first ? 0 : login.n;
	size_t from = colon ? n + 1 : n;
	return sd_url_unescape((struct sd_slice){login.p, n}, user, room) &&
	       sd_url_unescape((struct sd_slice){login.p + from, login.n - from}, password, room);
}

static void split(const char *host, struct sd_url_parts *out)
{
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);
	if (at) {
		out->login = (struct sd_slice){host, (size_t)(at - host)};
		n -= out->login.n + 1;
		host = at + 1;
	}
	const char *bracket = memchr(host, ']', n), *colon = memrchr(host, ':', n);
	out->has_port = colon && (!bracket || colon > bracket);
	out->host = (struct sd_slice){host, n};
	out->rest = sd_slice_of(host + n);
}

bool sd_url_split(const char *url, const struct sd_url_scheme *schemes, size_t n, struct sd_url_parts *out)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(schemes[i].name);
		if (strncasecmp(url, schemes[i].name, length) != 0)
			continue;
		if (out) {
			*out = (struct sd_url_parts){.secure = schemes[i].secure};
			split(url + length, out);
		}
		return true;
	}
	return false;
}
