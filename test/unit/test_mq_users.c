/* Users of the broker: who may log in, from where, and what the patterns allow. */
#include <check.h>

#include "../../applets/mq/amqp/mq_users.h"

static struct sd_slice of(const char *s)
{
	return sd_slice_of(s);
}

static const struct mq_user *login(const struct mq_users *u, const char *name, const char *password, bool local)
{
	return mq_users_login(u, of(name), of(password), local);
}

START_TEST(passwords)
{
	struct mq_users *u = mq_users_new();
	struct sd_error e;
	ck_assert_int_eq(mq_users_add(u, &(struct mq_user_spec){.name = "guest", .password = "guest", .local_only = true}, &e), SD_OK);
	ck_assert_int_eq(mq_users_add(u, &(struct mq_user_spec){.name = "alice", .password = "a:b"}, &e), SD_OK);
	ck_assert_int_eq(mq_users_add(u, &(struct mq_user_spec){.name = "alice", .password = "x"}, &e), SD_EEXISTS);
	ck_assert_ptr_nonnull(login(u, "guest", "guest", true));
	ck_assert_ptr_null(login(u, "guest", "guest", false));
	ck_assert_ptr_nonnull(login(u, "alice", "a:b", false));
	ck_assert(sd_slice_eq(mq_user_name(login(u, "alice", "a:b", true)), "alice"));
	static const char *const wrong[] = {"", "a", "a:", "a:bb", "a:c", "A:B", "a:ba:b"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_ptr_null(login(u, "alice", wrong[i], true));
	ck_assert_ptr_null(login(u, "nobody", "", true));
	ck_assert_ptr_null(login(u, "", "", true));
	ck_assert_ptr_null(mq_users_login(u, (struct sd_slice){"alice\0", 6}, of("a:b"), true));
	mq_users_free(u);
}
END_TEST

START_TEST(patterns)
{
	struct mq_users *u = mq_users_new();
	struct sd_error e;
	struct mq_user_spec spec = {.name = "bob", .password = "b", .patterns = {"", "^orders\\.", "orders|amq\\.default"}};
	ck_assert_int_eq(mq_users_add(u, &spec, &e), SD_OK);
	const struct mq_user *bob = login(u, "bob", "b", false);
	ck_assert(!mq_user_may(bob, MQ_CONFIGURE, of("orders")));
	ck_assert(mq_user_may(bob, MQ_CONFIGURE, of(""))); /* matches nothing but a name that is none */
	ck_assert(mq_user_may(bob, MQ_WRITE, of("orders.new")));
	ck_assert(!mq_user_may(bob, MQ_WRITE, of("my.orders.new")));
	ck_assert(mq_user_may(bob, MQ_READ, of("my.orders"))); /* anywhere in the name */
	ck_assert(mq_user_may(bob, MQ_READ, of("amq.default")));
	ck_assert(!mq_user_may(bob, MQ_READ, of("invoices")));
	ck_assert(!mq_user_may(bob, MQ_READ, (struct sd_slice){"orders\0x", 8})); /* no pattern can tell */
	spec = (struct mq_user_spec){.name = "carol", .password = "c", .patterns = {NULL, NULL, "("}};
	ck_assert_int_eq(mq_users_add(u, &spec, &e), SD_EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "expected a regular expression, found \"(\""));
	ck_assert_ptr_null(login(u, "carol", "c", true));
	mq_users_free(u);
}
END_TEST

START_TEST(virtual_hosts)
{
	struct mq_users *u = mq_users_new();
	struct sd_error e;
	static const char *const hosts[] = {"/", "/shop"};
	ck_assert_int_eq(mq_users_add(u, &(struct mq_user_spec){.name = "d", .password = "d", .vhosts = hosts, .nvhosts = 2}, &e), SD_OK);
	ck_assert_int_eq(mq_users_add(u, &(struct mq_user_spec){.name = "e", .password = "e"}, &e), SD_OK);
	ck_assert(mq_user_enters(login(u, "d", "d", true), of("/shop")));
	ck_assert(!mq_user_enters(login(u, "d", "d", true), of("/shops")));
	ck_assert(!mq_user_enters(login(u, "d", "d", true), of("")));
	ck_assert(mq_user_enters(login(u, "e", "e", true), of("/shops")));
	mq_users_free(u);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mq_users");
	TCase *t = tcase_create("all");
	tcase_add_test(t, passwords);
	tcase_add_test(t, patterns);
	tcase_add_test(t, virtual_hosts);
	suite_add_tcase(suite, t);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
