/* stack.h - a file of several services: what it says, in which order they start, how they find each other.
 *
 *	name: demo                  default: the file's name
 *	isolate: true               one process each
 *	restart-delay: 1s           before a service that died is started again; doubles up to 30 s
 *	services:
 *	  web: {applet: backend, replicas: 3}
 *	  front:
 *	    applet: lb
 *	    port: 8080
 *	    after: [web]            starts after these are ready; those it names in an address come by themselves
 *	    backends: [{address: web}]
 *
 * A service with replicas has instances web-1, web-2, ..., and its name stands for all of them; ports count up from its
 * port. Everything here is text and order; nothing is started.
 */
#ifndef SD_APP_STACK_H
#define SD_APP_STACK_H

#include "applet.h"

#define SD_STACK_MAX      64 /* instances */
#define SD_STACK_NAME_MAX 40

struct sd_stack_service {
	char name[SD_STACK_NAME_MAX];
	const struct sd_applet *applet;
	const struct sd_node *node;
	unsigned replicas;
	uint64_t needs; /* bits: services that start before it */
};

struct sd_stack_instance {
	char name[SD_STACK_NAME_MAX];
	unsigned service; /* index */
	unsigned index;   /* among its replicas, from 0 */
	bool wanted;      /* --only may leave it out */
};

struct sd_stack {
	char name[SD_STACK_NAME_MAX];
	char *file;
	struct sd_doc *doc;
	bool isolate;
	int64_t restart_delay_ns;
	unsigned nservices, ninstances;
	struct sd_stack_service services[SD_STACK_MAX];
	struct sd_stack_instance instances[SD_STACK_MAX]; /* in the order in which they start */
	/* how a service's name becomes addresses: "inproc:%s", or "unix:/run/.../%s.sock" */
	char address_format[160];
};

struct sd_stack_spec {
	const char *file; /* for messages, and the default name */
	const char *const *scale; /* "web=3" */
	size_t nscale;
	const char *const *only; /* names of services; none: all */
	size_t nonly;
};

/* Takes the document over, also when it fails. */
enum sd_err sd_stack_make(struct sd_doc *doc, const struct sd_stack_spec *spec, struct sd_stack **out,
			  struct sd_error *e);
void sd_stack_free(struct sd_stack *s);
/* The name of a stack whose file gives none: that of the file up to its first dot, or "stack". */
void sd_stack_name_from_file(const char *file, char out[SD_STACK_NAME_MAX]);

/* The options of one instance, complete and checked. */
enum sd_err sd_stack_conf(const struct sd_stack *s, const struct sd_stack_instance *inst, struct sd_conf **out,
			  struct sd_error *e);
/* Where an instance is found by the others. */
const char *sd_stack_address(const struct sd_stack *s, const char *instance, char *out, size_t n);
/* All instances' options: what is wrong shows before anything starts. */
enum sd_err sd_stack_check(const struct sd_stack *s, struct sd_error *e);

#endif
