/* The pool for threads: many at once, those that wait, what the pool's own threads do, and errors that name who holds. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/rng.h"
#include "sdlab/pool.h"

#define S  1000000000ll
#define MS 1000000ll

enum { THREADS = 64, SIZE = 8, ROUNDS = 300 };

struct thing {
	int users; /* of which there is one at most */
	bool dead;
};

static struct sd_pool_shared *pool;
static struct sd_pool_conf conf;
static int nopen, most_open, opens, closes, leaks, reclaims, broken; /* atomic */
static int64_t clock_ns;                               /* atomic; of the hooks, when it is used */
static bool refuse;                                    /* atomic: nothing can be opened */
static char leaked[128];                               /* before leaks is counted */

static int add(int *n, int by)
{
	return __atomic_add_fetch(n, by, __ATOMIC_SEQ_CST);
}

static int get(int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static enum sd_err thing_open(void *arg, void **out, struct sd_error *e)
{
	(void)arg;
	if (__atomic_load_n(&refuse, __ATOMIC_SEQ_CST))
		return sd_fail(e, SD_EREFUSED, "db:5432: connection refused");
	int n = add(&nopen, 1), most = get(&most_open);
	while (n > most && !__atomic_compare_exchange_n(&most_open, &most, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	add(&opens, 1);
	*out = calloc(1, sizeof(struct thing));
	return SD_OK;
}

static bool thing_check(void *arg, void *resource)
{
	(void)arg;
	ck_assert_int_eq(get(&((struct thing *)resource)->users), 0);
	return true;
}

static void thing_close(void *arg, void *resource, enum sd_pool_why why)
{
	struct thing *t = resource;
	(void)arg;
	add(&closes, 1);
	add(&nopen, -1);
	if (why == SD_POOL_RECLAIMED)
		add(&reclaims, 1); /* its borrower frees it */
	else
		free(t);
}

static void thing_leak(void *arg, const struct sd_pool_held *held)
{
	(void)arg;
	snprintf(leaked, sizeof(leaked), "%s %s %d", held->holder.tag, held->holder.site->function, held->holder.site->line);
	add(&leaks, 1);
}

static int64_t thing_now(void *arg)
{
	(void)arg;
	return __atomic_load_n(&clock_ns, __ATOMIC_SEQ_CST);
}

static struct sd_pool_hooks hooks;

static void setup(void)
{
	conf = sd_pool_defaults;
	conf.max_size = SIZE;
	hooks = (struct sd_pool_hooks){.open = thing_open, .check = thing_check, .close = thing_close, .leak = thing_leak};
	nopen = most_open = opens = closes = leaks = reclaims = broken = 0;
	clock_ns = S;
	refuse = false;
}

static void start(void)
{
	struct sd_error e;
	ck_assert_msg(sd_pool_shared_new(&conf, &hooks, &pool, &e) == SD_OK, "%s", e.text);
}

static void finish(void)
{
	sd_pool_shared_free(pool);
	pool = NULL;
	ck_assert_int_eq(nopen, 0);
	ck_assert_int_eq(opens, closes);
	ck_assert_int_le(most_open, (int)conf.max_size);
}

static struct sd_pool_stats stats(void)
{
	struct sd_pool_stats s;
	sd_pool_shared_stats(pool, &s);
	return s;
}

#define WAIT_UNTIL(x)                                                                                        \
	while (!(x))                                                                                         \
	sched_yield()

/* ---- many ---- */

struct user {
	pthread_t id;
	uint64_t seed;
	int bad; /* what must not be seen */
	int served, refused;
};

static void *user_main(void *arg)
{
	struct user *u = arg;
	struct sd_rng rng;
	sd_rng_seed(&rng, u->seed);
	for (int i = 0; i < ROUNDS; i++) {
		struct sd_pool_lease l;
		struct sd_error e;
		enum sd_err err = sd_pool_get(pool, sd_rng_below(&rng, 20) ? SD_POOL_NEVER : 1000, "job", &l, &e);
		if (err) {
			u->refused++;
			u->bad += err != SD_ETIMEOUT;
			continue;
		}
		struct thing *t = l.resource;
		u->bad += add(&t->users, 1) != 1;
		if (sd_rng_below(&rng, 4) == 0)
			sched_yield();
		u->bad += add(&t->users, -1) != 0;
		bool is_broken = sd_rng_below(&rng, 50) == 0;
		add(&broken, is_broken);
		u->bad += sd_pool_shared_put(pool, &l, is_broken) != SD_OK;
		u->served++;
	}
	return NULL;
}

START_TEST(sixty_four_threads_share_eight)
{
	static struct user users[THREADS];
	int served = 0, refused = 0;
	conf.check_after_ns = _i ? 0 : SD_POOL_NEVER;
	conf.fifo = _i;
	start();
	for (int i = 0; i < THREADS; i++) {
		users[i] = (struct user){.seed = (uint64_t)i + 1};
		ck_assert_int_eq(pthread_create(&users[i].id, NULL, user_main, &users[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(users[i].id, NULL);
		ck_assert_int_eq(users[i].bad, 0);
		served += users[i].served;
		refused += users[i].refused;
	}
	ck_assert_int_eq(served + refused, THREADS * ROUNDS);
	struct sd_pool_stats s = stats();
	ck_assert_uint_eq(s.leases, (unsigned)served);
	ck_assert_uint_eq(s.timeouts, (unsigned)refused);
	ck_assert_uint_eq(s.lent, 0);
	ck_assert_uint_eq(s.waiting, 0);
	ck_assert_uint_eq(s.closed[SD_POOL_BROKEN], (unsigned)broken);
	ck_assert_int_gt(sd_pool_shared_wait_at(pool, 100), 0);
	finish();
}
END_TEST

/* ---- waiting ---- */

struct queued {
	pthread_t id;
	int number, place;
	enum sd_err err;
	struct sd_error e;
};

static int places;

static void *queued_main(void *arg)
{
	struct queued *q = arg;
	struct sd_pool_lease l;
	q->err = sd_pool_get(pool, SD_POOL_NEVER, NULL, &l, &q->e);
	if (q->err)
		return NULL;
	q->place = places++; /* one has the only lease */
	sd_pool_give(pool, &l);
	return NULL;
}

static void queue_up(struct queued *q, int n)
{
	for (int i = 0; i < n; i++) {
		q[i] = (struct queued){.number = i};
		ck_assert_int_eq(pthread_create(&q[i].id, NULL, queued_main, &q[i]), 0);
		WAIT_UNTIL(stats().waiting == (unsigned)i + 1);
	}
}

START_TEST(first_come_first_served)
{
	struct queued q[16];
	struct sd_pool_lease l;
	places = 0;
	conf.max_size = 1;
	start();
	ck_assert_int_eq(sd_pool_get(pool, S, NULL, &l, NULL), SD_OK);
	queue_up(q, 16);
	ck_assert_int_eq(sd_pool_give(pool, &l), SD_OK);
	for (int i = 0; i < 16; i++) {
		pthread_join(q[i].id, NULL);
		ck_assert_int_eq(q[i].place, i);
	}
	ck_assert_int_eq(opens, 1);
	finish();
}
END_TEST

START_TEST(those_who_wait_are_told_when_it_is_shut)
{
	struct queued q[3];
	struct sd_pool_lease l;
	conf.max_size = 1;
	start();
	ck_assert_int_eq(sd_pool_get(pool, S, NULL, &l, NULL), SD_OK);
	queue_up(q, 3);
	sd_pool_shared_shut(pool);
	for (int i = 0; i < 3; i++) {
		pthread_join(q[i].id, NULL);
		ck_assert_int_eq(q[i].err, SD_ECANCELED);
	}
	ck_assert_int_eq(sd_pool_give(pool, &l), SD_OK);
	ck_assert_int_eq(sd_pool_get(pool, S, NULL, &l, NULL), SD_ECANCELED);
	finish();
}
END_TEST

START_TEST(an_exhausted_pool_names_who_has_it)
{
	struct sd_pool_lease l, m;
	struct sd_error e;
	char want[128];
	conf.max_size = 1;
	conf.max_waiters = 1;
	start();
	ck_assert_int_eq(sd_pool_get(pool, S, "report", &l, &e), SD_OK);
	snprintf(want, sizeof(want), "test_pool_shared.c:%d (%s) \"report\" thread %d for ", __LINE__ - 1, __func__, (int)gettid());
	ck_assert_int_eq(sd_pool_get(pool, 0, NULL, &m, &e), SD_EEXHAUSTED);
	ck_assert_msg(strstr(e.text, want) != NULL, "%s: %s", want, e.text);
	ck_assert_int_eq(sd_pool_get(pool, MS, NULL, &m, &e), SD_ETIMEOUT);
	ck_assert_ptr_nonnull(strstr(e.text, "nothing free within "));
	ck_assert_msg(strstr(e.text, want) != NULL, "%s: %s", want, e.text);
	ck_assert_int_eq(sd_pool_give(pool, &l), SD_OK);
	ck_assert_int_eq(sd_pool_give(pool, &l), SD_EINVAL);
	finish();
}
END_TEST

START_TEST(goes_on_when_the_other_side_is_up_again)
{
	struct sd_pool_lease l;
	struct sd_error e;
	conf.backoff_ns = conf.max_backoff_ns = MS;
	refuse = true;
	start();
	ck_assert_int_eq(sd_pool_get(pool, 20 * MS, NULL, &l, &e), SD_ETIMEOUT);
	ck_assert_msg(strstr(e.text, "opens failed: db:5432: connection refused") != NULL, "%s", e.text);
	__atomic_store_n(&refuse, false, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(sd_pool_get(pool, SD_POOL_NEVER, NULL, &l, &e), SD_OK);
	sd_pool_give(pool, &l);
	finish();
}
END_TEST

/* ---- what its own threads do ---- */

START_TEST(opens_ahead_and_closes_what_is_idle)
{
	struct sd_pool_lease l[3];
	hooks.now = thing_now;
	conf.min_idle = 2;
	conf.max_size = 5;
	conf.max_lifetime_ns = SD_POOL_NEVER;
	start();
	WAIT_UNTIL(stats().idle == 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sd_pool_get(pool, S, NULL, &l[i], NULL), SD_OK);
	WAIT_UNTIL(stats().size == 5);
	for (int i = 0; i < 3; i++)
		sd_pool_give(pool, &l[i]);
	WAIT_UNTIL(stats().idle == 5);
	__atomic_add_fetch(&clock_ns, conf.idle_timeout_ns, __ATOMIC_SEQ_CST);
	sd_pool_shared_wake(pool);
	WAIT_UNTIL(stats().idle == 2);
	ck_assert_uint_eq(stats().closed[SD_POOL_IDLE_TIMEOUT], 3);
	finish();
}
END_TEST

START_TEST(says_what_leaks_and_takes_it_back)
{
	struct sd_pool_lease l;
	char want[128];
	hooks.now = thing_now;
	conf.leak_ns = 60 * S;
	conf.reclaim_ns = 90 * S;
	start();
	ck_assert_int_eq(sd_pool_get(pool, S, "job 7", &l, NULL), SD_OK);
	snprintf(want, sizeof(want), "job 7 %s %d", __func__, __LINE__ - 1);
	__atomic_add_fetch(&clock_ns, 60 * S, __ATOMIC_SEQ_CST);
	sd_pool_shared_wake(pool);
	WAIT_UNTIL(get(&leaks) == 1);
	ck_assert_str_eq(leaked, want);
	__atomic_add_fetch(&clock_ns, 30 * S, __ATOMIC_SEQ_CST);
	sd_pool_shared_wake(pool);
	WAIT_UNTIL(get(&reclaims) == 1);
	WAIT_UNTIL(stats().size == 0);
	ck_assert_int_eq(sd_pool_give(pool, &l), SD_ECANCELED);
	free(l.resource);
	ck_assert_uint_eq(stats().late, 1);
	finish();
}
END_TEST

START_TEST(a_socket_is_quiet_or_not)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert(sd_pool_socket_quiet(ends[0]));
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert(!sd_pool_socket_quiet(ends[0]));
	char c;
	ck_assert_int_eq(read(ends[0], &c, 1), 1);
	ck_assert(sd_pool_socket_quiet(ends[0]));
	close(ends[1]);
	ck_assert(!sd_pool_socket_quiet(ends[0]));
	close(ends[0]);
	ck_assert(!sd_pool_socket_quiet(-1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool_shared");
	TCase *t = tcase_create("threads");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, sixty_four_threads_share_eight, 0, 2);
	tcase_add_test(t, first_come_first_served);
	tcase_add_test(t, those_who_wait_are_told_when_it_is_shut);
	tcase_add_test(t, an_exhausted_pool_names_who_has_it);
	tcase_add_test(t, goes_on_when_the_other_side_is_up_again);
	tcase_add_test(t, opens_ahead_and_closes_what_is_idle);
	tcase_add_test(t, says_what_leaks_and_takes_it_back);
	tcase_add_test(t, a_socket_is_quiet_or_not);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad != 0;
}
