/* ring_balance.c - who has how much, beside what they should have, and beside what theory says of the spread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

struct row {
	double share, fair; /* parts of the circle */
	uint32_t keys;
};

struct balance {
	struct sd_verb_call *call;
	struct ring_state state;
	struct sd_ring *ring;
	struct row *rows;
	double total; /* keys; 0: none were given */
	double bound; /* 0: none */
	double elsewhere; /* keys that the bound sent on */
};

static uint32_t keys_of(void *arg, size_t i)
{
	return ((struct row *)arg)[i].keys;
}

static enum sd_err count_keys(struct balance *b, const char *file, struct sd_error *e)
{
	struct ring_keys keys;
	struct sd_slice key;
	struct sd_ring_bound bound = {b->bound, keys_of, b->rows};
	enum sd_err err = ring_keys_open(b->call->world, file, &keys, e);
	while (!err && sd_ring_lookup(b->ring, 0) >= 0 && ring_keys_next(&keys, &key)) {
		uint64_t hash = sd_ring_hash(b->ring, key.p, key.n);
		int own = sd_ring_lookup(b->ring, hash), i = b->bound > 0 ? sd_ring_lookup_bounded(b->ring, hash, &bound) : own;
		b->rows[i].keys++;
		b->total++;
		b->elsewhere += i != own;
	}
	ring_keys_close(&keys);
	return err;
}

static void fill(struct balance *b)
{
	double sum = 0;
	for (size_t i = 0; i < b->state.n; i++)
		sum += sd_ring_node(b->ring, i)->weight;
	for (size_t i = 0; i < b->state.n; i++) {
		b->rows[i].share = sd_ring_share(b->ring, i);
		b->rows[i].fair = sum > 0 ? sd_ring_node(b->ring, i)->weight / sum : 0;
	}
}

static double has(const struct balance *b, size_t i)
{
	return b->total > 0 ? b->rows[i].keys / b->total : b->rows[i].share;
}

/* ---- the whole in a few numbers ---- */

struct stats {
	double most;            /* times its fair part */
	double spread, theory;  /* root mean square of what nodes are off, as a part of their fair one; theory < 0: no points */
	double chi2;            /* of the keys against the shares */
	size_t worst, owners;
};

/* The share of p of P points is distributed as Beta(p, P - p). */
static double expected_variance(const struct balance *b, size_t i)
{
	double all = (double)sd_ring_points(b->ring), p = (double)sd_ring_points_of(b->ring, i) / all;
	return p > 0 ? (1 - p) / p / (all + 1) : 0;
}

static struct stats sum_up(const struct balance *b)
{
	struct stats s = {0};
	double off = 0, variance = 0;
	bool points = sd_ring_points(b->ring) && b->state.conf.kind != SD_RING_MAGLEV;
	for (size_t i = 0; i < b->state.n; i++) {
		const struct row *r = &b->rows[i];
		if (r->fair <= 0)
			continue;
		double times = has(b, i) / r->fair;
		if (times > s.most)
			s.worst = i;
		s.most = times > s.most ? times : s.most;
		off += (times - 1) * (times - 1);
		variance += points ? expected_variance(b, i) : 0;
		s.owners++;
		double expected = r->share * b->total;
		s.chi2 += expected > 0 ? (r->keys - expected) * (r->keys - expected) / expected : 0;
	}
	s.spread = s.owners ? sqrt(off / (double)s.owners) : 0;
	s.theory = points && s.owners ? sqrt(variance / (double)s.owners) : -1;
	return s;
}

/* ---- printing ---- */

static void print_row(const struct balance *b, size_t i, int width, double scale, bool color)
{
	FILE *out = b->call->out;
	const struct row *r = &b->rows[i];
	size_t points = sd_ring_points_of(b->ring, i);
	fprintf(out, "%-*s %6u ", width, b->state.nodes[i].name, b->state.nodes[i].weight);
	if (points)
		fprintf(out, "%7zu", points);
	else
		fprintf(out, "%7s", "-");
	if (b->total > 0)
		fprintf(out, " %10u", r->keys);
	fprintf(out, " %7.2f%% %7.2f%% ", 100 * has(b, i), 100 * r->fair);
	if (r->fair > 0)
		fprintf(out, "%+7.1f%%  ", 100 * (has(b, i) / r->fair - 1));
	else
		fprintf(out, "%8s  ", "-");
	ring_bar(out, scale > 0 ? has(b, i) / scale : 0, 32, color ? ring_color(i) : -1);
	fputc('\n', out);
}

