#include "amqp_url.h"

#include "url_text.h"

static const struct {
	const char *name;
	bool secure;
} schemes[] = {{"amqp://", false}, {"amqps://", true}};
#define NSCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static size_t scheme_of(const char *url)
{
	size_t i = 0;
	while (i < NSCHEMES && strncasecmp(url, schemes[i].name, strlen(schemes[i].name)) != 0)
		i++;
	return i;
}

bool sd_amqp_url_is(const char *url)
{
	return scheme_of(url) < NSCHEMES;
}

/* What follows the host: "", "/", "/VHOST". */
static enum sd_err take_vhost(struct sd_slice rest, struct sd_amqp_url *out, struct sd_error *e)
{
	struct sd_slice name = {rest.p + 1, rest.n ? rest.n - 1 : 0};
	if (rest.n && *rest.p != '/')
		return sd_fail(e, SD_EUSAGE, "expected a vhost behind the host, found \"%.60s\"", rest.p);
	if (name.n == 0)
		name = sd_slice_of("/");
	else if (strcspn(name.p, "/?#") < name.n)
		return sd_fail(e, SD_EUSAGE, "expected one vhost behind the host (%%2f for a slash in it), found \"%.60s\"", rest.p);
	if (!sd_url_unescape(name, out->vhost, sizeof(out->vhost)))
		return sd_fail(e, SD_EUSAGE, "expected a vhost of at most %d bytes", SD_AMQP_SHORT_MAX);
	return SD_OK;
}

enum sd_err sd_amqp_url_parse(const char *url, struct sd_amqp_url *out, struct sd_error *e)
{
	size_t i = scheme_of(url);
	if (i == NSCHEMES)
		return sd_fail(e, SD_EUSAGE, "expected amqp://HOST[:PORT][/VHOST], found \"%.100s\"", url);
	const char *host = url + strlen(schemes[i].name);
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);
	*out = (struct sd_amqp_url){.secure = schemes[i].secure, .has_login = at};
	if (at && !sd_url_login((struct sd_slice){host, (size_t)(at - host)}, false, out->user, out->password, SD_AMQP_SECRET))
		return sd_fail(e, SD_EUSAGE, "expected a user and password of less than %d bytes each", SD_AMQP_SECRET);
	if (at) {
		n -= (size_t)(at - host) + 1;
		host = at + 1;
	}
	const char *bracket = memchr(host, ']', n), *colon = memrchr(host, ':', n);
	out->host = (struct sd_slice){host, n};
	out->has_port = colon && (!bracket || colon > bracket);
	out->shown = sd_slice_of(host);
	return take_vhost(sd_slice_of(host + n), out, e);
}
