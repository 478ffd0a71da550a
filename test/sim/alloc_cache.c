/* Memory runs out at allocation 1, 2, 3 ... of a cache's work.
 *
 * Beside it another cache, which has memory, runs what the first one did not refuse. What must hold: a command that is refused says so
 * and changes nothing, but for what adds several things at once, which may have added some; one that is not has done all of it; a
 * snapshot that is whole has the state of its beginning; a load says that it failed; what was refused works when there is memory again; and
 * in the end nothing is in use. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../../applets/cache/disk/cache_load.h"
#include "../../applets/cache/disk/cache_save.h"
#include "../../applets/cache/types/cache_hash.h"
#include "../../applets/cache/types/cache_list.h"
#include "../../applets/cache/types/cache_set.h"
#include "../../applets/cache/types/cache_zset.h"
#include "alloc.h"
#include "core/bytes.h"
#include "core/crc64.h"

typedef unsigned long long ull;

struct side {
	struct cache cache;
	struct cache_session me, other;
};
static struct side A, B; /* the one that runs out, and the one that does not */
static uint64_t N;	 /* the allocation that fails */
static int64_t now;

/* ---- what is in a cache, in any order ---- */

static uint64_t hash(struct sd_slice s, uint64_t with)
{
	return XXH3_64bits_withSeed(s.p, s.n, with);
}

static uint64_t of_set(struct cache *c, const struct cache_item *it)
{
	struct cache_set s = cache_set_of(c, it);
	struct cache_set_iter i;
	struct sd_slice m;
	uint64_t sum = 0;
	cache_set_iter_begin(&s, &i);
	while (cache_set_iter_next(&i, &m))
		sum += hash(m, 1);
	cache_set_iter_end(&i);
	return sum;
}

static uint64_t of_hash(struct cache *c, const struct cache_item *it)
{
	struct cache_hash h = cache_hash_of(c, it);
	struct cache_hash_iter i;
	struct cache_pair p;
	uint64_t sum = 0;
	cache_hash_iter_begin(&h, &i);
	while (cache_hash_iter_next(&i, &p))
		sum += hash(p.value, hash(p.field, 2));
	cache_hash_iter_end(&i);
	return sum;
}

static uint64_t of_zset(struct cache *c, const struct cache_item *it)
{
	struct cache_zset z = cache_zset_of(c, it);
	struct cache_zset_iter i;
	uint64_t sum = 0;
	for (bool more = cache_zset_seek(&z, 0, &i); more; more = cache_zset_step(&i, false)) {
		double score = cache_zset_score(&i);
		sum = hash(i.member, hash((struct sd_slice){(const char *)&score, sizeof(score)}, sum));
	}
	return sum;
}

static uint64_t of_list(const struct cache_item *it)
{
	char text[SD_LISTPACK_TEXT];
	uint64_t sum = 0;
	for (struct quicklist_at at = quicklist_seek(cache_list(it), 0); at.node; at = quicklist_next(at))
		sum = hash(quicklist_text(at, text), sum + 1);
	return sum;
}

struct sum {
	struct cache_db *db;
	uint64_t v;
};

static void add_item(void *arg, struct sd_dict_entry *e)
{
	struct sum *s = arg;
	struct cache *c = s->db->cache;
	const struct cache_item *it = (const struct cache_item *)e;
	char text[24];
	uint64_t v = it->type == CACHE_STRING ? hash(cache_string(it, text), 3) : it->type == CACHE_SET ? of_set(c, it) :
		     it->type == CACHE_HASH ? of_hash(c, it) : it->type == CACHE_ZSET ? of_zset(c, it) : of_list(it);
	int64_t end = cache_expires_at(it);
	s->v += hash(cache_key(it), v + (uint64_t)end * 31 + it->type + s->db->number * 7);
}

