/* Any bytes as the file of a ring, sdlab-ring(5). What is taken is written as a file that is read as the same ring, makes a ring or is
 * refused in a line, and what is refused is refused in a line that names the file.
 */
#include <stdlib.h>
#include <string.h>

#include "../../applets/ring/ring.h"
#include "world/file.h"
#include "world/sim.h"

#define FILE_NAME "ring.yaml"
#define POINTS	  20000 /* larger rings are read and not made: that takes its time */

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void put(struct sd_world *w, const uint8_t *data, size_t size)
{
	struct sd_error e = {0};
	struct sd_file *f = NULL;
	struct iovec v = {(void *)data, size};
	HOLDS(sd_file_open(w, FILE_NAME, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, &e) == SD_OK);
	HOLDS(sd_file_write(f, &v, 1, 0, &e) == SD_OK);
	sd_file_close(f);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_again(struct sd_world *w, const struct ring_state *s)
{
	struct ring_state again;
	struct sd_error e = {0};
	bool own = s->conf.kind == SD_RING_VNODES;
	HOLDS(ring_save(w, FILE_NAME, s, &e) == SD_OK);
	HOLDS(ring_load(w, FILE_NAME, &again, &e) == SD_OK && again.there);
	HOLDS(again.n == s->n && again.replicas == s->replicas && again.conf.kind == s->conf.kind);
	if (ring_hash_name(s))
		HOLDS(again.conf.hash == s->conf.hash && again.conf.seed == s->conf.seed && again.conf.seed_high == s->conf.seed_high);
	for (size_t i = 0; i < s->n; i++) {
		const struct ring_node *a = &s->nodes[i], *b = &again.nodes[i];
		HOLDS(same(a->name, b->name) && same(a->zone, b->zone) && a->weight == b->weight && (!own || a->vnodes == b->vnodes));
	}
	ring_free(&again);
}

static void check_ring(const struct ring_state *s)
{
	struct sd_ring *r = NULL;
	struct sd_error e = {0};
	uint64_t points = s->conf.slots;
	for (size_t i = 0; i < s->n; i++)
		points += (uint64_t)s->nodes[i].weight * (s->conf.kind == SD_RING_VNODES ? s->nodes[i].vnodes : 200);
	if (points > POINTS)
		return;
	enum sd_err err = ring_make(s, &r, &e);
	HOLDS((err == SD_OK) == (r != NULL) && (err == SD_OK || (e.text[0] && !strchr(e.text, '\n'))));
	sd_ring_release(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ring_state s;
	struct sd_error e = {0};
	if (size > 16384)
		return 0;
	struct sd_sim *sim = sd_sim_new(1);
	struct sd_world *w = sd_sim_node(sim, "n1");
	put(w, data, size);
	if (ring_load(w, FILE_NAME, &s, &e) == SD_OK) {
		check_ring(&s);
		check_again(w, &s);
		ring_free(&s);
	} else {
		HOLDS(strncmp(e.text, FILE_NAME, strlen(FILE_NAME)) == 0 && !strchr(e.text, '\n'));
	}
	sd_sim_free(sim);
	return 0;
}
