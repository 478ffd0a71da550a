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