static uint64_t state(struct cache *c)
{
	uint64_t v = 0;
	for (int i = 0; i < CACHE_DBS; i++) {
		struct sum s = {&c->dbs[i], 0};
		sd_dict_each(&c->dbs[i].keys, add_item, &s);
		v += s.v;
	}
	return v;
}

/* ---- commands ---- */

static size_t split(const char *words, char text[2048], struct sd_slice *argv)
{
	size_t argc = 0;
	char *rest = NULL;
	static char long_text[3000];
	memset(long_text, 'x', sizeof(long_text));
	snprintf(text, 2048, "%s", words);
	for (char *p = strtok_r(text, " ", &rest); p && argc < 64; p = strtok_r(NULL, " ", &rest))
		argv[argc++] = strcmp(p, "%long") == 0 ? (struct sd_slice){long_text, sizeof(long_text)} : sd_slice_of(p);
	return argc;
}

static void run(struct cache_session *s, const char *words)
{
	char text[2048];
	struct sd_slice argv[64];
	size_t argc = split(words, text, argv);
	s->out.n = 0;
	cache_call(s, argc, argv, now);
}

static bool is_error(const struct cache_session *s)
{
	return s->out.n && s->out.p[0] == '-';
}

static void same_state(const char *words, const char *when)
{
	ck_assert_msg(state(&A.cache) == state(&B.cache), "allocation %llu: %s: %s", (ull)N, words, when);
}

static void same_reply(const struct cache_session *a, const struct cache_session *b, const char *words)
{
	ck_assert_msg(a->out.n == b->out.n && memcmp(a->out.p, b->out.p, a->out.n) == 0, "allocation %llu: %s: %.*s, expected %.*s", (ull)N, words,
		      (int)a->out.n, a->out.p, (int)b->out.n, b->out.p);
}

/* Its reply could not be written: the connection ends, and its client does not know whether it was done. */
static void again_without_reply(struct cache_session *a, struct cache_session *b, const char *words)
{
	free(a->out.p);
	a->out = (struct sd_resp_out){0};
	if (state(&A.cache) != state(&B.cache))
		run(b, words);
	same_state(words, "half done, without a reply");
}

static void refused(struct cache_session *a, struct cache_session *b, const char *words, bool some)
{
	char reply[200];
	snprintf(reply, sizeof(reply), "%.*s", (int)a->out.n, a->out.p);
	ck_assert_msg(strncmp(reply, "-OOM ", 5) == 0 || strstr(reply, "out of memory"), "allocation %llu: %s: %.*s", (ull)N, words, (int)a->out.n, a->out.p);
	if (!some)
		same_state(words, "refused, and changed something");
	run(a, words);
	run(b, words);
	same_state(words, "not the same when there is memory again");
}

/* With '+' in front: it may be done in part; '~': what it replies is in no order. */
static void ask(const char *words)
{
	bool had = alloc_failed(), some = *words == '+', any_order = *words == '~';
	words += some || any_order;
	run(&A.me, words);
	bool here = !had && alloc_failed();
	alloc_rest(1);
	if (here && A.me.out.full) {
		again_without_reply(&A.me, &B.me, words);
	} else if (here && is_error(&A.me)) {
		refused(&A.me, &B.me, words, some);
	} else {
		run(&B.me, words);
		if (!any_order)
			same_reply(&A.me, &B.me, words);
		if (here)
			same_state(words, "not refused, and not all of it done");
	}
	alloc_rest(0);
}

