/* kv_look.c - get, dump and stats. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/units.h"
#include "kv.h"

/* ---- get ---- */

static void say_where(FILE *out, const struct sd_lsm_answer *f, const char *otherwise)
{
	fprintf(out, "(%s%s", f->where[0] ? (f->there ? "from " : "removed in ") : otherwise, f->where);
	if (f->spared.n > 0)
		fprintf(out, "; filters spared%s", f->spared.p);
	fputs(")\n", out);
}

static int say_found(const struct sd_verb_call *call, const struct sd_lsm_answer *f)
{
	bool raw = sd_conf_bool(call->conf, "raw");
	if (!f->there) {
		if (!raw)
			say_where(call->out, f, "not found");
		return 1;
	}
	if (raw) {
		fwrite(f->value.p, 1, f->value.n, call->out);
		return 0;
	}
	kv_print(call->out, (struct sd_slice){f->value.p, f->value.n});
	fputc(' ', call->out);
	say_where(call->out, f, "");
	return 0;
}

static enum sd_err find(struct sd_verb_call *call, struct sd_slice key, struct sd_lsm_answer *found, struct sd_error *e)
{
	struct sd_lsm_dir *d = NULL;
	if (kv_is_own(call))
		return kv_own_find(call, key, found, e);
	enum sd_err err = kv_open(call, &d, e);
	if (!err)
		err = kv_opens(call, e);
	if (!err)
		err = sd_lsm_dir_get(d, key, found, e);
	sd_lsm_dir_close(d);
	return err;
}

int kv_get(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_lsm_answer found = {0};
	char *key = strdup(call->args[1]);
	size_t n = key ? strlen(key) : 0;
	if (key && !kv_unescape(key, &n)) {
		free(key);
		fprintf(call->err, "sdlab kv get: KEY: expected \\t, \\n, \\r, \\\\ or \\xHH behind a backslash\n");
		return 2;
	}
	enum sd_err err = key ? find(call, (struct sd_slice){key, n}, &found, &e) : sd_fail(&e, SD_ENOMEM, "out of memory");
	int status = err ? kv_fail(call, "get", &e) : say_found(call, &found);
	sd_lsm_answer_free(&found);
	free(key);
	return status;
}

/* ---- dump ---- */

struct dump {
	struct sd_verb_call *call;
	struct sd_slice prefix;
	int64_t left; /* lines; < 0: any number */
};

static const char *kind_text(enum sd_lsm_kind kind)
{
	static const char *const texts[] = {"removed", "set", "set, ends", "set apart", "set apart, ends"};
	return kind < sizeof(texts) / sizeof(texts[0]) ? texts[kind] : "removed up to";
}

/* What is behind when a value ends is the value; where one lies that is kept apart is no text. */
static struct sd_slice value_of(enum sd_lsm_kind kind, struct sd_slice value)
{
	size_t head = sd_lsm_ends(kind) && value.n >= SD_LSM_ENDS ? SD_LSM_ENDS : 0;
	bool apart = kind == SD_LSM_BLOB || kind == SD_LSM_ENDING_BLOB;
	return apart ? (struct sd_slice){NULL, 0} : (struct sd_slice){value.p + head, value.n - head};
}

/* A line; SD_ECANCELED: that was the last one. */
static enum sd_err dump_line(struct dump *d, struct sd_slice user, const char *before, struct sd_slice value, struct sd_error *e)
{
	FILE *out = d->call->out;
	bool inside = user.n >= d->prefix.n && (d->prefix.n == 0 || memcmp(user.p, d->prefix.p, d->prefix.n) == 0);
	if (d->left == 0 || !inside)
		return SD_ECANCELED; /* keys come in order: nothing more can begin so */
	d->left--;
	errno = 0;
	fputs(before, out);
	kv_print(out, user);
	fputc('\t', out);
	kv_print(out, value);
	fputc('\n', out);
	return !ferror(out) ? SD_OK : errno == EPIPE ? SD_ECANCELED : sd_fail(e, SD_EIO, "cannot write to standard output");
}

static enum sd_err dump_write(struct sd_lsm_walk *w, struct sd_slice internal, struct sd_slice value, struct sd_error *e)
{
	enum sd_lsm_kind kind = sd_lsm_kind(internal);
	char before[64] = "";
	if (w->all)
		snprintf(before, sizeof(before), "%" PRIu64 "\t%s\t", sd_lsm_seq(internal), kind_text(kind));
	return dump_line(w->arg, sd_lsm_user(internal), before, value_of(kind, value), e);
}

static enum sd_err dump_own(void *arg, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	return dump_line(arg, key, "", value, e);
}

