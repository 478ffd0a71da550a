#include "sh_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sh_record_of(const struct sh_link *link, struct sh_record *out)
{
	*out = (struct sh_record){
	    .disabled = link->disabled,
	    .forward_query = link->forward_query,
	    .limited = link->max_visits > 0,
	    .status = link->status,
	    .id = link->id,
	    .valid_from_ms = link->valid_from_ms,
	    .valid_until_ms = link->valid_until_ms,
	    .url = sd_slice_of(link->url),
	};
}

/* ---- as text ---- */

static int put_number(char *out, size_t room, int64_t n)
{
	return n ? snprintf(out, room, "%lld:", (long long)n) : snprintf(out, room, ":");
}

size_t sh_record_write(const struct sh_record *rec, char out[SH_RECORD_TEXT])
{
	int n;
	if (rec->none) {
		memcpy(out, "1-", 2);
		return 2;
	}
	if (rec->url.n > SH_URL_MAX)
		return 0;
	n = snprintf(out, 32, "1:%llu:", (unsigned long long)rec->id);
	n += put_number(out + n, 24, rec->status);
	n += snprintf(out + n, 8, "%s%s%s:", rec->disabled ? "d" : "", rec->forward_query ? "q" : "", rec->limited ? "v" : "");
	n += put_number(out + n, 24, rec->valid_from_ms);
	n += put_number(out + n, 24, rec->valid_until_ms);
	memcpy(out + n, rec->url.p, rec->url.n);
	return (size_t)n + rec->url.n;
}

static bool take_field(struct sd_slice *text, struct sd_slice *field)
{
	const char *end = text->n ? memchr(text->p, ':', text->n) : NULL;
	if (!end)
		return false;
	*field = (struct sd_slice){text->p, (size_t)(end - text->p)};
	text->n -= field->n + 1;
	text->p = end + 1;
	return true;
}

/* Decimal digits up to max; none are 0. */
static bool take_number(struct sd_slice *text, uint64_t max, uint64_t *out)
{
	struct sd_slice f;
	if (!take_field(text, &f) || f.n > 20)
		return false;
	*out = 0;
	for (size_t i = 0; i < f.n; i++) {
		unsigned digit = (unsigned)(f.p[i] - '0');
		if (digit > 9 || *out > (max - digit) / 10)
			return false;
		*out = *out * 10 + digit;
	}
	return true;
}

static bool take_flags(struct sd_slice *text, struct sh_record *out)
{
	struct sd_slice f;
	if (!take_field(text, &f))
		return false;
	for (size_t i = 0; i < f.n; i++) {
		bool *flag = f.p[i] == 'd' ? &out->disabled : f.p[i] == 'q' ? &out->forward_query : f.p[i] == 'v' ? &out->limited : NULL;
		if (!flag || *flag)
			return false;
		*flag = true;
	}
	return true;
}

static bool is_status(uint64_t n)
{
	return n == 0 || n == 301 || n == 302 || n == 307 || n == 308;
}

/* What a URL in a head must not have: the cache is not ours alone. */
static bool is_safe(struct sd_slice url)
{
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f)
			return false;
	return url.n > 0 && url.n <= SH_URL_MAX;
}

bool sh_record_read(struct sd_slice text, struct sh_record *out)
{
	uint64_t status, from, until;
	*out = (struct sh_record){.none = sd_slice_eq(text, "1-")};
	if (out->none)
		return true;
	if (!sd_slice_starts(text, "1:"))
		return false;
	text.p += 2;
	text.n -= 2;
	if (!take_number(&text, UINT64_MAX, &out->id) || !take_number(&text, 999, &status) || !take_flags(&text, out) ||
	    !take_number(&text, INT64_MAX, &from) || !take_number(&text, INT64_MAX, &until))
		return false;
	out->status = (uint16_t)status;
	out->valid_from_ms = (int64_t)from;
	out->valid_until_ms = (int64_t)until;
	out->url = text;
	return out->id && is_status(status) && is_safe(text);
}

/* ---- what it means now ---- */

static void fill(const struct sh_record *rec, struct sh_target *t)
{
	*t = (struct sh_target){
	    .url = rec->url,
	    .id = rec->id,
	    .status = rec->status,
	    .forward_query = rec->forward_query,
	    .limited = rec->limited,
	    .valid_from_ms = rec->valid_from_ms,
	    .valid_until_ms = rec->valid_until_ms,
	};
}

enum sh_look sh_record_judge(const struct sh_record *rec, int64_t now_ms, struct sh_target *t)
{
	if (t)
		fill(rec, t);
	if (rec->none)
		return SH_LOOK_UNKNOWN;
	if (rec->disabled)
		return SH_LOOK_DISABLED;
	if (rec->valid_from_ms && now_ms < rec->valid_from_ms)
		return SH_LOOK_NOT_YET;
	if (rec->valid_until_ms && now_ms >= rec->valid_until_ms)
		return SH_LOOK_EXPIRED;
	return SH_LOOK_FOUND;
}

struct sh_record *sh_record_copy(const struct sh_record *rec)
{
	struct sh_record *copy = malloc(sizeof(*copy) + rec->url.n);
	if (!copy)
		return NULL;
	*copy = *rec;
	copy->url.p = (char *)(copy + 1);
	if (rec->url.n)
		memcpy(copy + 1, rec->url.p, rec->url.n);
	return copy;
}
