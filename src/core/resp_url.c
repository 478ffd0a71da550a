#include "resp_url.h"

#include "resp.h"
#include "url_text.h"

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

enum sd_err sd_resp_url_parse(const char *url, struct sd_resp_url *out, struct sd_error *e)
{
	size_t i = scheme_of(url);
	if (i == NSCHEMES)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found \"%.100s\"", url);
	const char *host = url + strlen(schemes[i].name);
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);
	*out = (struct sd_resp_url){.secure = schemes[i].secure};
	if (at && !sd_url_login((struct sd_slice){host, (size_t)(at - host)}, true, out->user, out->password, SD_RESP_SECRET))
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
