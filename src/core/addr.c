#include "addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* inet_pton and inet_ntop are arithmetic on text; they make no system call. */

bool sd_ip_parse(struct sd_slice text, uint8_t ip[16], bool *v6)
{
	char s[INET6_ADDRSTRLEN + 1];
	if (text.n == 0 || text.n >= sizeof(s))
		return false;
	memcpy(s, text.p, text.n);
	s[text.n] = '\0';
	memset(ip, 0, 16);
	*v6 = memchr(s, ':', text.n) != NULL;
	return inet_pton(*v6 ? AF_INET6 : AF_INET, s, ip) == 1;
}

static enum sd_err parse_port(const char *s, uint16_t *port, struct sd_error *e)
{
	unsigned v = 0;
	size_t n = 0;
	for (; s[n] >= '0' && s[n] <= '9' && n < 6; n++)
		v = v * 10 + (unsigned)(s[n] - '0');
	if (n == 0 || s[n] || v > 65535)
		return sd_fail(e, SD_EINVAL, "expected a port from 0 to 65535, found \"%s\"", s);
	*port = (uint16_t)v;
	return SD_OK;
}

static enum sd_err parse_name(enum sd_addr_kind kind, const char *s, struct sd_addr *out, struct sd_error *e)
{
	size_t n = strlen(s);
	if (n == 0 || n >= sizeof(out->name))
		return sd_fail(e, SD_EINVAL, "expected 1 to %zu bytes after the colon in \"%s\"",
			       sizeof(out->name) - 1, s);
	out->kind = kind;
	memcpy(out->name, s, n + 1);
	return SD_OK;
}

static enum sd_err parse_host(struct sd_slice host, struct sd_addr *out, struct sd_error *e)
{
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct sd_slice){host.p + 1, host.n - 2};
	if (sd_slice_ieq(host, "localhost"))
		host = sd_slice_of("127.0.0.1");
	if (host.n == 1 && *host.p == '*')
		host = sd_slice_of("0.0.0.0");
	out->kind = SD_ADDR_INET;
	if (sd_ip_parse(host, out->ip, &out->v6))
		return SD_OK;
	if (host.n == 0 || host.n >= sizeof(out->name))
		return sd_fail(e, SD_EINVAL, "expected a host of 1 to %zu bytes", sizeof(out->name) - 1);
	out->kind = SD_ADDR_NAME;
	memcpy(out->name, host.p, host.n);
	out->name[host.n] = '\0';
	return SD_OK;
}

enum sd_err sd_addr_parse(const char *text, const char *default_host, struct sd_addr *out, struct sd_error *e)
{
	memset(out, 0, sizeof(*out));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_name(SD_ADDR_UNIX, text + 5, out, e);
	if (strncmp(text, "inproc:", 7) == 0)
		return parse_name(SD_ADDR_INPROC, text + 7, out, e);
	const char *colon = strrchr(text, ':');
	const char *bracket = strrchr(text, ']');
	if (!colon || (bracket && colon < bracket) || (!bracket && strchr(text, ':') != colon))
		return sd_fail(e, SD_EINVAL, "expected HOST:PORT, unix:PATH or inproc:NAME, found \"%s\"", text);
	enum sd_err err = parse_port(colon + 1, &out->port, e);
	if (err)
		return err;
	if (colon == text)
		return parse_host(sd_slice_of(default_host), out, e);
	return parse_host((struct sd_slice){text, (size_t)(colon - text)}, out, e);
}

size_t sd_addr_format_host(const struct sd_addr *a, char out[SD_ADDR_TEXT])
{
	switch (a->kind) {
	case SD_ADDR_INET:
		if (!inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->ip, out, SD_ADDR_TEXT))
			out[0] = '\0';
		return strlen(out);
	case SD_ADDR_UNIX:
		return (size_t)snprintf(out, SD_ADDR_TEXT, "unix");
	case SD_ADDR_INPROC:
		return (size_t)snprintf(out, SD_ADDR_TEXT, "inproc");
	default:
		return (size_t)snprintf(out, SD_ADDR_TEXT, "%s", a->name);
	}
}

