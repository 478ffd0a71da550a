/* The journal of a worker, on a disk that is full for a while: what could not be written is counted as lost and told, the rest is there, and
 * afterwards clicks are recorded again. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "../../applets/shortener/clicks/sh_clicks_int.h"
#include "core/list.h"
#include "world/sim.h"

static struct sd_sim *sim;
static struct sd_world *world;
static struct sd_loop *loop;
static struct sh_clicks c;
static struct sh_clicks_worker *w;
static unsigned reads;

static void begin(void)
{
	struct sd_error e = {0};
	sim = sd_sim_new(1);
	world = sd_sim_node(sim, "a");
	loop = sd_loop_new(world, &e);
	ck_assert_int_eq(sd_loop_start(loop, "loop", &e), SD_OK);
	c = (struct sh_clicks){.loop = loop, .world = world, .sync = SD_WAL_NEVER, .dir = "clicks"};
	c.helpers = sd_helpers_new(world, 1);
	ck_assert_msg(sh_journals_open(&c, 1, &e) == SD_OK, "%s", e.text);
	w = c.slots[0];
	w->loop = loop;
	reads = 0;
}

static void end(void)
{
	sd_helpers_free(c.helpers);
	sd_loop_flush(loop);
	sh_journals_close(&c);
	free(c.batch.bytes.p);
	free(c.batch.blocks);
	sd_loop_free(loop);
	sd_sim_free(sim);
}

static void pass(void)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + 1000000000);
}

/* So many clicks in one turn, with an answer that goes nowhere. */
static void click(unsigned n)
{
	struct sd_peer from = {.kind = SD_ADDR_INET, .ip = {192, 0, 2, 1}};
	struct sd_stream answer = {.loop = loop};
	for (unsigned i = 0; i < n; i++) {
		struct sh_click one = {.link = 7, .time_ms = 5, .from = &from, .user_agent = sd_slice_of("curl/8.0"),
				       .referer = sd_slice_of("https://a.example/")};
		sh_clicks_add(w, &one, &answer);
		ck_assert_ptr_eq(answer.gate, &w->gate);
		ck_assert(w->gate.shut);
	}
	sd_loop_flush(loop);
	ck_assert(!w->gate.shut);
}

static void on_read(struct sh_clicks *clicks)
{
	ck_assert_ptr_eq(clicks, &c);
	reads++;
}

/* How many clicks are there to be read. */
static unsigned read_all(void)
{
	unsigned n = 0;
	while (sh_journals_have(&c)) {
		unsigned before = reads;
		sh_journals_read(&c, on_read);
		pass();
		ck_assert_uint_eq(reads, before + 1);
		for (size_t i = 0; i < c.batch.n; i++) {
			struct sd_slice rest = c.batch.blocks[i].clicks;
			struct sh_entry e;
			for (; sh_entry_next(&rest, &e); n++)
				ck_assert(e.link == 7 && sd_slice_eq(e.host, "a.example") && (e.flags & SH_ENTRY_VISITOR));
		}
	}
	return n;
}

START_TEST(one_write_for_all_of_a_turn)
{
	begin();
	click(3);
	click(1);
	ck_assert_uint_eq(w->clicks_n, 4);
	ck_assert_uint_eq(w->turns, 2);
	ck_assert_uint_eq(read_all(), 4);
	ck_assert(!sh_journals_have(&c));
	click(2);
	ck_assert_uint_eq(read_all(), 2);
	end();
}
END_TEST

START_TEST(a_full_disk)
{
	char why[300];
	begin();
	click(3);
	sd_sim_fail(world, SD_SIM_WRITE, 1, 1000, ENOSPC);
	click(2);
	click(4); /* it is not tried again at once */
	ck_assert_uint_eq(w->lost, 6);
	ck_assert(!sh_clicks_ready(&c, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "clicks are not recorded: "));
	ck_assert_uint_eq(read_all(), 3); /* what was recorded before can be read */
	sh_journals_mend(&c);
	pass();
	ck_assert(!sh_clicks_ready(&c, why, sizeof(why)) || w->wal);
	sd_sim_fail(world, SD_SIM_WRITE, 1, 0, 0);
	for (unsigned i = 0; !sh_clicks_ready(&c, why, sizeof(why)); i++) {
		ck_assert_uint_lt(i, 3);
		sh_journals_mend(&c);
		pass();
	}
	uint64_t run = w->run;
	click(5);
	ck_assert_uint_eq(w->lost, 6);
	ck_assert_uint_ge(read_all(), 5); /* the old ones too: who adds them up knows what it had */
	ck_assert_uint_eq(c.batch.blocks[c.batch.n - 1].source, run);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_journal");
	TCase *t = tcase_create("sh_journal");
	tcase_add_test(t, one_write_for_all_of_a_turn);
	tcase_add_test(t, a_full_disk);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
