/* sim.h - what the files of sim share.
 *
 *	sim.c            its face
 *	sim_machine.c    `sim machine`: reads, measures, reports
 *	sim_loopback.c   what a connection inside the machine costs
 *	sim_text.c       the table that a person reads
 *	sim_json.c       the same for programs
 */
#ifndef SIM_H
#define SIM_H

#include "app/applet.h"
#include "world/machine.h"

/* How long an ended connection keeps its local port (TIME_WAIT of Linux, not to be changed). */
#define SIM_TIME_WAIT_S 60

/* How much is measured. */
struct sim_size {
	int64_t copy_bytes, copy_ns;         /* memory */
	size_t syncs;                        /* at most so many commits, */
	int64_t sync_ns;                     /* and so long */
	int64_t write_bytes, write_ns;       /* log */
	int64_t loopback_ns;                 /* each of the three */
};

/* What came of it; each may be SD_UNKNOWN. */
struct sim_measured {
	int64_t copy_bytes, copy_rate;          /* at a time; bytes a second */
	int64_t syncs, sync_p50_ns, sync_p99_ns, commits_rate;
	int64_t write_rate;                     /* bytes a second */
	int64_t connect_rate;                   /* a second */
	int64_t trip_rate, trip_p50_ns, trip_p99_ns;
	int64_t stream_rate;                    /* bytes a second */
	int64_t clock_read_ns;
};

struct sim_report {
	struct sd_machine machine;
	struct sd_machine_fs fs;
	struct sim_measured measured;
	const char *dir; /* where the disk was tried */
	char why[512];   /* the disk, or the loopback, could not be measured; "" otherwise */
};

/* Of the facts above. */
int64_t sim_tasks(const struct sd_machine *m);        /* processes and threads that we may have */
int64_t sim_ports(const struct sd_machine *m);        /* local ports */
int64_t sim_cores_milli(const struct sd_machine *m);  /* cores we may use, in thousandths */
int64_t sim_memory(const struct sd_machine *m);       /* bytes we may use */

/* sim_machine.c */
int sim_machine(struct sd_verb_call *call);

/* sim_loopback.c: each takes about budget_ns and leaves *out alone when nothing could be measured. */
enum sd_err sim_loopback_measure(struct sd_world *w, int64_t budget_ns, struct sim_measured *out, struct sd_error *e);

/* sim_text.c, sim_json.c */
void sim_text_report(FILE *out, const struct sim_report *r);
enum sd_err sim_json_report(FILE *out, const struct sim_report *r, struct sd_error *e);

#endif
