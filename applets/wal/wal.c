/* wal - shows, checks, salvages and writes the logs that parts keep. Its face. */
#include "wal.h"

#include "app/applet.h"

static const struct sd_option dump_options[] = {
    {"json", SD_OPT_BOOL, "false", "print a JSON object a line"},
    {"from", SD_OPT_INT, NULL, "begin with this record", .min = 1, .max = INT64_MAX, .meta = "SEQ"},
    {"type", SD_OPT_INT, NULL, "only records of this type", .min = 0, .max = 255},
    {"full", SD_OPT_BOOL, "false", "print all bytes of each record, not only the first 64"},
    {0},
};

static const struct sd_option append_options[] = {
    {"name", SD_OPT_STRING, NULL, "what the log is called; a new one is called log"},
    {"type", SD_OPT_INT, "0", "the type of the records", .min = 0, .max = 255},
    {"sync", SD_OPT_ENUM, "always", "when a line is acknowledged: on the disk, or when the kernel has it",
     .choices = "always|interval|never"},
    {"segment-size", SD_OPT_SIZE, "64MiB", "how large a segment becomes", .min = 4096, .max = 1 << 30},
    {0},
};

static const struct sd_verb verbs[] = {
    {"append", "DIR", "append lines from standard input, and acknowledge each", append_options, 1, 1, wal_append},
    {"dump", "FILE|DIR", "print the records", dump_options, 1, 1, wal_dump},
    {"check", "FILE|DIR", "say whether all is well: ok, a torn tail, or damage with its place", NULL, 1, 1, wal_check},
    {"salvage", "DIR NEWDIR", "copy what is readable to a new log", NULL, 2, 2, wal_salvage},
    {0},
};

int wal_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e)
{
	fprintf(call->err, "sdlab wal %s: %s\n", verb, e->text);
	return 1;
}

const struct sd_applet sd_applet_wal = {
    .name = "wal",
    .summary = "look into the logs that parts keep; check and salvage them",
    .description = "The parts that promise to lose nothing keep a log: a folder of segments, described in sdlab-wal(5). dump and "
		   "check only read, also while somebody writes. append makes a log by hand, to try things.",
    .examples = "printf 'one\\ntwo\\n' | sdlab wal append /tmp/log\n"
		"sdlab wal dump /tmp/log\n"
		"sdlab wal check /tmp/log\n"
		"sdlab wal salvage /tmp/log /tmp/new",
    .verbs = verbs,
};
