/* up - a stack of services from one file. Its face; how it works is in up.h. */
#include <stdlib.h>

#include "up.h"

static const struct sd_option options[] = {
    {"file", SD_OPT_FILE, NULL, "the stack; may stand without --file", .meta = "FILE"},
    {"isolate", SD_OPT_BOOL, "false", "one process each, started again when it dies"},
    {"scale", SD_OPT_LIST, NULL, "how many instances of a service", .meta = "NAME=N"},
    {"only", SD_OPT_LIST, NULL, "only this service and what it needs", .meta = "NAME"},
    {"admin", SD_OPT_ADDRESS, NULL, "where /metrics of all services and /-/stack answer besides the stack's socket"},
    {"log-format", SD_OPT_ENUM, "human", "how events are printed", .choices = "human|json"},
    {"child", SD_OPT_STRING, NULL, "run this instance as a child", .hidden = true},
    {"run-dir", SD_OPT_STRING, NULL, "where a child finds the others", .hidden = true},
    {0},
};

static enum sd_err check_file(struct sd_world *w, const struct sd_doc *doc, struct sd_error *e)
{
	/* The document is the caller's, a stack wants its own: it is read once more. */
	char *text;
	size_t n;
	struct sd_doc *own;
	struct sd_stack *stack;
	struct sd_stack_spec spec = {.file = doc->name};
	enum sd_err err = sd_world_read_file(w, doc->name, 1 << 20, &text, &n, e);
	if (err)
		return err;
	err = sd_doc_parse(doc->name, text, n, &own, e);
	free(text);
	if (!err)
		err = sd_stack_make(own, &spec, &stack, e);
	if (err)
		return err;
	err = sd_stack_check(stack, e);
	sd_stack_free(stack);
	return err;
}

static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	if (!sd_conf_string(conf, "file"))
		return sd_fail(e, SD_EUSAGE, "expected a stack, such as sdlab up examples/demo.yaml");
	return SD_OK;
}

static const struct sd_service service = {.process = up_process};

const struct sd_applet sd_applet_up = {
    .name = "up",
    .summary = "a stack of services from one file",
    .description = "Starts the services of a file in the order in which they need each other, restarts those that die, and "
		   "stops them in the reverse order on Ctrl-C. Within a stack a service is addressed by its name.",
    .examples = "sdlab up examples/demo.yaml\n"
		"sdlab up examples/stack.yaml --scale web=5\n"
		"sdlab up status\n"
		"sdlab up stop",
    .next = "sdlab up status",
    .options = options,
    .service = &service,
    .no_common = true,
    .verbs = up_verbs,
    .check = check,
    .check_file = check_file,
};
