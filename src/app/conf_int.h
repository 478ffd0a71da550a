/* conf_int.h - what the files of the configuration share; for src/app only.
 *
 *   conf_make.c   sources in rising precedence, rows, what is required
 *   conf_args.c   the command line
 *   conf_value.c  one value from text or from a node of a document
 *   conf_type.c   what each type accepts, and how it is written
 *   conf_print.c  YAML and JSON
 *   conf_get.c    getters and the difference of two
 *   conf_mem.c    memory
 *   conf_rows.c   rows of tables
 *   conf_quote.c  what was found, fit to be shown
 *   option.c      walking option tables
 */
#ifndef SD_APP_CONF_INT_H
#define SD_APP_CONF_INT_H

#include "conf.h"
#include "core/suggest.h"
#include "core/units.h"

/* ---- memory: everything of a conf, rows and groups too, is freed at once ---- */

struct sd_conf_block {
	_Alignas(max_align_t) struct sd_conf_block *next;
};
struct sd_conf_mem {
	struct sd_conf_block *blocks;
};

/* Zeroed; NULL when out of memory. */
void *sd_conf_alloc(struct sd_conf_mem *mem, size_t count, size_t size);
char *sd_conf_text(struct sd_conf_mem *mem, const char *text, size_t n);
char *sd_conf_textf(struct sd_conf_mem *mem, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sd_conf_mem_free(struct sd_conf_mem *mem);

/* ---- values ---- */

/* Where a value stands; the greater wins. */
enum sd_conf_rank { SD_CONF_DEFAULT, SD_CONF_FILE, SD_CONF_ENV, SD_CONF_ARGS };

struct sd_conf_value {
	const struct sd_option *opt;
	enum sd_conf_rank rank;
	bool has;
	const char *origin;    /* NULL: default */
	const char *place;     /* the same, for messages; NULL: default */
	int64_t i;             /* BOOL, INT, PORT, SIZE, DURATION, ENUM */
	double d;              /* NUMBER, PERCENT, RATE */
	const char *text;      /* STRING, ADDRESS, ENUM, FILE */
	size_t count, room;    /* LIST, TABLE */
	const char **items;    /* LIST */
	struct sd_conf **rows; /* TABLE */
	struct sd_conf *group; /* GROUP: always there */
};

struct sd_conf {
	struct sd_conf_mem mem; /* used in the outermost only */
	size_t count;
	struct sd_conf_value *values;
};

/* ---- making ---- */

struct sd_conf_maker {
	struct sd_conf_mem *mem;
	const struct sd_conf_sources *from;
	struct sd_error *e;
	/* The row in hand: when an address in it names a service with several, the row is made once for each.
	 */
	struct sd_conf_pick {
		bool in_row;
		size_t index, count;
		const char *service; /* NULL: no address of the row was a name */
	} pick;
};

/* Where the value in hand comes from: for messages, and its origin. */
struct sd_conf_place {
	enum sd_conf_rank rank;
	const struct sd_doc *doc;   /* FILE */
	const struct sd_node *node; /* FILE */
	const char *name;           /* ENV: "SDLAB_LB_PORT"; ARGS: "--port" */
	const char *key;            /* FILE: the key; ARGS: the key within a row, or NULL */
};

/* "SDLAB_LB_PORT" of "sdlab", "lb-port", or of "SDLAB_LB" and "port". */
void sd_conf_env_name(char *out, size_t size, const char *prefix, const char *name);

/* A conf with nothing in it; sub-tables of groups included. NULL when out of memory. */
struct sd_conf *sd_conf_blank(struct sd_conf_mem *mem, const struct sd_option *table,
			      const struct sd_option *common);

enum sd_err sd_conf_set_defaults(struct sd_conf_maker *m, struct sd_conf *conf);
/* What is required must have a value; within a group only when the group is required or has any value set. */
enum sd_err sd_conf_check_required(struct sd_conf_maker *m, const struct sd_conf *conf,
				   const struct sd_conf_place *at);

/* Required, and without a value; an empty list or table is none. */
bool sd_conf_is_missing(const struct sd_conf_value *v);

/* "<place>: <formatted>". SD_EUSAGE for the command line, else SD_EINVAL. A bad default aborts. */
enum sd_err sd_conf_fail(struct sd_conf_maker *m, const struct sd_conf_place *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum sd_err sd_conf_no_memory(struct sd_conf_maker *m);

/* "expected a duration such as 5s, found <found>". */
enum sd_err sd_conf_unexpected(struct sd_conf_maker *m, const struct sd_conf_place *at,
			       const struct sd_option *opt, const char *found);

/* Gives a value its text; for a LIST that of several items, for a TABLE that of one row. A second call of the
 * same rank adds to a LIST or TABLE; one of a higher rank starts anew. */
enum sd_err sd_conf_set_text(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			     const char *text);
enum sd_err sd_conf_set_node(struct sd_conf_maker *m, struct sd_conf_value *v,
			     const struct sd_conf_place *at);

/* Adds the row (or rows) that `text` or, when it is NULL, at->node describes. */
enum sd_err sd_conf_add_row(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			    const char *text);
/* Every key of the map at->node. */
enum sd_err sd_conf_apply_map(struct sd_conf_maker *m, struct sd_conf *conf, const struct sd_conf_place *at,
			      const char *const *ignore_keys);
/* The whole command line; operands and noperands may be NULL, then an operand is an error. */
enum sd_err sd_conf_apply_args(struct sd_conf_maker *m, struct sd_conf *conf, const char **operands,
			       int *noperands);

/* ---- types ---- */

enum sd_conf_store {
	SD_STORE_INT,
	SD_STORE_REAL,
	SD_STORE_TEXT,
	SD_STORE_LIST,
	SD_STORE_GROUP,
	SD_STORE_TABLE
};

struct sd_conf_type {
	const char *meta;     /* in help: "PORT" */
	const char *expected; /* "a duration such as 5s" */
	enum sd_conf_store store;
	bool bare; /* a word of its own in a file: never in quotes */
	/* Fills i, d or text (which then points into `text` or the table); SD_EINVAL or SD_ERANGE. */
	enum sd_err (*parse)(struct sd_conf_value *v, const char *text);
	/* Writes i or d back as text. NULL: it is in text. */
	char *(*format)(const struct sd_conf_value *v, char out[SD_UNIT_TEXT]);
};

const struct sd_conf_type *sd_conf_type_of(const struct sd_option *opt);
/* Parses, and checks min and max. */
enum sd_err sd_conf_type_parse(struct sd_conf_value *v, const char *text);
/* "a whole number from 1 to 64". Cut to fit. */
char *sd_conf_type_expected(const struct sd_option *opt, bool names, char *out, size_t size);
bool sd_conf_address_ok(const char *text);

/* ---- looking up ---- */

/* The i-th choice of "a|b|c", or false. */
bool sd_option_choice(const char *choices, size_t i, const char **text, size_t *n);
/* What it is called on the command line, without its group. */
const char *sd_option_arg(const struct sd_option *opt);
/* An option of the second table that the first has too: the first's is the one that counts. */
bool sd_option_shadowed(const struct sd_option *table, const struct sd_option *opt);
/* The value of an option "health-interval" of the command line, or NULL. */
struct sd_conf_value *sd_conf_find_arg(const struct sd_conf *conf, const char *name, size_t n);
/* The option of a letter, or NULL. */
struct sd_conf_value *sd_conf_find_letter(const struct sd_conf *conf, char letter);
/* How many words the option that `arg` begins takes: 1 or 2; 0 when it is no option. `conf` may be blank. */
int sd_conf_arg_width(const struct sd_conf *conf, const char *arg);
/* Is it an option that there is? Of letters only when it stands alone. */
bool sd_conf_knows_arg(const struct sd_conf *conf, const char *arg);

/* Calls fn for each option that is not a group with its full names: on the command line ("health-interval")
 * and in a file ("health.interval"). Groups are opened; rows of tables are not. */
typedef void sd_option_fn(void *arg, const struct sd_option *opt, const char *arg_name, const char *path);
void sd_option_walk(const struct sd_option *table, sd_option_fn *fn, void *arg); /* table may be NULL */
void sd_option_walk_one(const struct sd_option *opt, sd_option_fn *fn, void *arg);

/* ---- printing ---- */

/* "\"text\"" with what cannot be shown escaped, and cut when it is long. */
char *sd_conf_quote(const char *text, char *out, size_t size);
bool sd_conf_is_utf8(const char *text);

#endif
