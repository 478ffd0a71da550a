#include "seeds.h"

#include <stdlib.h>
#include <string.h>

uint64_t sim_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

void sim_seeds(uint64_t usually, uint64_t *from, uint64_t *to)
{
	uint64_t one = sim_number("SEED", 0);
	*from = one ? one : 1 + sim_number("SEED_FROM", 0);
	*to = one ? one : *from + sim_number("SEEDS", usually) - 1;
}

bool sim_is_wanted(const char *name)
{
	const char *only = getenv("ONLY");
	return !only || !*only || strstr(name, only);
}

void sim_add(Suite *s, const char *name, const TTest *test, double most_s)
{
	TCase *t = tcase_create(name);
	tcase_set_timeout(t, sim_number("SEEDS", 0) || sim_number("SEED_FROM", 0) ? most_s : 120);
	tcase_add_test(t, test);
	suite_add_tcase(s, t);
}

int sim_run(Suite *s)
{
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
