#include "link_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/addr.h"
#include "core/text.h"
#include "core/utf8.h"

#define DEFAULT_MAX 65536
#define SCHEME_MAX  32

/* What is being read, and what was made of it. The rest is a slice of the text. */
struct job {
	const struct sd_link_url_conf *conf;
	struct sd_error *e;
	char scheme[SCHEME_MAX + 1];
	struct sd_slice login; /* p NULL: none */
	char host[SD_HOST_MAX + 3]; /* with brackets when it is an IPv6 address */
	unsigned port; /* 0: the scheme's own */
	struct sd_slice rest;
};

/* ---- bytes ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct sd_slice trimmed(struct sd_slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = (struct sd_slice){s.p + 1, s.n - 1};
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static enum sd_err check_bytes(struct job *j, struct sd_slice s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];
		n = sd_utf8_length(s.p + i, s.n - i);
		if (n == 0)
			return sd_fail(j->e, SD_EINVAL, "expected UTF-8, found byte 0x%02x at %zu", c, i + 1);
		if (is_space(s.p[i]))
			return sd_fail(j->e, SD_EINVAL, "expected no white space, found some at byte %zu", i + 1);
		if (c < 0x20 || c == 0x7f)
			return sd_fail(j->e, SD_EINVAL, "expected no control characters, found 0x%02x at byte %zu", c, i + 1);
	}
	return SD_OK;
}

/* ---- scheme ---- */

static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && strncasecmp(at, name, n) == 0)
			return true;
	return false;
}

/* What runs in the page that shows the link, or shows what only the reader's machine has. */
static bool never(const char *scheme)
{
	return listed("javascript,data,vbscript,file,blob,about,view-source", scheme);
}

/* "expected http://, https:// or mailto:, found ftp:" would know more of schemes than is known here: their names it is. */
static enum sd_err refuse_scheme(struct job *j, const char *list)
{
	char names[128];
	size_t n = 0;
	for (const char *at = list, *end; *at && n < sizeof(names) - SCHEME_MAX; at = *end ? end + 1 : end) {
		end = at + strcspn(at, ",");
		const char *gap = at == list ? "" : *end ? ", " : " or ";
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%.*s", gap, (int)(end - at < SCHEME_MAX - 4 ? end - at : SCHEME_MAX - 4), at);
	}
	return sd_fail(j->e, SD_EPERM, "expected a URL of %s, found %s:", names, j->scheme);
}

static enum sd_err read_scheme(struct job *j, struct sd_slice *s)
{
	const char *list = j->conf->schemes ? j->conf->schemes : "http,https";
	size_t n = 0;
	while (n < s->n && (isalnum((unsigned char)s->p[n]) || (n > 0 && memchr("+-.", s->p[n], 3))))
		n++;
	if (n == 0 || n == s->n || s->p[n] != ':' || n > SCHEME_MAX || isdigit((unsigned char)s->p[0]))
		return sd_fail(j->e, SD_EINVAL, "expected a URL with a scheme, such as https://example.com/");
	for (size_t i = 0; i < n; i++)
		j->scheme[i] = (char)tolower((unsigned char)s->p[i]);
	if (never(j->scheme) || !listed(list, j->scheme))
		return refuse_scheme(j, list);
	*s = (struct sd_slice){s->p + n + 1, s->n - n - 1};
	return SD_OK;
}

static bool is_web(const struct job *j)
{
	return strcmp(j->scheme, "http") == 0 || strcmp(j->scheme, "https") == 0;
}

/* ---- host and port ---- */

static bool ascii(struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Labels of letters, digits, '-' and '_' between dots; a last one of digits alone makes it an IPv4 address, which it must be then. */
static bool is_host(const char *host)
{
	uint8_t ip[16];
	bool v6;
	size_t n = strlen(host), label = 0;
	const char *last = host;
	if (n > 0 && host[n - 1] == '.')
		n--;
	if (n == 0 || n > SD_HOST_MAX)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i == n || host[i] == '.') {
			if (label == 0 || label > 63)
				return false;
			last = i == n ? last : host + i + 1;
			label = 0;
		} else if (isalnum((unsigned char)host[i]) || host[i] == '-' || host[i] == '_') {
			label++;
		} else {
			return false;
		}
	}
	bool number = isdigit((unsigned char)*last) && strspn(last, "0123456789abcdefx") == strcspn(last, ".");
	return !number || (sd_ip_parse((struct sd_slice){host, n}, ip, &v6) && !v6);
}