static void print_stats(const struct balance *b, const struct stats *s)
{
	FILE *out = b->call->out;
	fprintf(out, "\nmost: %s has %.3f times its part\n", b->state.nodes[s->worst].name, s->most);
	fprintf(out, "spread: %.1f%% of a node's part (root mean square)", 100 * s->spread);
	if (s->theory >= 0)
		fprintf(out, "; theory says %.1f%% for so many virtual nodes", 100 * s->theory);
	fputc('\n', out);
	if (b->total > 0 && b->bound <= 0)
		fprintf(out, "keys: %.0f; chi-square of keys against shares: %.1f, about %zu when keys are chance\n", b->total,
			s->chi2, s->owners ? s->owners - 1 : 0);
	if (b->total > 0 && b->bound > 0)
		fprintf(out, "keys: %.0f; no node has more than %g times its part; %.0f keys (%.1f%%) are not with their owner\n",
			b->total, b->bound, b->elsewhere, 100 * b->elsewhere / b->total);
}

static int print_text(const struct balance *b)
{
	struct stats s = sum_up(b);
	FILE *out = b->call->out;
	double scale = 0;
	int width = 4;
	for (size_t i = 0; i < b->state.n; i++) {
		int n = (int)strlen(b->state.nodes[i].name);
		width = n > width ? n : width;
		scale = has(b, i) > scale ? has(b, i) : scale;
	}
	fprintf(out, "%-*s %6s %7s%s %8s %8s %8s\n", width, "node", "weight",
		b->state.conf.kind == SD_RING_MAGLEV ? "slots" : "vnodes", b->total > 0 ? "       keys" : "", "share", "expected", "off by");
	for (size_t i = 0; i < b->state.n; i++)
		print_row(b, i, width, scale, ring_colored(b->call));
	if (s.owners)
		print_stats(b, &s);
	return 0;
}

static int print_json(const struct balance *b)
{
	struct stats s = sum_up(b);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "algorithm", ring_algorithm(&b->state));
	if (ring_hash_name(&b->state))
		cJSON_AddStringToObject(o, "hash", ring_hash_name(&b->state));
	cJSON_AddNumberToObject(o, "max_over_mean", s.most);
	cJSON_AddNumberToObject(o, "spread", s.spread);
	if (s.theory >= 0)
		cJSON_AddNumberToObject(o, "spread_in_theory", s.theory);
	if (b->total > 0) {
		cJSON_AddNumberToObject(o, "keys", b->total);
		cJSON_AddNumberToObject(o, "chi_square", s.chi2);
		cJSON_AddNumberToObject(o, "not_with_owner", b->elsewhere);
	}
	cJSON *nodes = cJSON_AddArrayToObject(o, "nodes");
	for (size_t i = 0; i < b->state.n; i++) {
		cJSON *n = cJSON_CreateObject();
		cJSON_AddItemToArray(nodes, n);
		cJSON_AddStringToObject(n, "name", b->state.nodes[i].name);
		if (b->state.nodes[i].zone)
			cJSON_AddStringToObject(n, "zone", b->state.nodes[i].zone);
		cJSON_AddNumberToObject(n, "weight", b->state.nodes[i].weight);
		cJSON_AddNumberToObject(n, "points", (double)sd_ring_points_of(b->ring, i));
		cJSON_AddNumberToObject(n, "share", b->rows[i].share);
		cJSON_AddNumberToObject(n, "expected", b->rows[i].fair);
		if (b->total > 0)
			cJSON_AddNumberToObject(n, "keys", b->rows[i].keys);
	}
	return ring_print_json(b->call, o);
}

static enum sd_err weigh_up(struct balance *b, struct sd_error *e)
{
	const struct sd_conf *conf = b->call->conf;
	const char *keys = sd_conf_string(conf, "keys");
	b->bound = sd_conf_has(conf, "bound") ? sd_conf_number(conf, "bound") : 0;
	if (b->bound > 0 && !keys)
		return sd_fail(e, SD_EUSAGE, "--bound: it is about keys; expected --keys FILE too");
	if (sd_conf_has(conf, "bound") && b->bound <= 1)
		return sd_fail(e, SD_EUSAGE, "--bound: expected more than 1, such as 1.25");
	b->rows = calloc(b->state.n + 1, sizeof(*b->rows));
	if (!b->rows)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	fill(b);
	return keys ? count_keys(b, keys, e) : SD_OK;
}

int ring_balance(struct sd_verb_call *call)
{
	struct balance b = {.call = call};
	struct sd_error e = {0};
	int status;
	enum sd_err err = ring_open(call->world, sd_conf_string(call->conf, "state"), &b.state, &b.ring, &e);
	if (!err)
		err = weigh_up(&b, &e);
	if (err)
		status = ring_fail(call, "balance", &e);
	else
		status = sd_conf_bool(call->conf, "json") ? print_json(&b) : print_text(&b);
	free(b.rows);
	sd_ring_release(b.ring);
	ring_free(&b.state);
	return status;
}