const char *sd_addr_format(const struct sd_addr *a, char out[SD_ADDR_TEXT])
{
	char host[SD_ADDR_TEXT];
	switch (a->kind) {
	case SD_ADDR_UNIX:
		snprintf(out, SD_ADDR_TEXT, "unix:%s", a->name);
		break;
	case SD_ADDR_INPROC:
		snprintf(out, SD_ADDR_TEXT, "inproc:%s", a->name);
		break;
	case SD_ADDR_NONE:
		snprintf(out, SD_ADDR_TEXT, "-");
		break;
	default:
		sd_addr_format_host(a, host);
		snprintf(out, SD_ADDR_TEXT, a->v6 ? "[%.*s]:%u" : "%.*s:%u", 120, host, a->port);
	}
	return out;
}

bool sd_addr_equal(const struct sd_addr *a, const struct sd_addr *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == SD_ADDR_INET)
		return a->v6 == b->v6 && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
	return a->port == b->port && strcmp(a->name, b->name) == 0;
}

bool sd_addr_is_loopback(const struct sd_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};
	if (a->kind == SD_ADDR_INET)
		return a->v6 ? memcmp(a->ip, one, 16) == 0 : a->ip[0] == 127;
	return a->kind == SD_ADDR_UNIX || a->kind == SD_ADDR_INPROC;
}

struct sd_peer sd_addr_peer(const struct sd_addr *a)
{
	struct sd_peer p = {.port = a->port, .kind = (uint8_t)a->kind, .v6 = a->v6};
	memcpy(p.ip, a->ip, 16);
	return p;
}

static char *format_byte(char *o, uint8_t b)
{
	if (b >= 100)
		*o++ = (char)('0' + b / 100);
	if (b >= 10)
		*o++ = (char)('0' + b / 10 % 10);
	*o++ = (char)('0' + b % 10);
	return o;
}

size_t sd_peer_format(const struct sd_peer *p, char out[46])
{
	if (p->kind == SD_ADDR_UNIX)
		return (size_t)snprintf(out, 46, "unix");
	if (p->kind != SD_ADDR_INET)
		return (size_t)snprintf(out, 46, "inproc");
	if (p->v6) {
		if (!inet_ntop(AF_INET6, p->ip, out, 46))
			out[0] = '\0';
		return strlen(out);
	}
	/* Once a request in a proxy, so without printf. */
	char *o = out;
	for (int i = 0; i < 4; i++) {
		if (i)
			*o++ = '.';
		o = format_byte(o, p->ip[i]);
	}
	*o = '\0';
	return (size_t)(o - out);
}

enum sd_err sd_cidr_parse(const char *text, struct sd_cidr *out, struct sd_error *e)
{
	const char *slash = strchr(text, '/');
	struct sd_slice ip = {text, slash ? (size_t)(slash - text) : strlen(text)};
	if (!sd_ip_parse(ip, out->ip, &out->v6))
		return sd_fail(e, SD_EINVAL, "expected an address or network such as 10.0.0.0/8, found \"%s\"", text);
	unsigned max = out->v6 ? 128 : 32;
	out->bits = (uint8_t)max;
	if (slash) {
		char *end;
		unsigned long bits = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || bits > max)
			return sd_fail(e, SD_EINVAL, "expected a prefix length from 0 to %u in \"%s\"", max, text);
		out->bits = (uint8_t)bits;
	}
	return SD_OK;
}

bool sd_cidr_has(const struct sd_cidr *c, const uint8_t ip[16], bool v6)
{
	if (c->v6 != v6)
		return false;
	unsigned whole = c->bits / 8, rest = c->bits % 8;
	if (memcmp(c->ip, ip, whole) != 0)
		return false;
	return rest == 0 || ((c->ip[whole] ^ ip[whole]) >> (8 - rest)) == 0;
}
