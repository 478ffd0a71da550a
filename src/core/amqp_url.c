#include "amqp_url.h"

#include "url_text.h"

static const struct sd_url_scheme schemes[] = {{"amqp://", false}, {"amqps://", true}};
#define NSCHEMES (sizeof(schemes) / sizeof(schemes[0]))

bool sd_amqp_url_is(const char *url)
{
	return sd_url_split(url, schemes, NSCHEMES, NULL);
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
	struct sd_url_parts is;
	if (!sd_url_split(url, schemes, NSCHEMES, &is))
		return sd_fail(e, SD_EUSAGE, "expected amqp://HOST[:PORT][/VHOST], found \"%.100s\"", url);
	*out = (struct sd_amqp_url){.secure = is.secure, .has_login = is.login.p, .host = is.host, .has_port = is.has_port,
				    .shown = sd_slice_of(is.host.p)};
	if (is.login.p && !sd_url_login(is.login, false, out->user, out->password, SD_AMQP_SECRET))
		return sd_fail(e, SD_EUSAGE, "expected a user and password of less than %d bytes each", SD_AMQP_SECRET);
	return take_vhost(is.rest, out, e);
}
