/* history.h - what clients of a system saw, and whether one atomic object could have shown it to them.
 *
 * A history is a list of operations: who asked what of which key, when it was asked, when it was answered,
 * and what the answer was. It is linearizable when each operation can be given one moment between its
 * invocation and its answer, so that one operation after the other, in the order of these moments, is what a
 * single object without concurrency would do (Herlihy and Wing, "Linearizability: A Correctness Condition for
 * Concurrent Objects", 1990).
 *
 * The checker is the search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), which
 * remembers the configurations it has been in (Lowe, "Testing for linearizability", 2017) and takes each key
 * alone, because a history is linearizable when its part for each key is (Herlihy and Wing; Horn and
 * Kroening, "Faster linearizability checking via P-compositionality", 2015). The problem is NP-complete; so
 * there is a budget of steps and one of memory, and a third verdict.
 *
 * No I/O, no clock, no threads. A history belongs to one thread at a time; checking does not change it.
 */
#ifndef SDLAB_HISTORY_H
#define SDLAB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- operations ---- */

#define SD_NIL INT64_MIN /* as argument or result: no value, as for a key that does not exist; null in text  \
			  */
#define SD_NEVER INT64_MAX /* as time of the answer: there was none */

enum sd_outcome {
	SD_OUTCOME_UNKNOWN, /* no answer, or one that tells nothing: it may take effect at any later moment,
			       or never */
	SD_OUTCOME_OK,      /* it took effect between invocation and answer, with this result */
	SD_OUTCOME_FAILED,  /* it surely took no effect, and never will */
};

/* Times are of any unit, from 0, and only compared: nanoseconds of one clock, or positions in a log. Where an
 * answer and an invocation have the same time, the two operations count as overlapping. */
struct sd_operation {
	int64_t invoked;
	int64_t answered; /* SD_NEVER when the outcome is unknown */
	int64_t arg[2];   /* as many as its kind has; the rest is 0 */
	int64_t result;   /* with outcome ok, when its kind has a result; otherwise SD_NIL */
	uint32_t client;  /* who asked; told to people, not used by the checker */
	uint32_t key;     /* for sd_history_key */
	uint8_t kind;     /* index into kinds[] of the model */
	uint8_t outcome;  /* enum sd_outcome */
};

/* ---- models: what one object without concurrency does ---- */

enum sd_answer {
	SD_ANSWER_NONE,  /* "done" is the whole answer */
	SD_ANSWER_VALUE, /* a number, or SD_NIL */
	SD_ANSWER_YESNO, /* 1 or 0 */
};

struct sd_lin_kind {
	const char *name; /* as in text: "read"; letters, digits, - and _ */
	uint8_t nargs;    /* 0 to 2 */
	enum sd_answer answer;
};

enum {
	SD_LIN_KINDS_MOST = 16,
	SD_LIN_GROWTH = 3, /* words of a first state, and by which one operation may lengthen it */
};

/* Traits of an operation together with its result. */
enum {
	/* Changes no state, whatever the state: a read, a compare-and-set that said no. */
	SD_LIN_PURE = 1,
	/* When it is possible now, taking it now loses nothing: if the operations that are left have an
	 * order, they also have one that begins with it (or with one like it that was answered earlier). What
	 * is pure is also eager. */
	SD_LIN_EAGER = 2,
};

/* A model of one's own is a table like those below. A state is an array of words; two states are the same
 * when their words are, so a model must write equal states equally. */
