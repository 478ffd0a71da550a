/* sim.c - the universe: its agenda, time and chance, what happened, and nodes that come and go. */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"

#define BEGIN_WALL_NS 1700000000000000000 /* 2023-11-14: a date as good as any */

static const struct sd_world_ops sim_ops;

/* ---- chance ---- */

uint64_t sim_below(struct sd_sim *s, uint64_t n)
{
	return n ? sd_rng_next(&s->rng) % n : 0;
}

bool sim_ppm(struct sd_sim *s, uint32_t ppm)
{
	return ppm && sd_rng_below(&s->rng, 1000000) < ppm;
}

/* -ln(u) by halving: how often u can be doubled before it is above one half, and a line for the rest. Close enough to an
 * exponential for a tail, and the same on every machine, which log() need not be. */
int64_t sim_tail(struct sd_sim *s, int64_t mean_ns)
{
	if (mean_ns <= 0)
		return 0;
	uint64_t u = sd_rng_next(&s->rng) | 1;
	int halvings = __builtin_clzll(u);
	uint64_t rest = (u << halvings << 1) >> 44; /* 20 bits below the first one */
	double nats = (halvings + 1 - (double)rest / 1048576.0) * 0.69314718056;
	return (int64_t)((double)mean_ns * nats);
}

uint64_t sd_sim_chance(struct sd_sim *s)
{
	return sd_rng_next(&s->chance);
}

/* ---- what happened ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

void sim_mix(struct sd_sim *s, const void *p, size_t n)
{
	const char *c = p;
	uint64_t h = mix(s->digest, n), word;
	for (; n >= sizeof(word); n -= sizeof(word), c += sizeof(word)) {
		memcpy(&word, c, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (n)
		memcpy(&word, c, n);
	s->digest = mix(h, word);
}

void sim_record(struct sd_sim *s, const char *what, const struct sim_node *from, const struct sim_node *to,
		int64_t number)
{
	struct sim_record *r = &s->trace[s->nrecords++ % SIM_TRACE];
	*r = (struct sim_record){s->now_ns, what, from ? (int8_t)from->index : -1, to ? (int8_t)to->index : -1, number};
	s->digest = mix(mix(s->digest, (uint64_t)s->now_ns), (uint64_t)number ^ (uint64_t)(r->from + 1) << 56 ^
								 (uint64_t)(r->to + 1) << 48);
}

void sd_sim_note(struct sd_sim *s, const char *text, int64_t number)
{
	sim_record(s, text, NULL, NULL, number);
}

static void print_record(const struct sd_sim *s, const struct sim_record *r, FILE *out)
{
	fprintf(out, "%14.6f  ", (double)r->at_ns / 1e9);
	if (r->from >= 0)
		fprintf(out, "%s%s", s->nodes[r->from]->name, r->to >= 0 ? " -> " : "");
	if (r->to >= 0)
		fputs(s->nodes[r->to]->name, out);
	fprintf(out, "%s%s %lld\n", r->from >= 0 || r->to >= 0 ? "  " : "", r->what, (long long)r->number);
}

void sd_sim_print_trace(const struct sd_sim *s, FILE *out, unsigned n)
{
	uint64_t from = s->nrecords > SIM_TRACE ? s->nrecords - SIM_TRACE : 0;
	if (s->nrecords - from > n)
		from = s->nrecords - n;
	for (; from < s->nrecords; from++)
		print_record(s, &s->trace[from % SIM_TRACE], out);
}

uint64_t sd_sim_digest(const struct sd_sim *s)
{
	return s->digest;
}

/* ---- agenda ---- */

void sim_set(struct sd_sim *s, struct sd_timer *t, int64_t at_ns)
{
	if (!sd_timers_set(&s->agenda, t, at_ns > s->now_ns ? at_ns : s->now_ns + 1))
		abort(); /* a universe that loses an event proves nothing */
}

void sim_cancel(struct sd_sim *s, struct sd_timer *t)
{
	sd_timers_cancel(&s->agenda, t);
}

int64_t sd_sim_now_ns(const struct sd_sim *s)
{
	return s->now_ns;
}

uint64_t sd_sim_steps(const struct sd_sim *s)
{
	return s->steps;
}

int64_t sd_sim_next_ns(const struct sd_sim *s)
{
	return sd_timers_next(&s->agenda);
}

bool sd_sim_step(struct sd_sim *s)
{
	int64_t next = sd_timers_next(&s->agenda);
	if (next == SD_NEVER)
		return false;
	struct sd_timer *t = sd_timers_pop(&s->agenda, next);
	s->now_ns = next > s->now_ns ? next : s->now_ns;
	s->steps++;
	t->fn(t);
	return true;
}

void sd_sim_run_to(struct sd_sim *s, int64_t at_ns)
{
	while (sd_timers_next(&s->agenda) <= at_ns)
		sd_sim_step(s);
	if (at_ns > s->now_ns)
		s->now_ns = at_ns;
}

