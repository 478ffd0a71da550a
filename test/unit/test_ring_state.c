/* The file of a ring on a disk that fails: whoever reads it finds the old ring or the new one, whatever happens meanwhile. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/ring/ring.h"
#include "world/file.h"
#include "world/sim.h"

#define SEEDS 20
#define FILE_NAME "ring.yaml"

static struct sd_sim *sim;
static struct sd_world *w;

/* A ring of so many nodes; their names are long, so that it covers several sectors. */
static struct ring_state state_of(size_t n)
{
	struct ring_state s = {.conf = {.hash = SD_RING_MD5}, .replicas = 3, .nodes = calloc(n + 1, sizeof(*s.nodes))};
	char name[128];
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "node-%zu-%080zu", i, i);
		ck_assert(ring_append(&s, name, i % 2 ? "zone" : NULL, 150, 1));
	}
	return s;
}

typedef enum sd_err save_fn(struct sd_world *world, const char *file, const struct ring_state *s, struct sd_error *e);

static enum sd_err save(save_fn *fn, size_t nodes, struct sd_error *e)
{
	struct ring_state s = state_of(nodes);
	enum sd_err err = fn(w, FILE_NAME, &s, e);
	ring_free(&s);
	return err;
}

/* How many nodes the ring on the disk has; -1: it is none. */
static int loaded(void)
{
	struct ring_state s;
	struct sd_error e = {0};
	if (ring_load(w, FILE_NAME, &s, &e))
		return -1;
	int n = s.there ? (int)s.n : -2;
	for (int i = 0; i < n; i++)
		ck_assert(strncmp(s.nodes[i].name, "node-", 5) == 0 && s.nodes[i].vnodes == 150 && !s.nodes[i].zone == !(i % 2));
	ring_free(&s);
	return n;
}

static void begin(uint64_t seed)
{
	struct sd_error e = {0};
	sim = sd_sim_new(seed);
	w = sd_sim_node(sim, "n1");
	ck_assert_msg(save(ring_save, 30, &e) == SD_OK, "%s", e.text);
}

/* One power cut at each write, sync and rename. Counts the times when neither ring was there. */
static int cut_everywhere(save_fn *fn)
{
	int broken = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		for (uint64_t at = 1;; at++) {
			struct sd_error e = {0};
			begin(seed);
			sd_sim_power_cut_at(w, at);
			enum sd_err err = save(fn, 40, &e);
			bool was_cut = !sd_sim_is_up(w);
			if (!was_cut)
				sd_sim_power_cut(w);
			sd_sim_boot(w);
			int n = loaded();
			broken += n != 30 && n != 40;
			/* What it said is done stays. */
			broken += err == SD_OK && n != 40;
			sd_sim_free(sim);
			if (!was_cut)
				break;
		}
	return broken;
}

START_TEST(a_power_cut_leaves_the_old_or_the_new)
{
	ck_assert_int_eq(cut_everywhere(ring_save), 0);
}
END_TEST