struct sd_lin_model {
	const char *name;
	const struct sd_lin_kind *kinds; /* ends with a row without name; at most SD_LIN_KINDS_MOST */
	/* Writes the first state, 0 to SD_LIN_GROWTH words; returns how many. */
	size_t (*init)(int64_t *state);
	/* Whether the operation is possible in `state` of n words with its result; if so, writes the state
	 * after it (room: n + SD_LIN_GROWTH) and its length. With outcome unknown the result is whatever it
	 * would be; false also when it would change nothing. */
	bool (*step)(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
		     size_t *nnext);
	/* SD_LIN_ bits for this operation with its outcome and result; for outcome unknown those that hold
	 * for every result. */
	unsigned (*traits)(const struct sd_operation *op);
	/* Optional. Which operations are best tried early, smallest first; only speed depends on it. NULL:
	 * those that were answered first. */
	void (*rank)(const struct sd_operation *ops, size_t n, int64_t *rank);
	/* Optional. For making a violation short: numbers sets of operations (from 1; 0: none) each of which
	 * may go, because whenever a history with it is linearizable, then also without it. Pure operations
	 * need no set. False: out of memory. */
	bool (*sets)(const struct sd_operation *ops, size_t n, uint32_t *set);
	/* What is known of a state, for people: "5", "held by 2". */
	void (*describe)(const int64_t *state, size_t n, char *text, size_t size);
};

/* read -> value; write(value); cas(old, new) -> yes or no. Absent (SD_NIL) at first; write(SD_NIL) deletes.
 */
extern const struct sd_lin_model sd_lin_register;
/* add(n) -> value after it, or SD_NIL if not told; read -> value. 0 at first. */
extern const struct sd_lin_model sd_lin_counter;
/* The key is one element of a set: add -> whether it was missing; remove -> whether it was there; contains ->
 * yes or no. Missing at first. */
extern const struct sd_lin_model sd_lin_set;
/* First in, first out: enqueue(value); dequeue -> value, or SD_NIL when empty. Empty at first. */
extern const struct sd_lin_model sd_lin_queue;
/* acquire(owner) -> yes or no; release(owner) -> whether owner held it. A lease that may run out is a release
 * with outcome unknown, invoked at the first moment at which it may. */
extern const struct sd_lin_model sd_lin_lock;
/* acquire(owner) -> fencing token, larger than every earlier one, or SD_NIL when somebody has it;
 * release(owner, token) -> whether it was held with this token. SD_NIL as token: whatever the owner's token
 * is. */
extern const struct sd_lin_model sd_lin_fenced_lock;

/* ---- recording ---- */

struct sd_history;

enum {
	SD_HISTORY_KEY_MOST = 255,   /* bytes of a key */
	SD_HISTORY_MOST = 1 << 24,   /* operations */
	SD_HISTORY_LINE_MOST = 4096, /* bytes of a line of text */
};

/* NULL: out of memory. The model must live as long as the history. */
struct sd_history *sd_history_new(const struct sd_lin_model *model);
void sd_history_free(struct sd_history *h);

/* An operation is about to be sent. `arg` has as many values as its kind takes (NULL when none). `at` below 0
 * stands for one more than the largest time so far. The key is copied: 1 to SD_HISTORY_KEY_MOST bytes of
 * UTF-8 without NUL. Returns the number of the operation, from 0, which the answer is told with; or below 0,
 * -SD_EINVAL (kind or key), -SD_ETOOBIG or -SD_ENOMEM. */
int64_t sd_history_invoke(struct sd_history *h, uint32_t client, struct sd_slice key, unsigned kind,
			  const int64_t *arg, int64_t at);
/* Its answer arrived, at a time not before its invocation (below 0: as above). `result` counts only with
 * outcome ok and a kind that has one. SD_ENOTFOUND: no such operation. SD_EEXISTS: it was answered.
 * SD_EINVAL: time, outcome or result. An operation without answer is unknown. */
enum sd_err sd_history_complete(struct sd_history *h, int64_t id, enum sd_outcome outcome, int64_t result,
				int64_t at);
/* Adds a whole operation; op->key is not looked at. SD_EINVAL: times, kind, outcome, result or key that
 * cannot be. */
enum sd_err sd_history_add(struct sd_history *h, struct sd_slice key, const struct sd_operation *op);

const struct sd_lin_model *sd_history_model(const struct sd_history *h);
size_t sd_history_count(const struct sd_history *h);
size_t sd_history_keys(const struct sd_history *h);
/* Number id < count. Valid until the next one is added. */
const struct sd_operation *sd_history_at(const struct sd_history *h, size_t id);
/* The name of key number `key` < keys. Valid until the history is freed. */
struct sd_slice sd_history_key(const struct sd_history *h, uint32_t key);

