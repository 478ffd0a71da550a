#include "core/http_coding.h"

#define UNSAID (-1)

static const char *const names[SD_CODINGS] = {"zstd", "gzip", "identity"};

const char *sd_http_coding_name(enum sd_http_coding coding)
{
	return names[coding];
}

static struct sd_slice trim(struct sd_slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct sd_slice){s.p + 1, s.n - 1};
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* A weight in thousandths: 0 or 1, with up to three decimals. False: something else. */
static bool read_weight(struct sd_slice s, int *out)
{
	int scale = 100;
	if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
		return false;
	*out = (s.p[0] - '0') * 1000;
	for (size_t i = 2; i < s.n; i++, scale /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*out += (s.p[i] - '0') * scale;
	}
	return *out <= 1000;
}

/* Cuts "gzip ; q=0.5" into its name and weight. */
static bool cut_item(struct sd_slice item, struct sd_slice *name, int *weight)
{
	const char *semicolon = memchr(item.p, ';', item.n);
	*weight = 1000;
	*name = item;
	if (!semicolon)
		return true;
	*name = trim((struct sd_slice){item.p, (size_t)(semicolon - item.p)});
	struct sd_slice rest = trim((struct sd_slice){semicolon + 1, item.n - (size_t)(semicolon + 1 - item.p)});
	if (rest.n < 2 || (rest.p[0] | 0x20) != 'q' || rest.p[1] != '=')
		return false;
	return read_weight((struct sd_slice){rest.p + 2, rest.n - 2}, weight);
}

static void take_item(struct sd_slice name, int weight, int q[SD_CODINGS], int *rest)
{
	if (sd_slice_eq(name, "*"))
		*rest = weight;
	for (int i = 0; i < SD_CODINGS; i++)
		if (sd_slice_ieq(name, names[i]) || (i == SD_CODING_GZIP && sd_slice_ieq(name, "x-gzip")))
			q[i] = weight;
}

/* False: malformed. */
static bool read_field(struct sd_slice list, int q[SD_CODINGS], int *rest)
{
	struct sd_slice item, name;
	int weight;
	while (sd_http_list_next(&list, &item)) {
		if (!cut_item(item, &name, &weight))
			return false;
		take_item(name, weight, q, rest);
	}
	return true;
}

enum sd_http_coding sd_http_choose_coding(const struct sd_http_head *head, unsigned available)
{
	int q[SD_CODINGS] = {UNSAID, UNSAID, UNSAID}, rest = UNSAID;
	for (size_t i = 0; i < head->nfields; i++)
		if (sd_slice_ieq(head->fields[i].name, "accept-encoding") && !read_field(head->fields[i].value, q, &rest))
			return SD_CODING_IDENTITY;
	enum sd_http_coding best = SD_CODING_IDENTITY;
	int best_q = q[SD_CODING_IDENTITY] > 0 ? q[SD_CODING_IDENTITY] : 0;
	for (int i = SD_CODING_GZIP; i >= SD_CODING_ZSTD; i--) {
		int mine = q[i] != UNSAID ? q[i] : rest;
		if ((available & SD_CODING_BIT(i)) && mine > 0 && mine >= best_q) {
			best = (enum sd_http_coding)i;
			best_q = mine;
		}
	}
	return best;
}
