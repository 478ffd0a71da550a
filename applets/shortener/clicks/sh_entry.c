#include "sh_entry.h"

#include "core/bytes.h"

#define MAGIC "SHCLICK1"
#define BLOCK_HEAD 12

static uint8_t text_size(struct sd_slice s)
{
	return (uint8_t)(s.n < SH_ENTRY_TEXT ? s.n : SH_ENTRY_TEXT);
}

size_t sh_entry_put(uint8_t *out, const struct sh_entry *e)
{
	uint8_t nhost = text_size(e->host), npath = text_size(e->path);
	size_t n = SH_ENTRY_HEAD + (size_t)nhost + npath;
	const uint8_t small[] = {e->flags, e->kind, e->device, e->browser, e->system};
	sd_put_le(out, n, 2);
	memcpy(out + 2, small, sizeof(small));
	out[7] = nhost;
	sd_put_le(out + 8, e->link, 8);
	sd_put_le(out + 16, (uint64_t)e->time_ms, 8);
	sd_put_le(out + 24, e->visitor, 8);
	memcpy(out + 32, e->country, 2);
	out[34] = npath;
	out[35] = 0;
	if (nhost)
		memcpy(out + SH_ENTRY_HEAD, e->host.p, nhost);
	if (npath)
		memcpy(out + SH_ENTRY_HEAD + nhost, e->path.p, npath);
	return n;
}

bool sh_entry_next(struct sd_slice *rest, struct sh_entry *out)
{
	const uint8_t *p = (const uint8_t *)rest->p;
	if (rest->n < SH_ENTRY_HEAD)
		return false;
	size_t n = sd_get_le(p, 2), nhost = p[7], npath = p[34];
	if (n > rest->n || n != SH_ENTRY_HEAD + nhost + npath)
		return false;
	*out = (struct sh_entry){.flags = p[2], .kind = p[3], .device = p[4], .browser = p[5], .system = p[6],
				 .link = sd_get_le(p + 8, 8), .time_ms = (int64_t)sd_get_le(p + 16, 8), .visitor = sd_get_le(p + 24, 8),
				 .country = {(char)p[32], (char)p[33]}, .host = {rest->p + SH_ENTRY_HEAD, nhost},
				 .path = {rest->p + SH_ENTRY_HEAD + nhost, npath}};
	*rest = (struct sd_slice){rest->p + n, rest->n - n};
	return true;
}

bool sh_block_of(struct sd_slice record, uint64_t seq, struct sh_block *out)
{
	if (record.n < SH_RECORD_HEAD)
		return false;
	*out = (struct sh_block){.source = sd_get_le(record.p, 8), .seq = seq, .floor = seq ? seq - 1 : 0,
				 .clicks = {record.p + SH_RECORD_HEAD, record.n - SH_RECORD_HEAD}};
	return true;
}

/* ---- messages ---- */

void sh_message_begin(struct sd_text *t, uint64_t source, uint64_t floor)
{
	uint8_t head[SH_MESSAGE_HEAD] = MAGIC;
	sd_put_le(head + 8, source, 8);
	sd_put_le(head + 16, floor, 8);
	sd_put_le(head + 24, 0, 4);
	sd_text_add(t, (const char *)head, sizeof(head));
}

void sh_message_add(struct sd_text *t, uint64_t seq, struct sd_slice clicks)
{
	uint8_t head[BLOCK_HEAD];
	sd_put_le(head, seq, 8);
	sd_put_le(head + 8, clicks.n, 4);
	sd_text_add(t, (const char *)head, sizeof(head));
	sd_text_add(t, clicks.p, clicks.n);
}

bool sh_message_next(struct sd_slice message, size_t *at, struct sh_block *out, bool *bad)
{
	*bad = message.n < SH_MESSAGE_HEAD || memcmp(message.p, MAGIC, 8) != 0;
	if (*bad)
		return false;
	if (*at == 0)
		*at = SH_MESSAGE_HEAD;
	if (*at == message.n)
		return false;
	const char *p = message.p + *at;
	size_t left = message.n - *at;
	*bad = left < BLOCK_HEAD || sd_get_le(p + 8, 4) > left - BLOCK_HEAD;
	if (*bad)
		return false;
	*out = (struct sh_block){.source = sd_get_le(message.p + 8, 8), .floor = sd_get_le(message.p + 16, 8), .seq = sd_get_le(p, 8),
				 .clicks = {p + BLOCK_HEAD, sd_get_le(p + 8, 4)}};
	*at += BLOCK_HEAD + out->clicks.n;
	return true;
}

/* ---- texts of clients ---- */

static bool is_host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Behind "http://" or "https://"; p NULL: it is neither. */
static struct sd_slice after_scheme(struct sd_slice url)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);
		if (url.n > n && strncasecmp(url.p, schemes[i], n) == 0)
			return (struct sd_slice){url.p + n, url.n - n};
	}
	return (struct sd_slice){0};
}

static size_t authority(struct sd_slice s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
		n++;
	return n;
}

struct sd_slice sh_referrer_host(struct sd_slice referer, char out[SH_ENTRY_TEXT])
{
	struct sd_slice s = after_scheme(referer), none = {0};
	size_t end = authority(s), n = 0;
	bool bracket = end && s.p[0] == '[';
	for (; n < end && n < SH_ENTRY_TEXT; n++) {
		char c = lower(s.p[n]);
		if (!bracket && c == ':')
			break;
		if (!is_host_byte(c) && !(bracket && (c == ':' || c == '[' || c == ']')))
			return none;
		out[n] = c;
		if (bracket && c == ']') {
			n++;
			break;
		}
	}
	if (n == SH_ENTRY_TEXT || (n < end && s.p[n] != ':') || (bracket && out[n - 1] != ']'))
		return none;
	while (n && out[n - 1] == '.')
		n--;
	size_t skip = n > 4 && memcmp(out, "www.", 4) == 0 && memchr(out + 4, '.', n - 4) ? 4 : 0;
	return (struct sd_slice){out + skip, n - skip};
}

struct sd_slice sh_orphan_path(struct sd_slice path, char out[SH_ENTRY_TEXT])
{
	size_t n = path.n < SH_ENTRY_TEXT ? path.n : SH_ENTRY_TEXT;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(path.p[i] > ' ' && path.p[i] < 0x7f ? path.p[i] : '?');
	return (struct sd_slice){out, n};
}
