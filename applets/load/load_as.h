/* load_as.h - the manners of ab, wrk and hey: their flags in, their report out, our generator between.
 *
 *	load_as.c       flags of three styles, from one kind of table; what they come to, as options of `sdlab load`; a run
 *	load_as_ab.c    ApacheBench 2.3
 *	load_as_wrk.c   wrk 4, and the --rate of wrk2
 *	load_as_hey.c   hey 0.1
 *
 * Reports go to standard output in the shape of the tool, so that what reads them goes on working; what we have to say
 * about them goes to standard error, one line each. Exit status: 2 for wrong flags, 1 for a run that the tool would have
 * given up, else what the tool does.
 */
#ifndef LOAD_AS_H
#define LOAD_AS_H

#include <stddef.h>

#include "load.h"

struct load_as;
struct load_flag;

/* What a flag does with its value ("true" for one that takes none, unless somebody said -flag=false). */
typedef enum sd_err load_take(struct load_as *as, const struct load_flag *flag, const char *value, struct sd_error *e);

struct load_flag {
	char letter;      /* 0: none */
	const char *word; /* NULL: none */
	const char *meta; /* what its value is called; NULL: it takes none */
	load_take *take;
	const char *help; /* one line */
	const char *text; /* for `take` */
	size_t at;        /* for `take`: of the field of struct load_as */
};
#define LOAD_AT(field) offsetof(struct load_as, field)

enum load_style {
	LOAD_LETTERS, /* -k -n 5 -n5 -kn5; flags end at the first operand */
	LOAD_LONG,    /* that, and --word=5 --word 5, also behind the operand */
	LOAD_GO       /* -word=5 -word 5 --word 5; flags end at the first operand */
};

struct load_manner {
	const char *name, *usage;
	const char *as; /* "ApacheBench 2.3" */
	enum load_style style;
	const struct load_flag *flags; /* ended by a row without letter and word */
	/* Looks at the flags as a whole. NULL: nothing to look at. */
	enum sd_err (*check)(struct load_as *as, struct sd_error *e);
	void (*adjust)(struct load_as *as, struct load_plan *plan); /* NULL: nothing */
	void (*begin)(struct load_as *as, const struct load_plan *plan); /* says what comes; NULL: nothing */
	struct load_progress progress; /* fn NULL: nobody looks; its arg will be the load_as */
	int (*report)(struct load_as *as, const struct load_plan *plan, const struct load_result *r); /* exit status */
};

struct load_as {
	struct sd_verb_call *call;
	const struct load_manner *m;
	/* options of `sdlab load`, each a string of ours */
	char **args;
	size_t nargs, room;
	const char *url;
	/* what flags come to */
	int64_t requests, conns, threads, duration_ns, timeout_ns; /* 0: not said */
	double rate, worker_rate;
	const char *method, *body, *body_file, *content_type, *csv, *gnuplot, *output;
	bool keep_alive, no_keep_alive, quiet, lenient, any_length, no_percentiles, no_deviation, latency, help, version;
	uint64_t next_mark; /* of the progress that is told in lines */
};

/* Runs a manner whose defaults are in *as; the exit status. */
int load_as_run(struct load_as *as);

/* Adds an option of `sdlab load`: "--header=Cookie: %s". */
enum sd_err load_as_add(struct load_as *as, struct sd_error *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- what flags do ---- */
load_take load_take_true;   /* bool at */
load_take load_take_text;   /* const char * at */
load_take load_take_count;  /* int64_t at: from 1; also with k, M or G behind */
load_take load_take_rate;   /* double at: above 0; as above */
load_take load_take_time;   /* int64_t at, in ns: a number of seconds, or with a unit */
load_take load_take_header; /* a header line: the text and the value */
load_take load_take_auth;   /* USER:PASSWORD as basic authentication */
load_take load_take_body;   /* the file is the body, the text is the method */
load_take load_take_method; /* the text is the method */
load_take load_take_nothing;
load_take load_take_refuse; /* the text says why, or what else to do */

/* "name: note: ..." on standard error. */
void load_as_note(const struct load_as *as, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- load_as_*.c: as sd_manner.run ---- */
int load_as_ab(struct sd_verb_call *call);
int load_as_wrk(struct sd_verb_call *call);
int load_as_hey(struct sd_verb_call *call);

#endif