struct sd_sim *sd_sim_new(uint64_t seed)
{
	struct sd_sim *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	sd_rng_seed(&s->rng, seed);
	sd_rng_seed(&s->chance, ~seed);
	s->digest = mix(0, seed);
	s->next_port = 32768;
	sd_list_init(&s->conns);
	sd_list_init(&s->flying);
	return s;
}

void sd_sim_free(struct sd_sim *s)
{
	if (!s)
		return;
	sim_net_free(s);
	sim_datagrams_free(s);
	for (unsigned i = 0; i < s->nnodes; i++) {
		struct sim_node *n = s->nodes[i];
		sd_helpers_free(n->resolver);
		sim_disk_free(n);
		free(n->output);
		free(n->name);
		free(n);
	}
	sd_timers_free(&s->agenda);
	free(s);
}

/* ---- nodes ---- */

struct sd_world *sd_sim_node(struct sd_sim *s, const char *name)
{
	struct sim_node *n = s->nnodes < SD_SIM_MAX_NODES ? calloc(1, sizeof(*n)) : NULL;
	if (!n || !(n->name = strdup(name)) || !(n->output = calloc(1, 2 * SIM_OUTPUT))) {
		if (n)
			free(n->name);
		free(n);
		return NULL;
	}
	n->world = (struct sd_world){&sim_ops, false};
	n->sim = s;
	n->index = s->nnodes;
	n->changes_tail = &n->changes;
	n->disk = (struct sd_sim_disk){.sync_ns = 200000, .sync_tail_ns = 1000000, .short_write_ppm = 10000, .stale = true};
	n->mono_base_ns = (int64_t)sim_below(s, 1000000000000);
	n->up = true;
	sd_list_init(&n->loops);
	sd_list_init(&n->listeners);
	sd_list_init(&n->sockets);
	s->nodes[s->nnodes++] = n;
	for (unsigned i = 0; i < s->nnodes; i++) {
		struct sd_sim_wire wire = {.latency_ns = i == n->index ? 10000 : 100000, .tail_ns = i == n->index ? 5000 : 100000};
		n->wires[i] = s->nodes[i]->wires[n->index] = wire;
	}
	return &n->world;
}

unsigned sd_sim_index(const struct sd_world *node)
{
	return sim_node(node)->index;
}

const char *sd_sim_name(const struct sd_world *node)
{
	return sim_node(node)->name;
}

bool sd_sim_is_up(const struct sd_world *node)
{
	return sim_node(node)->up;
}

const char *sd_sim_output(const struct sd_world *node)
{
	return sim_node(node)->output;
}

static void go_down(struct sim_node *n, bool silent, const char *what)
{
	if (!n->up)
		return;
	sim_record(n->sim, what, n, NULL, (int64_t)n->life);
	n->up = n->paused = false;
	n->life++;
	n->cut_in = 0;
	sim_net_down(n, silent);
	sim_datagrams_down(n);
}

void sd_sim_power_cut(struct sd_world *node)
{
	struct sim_node *n = sim_node(node);
	bool was_up = n->up;
	go_down(n, true, "power cut");
	if (was_up)
		sim_disk_power_cut(n);
}

void sd_sim_kill(struct sd_world *node)
{
	go_down(sim_node(node), false, "killed");
}

void sd_sim_boot(struct sd_world *node)
{
	struct sim_node *n = sim_node(node);
	if (n->up)
		return;
	sim_record(n->sim, "boot", n, NULL, (int64_t)n->life);
	n->up = true;
	n->booted_ns = n->sim->now_ns;
	n->mono_base_ns = (int64_t)sim_below(n->sim, 1000000000000);
}

static void revive(struct sim_node *n)
{
	for (struct sd_link *k = n->loops.next; k != &n->loops; k = k->next)
		sim_loop_revive(sd_container(k, struct sim_loop, link));
}

void sd_sim_pause(struct sd_world *node, bool paused)
{
	struct sim_node *n = sim_node(node);
	if (n->paused == paused || !n->up)
		return;
	sim_record(n->sim, paused ? "paused" : "goes on", n, NULL, 0);
	n->paused = paused;
	if (!paused)
		revive(n);
}

void sd_sim_slow(struct sd_world *node, int64_t callback_ns)
{
	sim_node(node)->callback_ns = callback_ns;
}

void sd_sim_set_wall(struct sd_world *node, int64_t offset_ns)
{
	sim_node(node)->wall_offset_ns = offset_ns;
}

/* ---- wires ---- */

struct sd_sim_wire *sd_sim_wire(struct sd_world *from, struct sd_world *to)
{
	return &sim_node(from)->wires[sim_node(to)->index];
}

void sd_sim_partition(struct sd_world *a, struct sd_world *b, bool cut)
{
	sim_record(sim_node(a)->sim, cut ? "partition" : "healed", sim_node(a), sim_node(b), 0);
	sd_sim_wire(a, b)->cut = sd_sim_wire(b, a)->cut = cut;
}