/* ---- as text ---- */

/* One JSON object a line, one line an operation:
 *
 *   {"client":1,"key":"x","op":"cas","args":[1,2],"invoked":3,"answered":7,"outcome":"ok","result":1}
 *
 * "args" when the kind has some, "answered" unless the outcome is unknown, "result" when ok and the kind has
 * one. Values are whole numbers or null. The caller frees it; *n is its length without the 0 at its end.
 * NULL: out of memory. */
char *sd_history_write(const struct sd_history *h, size_t *n);
/* Reads n bytes of such lines. Strict: every field once, none unknown, none left out; the order is free, and
 * so are blanks within a line; empty lines are passed over. The error tells the line. SD_EPROTO: not such
 * text. SD_ETOOBIG: longer than the limits above. SD_ENOMEM. *out is NULL unless SD_OK. */
enum sd_err sd_history_read(const struct sd_lin_model *model, const char *text, size_t n,
			    struct sd_history **out, struct sd_error *e);

/* ---- checking ---- */

enum sd_verdict {
	SD_VERDICT_OK,       /* there is an order for every key */
	SD_VERDICT_VIOLATED, /* there is none for this key */
	SD_VERDICT_UNKNOWN,  /* a budget ran out before either was proven */
};

/* 0 stands for the defaults: 100 million steps, 512 MiB. A step looks at one operation in one configuration.
 * Keys share the steps; what one leaves, others get. Making a violation short may take as many again. */
struct sd_lin_limits {
	uint64_t steps;
	size_t bytes;
};

enum { SD_LIN_STATES_MOST = 8 };

struct sd_lin_report {
	enum sd_verdict verdict;
	const char *why; /* with unknown: which budget; otherwise NULL */
	uint64_t steps;  /* that it took */
	size_t bytes;    /* most memory for one key */
	size_t keys;     /* that were decided */
	/* The rest only when violated. */
	uint32_t key;
	/* The offending history: sorted by invocation, on one key. See sd_lin_check. */
	struct sd_operation *ops;
	size_t nops;
	size_t of;     /* operations on that key in the whole history */
	bool shortest; /* false: the steps ran out while it was made short */
	size_t last;   /* index in ops of the one whose answer fits no order */
	/* The states that could be at its moment, as text. */
	char states[SD_LIN_STATES_MOST][64];
	size_t nstates;
	bool more_states;
};

/* Checks the history and fills the report, for sd_lin_report_free; returns the verdict. Out of memory is
 * `unknown`.
 *
 * A violation is made short so that it stays a proof. First to the shortest prefix that is not linearizable;
 * operations that were not answered by its end are unknown there. Linearizability is closed under prefixes,
 * so the whole history is violated because the prefix is. Then operations go as long as the rest is still
 * violated; but only where a linearizable history stays linearizable without them, so that the rest cannot be
 * wrong merely because they are missing: pure ones, and sets that the model names: a write whose value nobody
 * saw, an enqueue with its dequeue, a grant of a lock with its release. An operation that somebody depends on
 * stays. */
enum sd_verdict sd_lin_check(const struct sd_history *h, const struct sd_lin_limits *limits,
			     struct sd_lin_report *report);
void sd_lin_report_free(struct sd_lin_report *report);

/* The report for people: the verdict in one line; with a violation one line an operation in the order of
 * invocations, with a drawing of what overlapped, and which answer fits nowhere and why. The caller frees it.
 * NULL: out of memory. */
char *sd_lin_report_text(const struct sd_history *h, const struct sd_lin_report *report);
/* The offending history as one of its own, to be written and checked again. NULL: none, or out of memory. */
struct sd_history *sd_lin_report_history(const struct sd_history *h, const struct sd_lin_report *report);

/* One operation as people write it: "cas(1, 2) -> yes". Cut to size. */
void sd_operation_text(const struct sd_lin_model *model, const struct sd_operation *op, char *text,
		       size_t size);

#ifdef __cplusplus
}
#endif

#endif
