/* kv_bench_net.c - a server, over one connection with many commands on their way: each answer is taken to the oldest of them. */
#include <inttypes.h>
#include <stdlib.h>

#include "kv_cli.h"
#include "sdlab/hdr.h"

#define LONGEST_NS 600000000000ll

struct place {
	int64_t from_ns; /* 0: half an operation, which is not counted */
	bool got;	 /* a GET */
};

struct net {
	struct sd_resp_cli cli;
	struct sd_hdr *times;
	struct place *places; /* of commands on their way, in a ring */
	size_t room, first, n;
	struct kv_bench_result r;
	int64_t timeout_ns;
};

static void send_words(struct net *t, size_t argc, const struct sd_slice *argv, int64_t from_ns, bool got)
{
	t->places[(t->first + t->n++) % t->room] = (struct place){from_ns, got};
	sd_resp_client_send(t->cli.conn, argc, argv);
}

static void send_op(struct net *t, const struct sd_kv_op *op)
{
	struct sd_slice get[] = {{"GET", 3}, op->key}, set[] = {{"SET", 3}, op->key, op->value};
	int64_t now = sd_world_mono_ns(t->cli.call->world);
	if (op->kind == SD_KV_OP_CHANGE)
		send_words(t, 2, get, 0, true);
	if (op->kind == SD_KV_OP_GET || op->kind == SD_KV_OP_MISS)
		send_words(t, 2, get, now, true);
	else
		send_words(t, 3, set, now, false);
}

static enum sd_err take_answer(struct net *t, struct sd_error *e)
{
	const struct sd_resp_value *v;
	enum sd_err err = sd_resp_client_next(t->cli.conn, t->timeout_ns, &v, e);
	if (err)
		return err;
	if (sd_resp_is_error(v->kind))
		return sd_fail(e, SD_EPROTO, "after %" PRIu64 " operations the server said: %.300s", t->r.ops, v->text.p);
	struct place p = t->places[t->first];
	t->first = (t->first + 1) % t->room;
	t->n--;
	t->r.found += p.got && v->kind == SD_RESP_BULK;
	if (!p.from_ns)
		return SD_OK;
	sd_hdr_record(t->times, sd_world_mono_ns(t->cli.call->world) - p.from_ns, 1);
	t->r.ops++;
	return SD_OK;
}

static enum sd_err run_all(struct net *t, struct sd_kv_load *load, struct sd_error *e)
{
	const struct sd_kv_op *ops;
	enum sd_err err = SD_OK;
	for (size_t n; !err && (n = sd_kv_load_next(load, &ops)) > 0;)
		for (size_t i = 0; i < n && !err; i++) {
			while (!err && t->n + 2 > t->room)
				err = take_answer(t, e);
			if (!err)
				send_op(t, &ops[i]);
		}
	while (!err && t->n > 0)
		err = take_answer(t, e);
	return err;
}

static enum sd_err run_workload(struct net *t, const struct sd_kv_load_conf *c, struct sd_error *e)
{
	struct sd_world *w = t->cli.call->world;
	struct sd_kv_load *load = NULL;
	t->r = (struct kv_bench_result){.cpu_us = -1, .written = -1, .on_disk = -1};
	sd_hdr_reset(t->times);
	enum sd_err err = sd_kv_load_new(c, &load, e);
	int64_t from = sd_world_mono_ns(w);
	if (!err)
		err = run_all(t, load, e);
	t->r.seconds = (double)(sd_world_mono_ns(w) - from) / 1e9;
	t->r.p50_ns = sd_hdr_percentile(t->times, 50);
	t->r.p99_ns = sd_hdr_percentile(t->times, 99);
	t->r.max_ns = sd_hdr_max(t->times);
	sd_kv_load_free(load);
	if (!err)
		kv_bench_say(t->cli.call, c, &t->r);
	return err;
}

static enum sd_err run_each(struct net *t, const struct sd_kv_workload *const *workloads, size_t n, const struct sd_kv_load_conf *conf,
			    struct sd_error *e)
{
	enum sd_err err = t->times && t->places ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; i < n && !err; i++) {
		struct sd_kv_load_conf c = kv_bench_conf(conf, workloads[i], i);
		err = run_workload(t, &c, e);
	}
	return err;
}

int kv_bench_net(struct sd_verb_call *call, const struct sd_kv_workload *const *workloads, size_t n, const struct sd_kv_load_conf *conf)
{
	struct net t = {.room = (size_t)sd_conf_int(call->conf, "pipeline") + 1, .timeout_ns = sd_conf_int(call->conf, "timeout")};
	struct sd_error e = {0};
	for (size_t i = 0; i < n; i++) {
		if (!workloads[i]->scan && !workloads[i]->beside)
			continue;
		fprintf(call->err, "sdlab kv bench: --workload: expected --dir with %s: a server is asked for single keys\n", workloads[i]->name);
		return 2;
	}
	int status = sd_resp_cli_begin(&t.cli, &kv_cli_kind, call);
	if (!status) {
		t.times = sd_hdr_new(1, LONGEST_NS, 3);
		t.places = calloc(t.room, sizeof(*t.places));
		if (run_each(&t, workloads, n, conf, &e))
			status = sd_resp_cli_fail(&t.cli, e.text) + (e.code == SD_EUSAGE);
	}
	sd_hdr_free(t.times);
	free(t.places);
	sd_resp_cli_end(&t.cli);
	return status;
}
