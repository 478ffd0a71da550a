/* Plays traces through the pool's engine and prints what it decided after each step, sorted: see pool.sh.
 *
 *	conf MAX FIFO CHECK MAXWAIT      -1: any number may wait
 *	b        somebody borrows        r K   the K-th of those that are lent comes back    d K   it comes back broken
 *	o        the oldest open works   f     it fails                                      y, n  the oldest check: good, bad
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdlab/pool.h"

enum { MAX = 4096 };

static struct sd_pool *pool;
static int64_t now = 1;
static struct sd_pool_waiter users[MAX];
static unsigned nusers, nthings, lent[MAX], nlent; /* users that have one, in the order of lending */
static struct sd_pool_act opens[MAX], checks[MAX];
static unsigned nopens, nchecks;
static char *said[MAX];
static unsigned nsaid;

static void say(const char *what, long a, long b)
{
	char text[64];
	snprintf(text, sizeof(text), b >= 0 ? "%s %ld %ld" : a >= 0 ? "%s %ld" : "%s", what, a, b);
	said[nsaid++] = strdup(text);
}

static long thing(const void *resource)
{
	return (long)(uintptr_t)resource;
}

static void answered(struct sd_pool_waiter *w)
{
	unsigned user = (unsigned)(w - users);
	if (w->err) {
		say("refuse", user, -1);
		return;
	}
	lent[nlent++] = user;
	say("grant", user, thing(w->lease.resource));
}

static void settle(void)
{
	struct sd_pool_act act;
	while (sd_pool_next(pool, now, &act)) {
		if (act.what == SD_POOL_GRANT) {
			answered(act.waiter);
		} else if (act.what == SD_POOL_OPEN) {
			say("open", -1, -1);
			opens[nopens++] = act;
		} else if (act.what == SD_POOL_CHECK) {
			say("check", thing(act.resource), -1);
			checks[nchecks++] = act;
		} else if (act.what == SD_POOL_CLOSE) {
			say("close", thing(act.resource), -1);
			sd_pool_closed(pool, now, act.slot);
		}
	}
}

static void borrow(void)
{
	struct sd_pool_waiter *w = &users[nusers++];
	w->deadline_ns = SD_POOL_NEVER;
	if (sd_pool_borrow(pool, now, w) != SD_EAGAIN)
		answered(w);
}

static void put(unsigned k, bool broken)
{
	unsigned user = lent[k % nlent];
	memmove(&lent[k % nlent], &lent[k % nlent + 1], (nlent - k % nlent - 1) * sizeof(*lent));
	nlent--;
	sd_pool_put(pool, now, &users[user].lease, broken);
}

static struct sd_pool_act first(struct sd_pool_act *of, unsigned *n)
{
	struct sd_pool_act act = of[0];
	memmove(of, of + 1, --*n * sizeof(*of));
	return act;
}

static void step(char what, unsigned k)
{
	now++;
	if (what == 'b')
		borrow();
	else if ((what == 'r' || what == 'd') && nlent)
		put(k, what == 'd');
	else if (what == 'o' && nopens)
		sd_pool_opened(pool, now, first(opens, &nopens).slot, (void *)(uintptr_t)++nthings);
	else if (what == 'f' && nopens)
		sd_pool_open_failed(pool, now, first(opens, &nopens).slot, "down");
	else if ((what == 'y' || what == 'n') && nchecks)
		sd_pool_checked(pool, now, first(checks, &nchecks).slot, what == 'y');
	settle();
}

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print(void)
{
	qsort(said, nsaid, sizeof(*said), order);
	for (unsigned i = 0; i < nsaid; i++) {
		printf("%s%s", i ? "; " : "", said[i]);
		free(said[i]);
	}
	printf("\n");
	nsaid = 0;
}

static bool begin(const char *line)
{
	struct sd_pool_conf conf = sd_pool_defaults;
	unsigned max, fifo, check;
	long waiters;
	if (sscanf(line, "conf %u %u %u %ld", &max, &fifo, &check, &waiters) != 4)
		return false;
	conf.max_size = conf.max_opening = max;
	conf.fifo = fifo;
	conf.check_after_ns = check ? 0 : SD_POOL_NEVER;
	conf.max_waiters = waiters < 0 ? SD_POOL_NO_LIMIT : (uint32_t)waiters;
	conf.idle_timeout_ns = conf.max_lifetime_ns = SD_POOL_NEVER;
	conf.backoff_ns = conf.max_backoff_ns = 0;
	sd_pool_free(pool);
	nusers = nthings = nlent = nopens = nchecks = 0;
	memset(users, 0, sizeof(users));
	return sd_pool_new(&conf, 1, &pool, NULL) == SD_OK;
}

int main(void)
{
	char line[64], what;
	while (fgets(line, sizeof(line), stdin)) {
		unsigned k = 0;
		if (strncmp(line, "conf", 4) == 0 && !begin(line))
			return 2;
		if (!pool || sscanf(line, "%c %u", &what, &k) < 1)
			return 2;
		if (what != 'c')
			step(what, k);
		print();
	}
	sd_pool_free(pool);
	return 0;
}
