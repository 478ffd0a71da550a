/* load_resp.c - what is sent to a cache: commands, as requests of RESP. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resp.h"
#include "core/resp_url.h"
#include "core/units.h"
#include "load.h"

#define MAX_FILE  (16u << 20)

/* ---- who we are ---- */

enum sd_err load_resp_greet(struct load_plan *p, const struct sd_resp_url *url, struct sd_error *e)
{
	struct sd_resp_out o = {0};
	p->greetings = sd_resp_greet(&o, url->user, url->password, url->db);
	p->greeting = (struct sd_slice){o.p, o.n};
	return o.full ? sd_fail(e, SD_ENOMEM, "out of memory") : SD_OK;
}

/* ---- commands ---- */

/* A word with its {{value}} in place; the other marks are seen to when all is written. */
static bool put_word(FILE *out, struct sd_slice word, size_t size)
{
	static const char mark[] = "{{value}}";
	for (size_t i = 0; i < word.n; i++) {
		if (word.n - i < sizeof(mark) - 1 || memcmp(word.p + i, mark, sizeof(mark) - 1) != 0) {
			fputc(word.p[i], out);
			continue;
		}
		for (size_t k = 0; k < size; k++)
			fputc("abcdefghijklmnopqrstuvwxyz"[k % 26], out);
		i += sizeof(mark) - 2;
	}
	return !ferror(out);
}

static bool encode_word(struct sd_resp_out *o, struct sd_slice word, size_t size)
{
	char *text = NULL, *wide = NULL;
	size_t n = 0, wide_n = 0;
	FILE *out = open_memstream(&text, &n);
	bool good = out && put_word(out, word, size);
	good = out && fclose(out) == 0 && good;
	if (good)
		wide = load_marks_expand((struct sd_slice){text, n}, &wide_n);
	if (wide)
		sd_resp_bulk(o, wide, wide_n);
	free(text);
	free(wide);
	return wide && !o->full;
}

static enum sd_err encode(const struct sd_resp_reader *words, size_t size, struct load_request *r, struct sd_error *e)
{
	struct sd_resp_out o = {0};
	bool good = true;
	sd_resp_array(&o, words->argc);
	for (size_t i = 0; i < words->argc && good; i++)
		good = encode_word(&o, words->argv[i], size);
	r->bytes = o.p;
	r->n = o.n;
	if (!good || o.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return load_marks_find(r) ? SD_OK
				  : sd_fail(e, SD_EUSAGE, "expected at most %d of {{seq}}, {{rand}} and {{key}} in a command",
					    LOAD_MAX_MARKS);
}

/* Takes a number in front of a command; 1 without one. 0: it is none that is taken. */
static uint32_t take_weight(struct sd_slice *line)
{
	char digits[12];
	int64_t weight = 0;
	size_t n = 0;
	while (n < line->n && isdigit((unsigned char)line->p[n]))
		n++;
	if (n == 0)
		return 1;
	if (n >= sizeof(digits) || n == line->n || line->p[n] != ' ')
		return 0;
	memcpy(digits, line->p, n);
	digits[n] = '\0';
	if (sd_parse_int(digits, &weight) != SD_OK || weight > 1000000)
		return 0;
	*line = (struct sd_slice){line->p + n + 1, line->n - n - 1};
	return (uint32_t)weight;
}

static enum sd_err parse(struct sd_slice line, struct sd_resp_reader *words, struct sd_error *e)
{
	static const struct sd_resp_limits limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, false};
	char *text = NULL;
	int n = asprintf(&text, "%.*s\n", (int)line.n, line.p);
	if (n < 0)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	/* a first byte of '*' would begin a request of another form */
	ssize_t took = *text == '*' ? SD_RESP_BAD : sd_resp_read(words, text, (size_t)n, &limits);
	enum sd_err err = took == n && words->argc ? SD_OK
						   : sd_fail(e, SD_EUSAGE, "expected a command such as \"9 GET key:{{key}}\", found \"%.*s\"",
							     (int)(line.n < 60 ? line.n : 60), line.p);
	free(text); /* words are the reader's own */
	return err;
}

static enum sd_err add_command(struct load_builder *b, struct sd_slice line, struct sd_error *e)
{
	struct load_request r = {.weight = take_weight(&line)};
	struct sd_resp_reader words = {0};
	enum sd_err err = SD_OK;
	if (!r.weight)
		err = sd_fail(e, SD_EUSAGE, "expected a weight from 1 to 1000000 and a command, found \"%.*s\"",
			      (int)(line.n < 60 ? line.n : 60), line.p);
	if (!err)
		err = parse(line, &words, e);
	if (!err)
		err = encode(&words, (size_t)sd_conf_int(b->conf, "size"), &r, e);
	if (!err && asprintf(&r.name, "%.*s", (int)(line.n < 200 ? line.n : 200), line.p) < 0)
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = load_plan_push(b, &r, e);
	if (err)
		free(r.bytes);
	sd_resp_reader_free(&words);
	return err;
}

static enum sd_err add_file(struct sd_world *w, struct load_builder *b, const char *file, struct sd_error *e)
{
	char *text = NULL;
	size_t n;
	enum sd_err err = sd_world_read_file(w, file, MAX_FILE, &text, &n, e);
	int number = 1;
	for (const char *p = text; !err && *p; number++) {
		size_t len = strcspn(p, "\n");
		size_t used = len && p[len - 1] == '\r' ? len - 1 : len;
		if (used && *p != '#' && (err = add_command(b, (struct sd_slice){p, used}, e)) != SD_OK)
			sd_wrap(e, "%s:%d", file, number);
		p += len + (p[len] == '\n');
	}
	if (!err && b->plan->nrequests == 0)
		err = sd_fail(e, SD_EINVAL, "%s: expected lines of [WEIGHT] COMMAND, found none", file);
	free(text);
	return err;
}

/* What belongs to HTTP alone. */
static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	static const char *const http[] = {"method", "body"};
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (sd_conf_has(conf, http[i]))
			return sd_fail(e, SD_EUSAGE, "--%s: only for http://; --command says what a cache is asked", http[i]);
	if (sd_conf_count(conf, "header"))
		return sd_fail(e, SD_EUSAGE, "--header: only for http://; --command says what a cache is asked");
	return SD_OK;
}

enum sd_err load_resp_commands(struct sd_world *w, struct load_builder *b, struct sd_error *e)
{
	static const char *const usual[] = {"9 GET key:{{key}}", "1 SET key:{{key}} {{value}}"};
	const char *file = sd_conf_string(b->conf, "requests-file");
	size_t n = sd_conf_count(b->conf, "command");
	enum sd_err err = check(b->conf, e);
	if (!err && file && n)
		err = sd_fail(e, SD_EUSAGE, "--command: not together with --requests-file");
	for (size_t i = 0; i < n && !err; i++)
		if ((err = add_command(b, sd_slice_of(sd_conf_list_item(b->conf, "command", i)), e)) != SD_OK)
			sd_wrap(e, "--command");
	if (!err && file)
		err = add_file(w, b, file, e);
	for (size_t i = 0; i < 2 && !n && !file && !err; i++)
		err = add_command(b, sd_slice_of(usual[i]), e);
	return err;
}
