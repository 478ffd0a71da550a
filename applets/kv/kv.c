/* kv - a key-value store on the disk as a service, and verbs that look into the folders of stores. Its face. */
#include "kv.h"

#include <stdlib.h>

#include "client/kv_cli.h"
#include "core/utf8.h"

static const struct sd_option get_options[] = {
    {"raw", SD_OPT_BOOL, "false", "print the value alone, byte for byte"},
    {0},
};

static const struct sd_option dump_options[] = {
    {"from", SD_OPT_STRING, NULL, "begin with this key, or the first behind it", .meta = "KEY"},
    {"prefix", SD_OPT_STRING, NULL, "only keys that begin so", .meta = "KEY"},
    {"limit", SD_OPT_INT, NULL, "so many lines at most", .min = 1, .max = INT64_MAX},
    {"all", SD_OPT_BOOL, "false", "every write with its number: removals too, and what was overwritten"},
    {0},
};

static const struct sd_option stats_options[] = {
    {"json", SD_OPT_BOOL, "false", "print one JSON object"},
    {0},
};

static const struct sd_verb verbs[] = {
    {"get", "DIR KEY", "print a value and where it was found", get_options, 2, 2, kv_get},
    {"dump", "DIR", "print keys and values, a line each", dump_options, 1, 1, kv_dump},
    {"stats", "DIR", "print the levels, their tables and what waits in logs", stats_options, 1, 1, kv_stats},
    {"check", "DIR", "read everything and say whether all is well, or what is not", NULL, 1, 1, kv_check},
    {"import", "DIR", "make a store of the lines on standard input: key, tab, value", NULL, 1, 1, kv_import},
    {"repair", "DIR NEW", "make a new store of what can be read of a damaged one, which stays as it is", NULL, 2, 2, kv_repair},
    {"compact", "DIR", "merge all tables, and say what was done", NULL, 1, 1, kv_compact},
    {"checkpoint", "DIR NEW", "make another folder with the same store, which shares its tables", NULL, 2, 2, kv_checkpoint},
    {"cli", "[COMMAND [ARGUMENT...]]", "send a server a command, and say where its answer came from: GET KEY, SET KEY VALUE, COMPACT, ...",
     kv_cli_options, 0, -1, kv_cli, .words = true},
    {"bench", NULL, "measure a server, or with --dir the engine in this process", kv_bench_options, 0, 0, kv_bench},
    {"top", NULL, "show levels, memory, write amplification, cache hits and stalls of a server, again and again", kv_top_options, 0, 0, kv_top},
    {0},
};

int kv_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e)
{
	fprintf(call->err, "sdlab kv %s: %s\n", verb, e->text);
	return 1;
}

enum sd_err kv_open(const struct sd_verb_call *call, struct sd_lsm_dir **d, struct sd_error *e)
{
	enum sd_err err = sd_lsm_dir_open(call->world, call->args[0], d, e);
	if (!err && (*d)->notes.n > 0)
		fputs((*d)->notes.p, call->err);
	return err;
}

/* ---- text ---- */

static const char *short_form(unsigned char c)
{
	switch (c) {
	case '\t': return "\\t";
	case '\n': return "\\n";
	case '\r': return "\\r";
	case '\\': return "\\\\";
	default: return NULL;
	}
}

/* Bytes of the character that may go to a terminal as it is; 0: a control character (those of Latin 1 too), or none. */
static size_t printable(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t length = c < 0x20 || c == 0x7f ? 0 : sd_utf8_length(p, n);
	return length == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0 ? 0 : length;
}

void kv_print(FILE *out, struct sd_slice s)
{
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = printable(s.p + i, s.n - i);
		const char *brief = short_form(c);
		if (brief)
			fputs(brief, out);
		else if (n > 0)
			fwrite(s.p + i, 1, n, out);
		else
			fprintf(out, "\\x%02x", c);
		i += brief || n == 0 ? 1 : n;
	}
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands behind a backslash; the bytes it takes, 0: nothing that is known. */
static size_t escaped(const char *p, size_t n, char *c)
{
	static const char from[] = "tnr\\", to[] = "\t\n\r\\";
	const char *at = n > 0 && *p ? strchr(from, *p) : NULL;
	if (at) {
		*c = to[at - from];
		return 1;
	}
	if (n < 3 || *p != 'x' || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
		return 0;
	*c = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
	return 3;
}

bool kv_unescape(char *p, size_t *n)
{
	size_t to = 0;
	for (size_t i = 0; i < *n; i++) {
		if (p[i] == '\\') {
			size_t used = escaped(p + i + 1, *n - i - 1, &p[to]);
			if (!used)
				return false;
			i += used;
			to++;
		} else {
			p[to++] = p[i];
		}
	}
	*n = to;
	return true;
}

static const struct sd_alias aliases[] = {{"kv-bench", "bench"}, {"kv-cli", "cli"}, {"lsm-kv", NULL}, {0}};

const struct sd_applet sd_applet_kv = {
    .name = "kv",
    .tag = "LSM",
    .summary = "a key-value store on the disk that Redis clients can use",
    .description = "Keeps strings by key in a folder, in a log-structured merge tree: logs of what was written last, tables of what was "
		   "written before, in levels, and a manifest that says which. It speaks the protocol of Redis, and what it said OK to "
		   "is on the disk. Its verbs look into such folders, whoever wrote them: sdlab, LevelDB, or a program that has LevelDB in it.",
    .examples = "sdlab kv --data-dir ./kv-data\n"
		"sdlab kv cli SET user:1 Alice\n"
		"sdlab kv cli GET user:1\n"
		"printf 'user:1\\tAlice\\nuser:2\\tBob\\n' | sdlab kv import /tmp/store\n"
		"sdlab kv get /tmp/store user:1\n"
		"sdlab kv dump /tmp/store --prefix user:\n"
		"sdlab kv stats /tmp/store\n"
		"sdlab kv check /tmp/store",
    .next = "sdlab kv cli SET greeting hello",
    .verbs = verbs,
    .aliases = aliases,
    .options = kv_options,
    .service = &kv_service,
    .check = kv_conf_check,
};
