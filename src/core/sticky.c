#include "sticky.h"

#include <stdio.h>
#include <string.h>

/* Two halves of a key, each the hash of the whole secret under a public key of its own. Whoever wants them must guess the
 * secret: of what is made with them nobody sees more than tags. */
struct sd_siphash_key sd_sticky_key(const void *secret, size_t n)
{
	static const struct sd_siphash_key first = {1, 0}, second = {2, 0};
	return (struct sd_siphash_key){sd_siphash(&first, secret, n), sd_siphash(&second, secret, n)};
}

uint64_t sd_sticky_id(const struct sd_siphash_key *key, const char *name)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "i%s", name);
	return sd_siphash(key, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static uint64_t tag_of(const struct sd_siphash_key *key, uint64_t id)
{
	unsigned char text[9] = {'t'};
	for (int i = 0; i < 8; i++)
		text[1 + i] = (unsigned char)(id >> (8 * i));
	return sd_siphash(key, text, sizeof(text));
}

void sd_sticky_write(const struct sd_siphash_key *key, uint64_t id, char out[SD_STICKY_TEXT + 1])
{
	snprintf(out, SD_STICKY_TEXT + 1, "%016llx.%016llx", (unsigned long long)id,
		 (unsigned long long)tag_of(key, id));
}

static bool read_hex(const char *p, uint64_t *out)
{
	*out = 0;
	for (int i = 0; i < 16; i++) {
		char c = p[i];
		bool digit = c >= '0' && c <= '9';
		if (!digit && !(c >= 'a' && c <= 'f'))
			return false;
		*out = *out << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
	}
	return true;
}

bool sd_sticky_read(const struct sd_siphash_key *key, struct sd_slice text, uint64_t *id)
{
	uint64_t tag;
	if (text.n != SD_STICKY_TEXT || text.p[16] != '.' || !read_hex(text.p, id) || !read_hex(text.p + 17, &tag))
		return false;
	/* one comparison of two numbers: how long it takes does not depend on how many digits are right */
	return (tag_of(key, *id) ^ tag) == 0;
}

/* ---- NAME=VALUE lists ---- */

static struct sd_slice trimmed(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct sd_slice){p, (size_t)(end - p)};
}

bool sd_pairs_find(struct sd_slice list, char separator, const char *name, struct sd_slice *value)
{
	const char *p = list.p, *end = list.p + list.n;
	while (p < end) {
		const char *next = memchr(p, separator, (size_t)(end - p));
		const char *stop = next ? next : end, *equals = memchr(p, '=', (size_t)(stop - p));
		if (equals && sd_slice_eq(trimmed(p, equals), name)) {
			*value = trimmed(equals + 1, stop);
			if (separator == ';' && value->n >= 2 && value->p[0] == '"' && value->p[value->n - 1] == '"')
				*value = (struct sd_slice){value->p + 1, value->n - 2};
			return true;
		}
		p = stop + 1;
	}
	return false;
}