/* The control: written over the old one, it would be lost. */
static enum sd_err save_in_place(struct sd_world *world, const char *file, const struct ring_state *s, struct sd_error *e)
{
	char *text = NULL;
	size_t n;
	struct sd_file *f = NULL;
	enum sd_err err = ring_save(world, "other", s, e);
	if (!err)
		err = sd_world_read_file(world, "other", 1 << 20, &text, &n, e);
	if (!err)
		err = sd_file_open(world, file, SD_FILE_WRITE | SD_FILE_TRUNCATE, &f, e);
	if (!err)
		err = sd_file_write(f, &(struct iovec){text, n}, 1, 0, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	free(text);
	return err;
}

START_TEST(control_in_place_breaks)
{
	ck_assert_int_gt(cut_everywhere(save_in_place), 0);
}
END_TEST

START_TEST(a_failing_disk_leaves_the_old_or_the_new)
{
	static const enum sd_sim_op ops[] = {SD_SIM_OPEN, SD_SIM_WRITE, SD_SIM_SYNC, SD_SIM_NAME};
	int failures = 0;
	for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
		for (uint64_t at = 1;; at++) {
			struct sd_error e = {0};
			begin(at);
			sd_sim_fail(w, ops[k], at, 1, k == 1 ? ENOSPC : EIO);
			enum sd_err err = save(ring_save, 40, &e);
			bool failed = sd_sim_failed(w) > 0;
			sd_sim_fail(w, ops[k], 1, 0, 0);
			int n = loaded();
			ck_assert(failed ? err != SD_OK && e.text[0] && !strchr(e.text, '\n') : err == SD_OK);
			ck_assert_msg(n == 40 || (err && n == 30), "%d nodes after %s", n, e.text);
			failures += failed;
			/* What is left of the one that failed is in nobody's way. */
			ck_assert_int_eq(save(ring_save, 50, &e), SD_OK);
			ck_assert_int_eq(loaded(), 50);
			sd_sim_free(sim);
			if (!failed)
				break;
		}
	ck_assert_int_ge(failures, 5);
}
END_TEST

START_TEST(what_is_written_is_read)
{
	struct sd_error e = {0};
	struct ring_state s, back;
	begin(1);
	for (int kind = SD_RING_VNODES; kind <= SD_RING_TEXTBOOK; kind++)
		for (int hash = SD_RING_XXH3; hash <= SD_RING_MD5; hash++) {
			s = state_of(3);
			s.conf = (struct sd_ring_conf){.kind = (enum sd_ring_kind)kind, .hash = (enum sd_ring_hash_by)hash};
			s.conf.seed = hash == SD_RING_XXH3 ? 0x1122334455667788u : 0;
			if (hash == SD_RING_SIPHASH)
				s.conf.seed = 0xf0e0d0c0b0a09080u;
			s.conf.seed_high = hash == SD_RING_SIPHASH ? 0x8899aabbccddeeffu : 0;
			s.conf.slots = kind == SD_RING_MAGLEV ? 10007 : 0;
			s.nodes[1].weight = 0;
			ck_assert_int_eq(ring_save(w, FILE_NAME, &s, &e), SD_OK);
			ck_assert_msg(ring_load(w, FILE_NAME, &back, &e) == SD_OK, "%s", e.text);
			ck_assert(back.conf.kind == s.conf.kind && back.conf.slots == s.conf.slots);
			ck_assert(back.replicas == 3 && back.n == 3);
			/* Who has a hash of their own keeps nothing of ours. */
			ck_assert(kind >= SD_RING_LIBKETAMA || (back.conf.hash == s.conf.hash && back.conf.seed == s.conf.seed &&
								back.conf.seed_high == s.conf.seed_high));
			for (size_t i = 0; i < 3; i++)
				ck_assert(strcmp(back.nodes[i].name, s.nodes[i].name) == 0 &&
					  back.nodes[i].weight == s.nodes[i].weight);
			ring_free(&back);
			ring_free(&s);
		}
	sd_sim_free(sim);
}
END_TEST

START_TEST(keys_are_read_byte_by_byte)
{
	uint64_t low, high;
	ck_assert(ring_parse_key("000102030405060708090a0B0c0d0e0f", &low, &high));
	ck_assert(low == 0x0706050403020100u && high == 0x0f0e0d0c0b0a0908u);
	ck_assert(!ring_parse_key("000102030405060708090a0b0c0d0e0", &low, &high));
	ck_assert(!ring_parse_key("000102030405060708090a0b0c0d0e0f0", &low, &high));
	ck_assert(!ring_parse_key("000102030405060708090a0b0c0d0e0g", &low, &high));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring state");
	TCase *t = tcase_create("ring state");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_power_cut_leaves_the_old_or_the_new);
	tcase_add_test(t, control_in_place_breaks);
	tcase_add_test(t, a_failing_disk_leaves_the_old_or_the_new);
	tcase_add_test(t, what_is_written_is_read);
	tcase_add_test(t, keys_are_read_byte_by_byte);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
