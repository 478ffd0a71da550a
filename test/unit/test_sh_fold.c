/* Clicks as bytes and back, referrers, messages; and many clicks as few rows: each once, whatever comes again, early or late. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/shortener/clicks/sh_clicks.h"
#include "../../applets/shortener/clicks/sh_fold.h"
#include "core/rng.h"
#include "guard.h"

#define DAY  SH_DAY_MS
#define HOUR SH_HOUR_MS

static bool same(struct sd_slice s, const char *text)
{
	return sd_slice_eq(s, text);
}

/* ---- entries ---- */

static struct sh_entry example(void)
{
	return (struct sh_entry){.link = 7, .time_ms = 1700000000123, .visitor = 0x1122334455667788, .flags = 3, .kind = 1, .device = 2,
				 .browser = 3, .system = 4, .country = {'D', 'E'}, .host = sd_slice_of("a.example"), .path = sd_slice_of("/x")};
}

START_TEST(entries_come_back)
{
	uint8_t bytes[SH_ENTRY_MAX];
	struct sh_entry e = example(), back;
	size_t n = sh_entry_put(bytes, &e);
	ck_assert_uint_eq(n, SH_ENTRY_HEAD + 11);
	struct sd_slice rest = {(const char *)bytes, n};
	ck_assert(sh_entry_next(&rest, &back));
	ck_assert_uint_eq(rest.n, 0);
	ck_assert_uint_eq(back.link, 7);
	ck_assert_int_eq(back.time_ms, 1700000000123);
	ck_assert_uint_eq(back.visitor, 0x1122334455667788);
	ck_assert(back.flags == 3 && back.kind == 1 && back.device == 2 && back.browser == 3 && back.system == 4);
	ck_assert_mem_eq(back.country, "DE", 2);
	ck_assert(same(back.host, "a.example") && same(back.path, "/x"));
	ck_assert(!sh_entry_next(&rest, &back));
}
END_TEST

/* Cut off at every byte, ending at a page that cannot be read; then with any one byte changed. */
START_TEST(what_is_no_entry)
{
	struct guard g = guard_new(2 * SH_ENTRY_MAX);
	uint8_t bytes[SH_ENTRY_MAX];
	struct sh_entry e = example(), back;
	size_t n = sh_entry_put(bytes, &e);
	for (size_t i = 0; i < n; i++) {
		struct sd_slice rest = {guard_put(&g, bytes, i), i};
		ck_assert(!sh_entry_next(&rest, &back));
		ck_assert_uint_eq(rest.n, i);
	}
	for (size_t i = 0; i < n * 256; i++) {
		uint8_t changed[SH_ENTRY_MAX];
		memcpy(changed, bytes, n);
		changed[i / 256] = (uint8_t)i;
		struct sd_slice rest = {guard_put(&g, changed, n), n};
		while (sh_entry_next(&rest, &back))
			;
	}
	e.host = e.path = (struct sd_slice){(const char *)memset(malloc(300), 'x', 300), 300};
	ck_assert_uint_eq(sh_entry_put(bytes, &e), SH_ENTRY_MAX);
	free((void *)(uintptr_t)e.host.p);
	guard_free(&g);
}
END_TEST

START_TEST(referrers)
{
	static const struct {
		const char *referer, *host;
	} rows[] = {
	    {"https://www.google.com/search?q=x", "google.com"}, {"http://T.co/abc", "t.co"}, {"https://news.example:8443/x", "news.example"},
	    {"https://example.com", "example.com"}, {"https://example.com.", "example.com"}, {"HTTPS://EXAMPLE.com?x", "example.com"},
	    {"http://[2001:db8::1]:80/x", "[2001:db8::1]"}, {"http://www.com/", "www.com"}, {"http://xn--bcher-kva.example/", "xn--bcher-kva.example"},
	    {"android-app://com.google.android.gm/", ""}, {"about:blank", ""}, {"", ""}, {"https://", ""}, {"https:///x", ""},
	    {"https://user@host/", ""}, {"https://a b/", ""}, {"https://a\x01" "b/", ""}, {"https://b\xc3\xbc.example/", ""},
	    {"http://[2001:db8::1", ""}, {"javascript:alert(1)", ""}, {"http://[::1]x/", ""},
	};
	struct guard g = guard_new(100);
	char out[SH_ENTRY_TEXT];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].referer);
		struct sd_slice got = sh_referrer_host((struct sd_slice){guard_put(&g, rows[i].referer, n), n}, out);
		ck_assert_msg(same(got, rows[i].host), "%s: %.*s", rows[i].referer, (int)got.n, got.p);
	}
	guard_free(&g);
	char longest[600] = "https://";
	memset(longest + 8, 'a', 500);
	ck_assert_uint_eq(sh_referrer_host(sd_slice_of(longest), out).n, 0);
	ck_assert(same(sh_orphan_path(sd_slice_of("/a\x7f\x01 b\xff"), out), "/a???b?"));
}
END_TEST

