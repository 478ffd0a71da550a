/* The table of Redis's commands, the index over it, and what COMMAND answers. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/redis_commands.h"

static struct sd_redis_index ix;
static const int own[3];

static void begin(void)
{
	ix = (struct sd_redis_index){0};
	sd_redis_add(&ix, SD_REDIS(GET), &own[0]);
	sd_redis_add(&ix, SD_REDIS(CONFIG), &own[1]);
	sd_redis_add(&ix, SD_REDIS(CONFIG_GET), &own[2]);
}

/* Names are in the order of the table, so each is there once; and each can be found among all. */
START_TEST(test_table)
{
	struct sd_redis_index all = {0};
	for (size_t i = 0; i < SD_REDIS_COMMANDS; i++) {
		const struct sd_redis_command *k = &sd_redis_commands[i];
		ck_assert(k->name && k->group && k->since && k->summary && k->arity);
		ck_assert(!i || strcmp(sd_redis_commands[i - 1].name, k->name) < 0);
		ck_assert(!k->first == !k->step);
		sd_redis_add(&all, k, NULL);
	}
	for (size_t i = 0; i < SD_REDIS_COMMANDS; i++)
		ck_assert_ptr_eq(sd_redis_find(&all, sd_slice_of(sd_redis_commands[i].name))->is, &sd_redis_commands[i]);
}
END_TEST

static const char *look_up(size_t argc, const char *const *words, const void **row_own)
{
	static char why[SD_REDIS_WHY];
	struct sd_slice argv[8];
	const struct sd_redis_row *row;
	for (size_t i = 0; i < argc; i++)
		argv[i] = sd_slice_of(words[i]);
	bool ok = sd_redis_look_up(&ix, argc, argv, &row, why);
	*row_own = row ? row->own : NULL;
	return ok ? "" : why;
}

START_TEST(test_look_up)
{
	const void *row;
	begin();
	ck_assert_str_eq(look_up(2, (const char *[]){"gEt", "k"}, &row), "");
	ck_assert_ptr_eq(row, &own[0]);
	ck_assert_str_eq(look_up(3, (const char *[]){"CONFIG", "Get", "x"}, &row), "");
	ck_assert_ptr_eq(row, &own[2]);
	ck_assert_str_eq(look_up(1, (const char *[]){"get"}, &row), "ERR wrong number of arguments for 'get' command");
	ck_assert_ptr_eq(row, &own[0]);
	ck_assert_str_eq(look_up(1, (const char *[]){"config"}, &row), "ERR wrong number of arguments for 'config' command");
	ck_assert_str_eq(look_up(2, (const char *[]){"config", "get"}, &row), "ERR wrong number of arguments for 'config|get' command");
	ck_assert_str_eq(look_up(2, (const char *[]){"config", "set"}, &row), "ERR unknown subcommand 'set'. Try CONFIG HELP.");
	ck_assert_ptr_null(row);
	ck_assert_str_eq(look_up(3, (const char *[]){"set", "a", "b"}, &row),
			 "ERR unknown command 'set', with args beginning with: 'a' 'b' ");
	ck_assert_ptr_null(row);
}
END_TEST

static void keys_are(const struct sd_redis_command *k, size_t argc, const char *const *words, const char *want)
{
	struct sd_slice argv[8];
	struct sd_redis_keys keys;
	char got[64] = "";
	size_t n = 0;
	for (size_t i = 0; i < argc; i++)
		argv[i] = sd_slice_of(words[i]);
	ck_assert(sd_redis_keys(k, argc, argv, &keys));
	for (size_t i = 0; i < keys.n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s", words[keys.first + i * keys.step]);
	ck_assert_str_eq(got, want);
}

START_TEST(test_keys)
{
	keys_are(SD_REDIS(MSET), 5, (const char *[]){"mset", "a", "1", "b", "2"}, "ab");
	keys_are(SD_REDIS(PING), 1, (const char *[]){"ping"}, "");
	keys_are(SD_REDIS(LMPOP), 5, (const char *[]){"lmpop", "2", "x", "y", "left"}, "xy");
	keys_are(SD_REDIS(RENAME), 3, (const char *[]){"rename", "a", "b"}, "ab");
}
END_TEST

START_TEST(test_command)
{
	struct sd_resp_out out = {0};
	begin();
	sd_redis_tell_count(&ix, &out);
	sd_redis_tell_names(&ix, &out);
	sd_redis_tell_docs(&ix, 2, (struct sd_slice[]){{"get", 3}, {"set", 3}}, &out);
	sd_redis_tell_info(&ix, 2, (struct sd_slice[]){{"get", 3}, {"set", 3}}, &out);
	const char want[] = ":2\r\n*2\r\n$3\r\nget\r\n$6\r\nconfig\r\n"
			    "*2\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n$25\r\nGives the string of a key\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
			    "$5\r\ngroup\r\n$6\r\nstring\r\n"
			    "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n"
			    "*0\r\n*0\r\n*0\r\n*-1\r\n";
	sd_resp_raw(&out, "", 1);
	ck_assert_str_eq(out.p, want);
	free(out.p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis_commands");
	TCase *tc = tcase_create("redis_commands");
	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_look_up);
	tcase_add_test(tc, test_keys);
	tcase_add_test(tc, test_command);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
