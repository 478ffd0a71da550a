/* sh_store_row.c - links as rows and back. */
#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"
#include "core/text.h"
#include "core/utf8.h"
#include "sh_store_int.h"

static size_t lines_of(const char *text)
{
	size_t n = *text != '\0';
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The texts lie behind the pointers to them. */
static bool split_tags(const char *text, struct sh_link *out)
{
	size_t n = lines_of(text), room = strlen(text) + 1;
	out->ntags = n;
	out->tags = malloc((n + 1) * sizeof(*out->tags) + room);
	if (!out->tags)
		return false;
	char *to = memcpy((char *)(out->tags + n + 1), text, room);
	for (size_t i = 0; i < n; i++) {
		out->tags[i] = to;
		to += strcspn(to, "\n");
		*to++ = '\0';
	}
	out->tags[n] = NULL;
	return true;
}

bool sh_row_read(const struct sd_sql_job *j, size_t statement, size_t row, struct sh_link *out)
{
	int64_t number[16];
	const char *text[16];
	for (size_t i = 0; i < 16; i++) {
		number[i] = sd_sql_cell_int(j, statement, row, i);
		text[i] = sd_sql_cell_text(j, statement, row, i);
	}
	*out = (struct sh_link){
	    .id = (uint64_t)number[0],
	    .code = (char *)(uintptr_t)text[1],
	    .url = (char *)(uintptr_t)text[2],
	    .title = (char *)(uintptr_t)text[3],
	    .status = (uint16_t)number[5],
	    .disabled = number[6],
	    .forward_query = number[7],
	    .alias = number[8],
	    .created_ms = number[9],
	    .changed_ms = number[10],
	    .valid_from_ms = number[11],
	    .valid_until_ms = number[12],
	    .max_visits = number[13],
	    .clicks = number[14],
	    .uses = number[15],
	};
	return text[1] && text[2] && split_tags(text[4] ? text[4] : "", out);
}

void sh_row_free(struct sh_link *link)
{
	free(link->tags);
	link->tags = NULL;
}

char *sh_tags_join(const struct sh_link *link)
{
	struct sd_text t = {0};
	sd_text_add(&t, "", 0);
	for (size_t i = 0; i < link->ntags; i++)
		sd_text_format(&t, "%s%s", i ? "\n" : "", link->tags[i]);
	return sd_text_take(&t, NULL);
}

struct sh_link *sh_link_copy(const struct sh_link *from)
{
	struct sh_link *to = malloc(sizeof(*to));
	char *tags = sh_tags_join(from);
	if (to) {
		*to = *from;
		to->tags = NULL;
		to->code = strdup(from->code ? from->code : "");
		to->url = strdup(from->url ? from->url : "");
		to->title = from->title ? strdup(from->title) : NULL;
	}
	bool ok = to && tags && to->code && to->url && (to->title || !from->title) && split_tags(tags, to);
	free(tags);
	if (ok)
		return to;
	sh_link_free(to);
	return NULL;
}

void sh_link_free(struct sh_link *link)
{
	if (!link)
		return;
	free(link->code);
	free(link->url);
	free(link->title);
	free(link->tags);
	free(link);
}

/* UTF-8 without control characters, of at most so many bytes. */
static bool is_text(const char *text, size_t most)
{
	size_t n = strlen(text), one;
	if (n > most)
		return false;
	for (size_t i = 0; i < n; i += one) {
		one = sd_utf8_length(text + i, n - i);
		if (one == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return true;
}

const char *sh_link_fault(const struct sh_link *link)
{
	if (link->code && !is_text(link->code, SH_CODE_MAX))
		return "expected an alias of at most 64 bytes";
	if (link->url && !is_text(link->url, SH_URL_MAX))
		return "expected a URL of at most 8192 bytes";
	if (link->title && !is_text(link->title, SH_TITLE_MAX))
		return "expected a title of at most 512 bytes, without control characters";
	if (link->ntags > SH_TAGS_MAX)
		return "expected at most 32 tags";
	for (size_t i = 0; i < link->ntags; i++)
		if (!*link->tags[i] || !is_text(link->tags[i], SH_TAG_MAX))
			return "expected tags of 1 to 64 bytes, without control characters";
	if (link->max_visits < 0 || link->valid_from_ms < 0 || link->valid_until_ms < 0)
		return "expected times and numbers that are not negative";
	return NULL;
}

/* The same on every server for ever: it is in the database. */
int64_t sh_url_hash(const char *url)
{
	static const struct sd_siphash_key key = {0x73686f7274656e65u, 0x725f75726c686173u};
	return (int64_t)sd_siphash(&key, url, strlen(url));
}