/* ---- messages ---- */

START_TEST(messages)
{
	struct guard g = guard_new(200);
	struct sd_text t = {0};
	struct sh_block b;
	size_t at = 0;
	bool bad;
	sh_message_begin(&t, 42, 8);
	sh_message_add(&t, 9, sd_slice_of("nine"));
	sh_message_add(&t, 10, sd_slice_of(""));
	struct sd_slice m = {t.p, t.n};
	ck_assert(sh_message_next(m, &at, &b, &bad));
	ck_assert(b.source == 42 && b.seq == 9 && b.floor == 8 && same(b.clicks, "nine"));
	ck_assert(sh_message_next(m, &at, &b, &bad));
	ck_assert(b.seq == 10 && b.clicks.n == 0);
	ck_assert(!sh_message_next(m, &at, &b, &bad) && !bad);
	for (size_t n = 0; n < t.n; n++) {
		bool any_bad = false;
		for (at = 0; sh_message_next((struct sd_slice){guard_put(&g, t.p, n), n}, &at, &b, &any_bad);)
			;
		ck_assert(any_bad == (n != SH_MESSAGE_HEAD && n != SH_MESSAGE_HEAD + 16));
	}
	free(t.p);
	guard_free(&g);
}
END_TEST

/* ---- folding ---- */

struct writer {
	uint8_t bytes[65536];
	size_t n;
	struct sh_block blocks[64];
	size_t nblocks;
};

static void begin_block(struct writer *w, uint64_t source, uint64_t seq)
{
	w->blocks[w->nblocks++] = (struct sh_block){.source = source, .seq = seq, .floor = seq - 1, .clicks = {(const char *)w->bytes + w->n, 0}};
}

static void click(struct writer *w, uint64_t link, int64_t time_ms, uint8_t kind, uint64_t visitor, const char *host)
{
	struct sh_entry e = {.link = link, .time_ms = time_ms, .kind = kind, .visitor = visitor, .flags = visitor ? SH_ENTRY_VISITOR : 0,
			     .device = SD_DEVICE_MOBILE, .country = {'D', 'E'}, .host = sd_slice_of(host), .path = sd_slice_of(link ? "" : "/gone")};
	size_t n = sh_entry_put(w->bytes + w->n, &e);
	w->n += n;
	w->blocks[w->nblocks - 1].clicks.n += n;
}

static void fold(struct sh_fold *f, const struct writer *w, uint64_t known)
{
	ck_assert(sh_fold_begin(f, w->blocks, w->nblocks));
	for (size_t i = 0; known && i < f->npositions; i++) {
		f->positions[i].seq = known;
		f->positions[i].known = true;
	}
	sh_fold_add(f, w->blocks, w->nblocks);
	sh_fold_finish(f);
	ck_assert(!f->full);
}

static const struct sh_row *row(const struct sh_fold *f, enum sh_table table, uint64_t link, int64_t when, int kind, const char *name)
{
	for (size_t i = 0; i < f->nrows; i++) {
		const struct sh_row *r = &f->rows[i];
		if (r->table == table && r->link == link && r->when == when && r->kind == kind && same(r->name, name))
			return r;
	}
	ck_abort_msg("no row %d of link %d at %d: %s", (int)table, (int)link, (int)when, name);
	return NULL;
}

