/* kv_call.c - a request, from its words to the row that runs it. */
#include <stdio.h>
#include <string.h>

#include "core/count.h"
#include "kv_server.h"

/* ---- rows ---- */

static const struct kv_command *const tables[] = {
    kv_string_commands, kv_number_commands, kv_key_commands, kv_scan_commands, kv_multi_commands, kv_server_commands, kv_config_commands, kv_show_commands,
};

void kv_names_begin(struct kv_server *s)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct kv_command *k = tables[i]; k->is; k++)
			sd_redis_add(&s->names, k->is, k);
}

/* ---- what may not run ---- */

/* EXEC, which takes its transaction along, says it in its own words. */
static void refuse(struct kv_call *c, const char *why)
{
	bool plain = strncmp(why, "ERR ", 4) == 0;
	if (c->command && c->command->is == SD_REDIS(EXEC)) {
		kv_multi_end(c->conn);
		sd_resp_errorf(c->out, "EXECABORT Transaction discarded because of: %s", why + (plain ? 4 : 0));
		return;
	}
	kv_multi_refused(c->conn);
	sd_resp_error(c->out, why);
}

static bool look_up(struct kv_call *c)
{
	char why[SD_REDIS_WHY];
	const struct sd_redis_row *row;
	bool found = sd_redis_look_up(&c->s->names, c->argc, c->argv, &row, why) && row;
	c->command = row ? row->own : NULL;
	if (!found)
		refuse(c, why);
	return found && c->command;
}

/* A key that begins with a zero byte takes two more. */
bool kv_keys_fit(struct kv_call *c)
{
	const struct sd_redis_command *k = c->command->is;
	size_t last = k->last < 0 ? c->argc - 1 : (size_t)k->last;
	for (size_t i = (size_t)k->first; k->first && i <= last && i < c->argc; i += (size_t)k->step) {
		struct sd_slice key = c->argv[i];
		size_t most = key.n && !key.p[0] ? SD_KV_KEY_MAX - 2 : SD_KV_KEY_MAX;
		if (key.n <= most)
			continue;
		char why[100];
		snprintf(why, sizeof(why), "ERR key of %zu bytes: expected at most %zu", key.n, most);
		refuse(c, why);
		return false;
	}
	return true;
}

/* ---- running ---- */

void kv_run(struct kv_call *c)
{
	sd_count(&c->s->counts[KV_COMMANDS], 1);
	c->command->fn(c);
}

static void call(struct sd_resp_conn *conn, size_t argc, const struct sd_slice *argv)
{
	struct kv_server *s = conn->front->owner;
	struct kv_call c = {.s = s, .conn = (struct kv_conn *)conn, .out = &conn->out, .argc = argc, .argv = argv, .begun = conn->out.n,
			    .now_ms = sd_kv_now_ms(s->db)};
	s->running = &c;
	bool known = look_up(&c);
	if (known && !conn->authenticated && !(c.command->is->flags & SD_REDIS_NOAUTH)) {
		refuse(&c, "NOAUTH Authentication required.");
	} else if (known && c.conn->multi && c.command->is->flags & SD_REDIS_NO_MULTI) {
		refuse(&c, "ERR Command not allowed inside a transaction");
	} else if (known && kv_keys_fit(&c)) {
		if (!c.conn->multi || !kv_queued(&c))
			kv_run(&c);
	}
	s->running = NULL;
	if (conn->out.n > c.begun && conn->out.p[c.begun] == '-')
		sd_count(&s->counts[KV_ERRORS], 1);
	if (conn->out.n > c.begun)
		kv_mark(&c);
}

/* ---- connections ---- */

static void begun(struct sd_resp_conn *conn)
{
	sd_list_init(&((struct kv_conn *)conn)->marked);
}

static void ended(struct sd_resp_conn *conn)
{
	struct kv_conn *c = (struct kv_conn *)conn;
	kv_marks_end(c);
	kv_multi_end(c);
}

const struct sd_resp_front_events kv_front_events = {
    .conn_bytes = sizeof(struct kv_conn),
    .begun = begun,
    .call = call,
    .settle = kv_settle,
    .ended = ended,
};