static enum sd_err bad_host(struct job *j, struct sd_slice s)
{
	return sd_fail(j->e, SD_EINVAL, "expected a host, found \"%.*s\"", (int)(s.n < 80 ? s.n : 80), s.p);
}

static enum sd_err read_host(struct job *j, struct sd_slice s)
{
	uint8_t ip[16];
	bool v6 = false;
	char name[SD_HOST_MAX + 1] = "";
	if (s.n > 2 && s.p[0] == '[') {
		struct sd_slice inner = {s.p + 1, s.n - 2};
		struct sd_addr a = {.kind = SD_ADDR_INET, .v6 = true};
		char text[SD_ADDR_TEXT];
		if (s.p[s.n - 1] != ']' || !sd_ip_parse(inner, ip, &v6) || !v6)
			return bad_host(j, s);
		memcpy(a.ip, ip, sizeof(ip));
		sd_addr_format_host(&a, text);
		snprintf(j->host, sizeof(j->host), "[%.200s]", text);
		return SD_OK;
	}
	if (s.n == 0 || s.n > sizeof(name) * 4)
		return bad_host(j, s);
	if (ascii(s) && s.n < sizeof(name)) {
		for (size_t i = 0; i < s.n; i++)
			name[i] = (char)tolower((unsigned char)s.p[i]);
	} else if (!j->conf->to_ascii || !j->conf->to_ascii(s, name)) {
		return bad_host(j, s);
	}
	if (!is_host(name))
		return bad_host(j, s);
	snprintf(j->host, sizeof(j->host), "%s", name);
	return SD_OK;
}

static unsigned usual_port(const struct job *j)
{
	return strcmp(j->scheme, "http") == 0 ? 80 : strcmp(j->scheme, "https") == 0 ? 443 : 0;
}

static enum sd_err read_port(struct job *j, struct sd_slice s)
{
	unsigned port = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (!isdigit((unsigned char)s.p[i]) || port > 65535)
			return sd_fail(j->e, SD_EINVAL, "expected a port from 1 to 65535");
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	if (s.n > 0 && (port == 0 || port > 65535))
		return sd_fail(j->e, SD_EINVAL, "expected a port from 1 to 65535");
	j->port = port == usual_port(j) ? 0 : port;
	return SD_OK;
}

/* user:password@host:port */
static enum sd_err read_authority(struct job *j, struct sd_slice s)
{
	const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL;
	if (s.n && memchr(s.p, '\\', s.n))
		return sd_fail(j->e, SD_EINVAL, "expected a host, found a backslash in it");
	if (at) {
		j->login = (struct sd_slice){s.p, (size_t)(at - s.p)};
		s = (struct sd_slice){at + 1, s.n - j->login.n - 1};
		if (!j->conf->login)
			return sd_fail(j->e, SD_EPERM, "expected no user in front of the host");
	}
	const char *bracket = s.n ? memchr(s.p, ']', s.n) : NULL, *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
	bool has_port = colon && (!bracket || colon > bracket);
	size_t n = has_port ? (size_t)(colon - s.p) : s.n;
	enum sd_err err = read_host(j, (struct sd_slice){s.p, n});
	return err || !has_port ? err : read_port(j, (struct sd_slice){colon + 1, s.n - n - 1});
}

static size_t without_dot(const char *host, size_t n)
{
	return n > 0 && host[n - 1] == '.' ? n - 1 : n;
}

/* Do connections to it stay on this machine, where all such names are one? IPv4 also as [::ffff:127.0.0.1]. */
static bool is_here(const char *host, size_t n)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff}, none[16], home[] = {127, 0, 0, 1}, one[16] = {[15] = 1};
	uint8_t ip[16];
	bool v6, brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
	if (n == 9 && strncasecmp(host, "localhost", n) == 0)
		return true;
	if (!sd_ip_parse((struct sd_slice){host + brackets, n - 2 * brackets}, ip, &v6))
		return false;
	const uint8_t *v4 = !v6 ? ip : memcmp(ip, mapped, 12) == 0 ? ip + 12 : NULL;
	return v4 ? memcmp(v4, home, 4) == 0 || memcmp(v4, none, 4) == 0 : memcmp(ip, one, 16) == 0 || memcmp(ip, none, 16) == 0;
}

