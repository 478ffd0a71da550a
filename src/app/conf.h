/* conf.h - the values of an option table: parsed, checked, complete, immutable.
 *
 * A conf is made whole or not at all, so a reload either has a good one to swap in or an error to tell. It is
 * never changed afterwards and may be read from any thread.
 */
#ifndef SD_APP_CONF_H
#define SD_APP_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/err.h"
#include "doc.h"
#include "option.h"

struct sd_conf;

/* Where values come from, in rising precedence: the defaults of the table, then each of these that is set. */
struct sd_conf_sources {
	const char *applet;         /* for SDLAB_<APPLET>_*; '-' becomes '_' */
	const struct sd_doc *doc;   /* NULL: no file */
	const struct sd_node *node; /* the map inside doc to read; NULL: its root */
	const char *const
	    *ignore_keys; /* keys of the map that are not ours (a stack's "applet"), NULL-terminated */
	const char *const *environ; /* "NAME=value" strings, NULL-terminated; NULL: none */
	int argc;                   /* options of the command line, without the program and applet names */
	const char *const *argv;
	const struct sd_option
	    *elsewhere; /* options the caller took out of argv before, for did-you-mean; or NULL */
	/* names of a stack: translate a bare service name in an SD_OPT_ADDRESS into an address. Appends to
	 * out one or several addresses separated by ',' (a scaled service has several; in an SD_OPT_TABLE the
	 * row is repeated for each, its name suffixed -1, -2 ...; in an SD_OPT_LIST the item is; elsewhere
	 * several are an error); returns false when the name is not known. A row with a string "name" that is
	 * not set is called like the service. */
	bool (*resolve_name)(void *arg, const char *name, char *out, size_t out_size);
	void *resolve_arg;
};

/* Two tables are searched, as one: the applet's, then the one every service shares (either may be NULL).
 * Positional arguments are left: *operands receives pointers into argv, *noperands their number (at most
 * 64; both pointers may be NULL, then a positional is an error). "--" ends the options; "--name=value" and
 * "--name value" both work; -p VALUE and -pVALUE for letters; an option that may be abbreviated never is. A
 * word such as -5 is an operand. Of an option given twice the last wins; lists and tables add up. A value of
 * higher precedence wins whole: one --backend replaces all rows of the file. Variables of the environment
 * that are empty count as not set. A null in a file means an empty list, table or group, or no value; where
 * the table has a default for a single value it is an error. Unknown keys and options are errors, with the
 * nearest known name: did you mean --backend? Errors read "lb.yaml:12:5: interval: expected a duration such
 * as 5s, found \"soon\"", or "--port: expected ...". SD_EUSAGE: the command line is wrong; SD_EINVAL: the
 * file or the environment is; SD_ENOMEM. */
enum sd_err sd_conf_make(const struct sd_option *table, const struct sd_option *common,
			 const struct sd_conf_sources *from, struct sd_conf **out, const char **operands,
			 int *noperands, struct sd_error *e);
void sd_conf_free(struct sd_conf *conf);

/* Getters. `path` is a name, or "group.name". Asking for a name that is not in the table, or with the wrong
 * type, is a fault of the program and aborts. */
bool sd_conf_has(const struct sd_conf *conf, const char *path);    /* has a value, be it the default */
bool sd_conf_is_set(const struct sd_conf *conf, const char *path); /* by somebody: it is not the default */
bool sd_conf_bool(const struct sd_conf *conf, const char *path);
int64_t sd_conf_int(const struct sd_conf *conf, const char *path); /* INT, PORT, SIZE (bytes), DURATION (ns),
								      ENUM (index into choices), BOOL */
double sd_conf_number(const struct sd_conf *conf, const char *path); /* NUMBER, PERCENT, RATE (a second) */
const char *sd_conf_string(const struct sd_conf *conf, const char *path); /* STRING, ADDRESS, ENUM, FILE; NULL
									     when it has no value */
size_t sd_conf_count(const struct sd_conf *conf, const char *path);       /* LIST, TABLE */
const char *sd_conf_list_item(const struct sd_conf *conf, const char *path, size_t i);
const struct sd_conf *sd_conf_row(const struct sd_conf *conf, const char *path,
				  size_t i); /* TABLE; same getters */

/* Where a value came from, for messages: "lb.yaml:12:5", "--port", "SDLAB_LB_PORT", "default". */
const char *sd_conf_origin(const struct sd_conf *conf, const char *path);
/* The value itself, for messages about it, with its name once: "lb.yaml:12:5: port", "--port", "SDLAB_LB_PORT", "port" of a default. */
const char *sd_conf_at(const struct sd_conf *conf, const char *path);

/* The whole as YAML (what --print-config prints: every key with its value, the origin as a comment when
 * `origins`) or as JSON. Returns a string the caller frees, NULL when out of memory. The YAML without
 * comments reads back to the same conf, but for secrets. */
char *sd_conf_print_yaml(const struct sd_conf *conf, bool origins);
char *sd_conf_print_json(const struct sd_conf *conf);

/* Calls fn for each option that differs between the two and may not change in a reload. */
void sd_conf_diff_fixed(const struct sd_conf *before, const struct sd_conf *after,
			void (*fn)(void *arg, const char *path), void *arg);

#endif
