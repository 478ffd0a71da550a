#include "resp_url.h"

#include "url_text.h"

static const struct sd_url_scheme schemes[] = {{"redis://", false}, {"resp://", false}, {"rediss://", true}};
#define NSCHEMES (sizeof(schemes) / sizeof(schemes[0]))

bool sd_resp_url_is(const char *url)
{
	return sd_url_split(url, schemes, NSCHEMES, NULL);
}

enum sd_err sd_resp_url_parse(const char *url, struct sd_resp_url *out, struct sd_error *e)
{
	struct sd_url_parts is;
	if (!sd_url_split(url, schemes, NSCHEMES, &is))
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found \"%.100s\"", url);
	*out = (struct sd_resp_url){
	    .secure = is.secure, .host = is.host, .has_port = is.has_port, .shown = sd_slice_of(is.host.p)};
	if (is.login.p && !sd_url_login(is.login, true, out->user, out->password, SD_RESP_SECRET))
		return sd_fail(e, SD_EUSAGE, "expected a user and password of less than %d bytes each", SD_RESP_SECRET);
	if (is.host.n == 0)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found no host");
	struct sd_slice db = {is.rest.p + 1, is.rest.n ? is.rest.n - 1 : 0};
	if (db.n && (*is.rest.p != '/' || !sd_resp_parse_int(db, &out->db) || out->db < 0))
		return sd_fail(e, SD_EUSAGE, "expected the number of a database behind the host, found \"%.60s\"", is.rest.p);
	return SD_OK;
}

static void put_words(struct sd_resp_out *o, const char *const *words, size_t n)
{
	sd_resp_array(o, n);
	for (size_t i = 0; i < n; i++)
		sd_resp_text(o, words[i]);
}

unsigned sd_resp_greet(struct sd_resp_out *o, const char *user, const char *password, int64_t db)
{
	bool named = user && *user, known = named || (password && *password);
	char digits[24];
	if (known && named)
		put_words(o, (const char *const[]){"AUTH", user, password ? password : ""}, 3);
	else if (known)
		put_words(o, (const char *const[]){"AUTH", password}, 2);
	digits[sd_resp_int_text(digits, db)] = '\0';
	if (db)
		put_words(o, (const char *const[]){"SELECT", digits}, 2);
	return (unsigned)known + (db != 0);
}
