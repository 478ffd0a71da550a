#include "resp_url.h"

#include <ctype.h>

#include "resp.h"

static const struct {
	const char *name;
	bool secure;
} schemes[] = {{"redis://", false}, {"resp://", false}, {"rediss://", true}};
#define NSCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static size_t scheme_of(const char *url)
{
	size_t i = 0;
	while (i < NSCHEMES && strncasecmp(url, schemes[i].name, strlen(schemes[i].name)) != 0)
		i++;
	return i;
}

bool sd_resp_url_is(const char *url)
{
	return scheme_of(url) < NSCHEMES;
}

static int hex(char c)
{
	c = (char)tolower((unsigned char)c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: it is too long, or has a zero byte, at which a text would end. */
static bool unescape(struct sd_slice s, char out[SD_RESP_SECRET])
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		bool coded = s.p[i] == '%' && s.n - i > 2 && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0;
		char c = coded ? (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])) : s.p[i];
		i += coded ? 2 : 0;
		if (!c || n + 1 == SD_RESP_SECRET)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static bool take_login(struct sd_slice login, struct sd_resp_url *out)
{
	const char *colon = memchr(login.p, ':', login.n);
	size_t user = colon ? (size_t)(colon - login.p) : 0, from = colon ? user + 1 : 0;
	return unescape((struct sd_slice){login.p, user}, out->user) &&
	       unescape((struct sd_slice){login.p + from, login.n - from}, out->password);
}

enum sd_err sd_resp_url_parse(const char *url, struct sd_resp_url *out, struct sd_error *e)
{
	size_t i = scheme_of(url);
	if (i == NSCHEMES)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found \"%.100s\"", url);
	const char *host = url + strlen(schemes[i].name);
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);
	*out = (struct sd_resp_url){.secure = schemes[i].secure};
	if (at && !take_login((struct sd_slice){host, (size_t)(at - host)}, out))
		return sd_fail(e, SD_EUSAGE, "expected a user and password of less than %d bytes each", SD_RESP_SECRET);
	if (at) {
		n -= (size_t)(at - host) + 1;
		host = at + 1;
	}
	if (n == 0)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found no host");
	const char *bracket = memchr(host, ']', n), *colon = memrchr(host, ':', n);
	struct sd_slice db = {host + n, strlen(host + n)};
	out->host = (struct sd_slice){host, n};
	out->has_port = colon && (!bracket || colon > bracket);
	out->shown = sd_slice_of(host);
	if (db.n > 1 && (*db.p != '/' || !sd_resp_parse_int((struct sd_slice){db.p + 1, db.n - 1}, &out->db) || out->db < 0))
		return sd_fail(e, SD_EUSAGE, "expected the number of a database behind the host, found \"%.60s\"", db.p);
	return SD_OK;
}
