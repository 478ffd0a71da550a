/* event.h - what happened, said once.
 *
 * A part says an event with a name, a sentence and fields; it becomes the line a person reads, or a JSON line, a counter
 * in /metrics, and a message on /-/events. The bus belongs to the control loop; parts on worker threads send theirs
 * there, at most SD_EVENTS_MAX on the way (more are counted and dropped: a service never waits for its log).
 */
#ifndef SD_APP_EVENT_H
#define SD_APP_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"
#include "world/loop.h"

#define SD_EVENTS_MAX 10000

enum sd_level { SD_INFO, SD_WARN, SD_ERROR };

struct sd_field {
	const char *key; /* NULL ends the list */
	const char *text; /* NULL: number */
	int64_t number;
};

struct sd_events;
struct sd_log;
struct sd_metrics;

struct sd_events *sd_events_new(struct sd_loop *control, bool json, bool colour);
void sd_events_free(struct sd_events *ev);

/* Gets each event as one JSON object without a line end; on the control loop. */
struct sd_event_listener {
	struct sd_link link;
	void (*fn)(struct sd_event_listener *self, const char *name, const char *json, size_t n);
};
void sd_events_listen(struct sd_events *ev, struct sd_event_listener *l);
void sd_events_unlisten(struct sd_event_listener *l);
void sd_events_metrics(struct sd_events *ev, struct sd_metrics *m);
/* Passes a line of another process on, under a log's prefix. */
void sd_events_line(struct sd_log *log, const char *line, size_t n);

/* One speaker: tag is what stands in brackets ("LB"), service the name in fields and labels; prefix is a column in
 * front of the line, for stacks (NULL: none), colour its ANSI colour 31 to 36 (0: none). Strings are copied. Logs live
 * as long as the bus, since events may be on their way. */
struct sd_log *sd_log_new(struct sd_events *ev, const char *tag, const char *service, const char *prefix, int colour);

/* From any thread. fields may be NULL. */
void sd_event(struct sd_log *log, enum sd_level level, const char *name, const struct sd_field *fields,
	      const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
