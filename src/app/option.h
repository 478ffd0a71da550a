/* option.h - the option table: one row an option, and everything else comes out of the rows.
 *
 * The rows give the command line, the keys of the YAML/JSON file, SDLAB_* variables, --help, completion, the
 * OPTIONS part of the man page, --check-config, --print-config, and the error texts. Precedence: command line,
 * then environment, then file, then default.
 *
 *   row                           command line             file                       environment (applet lb)
 *   { "port", SD_OPT_PORT }       --port 80                port: 80                   SDLAB_LB_PORT=80
 *   { "health", SD_OPT_GROUP }    --health-interval 5s     health: {interval: 5s}     SDLAB_LB_HEALTH_INTERVAL=5s
 *   { "backends", SD_OPT_TABLE }  --backend HOST:PORT      backends:                  (none)
 *     with cli = "backend"        --backend address=HOST:PORT,weight=2 (repeatable)
 *                                                            - {address: HOST:PORT, weight: 2}
 *   { "verbose", SD_OPT_BOOL }    --verbose, --no-verbose  verbose: true              SDLAB_LB_VERBOSE=1
 */
#ifndef SD_APP_OPTION_H
#define SD_APP_OPTION_H

#include <stdbool.h>
#include <stdint.h>

enum sd_option_type {
	SD_OPT_END, /* ends a table */
	SD_OPT_BOOL,
	SD_OPT_INT,      /* signed 64 bit, decimal; min and max apply when they differ */
	SD_OPT_NUMBER,   /* double; min and max apply when they differ */
	SD_OPT_PERCENT,  /* "5%" or "0.05": a double from 0 to 1 */
	SD_OPT_STRING,   /* any text */
	SD_OPT_DURATION, /* "250ms", "5s", "10m", "1h30m"; a bare 0 is allowed; int64 nanoseconds */
	SD_OPT_SIZE,     /* "64KiB", "4MB", "512", "512B"; int64 bytes */
	SD_OPT_RATE,     /* "100/min", "10/s", "5/h": double, events a second */
	SD_OPT_PORT,     /* 0 to 65535; 0 lets the kernel choose */
	SD_OPT_ADDRESS,  /* "host:port", "[::1]:80", ":80", "unix:PATH", "inproc:NAME", or a service of the stack */
	SD_OPT_ENUM,     /* one of choices "a|b|c" */
	SD_OPT_FILE,     /* a path; relative ones are relative to the file that names them, else to the folder
			    we are in */
	SD_OPT_LIST,     /* list of strings; repeatable on the command line, or a YAML list, or "a,b" */
	SD_OPT_GROUP,    /* nested map; rows in sub */
	SD_OPT_TABLE,    /* list of maps; rows in sub; the first row is what a bare string means */
};

struct sd_option {
	const char *name; /* key in a file; words joined by '-' */
	enum sd_option_type type;
	const char *def;  /* default, as text; NULL: none (sd_conf_has is false, getters give 0, NULL or false) */
	const char *help; /* one line, lower case, no full stop: "where to listen" */
	bool reload;      /* a reload may change it */
	bool required; /* must have a value; of a group only when the group is required or any of it is given */
	bool secret; /* SD_OPT_STRING only: printed as *** */
	bool hidden; /* works, but is in no help, completion or man page */
	char letter; /* -p, 0 for none */
	int64_t min, max;
	const char *choices; /* SD_OPT_ENUM */
	const char *meta;    /* what the value is called in help; NULL: from the type */
	const char *cli;     /* name on the command line; NULL: name (tables want the singular) */
	const char *pattern; /* SD_OPT_LIST: NULL, or each item is taken as SD_OPT_ADDRESS ("address") or SD_OPT_FILE ("file");
				SD_OPT_STRING: NULL, or without a colon it is taken as SD_OPT_FILE ("file"), else as a URL */
	bool whole;          /* SD_OPT_LIST only: a text is one item, commas and all (a header line) */
	const struct sd_option *sub;
};

#endif