static const char *const work[] = {
    /* strings */
    "SET s 1", "INCR s", "APPEND s abc", "SET t %long", "APPEND t %long", "SETRANGE s 100 x", "SET s %long EX 100", "SET s short KEEPTTL",
    "SET s 12 GET", "SET s %long PX 5000 GET", "GETSET s again", "SET n 5", "INCRBYFLOAT n 1.5", "SETEX n 100 %long", "GETEX n PERSIST",
    "GETEX n EX 50", "GET n", "+MSET a 1 b 2 c %long", "MSETNX d 1 e 2", "SETNX f %long", "GETDEL f", "GETRANGE t 0 10", "SETNX n x",
    "EXPIRE a 100", "PEXPIRE a 5", "PERSIST a", "EXPIRE b 1000", "SET b 1", "EXPIRE c 10", "RENAME c c2", "COPY c2 c3", "EXPIRE n 7", "COPY n a REPLACE",
    "MOVE c3 1", "COPY n n DB 2",
    /* lists */
    "RPUSH l 1", "RPUSH l 2", "LPUSH l %long", "RPUSH l 3", "LINSERT l BEFORE 2 %long", "LINSERT l AFTER 2 x", "LSET l 0 y", "LSET l 1 %long",
    "+SADD junk a", "LREM l 1 2", "LPOP l", "RPOP l", "LMOVE l m LEFT RIGHT", "LMOVE l m RIGHT LEFT", "LTRIM m 0 0", "LRANGE m 0 -1", "COPY m m2",
    "EXPIRE m 100", "COPY m m3", "RENAME m m4", "RPUSHX m4 z", "LMPOP 2 x m4 LEFT COUNT 2", "SORT m2 ALPHA STORE m5", "SORT m2 BY nosort GET #",
    "SORT_RO m2 ALPHA DESC", "LPOS m2 x",
    /* sets */
    "SADD i 1", "SADD i 2", "SADD i 300000000000", "SADD i 4", "SADD i word", "SREM i 2", "SADD j 1", "SADD j word", "SADD j %long", "~SINTER i j",
    "SUNIONSTORE k i j", "SDIFFSTORE k j i", "SINTERSTORE k i j", "SMOVE j i %long", "SMOVE j none word", "COPY i i2", "~SMEMBERS i2", "SINTERCARD 2 i j",
    "~SUNION i j k", "~SPOP i2 100", "SMISMEMBER i 1 2", "+SADD many 1 2 3 4 5 a b c d e f", "EXPIRE i 5", "SUNIONSTORE i i j", "SORT i BY x* GET s ALPHA",
    /* hashes */
    "HSET h a 1", "HSET h b 2", "HSET h c 3", "HSET h d 4", "HSET h a %long", "HINCRBY h b 5", "HINCRBYFLOAT h b 1.25", "HSETNX h e 5", "HDEL h a",
    "~HGETALL h", "HMGET h a b c", "COPY h h2", "RENAME h2 h3", "HSET g f %long", "HDEL g f", "+HSET h3 p 1 q 2 r 3", "~HSCAN h 0", "~HKEYS h",
    /* sorted sets */
    "ZADD z 1 a", "ZADD z 2 b", "ZADD z 3 c", "ZADD z 4 d", "ZINCRBY z 10 a", "ZADD y 1 %long", "ZADD y 2 b", "ZUNIONSTORE x 2 z y", "ZINTERSTORE x 2 z y",
    "ZDIFFSTORE x 2 z y", "ZRANGESTORE w z 0 -1", "ZRANGE z 0 -1 WITHSCORES", "ZPOPMIN z", "ZPOPMAX z", "ZREM z b", "COPY y y2", "ZUNION 2 y z WITHSCORES",
    "ZADD z 7 q", "ZADD z XX INCR 1 q", "+ZADD v 1 a 2 b 3 c 4 d 5 e", "ZREMRANGEBYRANK v 0 2", "ZMPOP 1 v MIN", "+ZADD y2 3 c 4 d 5 e", "EXPIRE y2 100",
    "ZUNIONSTORE y2 1 y2", "ZRANGEBYSCORE y2 0 9", "~ZSCAN y2 0",
    /* keys */
    "DEL a b", "UNLINK l", "~SCAN 0", "~KEYS *", "TOUCH i j", "OBJECT FREQ i", "DUMP z", "TYPE z", "SELECT 1", "SET in1 x", "SELECT 0",
    "WATCH s", "UNWATCH", "SUBSCRIBE ch", "UNSUBSCRIBE ch", "PSUBSCRIBE p*", "PUNSUBSCRIBE p*", "PUBLISH ch x", "CLIENT SETNAME me", "CONFIG SET appendonly no",
    "RENAMENX i2 i9", "SLOWLOG LEN",
};

