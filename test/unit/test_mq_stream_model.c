/* Streams against a simple model of them: random publications, members of groups that come, settle, go and are too slow, groups that
 * are sent elsewhere, and time, from a seed.
 *
 * The model has every message and what each group did with it in plain arrays and looks at all of them for each question. Each delivery
 * is judged: was it this message's turn in its partition, was there room, had nobody else one of this partition, is the flag right?
 * After each step offsets and lags must be alike, nothing may wait for who could take it, and what is too old or too much must
 * be gone. SEEDS=n for more of them, SEED=k for one. */
#include "mq_rig.h"

#include "../../applets/mq/engine/mq_stream.h"

#define CLIENTS	   5
#define GROUPS	   2
#define PARTITIONS 5
#define MESSAGES   3000
#define STEPS	   1500
#define AGE_MS	   10000
#define BYTES	   3000
#define SLOW_MS	   400

enum state { NEW, OUT_, BACK, DONE };
struct message {
	unsigned partition, bytes;
	int64_t at_ms;
	bool gone;
	struct {
		enum state state;
		int client;
		uint64_t tag;
		int64_t until;
	} in[GROUPS];
};
struct client {
	struct mq_channel ch; /* first */
	int group;	      /* -1: none */
	unsigned prefetch, out;
};

static struct model {
	struct rig r;
	struct mq_queue *q;
	struct client clients[CLIENTS];
	struct message m[MESSAGES];
	unsigned n;
	unsigned next[GROUPS][PARTITIONS];
	int64_t seen[GROUPS][PARTITIONS]; /* the last message that was ever out; -1: none */
	bool there[GROUPS];
	struct sd_rng rng;
	uint64_t seed, step, deliveries, again, timed_out, gone, resets;
} M;

#define right(what, ...) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "seed %llu step %llu: ", (unsigned long long)M.seed, (unsigned long long)M.step); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			ck_abort_msg("%s", #what); \
		} \
	} while (0)

static uint32_t below(uint32_t n)
{
	return sd_rng_below(&M.rng, n);
}

/* ---- the model ---- */

/* Whose turn it is in a partition; -1: nobody's. */
static int turn_of(int g, unsigned p)
{
	for (unsigned i = 0; i < M.next[g][p]; i++)
		if (M.m[i].partition == p && M.m[i].in[g].state == BACK)
			return (int)i;
	for (unsigned i = M.next[g][p]; i < M.n; i++)
		if (M.m[i].partition == p && !M.m[i].gone)
			return (int)i;
	return -1;
}

static unsigned offset_of(int g, unsigned p)
{
	for (unsigned i = 0; i < M.n; i++) {
		bool left = i < M.next[g][p] ? M.m[i].in[g].state == OUT_ || M.m[i].in[g].state == BACK : !M.m[i].gone;
		if (M.m[i].partition == p && left)
			return i;
	}
	return M.n;
}

static unsigned lag_of(int g, unsigned p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < M.n; i++)
		n += M.m[i].partition == p &&
		     (i < M.next[g][p] ? M.m[i].in[g].state == OUT_ || M.m[i].in[g].state == BACK : !M.m[i].gone);
	return n;
}

static void retain(void)
{
	unsigned bytes = 0, n = 0;
	for (unsigned i = 0; i < M.n; i++) {
		bytes += M.m[i].gone ? 0 : M.m[i].bytes;
		n += !M.m[i].gone;
	}
	for (unsigned i = 0; i < M.n; i++) {
		bool old = M.m[i].at_ms + AGE_MS <= M.r.now_ms, much = bytes > BYTES && n > 1;
		if (M.m[i].gone || (!old && !much))
			continue;
		M.m[i].gone = true;
		M.gone++;
		bytes -= M.m[i].bytes;
		n--;
	}
}

/* ---- deliveries ---- */

static void on_deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	struct client *k = (struct client *)(void *)ch;
	int g = k->group;
	unsigned i = (unsigned)(e->seq - 1);
	struct message *m = &M.m[i];
	(void)c;
	right(g >= 0 && i < M.n, "a delivery to nobody, or of nothing");
	int due = turn_of(g, m->partition);
	right(due == (int)i, "message %u comes, and it is the turn of %d", i, due);
	right(k->out < k->prefetch, "more than the prefetch");
	bool again = (int64_t)i <= M.seen[g][m->partition];
	right(e->redelivered == again, "message %u: redelivered is %d", i, e->redelivered);
	for (unsigned j = 0; j < M.n; j++)
		right(M.m[j].partition != m->partition || M.m[j].in[g].state != OUT_ || &M.clients[M.m[j].in[g].client] == k,
		      "message %u of partition %u is with another member", j, m->partition);
	if (i >= M.next[g][m->partition])
		M.next[g][m->partition] = i + 1;
	if (!again)
		M.seen[g][m->partition] = i;
	m->in[g].state = OUT_;
	m->in[g].client = (int)(k - M.clients);
	m->in[g].tag = e->tag;
	m->in[g].until = M.r.now_ms + SLOW_MS;
	k->out++;
	M.deliveries++;
	M.again += again;
}

