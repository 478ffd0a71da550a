#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/sticky.h"

/* The vectors that were published with it: key 00 01 .. 0f, messages 00 01 .. of every length. */
START_TEST(siphash_vectors)
{
	static const struct {
		size_t n;
		uint64_t want;
	} vectors[] = {{0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu}, {2, 0x0d6c8009d9a94f5au},
		       {3, 0x85676696d7fb7e2du}, {4, 0xcf2794e0277187b7u}, {5, 0x18765564cd99a68du},
		       {6, 0xcbc9466e58fee3ceu}, {7, 0xab0200f58b01d137u}, {8, 0x93f5f5799a932462u},
		       {15, 0xa129ca6149be45e5u}, {63, 0x958a324ceb064572u}};
	static const struct sd_siphash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
	unsigned char message[64];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		ck_assert_msg(sd_siphash(&key, message, vectors[i].n) == vectors[i].want, "%zu bytes", vectors[i].n);
}
END_TEST

static struct sd_siphash_key key_of(const char *secret)
{
	return sd_sticky_key(secret, strlen(secret));
}

START_TEST(there_and_back)
{
	struct sd_siphash_key key = key_of("a secret of some length"), other = key_of("a secret of some lengtH");
	char text[SD_STICKY_TEXT + 1];
	uint64_t id = sd_sticky_id(&key, "Server-A"), got = 0;
	sd_sticky_write(&key, id, text);
	ck_assert_uint_eq(strlen(text), SD_STICKY_TEXT);
	ck_assert_ptr_null(strstr(text, "Server"));
	ck_assert(sd_sticky_read(&key, sd_slice_of(text), &got));
	ck_assert_uint_eq(got, id);
	ck_assert(!sd_sticky_read(&other, sd_slice_of(text), &got));
	ck_assert_uint_ne(sd_sticky_id(&key, "Server-B"), id);
	ck_assert_uint_ne(sd_sticky_id(&other, "Server-A"), id);
	key = key_of("a secret of some length");
	ck_assert_uint_eq(sd_sticky_id(&key, "Server-A"), id); /* in another process as well */
}
END_TEST

/* Every single change makes it a forgery. */
START_TEST(forged)
{
	struct sd_siphash_key key = key_of("a secret of some length");
	char text[SD_STICKY_TEXT + 2];
	uint64_t id = sd_sticky_id(&key, "Server-A"), got;
	for (int i = 0; i < SD_STICKY_TEXT; i++)
		for (int bit = 0; bit < 8; bit++) {
			sd_sticky_write(&key, id, text);
			text[i] = (char)(text[i] ^ 1 << bit);
			ck_assert_msg(!sd_sticky_read(&key, (struct sd_slice){text, SD_STICKY_TEXT}, &got), "%.33s", text);
		}
	sd_sticky_write(&key, id, text);
	text[SD_STICKY_TEXT] = '0';
	ck_assert(!sd_sticky_read(&key, (struct sd_slice){text, SD_STICKY_TEXT + 1}, &got));
	ck_assert(!sd_sticky_read(&key, (struct sd_slice){text, SD_STICKY_TEXT - 1}, &got));
	ck_assert(!sd_sticky_read(&key, (struct sd_slice){text, 0}, &got));
	ck_assert(!sd_sticky_read(&key, sd_slice_of("0000000000000000.0000000000000000"), &got));
}
END_TEST

START_TEST(pairs)
{
	static const struct {
		const char *list;
		char separator;
		const char *name, *want;
	} cases[] = {
	    {"a=1; b=2; c=3", ';', "b", "2"}, {"a=1;b=2", ';', "b", "2"},       {"b=\"2\"", ';', "b", "2"},
	    {"a=b=2; b=3", ';', "b", "3"},    {"ab=1; b=2", ';', "b", "2"},     {"b=1; b=2", ';', "b", "1"},
	    {"B=1", ';', "b", NULL},          {"b", ';', "b", NULL},            {"", ';', "b", NULL},
	    {"b=", ';', "b", ""},             {";;b=1", ';', "b", "1"},         {"a=\"; b=2", ';', "b", "2"},
	    {"b=\"", ';', "b", "\""},         {" b = 2 ", ';', "b", "2"},       {"x=1&b=2&y", '&', "b", "2"},
	    {"b=\"2\"", '&', "b", "\"2\""},   {"b&b=1", '&', "b", "1"},         {"a=1;b=2", '&', "b", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sd_slice got;
		bool found = sd_pairs_find(sd_slice_of(cases[i].list), cases[i].separator, cases[i].name, &got);
		ck_assert_msg(found == (cases[i].want != NULL), "%s", cases[i].list);
		ck_assert_msg(!found || sd_slice_eq(got, cases[i].want), "%s: %.*s", cases[i].list, (int)got.n, got.p);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sticky");
	TCase *t = tcase_create("sticky");
	tcase_add_test(t, siphash_vectors);
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, forged);
	tcase_add_test(t, pairs);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