START_TEST(rows_have_the_sums)
{
	static struct writer w;
	struct sh_fold f;
	w = (struct writer){0};
	begin_block(&w, 1, 1);
	click(&w, 5, 10 * DAY + HOUR, SD_CLIENT_PERSON, 100, "a.example");
	click(&w, 5, 10 * DAY + HOUR + 5, SD_CLIENT_PERSON, 100, "a.example");
	click(&w, 5, 10 * DAY + 2 * HOUR, SD_CLIENT_PERSON, 101, "");
	click(&w, 5, 10 * DAY + HOUR, SD_CLIENT_BOT, 0, "bot.example");
	begin_block(&w, 1, 2);
	click(&w, 6, 10 * DAY + HOUR, SD_CLIENT_PREVIEW, 0, "");
	click(&w, 6, 11 * DAY, SD_CLIENT_PERSON, 100, "a.example");
	click(&w, 0, 11 * DAY, SD_CLIENT_PERSON, 0, "");
	click(&w, 0, 11 * DAY, SD_CLIENT_PERSON, 0, "");
	fold(&f, &w, 0);
	ck_assert_uint_eq(f.clicks, 8);
	ck_assert_int_eq(row(&f, SH_HOURS, 5, 241, 0, "")->n[SD_CLIENT_PERSON], 2);
	ck_assert_int_eq(row(&f, SH_HOURS, 5, 241, 0, "")->n[SD_CLIENT_BOT], 1);
	ck_assert_int_eq(row(&f, SH_HOURS, 5, 242, 0, "")->n[SD_CLIENT_PERSON], 1);
	ck_assert_int_eq(row(&f, SH_DAYS, 5, 10, 0, "")->n[SD_CLIENT_PERSON], 3);
	ck_assert_int_eq(row(&f, SH_DAYS, 0, 10, 0, "")->n[SD_CLIENT_PERSON], 3);
	ck_assert_int_eq(row(&f, SH_DAYS, 0, 10, 0, "")->n[SD_CLIENT_PREVIEW], 1);
	ck_assert_int_eq(row(&f, SH_DAYS, 0, 11, 0, "")->n[SD_CLIENT_PERSON], 1);
	ck_assert_int_eq(row(&f, SH_SHARES_TABLE, 5, 10, SH_REFERRERS, "a.example")->n[0], 2);
	ck_assert_int_eq(row(&f, SH_SHARES_TABLE, 5, 10, SH_REFERRERS, "")->n[0], 1);
	ck_assert_int_eq(row(&f, SH_SHARES_TABLE, 5, 10, SH_COUNTRIES, "DE")->n[0], 3);
	ck_assert_int_eq(row(&f, SH_SHARES_TABLE, 5, 10, SH_DEVICES, "mobile")->n[0], 3);
	ck_assert_int_eq(row(&f, SH_ORPHANS, 0, 11 * DAY, 0, "/gone")->n[0], 2);
	ck_assert_uint_eq(f.nvisits, 2 + 1 + 3); /* link 5: two on day 10; link 6: one; together: two and one */
	sh_fold_free(&f);
}
END_TEST

/* Blocks that were counted before do not count; one before which another is missing waits, unless that is known to be gone. */
START_TEST(each_block_once_and_in_order)
{
	static struct writer w;
	struct sh_fold f;
	w = (struct writer){0};
	for (uint64_t seq = 3; seq <= 8; seq++) {
		begin_block(&w, 9, seq == 6 ? 4 : seq);
		click(&w, seq, DAY, SD_CLIENT_PERSON, 0, "");
	}
	w.blocks[5].floor = 6; /* 8: 7 is here. */
	w.blocks[4].floor = 4; /* 7: 6 is not confirmed */
	fold(&f, &w, 3);
	ck_assert_uint_eq(f.again, 2); /* 3, and 4 a second time */
	ck_assert_uint_eq(f.clicks, 2 + 1);
	ck_assert_uint_eq(f.early, 1);
	ck_assert_uint_eq(f.lost, 2);
	ck_assert_uint_eq(f.positions[0].seq, 8);
	sh_fold_free(&f);
	w.blocks[5].floor = 5;
	fold(&f, &w, 3);
	ck_assert_uint_eq(f.early, 2);
	ck_assert_uint_eq(f.positions[0].seq, 5);
	sh_fold_free(&f);
}
END_TEST

/* However clicks are cut into blocks and batches, the sums are the same as counted one by one. */
START_TEST(sums_as_counted_one_by_one)
{
	static struct writer w;
	int64_t want[4][3][SD_CLIENT_KINDS] = {{{0}}}, got[4][3][SD_CLIENT_KINDS] = {{{0}}};
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	for (unsigned batch = 0; batch < 20; batch++) {
		struct sh_fold f;
		w = (struct writer){0};
		for (unsigned i = 0; i < 1 + sd_rng_next(&rng) % 20; i++) {
			begin_block(&w, 1, batch * 32 + i + 1);
			for (uint64_t k = sd_rng_next(&rng) % 30; k > 0; k--) {
				uint64_t link = 1 + sd_rng_next(&rng) % 3, day = sd_rng_next(&rng) % 3, kind = sd_rng_next(&rng) % SD_CLIENT_KINDS;
				click(&w, link, (int64_t)day * DAY + (int64_t)(sd_rng_next(&rng) % (uint64_t)DAY), (uint8_t)kind, 0,
				      sd_rng_next(&rng) & 1 ? "a.example" : "");
				want[link][day][kind]++;
				want[0][day][kind]++;
			}
		}
		fold(&f, &w, 0);
		for (size_t i = 0; i < f.nrows; i++)
			for (unsigned k = 0; k < SD_CLIENT_KINDS && f.rows[i].table == SH_DAYS; k++)
				got[f.rows[i].link][f.rows[i].when][k] += f.rows[i].n[k];
		sh_fold_free(&f);
	}
	ck_assert_mem_eq(want, got, sizeof(want));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_fold");
	TCase *t = tcase_create("sh_fold");
	tcase_add_test(t, entries_come_back);
	tcase_add_test(t, what_is_no_entry);
	tcase_add_test(t, referrers);
	tcase_add_test(t, messages);
	tcase_add_test(t, rows_have_the_sums);
	tcase_add_test(t, each_block_once_and_in_order);
	tcase_add_loop_test(t, sums_as_counted_one_by_one, 0, 8);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