static bool has_room(struct mq_channel *ch)
{
	(void)ch;
	return true;
}

static void on_cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
}

static const struct mq_channel_ops ops = {.deliver = on_deliver, .cancelled = on_cancelled, .room = has_room};

/* ---- what is done ---- */

static void publish(void)
{
	char body[200] = {0}, key[8];
	struct sd_text h = {0}, raw = {0};
	struct sd_amqp_properties p = {.has = SD_AMQP_HEADERS};
	unsigned n = 1 + below(120);
	if (M.n == MESSAGES)
		return;
	snprintf(key, sizeof(key), "key%u", below(12));
	sd_amqp_put_string(&h, "k", sd_slice_of(key));
	p.headers = rig_slice(&h);
	sd_amqp_put_properties(&raw, &p);
	struct mq_publication pub = {.key = sd_slice_of("s"), .properties = rig_slice(&raw), .body = {body, n}};
	ck_assert(mq_publish(&M.clients[0].ch, &pub, &M.r.e));
	const struct mq_line *all = &M.q->stream->all;
	M.m[M.n++] = (struct message){.partition = (unsigned)mq_line_at(all, all->end - 1)->partition, .bytes = n, .at_ms = M.r.now_ms};
	free(h.p);
	free(raw.p);
}

static void come_back(struct client *k)
{
	for (unsigned i = 0; i < M.n; i++)
		for (int g = 0; g < GROUPS; g++)
			if (M.m[i].in[g].state == OUT_ && &M.clients[M.m[i].in[g].client] == k)
				M.m[i].in[g].state = BACK;
	k->out = 0;
}

static void open_client(struct client *k)
{
	mq_channel_begin(&k->ch, M.r.v, &ops, k, sd_slice_of("guest"));
	k->group = -1;
	k->out = 0;
}

static void join(struct client *k)
{
	char args[80];
	struct sd_text t = {0};
	struct mq_consumer *c;
	int g = (int)below(GROUPS);
	k->prefetch = 1 + below(8);
	k->group = g;
	mq_qos(&k->ch, 0, k->prefetch, false, &M.r.e);
	snprintf(args, sizeof(args), "x-stream-group=%c x-stream-offset=first", 'a' + g);
	ck_assert(mq_consume(&k->ch, sd_slice_of("s"), (struct sd_slice){0}, false, false, false, rig_table(&t, args), &c, &M.r.e));
	free(t.p);
	M.there[g] = true;
}

/* A channel that ends gives all back; one that has no consumer any more keeps what it has. */
static void leave(struct client *k)
{
	mq_channel_end(&k->ch);
	come_back(k);
	open_client(k);
}

static void settle(struct client *k)
{
	enum mq_settle how = (enum mq_settle[]){MQ_ACK, MQ_ACK, MQ_REQUEUE, MQ_DISCARD}[below(4)];
	unsigned left = k->out ? below(k->out) : 0;
	for (unsigned i = 0; k->group >= 0 && i < M.n; i++) {
		struct message *m = &M.m[i];
		if (m->in[k->group].state != OUT_ || &M.clients[m->in[k->group].client] != k || left--)
			continue;
		m->in[k->group].state = how == MQ_REQUEUE ? BACK : DONE;
		k->out--;
		ck_assert(mq_settle(&k->ch, m->in[k->group].tag, false, how, &M.r.e));
		return;
	}
}

static void time_passes(void)
{
	M.r.now_ms += below(300);
	mq_time(M.r.b, M.r.now_ms, RIG_WALL_MS + M.r.now_ms - RIG_START_MS);
	for (unsigned i = 0; i < M.n; i++)
		for (int g = 0; g < GROUPS; g++)
			if (M.m[i].in[g].state == OUT_ && M.m[i].in[g].until <= M.r.now_ms) {
				M.m[i].in[g].state = BACK;
				M.clients[M.m[i].in[g].client].out--;
				M.timed_out++;
			}
}

/* What is out stays out, for nothing: the members would have to be asked for it, so none has any here. */
static void reset(void)
{
	int g = (int)below(GROUPS);
	struct sd_amqp_field f = {.kind = 'l', .n = below(M.n + 5)};
	for (unsigned i = 0; i < CLIENTS; i++)
		if (M.clients[i].group == g)
			leave(&M.clients[i]);
	ck_assert(mq_group_reset(M.r.v, sd_slice_of("s"), sd_slice_of(g ? "b" : "a"), &f, &M.r.e));
	M.there[g] = true;
	M.resets++;
	for (unsigned i = 0; i < M.n; i++)
		M.m[i].in[g].state = NEW;
	for (unsigned p = 0; p < PARTITIONS; p++)
		M.next[g][p] = f.n < M.n ? (unsigned)f.n : M.n;
}