/* "name", "name:port" or "[::1]:port": is it where the URL leads? */
static bool leads_to(const struct job *j, const char *own)
{
	const char *bracket = strchr(own, ']'), *colon = strrchr(own, ':');
	bool has_port = colon && (!bracket || colon > bracket);
	size_t n = has_port ? (size_t)(colon - own) : strlen(own), mine = without_dot(j->host, strlen(j->host));
	unsigned long port = j->port ? j->port : usual_port(j), its = has_port ? strtoul(colon + 1, NULL, 10) : 0;
	n = without_dot(own, n);
	bool same = n == mine && strncasecmp(own, j->host, mine) == 0;
	return (same || (is_here(own, n) && is_here(j->host, mine))) && (has_port ? port == its : port == 80 || port == 443);
}

static enum sd_err check_loop(struct job *j)
{
	for (size_t i = 0; i < j->conf->nown; i++)
		if (leads_to(j, j->conf->own[i]))
			return sd_fail(j->e, SD_EPERM, "expected a URL that does not lead back here, found %s", j->host);
	return SD_OK;
}

/* ---- writing ---- */

static void add_encoded(struct sd_text *t, struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80 || strchr("\"<>\\^`{|}", c))
			sd_text_format(t, "%%%02X", c);
		else
			sd_text_add(t, s.p + i, 1);
	}
}

static enum sd_err write_out(struct job *j, size_t max, char **out)
{
	struct sd_text t = {0};
	size_t n = 0;
	sd_text_format(&t, "%s:", j->scheme);
	if (*j->host) {
		sd_text_add(&t, "//", 2);
		if (j->login.p) {
			add_encoded(&t, j->login);
			sd_text_add(&t, "@", 1);
		}
		sd_text_format(&t, "%s", j->host);
		if (j->port)
			sd_text_format(&t, ":%u", j->port);
		if (j->rest.n == 0 || *j->rest.p != '/')
			sd_text_add(&t, "/", 1);
	}
	add_encoded(&t, j->rest);
	*out = sd_text_take(&t, &n);
	if (!*out)
		return sd_fail(j->e, SD_ENOMEM, "out of memory");
	if (n <= max)
		return SD_OK;
	free(*out);
	*out = NULL;
	return sd_fail(j->e, SD_ETOOBIG, "expected at most %zu bytes once encoded, found %zu", max, n);
}

enum sd_err sd_link_url(struct sd_slice text, const struct sd_link_url_conf *conf, char **out, struct sd_error *e)
{
	struct job j = {.conf = conf, .e = e};
	struct sd_slice s = trimmed(text);
	size_t max = conf->max ? conf->max : DEFAULT_MAX;
	*out = NULL;
	if (s.n == 0)
		return sd_fail(e, SD_EINVAL, "expected a URL, found nothing");
	if (s.n > max)
		return sd_fail(e, SD_ETOOBIG, "expected at most %zu bytes, found %zu", max, s.n);
	enum sd_err err = check_bytes(&j, s);
	if (!err)
		err = read_scheme(&j, &s);
	if (err)
		return err;
	bool slashes = sd_slice_starts(s, "//");
	if (is_web(&j) && !slashes)
		return sd_fail(e, SD_EINVAL, "expected %s://HOST", j.scheme);
	if (slashes) {
		size_t n = 2;
		while (n < s.n && !memchr("/?#", s.p[n], 3))
			n++;
		err = read_authority(&j, (struct sd_slice){s.p + 2, n - 2});
		err = err ? err : check_loop(&j);
		s = (struct sd_slice){s.p + n, s.n - n};
	} else if (s.n == 0) {
		err = sd_fail(e, SD_EINVAL, "expected something behind %s:", j.scheme);
	}
	j.rest = s;
	return err ? err : write_out(&j, max, out);
}