/* ---- transactions ---- */

static const char *const inner[] = {"SET tx value", "INCR ty", "RPUSH tl v"};
#define INNER (sizeof(inner) / sizeof(inner[0]))

/* Which of them were done is what the lines of the reply to EXEC say. */
static void compare_transaction(void)
{
	struct sd_slice reply = {A.me.out.p, A.me.out.n};
	const char *line = reply.n ? memchr(reply.p, '\n', reply.n) : NULL;
	bool all = A.me.out.full || strncmp(reply.p, "*3", 2) == 0;
	if (A.me.out.full)
		all = state(&A.cache) != state(&B.cache);
	for (size_t i = 0; all && i < INNER; i++) {
		bool done = A.me.out.full || (line && line[1] != '-');
		if (done)
			run(&B.me, inner[i]);
		line = line ? memchr(line + 1, '\n', (size_t)(reply.p + reply.n - line - 1)) : NULL;
	}
	same_state("EXEC", "it is not what was replied");
}

static void transact(void)
{
	run(&A.me, "MULTI");
	for (size_t i = 0; i < INNER; i++)
		run(&A.me, inner[i]);
	run(&A.me, "EXEC");
	alloc_rest(1);
	compare_transaction();
	if (A.me.out.full) {
		cache_session_clear(&A.me);
		free(A.me.out.p);
		A.me.out = (struct sd_resp_out){0};
	}
	alloc_rest(0);
}

/* ---- waits ---- */

static unsigned count(const char *command)
{
	run(&A.me, command);
	return A.me.out.n > 1 && A.me.out.p[0] == ':' ? (unsigned)strtoul(A.me.out.p + 1, NULL, 10) : 0;
}

/* One thing comes to who waits: it is there, or was handed over, and never both. */
static void hand_over(const char *wait, const char *push)
{
	run(&A.other, wait);
	bool lost = A.other.out.full;
	A.other.out.n = 0;
	run(&A.me, push);
	alloc_rest(1);
	bool pushed = A.me.out.n && A.me.out.p[0] == ':';
	lost |= A.me.out.full || A.other.out.full; /* nobody knows */
	bool got = A.other.out.n && A.other.out.p[0] != '-';
	bool moved = strncmp(wait, "BLMOVE", 6) == 0;
	unsigned there = count("LLEN q") + count("LLEN q2") + count("ZCARD q3");
	ck_assert_msg(lost || there + (got && !moved) == pushed, "allocation %llu: %s: %u there, %s, %s", (ull)N, wait, there,
		      got ? "handed over" : "not handed over", pushed ? "pushed" : "refused");
	cache_unblock(&A.other, NULL);
	run(&A.me, "DEL q q2 q3");
	A.other.out.full = A.me.out.full = false;
	alloc_rest(0);
}

/* ---- snapshots ---- */

static void load(const struct sd_text *file, uint64_t expected)
{
	static struct cache to;
	struct cache_loader l = {.im = {.cache = &to}};
	size_t took;
	cache_init(&to, 3, now);
	bool whole = cache_load(&l, file->p, file->n, &took) && l.ended;
	ck_assert_msg(whole || (alloc_failed() && strstr(l.im.reader.error, "memory")), "allocation %llu: load: %s", (ull)N,
		      l.im.reader.error);
	ck_assert_msg(!whole || state(&to) == expected, "allocation %llu: loaded, and not the same", (ull)N);
	cache_image_free(&l.im);
	cache_end(&to);
	ck_assert_msg(to.memory.used == 0, "allocation %llu: load: %zu bytes are left", (ull)N, to.memory.used);
}