/* ---- are both alike? ---- */

static int now_of;
static unsigned shares[CLIENTS], moving;

static void on_group(void *arg, const struct mq_group_state *s)
{
	(void)arg;
	now_of = s->name[0] - 'a';
}

static void on_share(void *arg, const struct mq_share_state *s)
{
	int g = now_of;
	unsigned p = s->partition, out = 0;
	(void)arg;
	for (unsigned i = 0; i < M.n; i++)
		out += M.m[i].partition == p && M.m[i].in[g].state == OUT_;
	right(s->offset == offset_of(g, p), "group %d, partition %u is at %llu and should be at %u", g, p, (unsigned long long)s->offset,
	      offset_of(g, p));
	right(s->lag == lag_of(g, p), "group %d, partition %u lags by %llu and should by %u", g, p, (unsigned long long)s->lag, lag_of(g, p));
	right(s->out == out, "group %d, partition %u has %llu out, and should have %u", g, p, (unsigned long long)s->out, out);
	const struct client *k = s->consumer ? (const struct client *)(const void *)s->consumer->channel : NULL;
	if (k) {
		right(turn_of(g, p) < 0 || k->out >= k->prefetch, "message %d waits for client %d", turn_of(g, p), (int)(k - M.clients));
		shares[k - M.clients]++;
	}
	moving += !k;
	unsigned members = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		members += M.clients[i].group == g;
	right(k || !members || out, "partition %u of group %d has nothing out and is nobody's", p, g);
}

static void fair(int g)
{
	unsigned least = UINT32_MAX, most = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (M.clients[i].group == g) {
			least = shares[i] < least ? shares[i] : least;
			most = shares[i] > most ? shares[i] : most;
		}
	right(moving || least == UINT32_MAX || most - least <= 1, "group %d: one has %u partitions and another %u", g, least, most);
}

static void compare(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < M.n; i++)
		n += !M.m[i].gone;
	right(M.q->nready == n, "%zu messages, and there should be %u", M.q->nready, n);
	memset(shares, 0, sizeof(shares));
	moving = 0;
	mq_groups(M.q, on_group, on_share, NULL);
	for (int g = 0; g < GROUPS; g++)
		fair(g);
}

/* Retention comes at the end of a turn, behind deliveries. */
static void turn(void)
{
	rig_turn(&M.r);
	retain();
	rig_turn(&M.r);
}

static void step(void)
{
	struct client *k = &M.clients[below(CLIENTS)];
	uint32_t what = below(100);
	if (what < 35)
		publish();
	else if (what < 80)
		settle(k);
	else if (what < 88)
		time_passes();
	else if (what < 98)
		(k->group < 0 ? join : leave)(k);
	else if (below(3) == 0)
		reset();
	turn();
	compare();
}

static void run(uint64_t seed)
{
	struct rig_client setup;
	M = (struct model){.seed = seed};
	memset(M.seen, 0xff, sizeof(M.seen));
	sd_rng_seed(&M.rng, seed);
	rig_start(&M.r, mq_conf_default(), false);
	rig_open(&M.r, &setup);
	char args[200];
	snprintf(args, sizeof(args), "x-queue-type=stream x-stream-partitions=%d x-stream-partition-by=k x-max-age=%ds x-max-length-bytes=%d "
				     "x-visibility-timeout=%d",
		 PARTITIONS, AGE_MS / 1000, BYTES, SLOW_MS);
	M.q = rig_queue(&M.r, &setup, "s", "d", args);
	for (unsigned i = 0; i < CLIENTS; i++)
		open_client(&M.clients[i]);
	for (M.step = 0; M.step < STEPS; M.step++)
		step();
	for (unsigned i = 0; i < CLIENTS; i++)
		mq_channel_end(&M.clients[i].ch);
	rig_close(&setup);
	rig_end(&M.r);
}

static uint64_t number_of(const char *name, uint64_t def)
{
	const char *value = getenv(name);
	return value && *value ? strtoull(value, NULL, 10) : def;
}

START_TEST(as_the_model)
{
	uint64_t one = number_of("SEED", 0), seeds = one ? 1 : number_of("SEEDS", 6);
	uint64_t deliveries = 0, again = 0, timed_out = 0, gone = 0, resets = 0;
	for (uint64_t s = one ? one : 1; seeds--; s++) {
		run(s);
		deliveries += M.deliveries;
		again += M.again;
		timed_out += M.timed_out;
		gone += M.gone;
		resets += M.resets;
	}
	ck_assert_uint_gt(deliveries, 100);
	ck_assert_uint_gt(again, 0);
	ck_assert_uint_gt(timed_out, 0);
	ck_assert_uint_gt(gone, 0);
	ck_assert_uint_gt(resets, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mq_stream_model");
	TCase *t = tcase_create("model");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, as_the_model);
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
