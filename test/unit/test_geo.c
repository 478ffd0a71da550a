/* Countries out of a file in MaxMind's format, which the test writes itself: a search tree of 24 bits a record, its data, and
 * what describes it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "disk/geo.h"

#define NODES 400

/* ---- writing: only what is needed here ---- */

struct tree {
	uint32_t at[NODES][2]; /* 0: nothing; below NODES: a node; above: data at so many bytes less NODES */
	unsigned n;
};

/* A network of IPv6, or of IPv4 as ::a.b.c.d/96+n. */
static void put_net(struct tree *t, const uint8_t ip[16], unsigned bits, uint32_t data)
{
	unsigned node = 0;
	for (unsigned i = 0; i < bits; i++) {
		unsigned side = ip[i / 8] >> (7 - i % 8) & 1;
		if (i + 1 == bits) {
			t->at[node][side] = NODES + data;
		} else {
			if (!t->at[node][side])
				t->at[node][side] = ++t->n;
			node = t->at[node][side];
		}
	}
}

static void put_string(struct sd_text *t, const char *s)
{
	sd_text_fill(t, (char)(2 << 5 | (int)strlen(s)), 1);
	sd_text_add(t, s, strlen(s));
}

static void put_map(struct sd_text *t, unsigned pairs)
{
	sd_text_fill(t, (char)(7 << 5 | pairs), 1);
}

static void put_number(struct sd_text *t, int type, unsigned value, unsigned bytes)
{
	if (type > 7) {
		sd_text_fill(t, (char)bytes, 1);
		sd_text_fill(t, (char)(type - 7), 1);
	} else {
		sd_text_fill(t, (char)((unsigned)type << 5 | bytes), 1);
	}
	for (unsigned i = bytes; i-- > 0;)
		sd_text_fill(t, (char)(value >> (8 * i)), 1);
}

static uint32_t put_country(struct sd_text *data, const char *code)
{
	uint32_t at = (uint32_t)data->n;
	put_map(data, 1);
	put_string(data, "country");
	put_map(data, 1);
	put_string(data, "iso_code");
	put_string(data, code);
	return at;
}

static void put_description(struct sd_text *t, unsigned nodes)
{
	sd_text_add(t, "\xab\xcd\xefMaxMind.com", 14);
	put_map(t, 9);
	put_string(t, "node_count");
	put_number(t, 6, nodes, 4);
	put_string(t, "record_size");
	put_number(t, 5, 24, 2);
	put_string(t, "ip_version");
	put_number(t, 5, 6, 2);
	put_string(t, "database_type");
	put_string(t, "Test-Country");
	put_string(t, "languages");
	sd_text_add(t, "\x00\x04", 2);
	put_string(t, "binary_format_major_version");
	put_number(t, 5, 2, 2);
	put_string(t, "binary_format_minor_version");
	put_number(t, 5, 0, 2);
	put_string(t, "build_epoch");
	put_number(t, 9, 1700000000, 4);
	put_string(t, "description");
	put_map(t, 0);
}

static void put_tree(struct sd_text *out, const struct tree *t)
{
	unsigned nodes = t->n + 1;
	for (unsigned i = 0; i < nodes; i++) {
		for (unsigned side = 0; side < 2; side++) {
			uint32_t v = t->at[i][side];
			uint32_t record = v == 0 ? nodes : v < NODES ? v : nodes + 16 + (v - NODES);
			char three[] = {(char)(record >> 16), (char)(record >> 8), (char)record};
			sd_text_add(out, three, 3);
		}
	}
	sd_text_fill(out, 0, 16);
}

static char file[] = "/tmp/sdlab-geo-XXXXXX";

static void write_file(const struct sd_text *t)
{
	FILE *f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(t->p, 1, t->n, f), t->n);
	ck_assert_int_eq(fclose(f), 0);
}

static void make(void)
{
	static struct tree t;
	struct sd_text data = {0}, out = {0};
	t = (struct tree){0};
	put_net(&t, (const uint8_t[16]){[12] = 192, 0, 2, 0}, 96 + 24, put_country(&data, "DE"));
	put_net(&t, (const uint8_t[16]){[12] = 198, 51, 100, 0}, 96 + 24, put_country(&data, "JP"));
	put_net(&t, (const uint8_t[16]){[12] = 203, 0, 113, 7}, 128, put_country(&data, "TOO LONG"));
	put_net(&t, (const uint8_t[16]){0x20, 0x01, 0x0d, 0xb8}, 32, put_country(&data, "BR"));
	ck_assert_uint_lt(t.n, NODES);
	put_tree(&out, &t);
	sd_text_add(&out, data.p, data.n);
	put_description(&out, t.n + 1);
	write_file(&out);
	free(data.p);
	free(out.p);
}

START_TEST(countries)
{
	static const struct {
		uint8_t ip[16];
		bool v6;
		const char *code;
	} rows[] = {
	    {{192, 0, 2, 1}, false, "DE"},	{{192, 0, 2, 255}, false, "DE"}, {{192, 0, 3, 0}, false, NULL},
	    {{198, 51, 100, 9}, false, "JP"},	{{203, 0, 113, 7}, false, NULL}, {{127, 0, 0, 1}, false, NULL},
	    {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, true, "BR"}, {{0x20, 0x02}, true, NULL},
	};
	struct sd_error e = {0};
	struct sd_geo *g;
	char out[2];
	make();
	ck_assert_msg(sd_geo_open(file, &g, &e) == SD_OK, "%s", e.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool found = sd_geo_country(g, rows[i].ip, rows[i].v6, out);
		ck_assert_int_eq(found, rows[i].code != NULL);
		if (found)
			ck_assert_mem_eq(out, rows[i].code, 2);
	}
	sd_geo_close(g);
	ck_assert(!sd_geo_country(NULL, rows[0].ip, false, out));
}
END_TEST

START_TEST(what_is_no_such_file)
{
	struct sd_text t = {0};
	struct sd_error e = {0};
	struct sd_geo *g;
	sd_text_fill(&t, 'x', 5000);
	write_file(&t);
	free(t.p);
	ck_assert_int_eq(sd_geo_open(file, &g, &e), SD_EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "no file in MaxMind's format"));
	ck_assert_int_eq(sd_geo_open("/nowhere/at/all.mmdb", &g, &e), SD_ENOTFOUND);
	ck_assert_ptr_null(g);
	sd_geo_close(g);
}
END_TEST

int main(void)
{
	int fd = mkstemp(file);
	if (fd < 0)
		return EXIT_FAILURE;
	close(fd);
	Suite *s = suite_create("geo");
	TCase *t = tcase_create("geo");
	tcase_add_test(t, countries);
	tcase_add_test(t, what_is_no_such_file);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	unlink(file);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