/* What is changed while it is made is what it is to have as it was. */
static const char *const meanwhile[] = {"SADD i meanwhile", "DEL y", "ZADD z 9 meanwhile", "HSET h meanwhile %long", "SET s meanwhile",
					"RPUSH m2 meanwhile", "SET fresh 1", "RENAME k k9", "SELECT 1", "SET in1 y", "SELECT 0"};

static void snapshot(void)
{
	struct sd_text file = {0};
	uint64_t begun = state(&A.cache);
	enum cache_save_state how = CACHE_SAVE_MORE;
	struct cache_save *s = cache_save_begin(&A.cache);
	for (size_t i = 0; s && how == CACHE_SAVE_MORE; i++) {
		if (i < sizeof(meanwhile) / sizeof(meanwhile[0]))
			ask(meanwhile[i]);
		how = cache_save_step(s, 64);
		alloc_rest(1);
		sd_text_add(&file, s->out.p, s->out.n);
		s->out.n = 0;
		alloc_rest(0);
	}
	ck_assert_msg(how == CACHE_SAVE_DONE || alloc_failed(), "allocation %llu: a snapshot failed", (ull)N);
	cache_save_end(s);
	if (how == CACHE_SAVE_DONE) {
		char sum[8];
		alloc_rest(1);
		sd_put_le(sum, sd_crc64(0, file.p, file.n), 8);
		sd_text_add(&file, sum, 8);
		alloc_rest(0);
		load(&file, begun);
	}
	free(file.p);
}

/* ---- what is freed in steps ---- */

static void many(void)
{
	char text[2048];
	for (unsigned k = 0; k < 2; k++) {
		int n = snprintf(text, sizeof(text), "+SADD large");
		for (unsigned i = 0; i < 50; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " member:%u", 50 * k + i);
		ask(text);
	}
	ask("COPY large larger");
	ask("RENAME large l2");
	ask("SET l2 x");
	for (unsigned i = 0; i < 70; i++) {
		snprintf(text, sizeof(text), "SET k%u v EX 100", i);
		ask(text);
	}
	ask("FLUSHALL");
	ask("SET after 1");
	now += 200000;
	cache_tick(&A.cache, now, 10);
	alloc_rest(1);
	cache_tick(&B.cache, now, 10);
	alloc_rest(0);
}

/* ---- runs ---- */

static void begin(struct side *s)
{
	cache_init(&s->cache, 1, now);
	cache_session_begin(&s->cache, &s->me);
	cache_session_begin(&s->cache, &s->other);
}

static void finish(struct side *s)
{
	cache_session_end(&s->me);
	cache_session_end(&s->other);
	cache_end(&s->cache);
	ck_assert_msg(s->cache.memory.used == 0, "allocation %llu: %zu bytes are left", (ull)N, s->cache.memory.used);
}

/* What is long is so with little. */
static const char few[] = "CONFIG SET hash-max-listpack-entries 3 zset-max-listpack-entries 3 set-max-intset-entries 3 list-max-listpack-size 2";

static void one_run(void)
{
	begin(&A);
	alloc_rest(1);
	begin(&B);
	run(&A.me, few);
	run(&B.me, few);
	alloc_rest(0);
	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		ask(work[i]);
	transact();
	hand_over("BLPOP q 0", "RPUSH q v");
	hand_over("BRPOP none q 0", "LPUSH q %long");
	hand_over("BLMOVE q q2 LEFT RIGHT 0", "RPUSH q %long");
	hand_over("BLMPOP 0 2 none q LEFT", "RPUSH q v");
	hand_over("BZPOPMIN q3 0", "ZADD q3 1 m");
	snapshot();
	many();
	alloc_rest(1);
	same_state("FLUSHALL", "and then it is not the same");
	alloc_rest(0);
}

uint64_t alloc_cache(void)
{
	for (N = 1;; N++) {
		now = 1700000000000;
		alloc_fail_at(N);
		one_run();
		int failed = alloc_failed();
		alloc_fail_at(0);
		finish(&A);
		finish(&B);
		if (!failed)
			return N;
	}
}
