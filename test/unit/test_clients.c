#include "core/clients.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

static const struct sd_siphash_key secret = {1, 2};

static struct sd_peer peer(const char *text)
{
	struct sd_peer p = {.kind = SD_ADDR_INET};
	ck_assert_msg(sd_ip_parse(sd_slice_of(text), p.ip, &p.v6), "%s", text);
	return p;
}

static struct sd_client_key key(const char *text)
{
	struct sd_peer p = peer(text);
	struct sd_client_key k;
	ck_assert(sd_client_key_of(&p, &k));
	return k;
}

static bool same(const char *a, const char *b)
{
	struct sd_client_key ka = key(a), kb = key(b);
	return memcmp(&ka, &kb, sizeof(ka)) == 0 && sd_client_key_hash(&ka, &secret) == sd_client_key_hash(&kb, &secret);
}

START_TEST(who_is_one_client)
{
	ck_assert(same("192.0.2.1", "192.0.2.1"));
	ck_assert(!same("192.0.2.1", "192.0.2.2"));
	ck_assert(same("192.0.2.1", "::ffff:192.0.2.1"));
	ck_assert(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
	ck_assert(same("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
	ck_assert(!same("2001:db8::1", "2001:db8:0:1::1"));
	ck_assert(!same("::1", "192.0.2.1"));
	struct sd_client_key k;
	ck_assert(!sd_client_key_of(&(struct sd_peer){.kind = SD_ADDR_UNIX}, &k));
	ck_assert(!sd_client_key_of(&(struct sd_peer){.kind = SD_ADDR_INPROC}, &k));
}
END_TEST

START_TEST(the_limit_is_exact)
{
	struct sd_clients *c = sd_clients_new(16, &secret);
	struct sd_client_pass held[10], more = {0};
	struct sd_client_key a = key("192.0.2.1"), b = key("192.0.2.2");
	for (uint32_t i = 0; i < 10; i++) {
		ck_assert_int_eq(sd_clients_enter(c, &a, 10, &held[i]), SD_CLIENTS_IN);
		ck_assert_uint_eq(sd_clients_of(c, &a), i + 1);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sd_clients_enter(c, &a, 10, &more), SD_CLIENTS_OVER);
	ck_assert_ptr_null(more.clients);
	ck_assert_uint_eq(sd_clients_of(c, &a), 10);
	/* another client is another matter; a higher limit counts at once, a lower one closes nobody */
	struct sd_client_pass other;
	ck_assert_int_eq(sd_clients_enter(c, &b, 1, &other), SD_CLIENTS_IN);
	ck_assert_int_eq(sd_clients_enter(c, &a, 11, &more), SD_CLIENTS_IN);
	struct sd_client_pass none;
	ck_assert_int_eq(sd_clients_enter(c, &a, 5, &none), SD_CLIENTS_OVER);
	sd_client_pass_end(&more);
	sd_client_pass_end(&more); /* nothing is given back twice */
	ck_assert_uint_eq(sd_clients_of(c, &a), 10);
	for (int i = 0; i < 10; i++)
		sd_client_pass_end(&held[i]);
	ck_assert_uint_eq(sd_clients_of(c, &a), 0);
	ck_assert_uint_eq(sd_clients_used(c), 1);
	sd_client_pass_end(&other);
	ck_assert_uint_eq(sd_clients_used(c), 0);
	sd_clients_free(c);
}
END_TEST

/* Half a million clients that come and go leave nothing; those that stay fill it, and the rest are let in uncounted. */
START_TEST(a_flood_of_addresses)
{
	enum { SETS = 64, STAY = SETS * 16 * 2 };
	static struct sd_client_pass held[STAY];
	struct sd_clients *c = sd_clients_new(SETS, &secret);
	struct sd_client_pass pass = {0};
	struct sd_client_key k = {0};
	for (uint32_t i = 0; i < 500000; i++) {
		memcpy(k.bytes, &i, sizeof(i));
		ck_assert_int_eq(sd_clients_enter(c, &k, 1, &pass), SD_CLIENTS_IN);
		sd_client_pass_end(&pass);
	}
	ck_assert_uint_eq(sd_clients_used(c), 0);
	size_t in = 0, uncounted = 0;
	for (uint32_t i = 0; i < STAY; i++) {
		memcpy(k.bytes, &i, sizeof(i));
		enum sd_clients_answer a = sd_clients_enter(c, &k, 1, &held[i]);
		ck_assert_int_ne(a, SD_CLIENTS_OVER);
		in += a == SD_CLIENTS_IN;
		uncounted += a == SD_CLIENTS_UNCOUNTED;
	}
	ck_assert_uint_eq(sd_clients_used(c), in);
	ck_assert_uint_ge(in, SETS * 16 * 9 / 10);
	ck_assert_uint_eq(in + uncounted, STAY);
	/* who is in it is still counted */
	memset(k.bytes, 0, sizeof(k.bytes));
	ck_assert_int_eq(sd_clients_enter(c, &k, 1, &pass), SD_CLIENTS_OVER);
	for (size_t i = 0; i < STAY; i++)
		sd_client_pass_end(&held[i]);
	ck_assert_uint_eq(sd_clients_used(c), 0);
	sd_clients_free(c);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, CLIENTS = 3, LIMIT = 5, ROUNDS = 20000 };

static struct {
	struct sd_clients *c;
	uint32_t inside[CLIENTS], entered[CLIENTS];
	uint32_t most; /* atomic: in one client at a time */
} shared;

static void note(uint32_t n)
{
	uint32_t most = __atomic_load_n(&shared.most, __ATOMIC_RELAXED);
	while (n > most && !__atomic_compare_exchange_n(&shared.most, &most, n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void *come_and_go(void *arg)
{
	struct sd_rng rng = {0};
	struct sd_client_pass held[CLIENTS][LIMIT] = {0};
	sd_rng_seed(&rng, (uint64_t)(uintptr_t)arg);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t chance = sd_rng_below(&rng, CLIENTS * LIMIT);
		uint32_t who = chance % CLIENTS, at = chance / CLIENTS;
		struct sd_client_key k = {{(uint8_t)who}};
		struct sd_client_pass *p = &held[who][at];
		if (p->clients) {
			__atomic_sub_fetch(&shared.inside[who], 1, __ATOMIC_SEQ_CST);
			sd_client_pass_end(p);
		} else if (sd_clients_enter(shared.c, &k, LIMIT, p) == SD_CLIENTS_IN) {
			note(__atomic_add_fetch(&shared.inside[who], 1, __ATOMIC_SEQ_CST));
			__atomic_add_fetch(&shared.entered[who], 1, __ATOMIC_RELAXED);
		}
	}
	for (uint32_t who = 0; who < CLIENTS; who++)
		for (int at = 0; at < LIMIT; at++)
			if (held[who][at].clients) {
				__atomic_sub_fetch(&shared.inside[who], 1, __ATOMIC_SEQ_CST);
				sd_client_pass_end(&held[who][at]);
			}
	return NULL;
}

START_TEST(never_above_the_limit_with_threads)
{
	pthread_t threads[THREADS];
	shared.c = sd_clients_new(1, &secret); /* all in one set */
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_le(shared.most, LIMIT);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_uint_gt(shared.entered[i], LIMIT);
	ck_assert_uint_eq(sd_clients_used(shared.c), 0);
	sd_clients_free(shared.c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("clients");
	TCase *t = tcase_create("clients");
	tcase_add_test(t, who_is_one_client);
	tcase_add_test(t, the_limit_is_exact);
	tcase_add_test(t, a_flood_of_addresses);
	tcase_add_test(t, never_above_the_limit_with_threads);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