void sd_sim_heal_all(struct sd_sim *s)
{
	sim_record(s, "all healed", NULL, NULL, 0);
	for (unsigned i = 0; i < s->nnodes; i++)
		for (unsigned k = 0; k < s->nnodes; k++)
			s->nodes[i]->wires[k].cut = false;
}

/* ---- faults ---- */

struct sd_sim_disk *sd_sim_disk(struct sd_world *node)
{
	return &sim_node(node)->disk;
}

uint64_t sd_sim_count(const struct sd_world *node, enum sd_sim_op op)
{
	return sim_node(node)->counts[op];
}

void sd_sim_fail(struct sd_world *node, enum sd_sim_op op, uint64_t n, uint64_t times, int err)
{
	sim_node(node)->faults[op] = (struct sim_fault){n, times, err};
}

uint64_t sd_sim_failed(const struct sd_world *node)
{
	return sim_node(node)->failed;
}

void sd_sim_power_cut_at(struct sd_world *node, uint64_t n)
{
	sim_node(node)->cut_in = n;
}

int sim_fault(struct sim_node *n, enum sd_sim_op op)
{
	struct sim_fault *f = &n->faults[op];
	n->counts[op]++;
	if (f->times == 0 || --f->n > 0)
		return 0;
	f->times--;
	f->n = 1;
	n->failed++;
	sim_record(n->sim, "injected failure of operation", n, NULL, (int64_t)op);
	return f->err;
}

/* ---- the table ---- */

static void free_nothing(struct sd_world *w)
{
	(void)w; /* nodes belong to their universe */
}

static int64_t mono_ns(struct sd_world *w)
{
	struct sim_node *n = sim_node(w);
	return n->mono_base_ns + n->sim->now_ns - n->booted_ns + n->sim->slept_ns;
}

static int64_t wall_ns(struct sd_world *w)
{
	struct sim_node *n = sim_node(w);
	return BEGIN_WALL_NS + n->sim->now_ns + n->sim->slept_ns + n->wall_offset_ns;
}

static void randomize(struct sd_world *w, void *out, size_t n)
{
	struct sd_sim *s = sim_node(w)->sim;
	char *p = out;
	for (; n > 0; n--)
		*p++ = (char)sd_rng_next(&s->rng);
}

static void sleep_ns(struct sd_world *w, int64_t ns)
{
	if (ns > 0)
		sim_node(w)->sim->slept_ns += ns;
}

static void compute_ns(struct sd_world *w, int64_t ns)
{
	sleep_ns(w, ns); /* it keeps the thread just as long */
	if (ns > 0)
		sim_node(w)->sim->computed_ns += ns;
}

static int64_t thread_cpu_ns(struct sd_world *w)
{
	const struct sd_sim *s = sim_node(w)->sim;
	return s->computed_ns + (s->current ? s->current->cpu_ns : 0);
}

/* The output is a window that slides over twice its size. */
static bool print(struct sd_world *w, int fd, const char *text, size_t len)
{
	struct sim_node *n = sim_node(w);
	(void)fd;
	if (len > SIM_OUTPUT - 1) {
		text += len - (SIM_OUTPUT - 1);
		len = SIM_OUTPUT - 1;
	}
	if (n->output_n + len >= (size_t)2 * SIM_OUTPUT) {
		size_t keep = SIM_OUTPUT - len;
		memmove(n->output, n->output + n->output_n - keep, keep);
		n->output_n = keep;
	}
	memcpy(n->output + n->output_n, text, len);
	n->output_n += len;
	n->output[n->output_n] = '\0';
	sim_mix(n->sim, text, len);
	return true;
}

static size_t raise_files(struct sd_world *w)
{
	(void)w;
	return 1024;
}

static enum sd_err drop_to_user(struct sd_world *w, const char *user, struct sd_error *e)
{
	(void)w;
	(void)user;
	(void)e;
	return SD_OK;
}

static const struct sd_world_ops sim_ops = {
    .free = free_nothing,
    .mono_ns = mono_ns,
    .wall_ns = wall_ns,
    .thread_cpu_ns = thread_cpu_ns,
    .random = randomize,
    .sleep_ns = sleep_ns,
    .compute_ns = compute_ns,
    .print = print,
    .loop_new = sim_loop_new,
    .helpers_new = sim_helpers_new,
    .helpers_free = sim_helpers_free,
    .submit = sim_submit,
    .resolve = sim_resolve,
    .raise_files = raise_files,
    .drop_to_user = drop_to_user,
    .read_file = sim_read_file,
    .file_mode = sim_file_mode,
    .mkdir = sim_mkdir,
    .list_dir = sim_list_dir,
    .open = sim_open,
    .unlink = sim_unlink,
    .rename = sim_rename,
    .sync_dir = sim_sync_dir,
    .disk_room = sim_disk_room,
    .dir_open = sim_dir_open,
    .unmap = sim_unmap,
};