static enum sd_err walk_dir(struct sd_verb_call *call, struct sd_lsm_walk *walk, struct sd_error *e)
{
	struct sd_lsm_dir *dir = NULL;
	enum sd_err err = kv_open(call, &dir, e);
	if (!err)
		err = kv_opens(call, e);
	if (!err)
		err = sd_lsm_dir_walk(dir, walk, e);
	sd_lsm_dir_close(dir);
	return err;
}

static bool operand(const struct sd_verb_call *call, const char *name, char **p, struct sd_slice *s)
{
	const char *text = sd_conf_string(call->conf, name);
	*s = (struct sd_slice){NULL, 0};
	*p = text ? strdup(text) : NULL;
	if (!*p)
		return true;
	size_t n = strlen(*p);
	if (!kv_unescape(*p, &n)) {
		fprintf(call->err, "sdlab kv dump: --%s: expected \\t, \\n, \\r, \\\\ or \\xHH behind a backslash\n", name);
		return false;
	}
	*s = (struct sd_slice){*p, n};
	return true;
}

static int dump(struct sd_verb_call *call, struct sd_slice from, struct sd_slice prefix)
{
	struct sd_error e = {0};
	struct dump d = {call, prefix, sd_conf_has(call->conf, "limit") ? sd_conf_int(call->conf, "limit") : -1};
	struct sd_lsm_walk walk = {.from = from, .all = sd_conf_bool(call->conf, "all"), .each = dump_write, .arg = &d};
	enum sd_err err = kv_is_own(call) && !walk.all ? kv_own_walk(call, from, dump_own, &d, &e) : walk_dir(call, &walk, &e);
	return err && err != SD_ECANCELED ? kv_fail(call, "dump", &e) : 0;
}

int kv_dump(struct sd_verb_call *call)
{
	char *from_text = NULL, *prefix_text = NULL;
	struct sd_slice from, prefix;
	int status = 2;
	if (operand(call, "from", &from_text, &from) && operand(call, "prefix", &prefix_text, &prefix))
		status = dump(call, sd_lsm_bytewise(from, prefix) < 0 ? prefix : from, prefix);
	free(from_text);
	free(prefix_text);
	return status;
}

/* ---- stats ---- */

#define BAR 40

static void draw(FILE *out, uint64_t bytes, uint64_t most)
{
	uint64_t n = most ? (bytes * BAR + most - 1) / most : 0;
	for (uint64_t i = 0; i < n; i++)
		fputs("#", out);
	fputc('\n', out);
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void stats_text(FILE *out, const struct sd_lsm_dir *d)
{
	const struct sd_lsm_version *v = &d->version;
	uint64_t most = 0, sum = 0, tables = 0;
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		uint64_t bytes = sd_lsm_level_bytes(&v->levels[i]);
		most = bytes > most ? bytes : most;
		sum += bytes;
		tables += v->levels[i].n;
	}
	fprintf(out, "level  tables       MiB\n");
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		uint64_t bytes = sd_lsm_level_bytes(&v->levels[i]);
		fprintf(out, "L%u     %6zu  %8.2f  ", i, v->levels[i].n, mib(bytes));
		draw(out, bytes, most);
	}
	fprintf(out, "all    %6" PRIu64 "  %8.2f\n\n", tables, mib(sum));
	fprintf(out, "logs       %zu, %.2f MiB, %zu writes that are in no table yet\n", d->nlogs, mib(d->log_bytes), d->nwrites);
	fprintf(out, "writes     %" PRIu64 " so far\n", v->last_seq);
	fprintf(out, "manifest   %s\n", d->manifest);
}

static void stats_json(FILE *out, const struct sd_lsm_dir *d)
{
	cJSON *tree = cJSON_CreateObject(), *levels = cJSON_AddArrayToObject(tree, "levels");
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		cJSON *l = cJSON_CreateObject();
		cJSON_AddNumberToObject(l, "tables", (double)d->version.levels[i].n);
		cJSON_AddNumberToObject(l, "bytes", (double)sd_lsm_level_bytes(&d->version.levels[i]));
		cJSON_AddItemToArray(levels, l);
	}
	cJSON_AddNumberToObject(tree, "logs", (double)d->nlogs);
	cJSON_AddNumberToObject(tree, "log_bytes", (double)d->log_bytes);
	cJSON_AddNumberToObject(tree, "log_writes", (double)d->nwrites);
	cJSON_AddNumberToObject(tree, "last_sequence", (double)d->version.last_seq);
	cJSON_AddStringToObject(tree, "manifest", d->manifest);
	char *text = cJSON_PrintUnformatted(tree);
	if (text)
		fprintf(out, "%s\n", text);
	cJSON_free(text);
	cJSON_Delete(tree);
}

int kv_stats(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_lsm_dir *d;
	if (kv_open(call, &d, &e))
		return kv_fail(call, "stats", &e);
	(sd_conf_bool(call->conf, "json") ? stats_json : stats_text)(call->out, d);
	sd_lsm_dir_close(d);
	return 0;
}
