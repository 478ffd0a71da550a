/* AMQP as bytes: what the specification says they are, every method there and back, and nothing believed that is not there. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/amqp.h"
#include "core/rng.h"
#include "guard.h"

#define BYTES(text) {text, sizeof(text) - 1}

static struct sd_slice all(const struct sd_text *t)
{
	return (struct sd_slice){t->p, t->n};
}

static bool same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static struct guard page;

static void page_new(void)
{
	page = guard_new(8192);
}

static void page_free(void)
{
	guard_free(&page);
}

/* A copy that ends where nothing may be read; good until the next call. */
static struct sd_slice guarded(struct sd_slice s)
{
	return (struct sd_slice){guard_put(&page, s.p, s.n), s.n};
}

/* ---- frames ---- */

static const struct {
	struct sd_slice bytes;
	uint32_t frame_max;
	enum sd_amqp_took took;
} frames[] = {
    {BYTES("\x08\0\0\0\0\0\0\xce"), 4096, SD_AMQP_TOOK},
    {BYTES("\x01\0\x07\0\0\0\x02xy\xce"), 10, SD_AMQP_TOOK},
    {BYTES("\x01\0\x07\0\0\0\x02xy\xce"), 9, SD_AMQP_TOO_LARGE},
    {BYTES("\x01\0\x07\0\0\0\x02xy\xce"), 0, SD_AMQP_TOOK},
    {BYTES("\x03\0\x07\0\0\0\x02xyz"), 0, SD_AMQP_BAD_END},
    {BYTES("\x02\0\x07\xff\xff\xff\xff"), 0, SD_AMQP_MORE},
    {BYTES("\x02\0\x07\xff\xff\xff\xff"), 131072, SD_AMQP_TOO_LARGE},
    {BYTES("\x04\0\0\0\0\0\0\xce"), 0, SD_AMQP_BAD_TYPE},
    {BYTES("AMQP\0\0\x09\x01"), 0, SD_AMQP_BAD_TYPE},
    {BYTES("\0"), 0, SD_AMQP_BAD_TYPE},
    {BYTES(""), 0, SD_AMQP_MORE},
};

START_TEST(frame_in_every_cut)
{
	struct sd_slice whole = frames[_i].bytes;
	struct sd_amqp_frame f;
	for (size_t cut = 0; cut <= whole.n; cut++) {
		struct sd_slice in = guarded((struct sd_slice){whole.p, cut}), rest = in;
		enum sd_amqp_took took = sd_amqp_take(&rest, frames[_i].frame_max, &f);
		if (cut == whole.n)
			ck_assert_int_eq(took, frames[_i].took);
		else
			ck_assert(took == SD_AMQP_MORE || took == frames[_i].took);
		ck_assert_uint_eq(rest.n, took == SD_AMQP_TOOK ? 0 : cut);
		if (took == SD_AMQP_TOOK) {
			ck_assert_uint_eq(f.type, (uint8_t)whole.p[0]);
			ck_assert_uint_eq(f.channel, (uint8_t)whole.p[2]);
			ck_assert_uint_eq(f.payload.n, whole.n - 8);
			ck_assert_ptr_eq(f.payload.p, in.p + 7);
		}
	}
}
END_TEST

START_TEST(frames_follow_each_other)
{
	struct sd_text t = {0};
	struct sd_amqp_frame f;
	sd_amqp_put_heartbeat(&t);
	sd_amqp_put_body(&t, 515, sd_slice_of("abcdefghij"), 12);
	sd_amqp_put_body(&t, 1, sd_slice_of(""), 4096);
	struct sd_slice in = all(&t);
	static const char *const want[] = {"", "abcd", "efgh", "ij"};
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(sd_amqp_take(&in, 12, &f), SD_AMQP_TOOK);
		ck_assert_uint_eq(f.type, i ? SD_AMQP_BODY : SD_AMQP_HEARTBEAT);
		ck_assert_uint_eq(f.channel, i ? 515 : 0);
		ck_assert(sd_slice_eq(f.payload, want[i]));
	}
	ck_assert_uint_eq(in.n, 0);
	free(t.p);
}
END_TEST

/* ---- methods ---- */

static const uint32_t every[] = {
#define ID(name, text, class, method, args, names) SD_AMQP_##name,
    SD_AMQP_METHODS(ID)};
#define NEVERY ((int)(sizeof(every) / sizeof(every[0])))

static const uint64_t widest[256] = {
    ['b'] = UINT8_MAX, ['s'] = UINT16_MAX, ['l'] = UINT32_MAX, ['L'] = UINT64_MAX, ['M'] = UINT64_MAX, ['t'] = 1};

/* Arguments of these kinds, by chance. Tables are empty or hold one field. */
static void random_args(struct sd_rng *rng, const char *kinds, struct sd_amqp_arg args[SD_AMQP_ARGS])
{
	static const char letters[256] = "abcdefghijklmnopqrstuvwxyz";
	for (size_t i = 0; kinds[i]; i++) {
		uint64_t max = widest[(unsigned char)kinds[i]], n = sd_rng_next(rng);
		args[i] = (struct sd_amqp_arg){.n = max == UINT64_MAX ? n : n % (max + 1)};
		if (max)
			continue;
		args[i].n = 0;
		args[i].s = (struct sd_slice){letters, n % 256};
		if (kinds[i] == 'T')
			args[i].s = n % 2 ? (struct sd_slice)BYTES("\x01x\x74\x01") : sd_slice_of("");
	}
}

START_TEST(every_method_there_and_back)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	const struct sd_amqp_method_info *info = sd_amqp_method_find(every[_i]), *got_info;
	ck_assert_ptr_nonnull(info);
	ck_assert_uint_eq(info->id, every[_i]);
	struct sd_amqp_arg args[SD_AMQP_ARGS], got[SD_AMQP_ARGS];
	for (int round = 0; round < 50; round++) {
		struct sd_text t = {0};
		struct sd_amqp_frame f;
		uint32_t id;
		random_args(&rng, info->args, args);
		sd_amqp_put_method(&t, (uint16_t)round, every[_i], args);
		struct sd_slice in = all(&t);
		ck_assert_int_eq(sd_amqp_take(&in, 0, &f), SD_AMQP_TOOK);
		ck_assert(f.type == SD_AMQP_METHOD && f.channel == round && !in.n);
		ck_assert_int_eq(sd_amqp_get_method(f.payload, &id, &got_info, got), SD_AMQP_READ);
		ck_assert(id == every[_i] && got_info == info);
		for (size_t i = 0; info->args[i]; i++)
			ck_assert_msg(args[i].n == got[i].n && same(args[i].s, got[i].s), "%s: argument %zu", info->name, i);
		free(t.p);
	}
}
END_TEST

START_TEST(method_too_short_or_too_long_is_none)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 7);
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	struct sd_amqp_frame f;
	struct sd_text t = {0};
	uint32_t id;
	random_args(&rng, sd_amqp_method_find(every[_i])->args, args);
	sd_amqp_put_method(&t, 1, every[_i], args);
	struct sd_slice in = all(&t);
	ck_assert_int_eq(sd_amqp_take(&in, 0, &f), SD_AMQP_TOOK);
	for (size_t n = 0; n <= f.payload.n + 1; n++) { /* one more takes the frame's end for an argument */
		struct sd_slice cut = guarded((struct sd_slice){f.payload.p, n});
		ck_assert_int_eq(sd_amqp_get_method(cut, &id, &info, args),
				 n == f.payload.n ? SD_AMQP_READ : SD_AMQP_MALFORMED);
	}
	free(t.p);
}
END_TEST

/* As the specification has them, written down by hand. */
static const struct {
	uint32_t id;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	struct sd_slice bytes;
} known[] = {
    {SD_AMQP_QUEUE_DECLARE,
     {{0}, {.s = BYTES("q")}, {0}, {.n = 1}, {0}, {.n = 1}, {0}, {.s = BYTES("")}},
     BYTES("\x01\0\x01\0\0\0\x0d\0\x32\0\x0a\0\0\x01q\x0a\0\0\0\0\xce")},
    {SD_AMQP_BASIC_DELIVER,
     {{.s = BYTES("c1")}, {.n = 258}, {.n = 1}, {.s = BYTES("")}, {.s = BYTES("k")}},
     BYTES("\x01\0\x01\0\0\0\x13\0\x3c\0\x3c\x02\x63\x31\0\0\0\0\0\0\x01\x02\x01\0\x01k\xce")},
    {SD_AMQP_BASIC_NACK,
     {{.n = 1}, {0}, {.n = 1}},
     BYTES("\x01\0\x01\0\0\0\x0d\0\x3c\0\x78\0\0\0\0\0\0\0\x01\x02\xce")},
    {SD_AMQP_CONNECTION_TUNE_OK,
     {{.n = 2047}, {.n = 131072}, {.n = 60}},
     BYTES("\x01\0\x01\0\0\0\x0c\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\x3c\xce")},
    {SD_AMQP_EXCHANGE_UNBIND_OK, {{0}}, BYTES("\x01\0\x01\0\0\0\x04\0\x28\0\x33\xce")},
    {SD_AMQP_CONNECTION_SECURE, {{.s = BYTES("?")}}, BYTES("\x01\0\x01\0\0\0\x09\0\x0a\0\x14\0\0\0\x01?\xce")},
};

START_TEST(known_bytes)
{
	struct sd_text t = {0};
	sd_amqp_put_method(&t, 1, known[_i].id, known[_i].args);
	ck_assert_uint_eq(t.n, known[_i].bytes.n);
	ck_assert_mem_eq(t.p, known[_i].bytes.p, t.n);
	free(t.p);
}
END_TEST

START_TEST(unknown_methods_say_which)
{
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	uint32_t id;
	ck_assert_int_eq(sd_amqp_get_method((struct sd_slice){"\0\x3c\0\x63", 4}, &id, &info, args), SD_AMQP_UNKNOWN);
	ck_assert_uint_eq(id, 60u << 16 | 99);
	ck_assert_ptr_null(info);
	ck_assert_ptr_null(sd_amqp_method_find(0));
}
END_TEST

START_TEST(table_of_a_method_must_be_one)
{
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	static const struct sd_slice bad = BYTES("\0\x32\0\x0a\0\0\x01q\x0a\0\0\0\x03\x01x?");
	static const struct sd_slice good = BYTES("\0\x32\0\x0a\0\0\x01q\x0a\0\0\0\x03\x01xV");
	uint32_t id;
	ck_assert_int_eq(sd_amqp_get_method(bad, &id, &info, args), SD_AMQP_MALFORMED);
	ck_assert_int_eq(sd_amqp_get_method(good, &id, &info, args), SD_AMQP_READ);
}
END_TEST

START_TEST(long_names_are_cut)
{
	char name[300];
	memset(name, 'n', sizeof(name));
	struct sd_amqp_arg args[] = {{.s = {name, sizeof(name)}}, {.n = 1}};
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg got[SD_AMQP_ARGS];
	struct sd_amqp_frame f;
	struct sd_text t = {0};
	uint32_t id;
	sd_amqp_put_method(&t, 1, SD_AMQP_BASIC_CANCEL, args);
	struct sd_slice in = all(&t);
	ck_assert_int_eq(sd_amqp_take(&in, 0, &f), SD_AMQP_TOOK);
	ck_assert_int_eq(sd_amqp_get_method(f.payload, &id, &info, got), SD_AMQP_READ);
	ck_assert(same(got[0].s, (struct sd_slice){name, 255}) && got[1].n == 1);
	free(t.p);
}
END_TEST

START_TEST(names_of_methods_and_arguments)
{
	const struct sd_amqp_method_info *info = sd_amqp_method_find(every[_i]);
	size_t words = *info->names != '\0';
	for (const char *p = info->names; *p; p++)
		words += *p == ' ';
	ck_assert_uint_eq(words, strlen(info->args));
	ck_assert_uint_le(words, SD_AMQP_ARGS);
	ck_assert_ptr_nonnull(strchr(info->name, '.'));
	ck_assert_str_eq(sd_amqp_method_find(SD_AMQP_QUEUE_DECLARE_OK)->name, "queue.declare-ok");
}
END_TEST

/* ---- contents ---- */

static const struct sd_amqp_properties full = {
    .has = 0xfffc, .delivery_mode = 2, .priority = 7, .timestamp = 0x0102030405060708,
    .content_type = BYTES("text/plain"), .content_encoding = BYTES("gzip"), .correlation_id = BYTES("c"),
    .reply_to = BYTES("r"), .expiration = BYTES("60000"), .message_id = BYTES("abc123"), .type = BYTES("t"),
    .user_id = BYTES("guest"), .app_id = BYTES("a"), .cluster_id = BYTES(""), .headers = BYTES("\x01hV"),
};

static bool props_eq(const struct sd_amqp_properties *a, const struct sd_amqp_properties *b)
{
	return a->has == b->has && a->delivery_mode == b->delivery_mode && a->priority == b->priority &&
	       a->timestamp == b->timestamp && same(a->content_type, b->content_type) &&
	       same(a->content_encoding, b->content_encoding) && same(a->correlation_id, b->correlation_id) &&
	       same(a->reply_to, b->reply_to) && same(a->expiration, b->expiration) && same(a->message_id, b->message_id) &&
	       same(a->type, b->type) && same(a->user_id, b->user_id) && same(a->app_id, b->app_id) &&
	       same(a->cluster_id, b->cluster_id) && same(a->headers, b->headers);
}

START_TEST(header_in_every_cut)
{
	struct sd_text raw = {0}, t = {0};
	struct sd_amqp_properties got;
	struct sd_amqp_frame f;
	struct sd_slice got_raw;
	uint16_t class_id;
	uint64_t size;
	sd_amqp_put_properties(&raw, &full);
	sd_amqp_put_header(&t, 9, 0x1122334455667788, all(&raw));
	struct sd_slice in = all(&t);
	ck_assert_int_eq(sd_amqp_take(&in, 0, &f), SD_AMQP_TOOK);
	ck_assert(f.type == SD_AMQP_HEADER && f.channel == 9);
	for (size_t n = 0; n <= f.payload.n + 1; n++) {
		struct sd_slice cut = guarded((struct sd_slice){f.payload.p, n});
		ck_assert(sd_amqp_get_header(cut, &class_id, &size, &got_raw, &got) == (n == f.payload.n));
		if (n == f.payload.n) {
			ck_assert(class_id == 60 && size == 0x1122334455667788 && same(got_raw, all(&raw)));
			ck_assert(props_eq(&got, &full));
		}
	}
	free(raw.p);
	free(t.p);
}
END_TEST

/* Written down by hand, in the order of the specification. */
START_TEST(known_bytes_of_properties)
{
	static const struct sd_slice want = BYTES("\xff\xfc\x0atext/plain\x04gzip\0\0\0\x03\x01hV\x02\x07\x01" "c\x01r\x05" "60000\x06" "abc123"
						  "\x01\x02\x03\x04\x05\x06\x07\x08\x01t\x05guest\x01" "a\0");
	struct sd_text raw = {0};
	sd_amqp_put_properties(&raw, &full);
	ck_assert_uint_eq(raw.n, want.n);
	ck_assert_mem_eq(raw.p, want.p, want.n);
	free(raw.p);
}
END_TEST

START_TEST(each_property_alone)
{
	struct sd_amqp_properties p = full, got;
	struct sd_text raw = {0}, again = {0};
	p.has = (uint16_t)(1 << (_i + 2));
	sd_amqp_put_properties(&raw, &p);
	ck_assert(sd_amqp_get_properties(all(&raw), &got));
	ck_assert_uint_eq(got.has, p.has);
	sd_amqp_put_properties(&again, &got);
	ck_assert(same(all(&raw), all(&again)));
	free(raw.p);
	free(again.p);
}
END_TEST

static const struct {
	struct sd_slice payload;
	bool good;
} headers[] = {
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\0"), true},
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\x10\0\x02"), true},
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\x10\0\x02\x02"), false},
    {BYTES("\0\x3c\0\x01\0\0\0\0\0\0\0\x05\0\0"), false},		/* weight */
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\x01"), false},		/* more flags */
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\x02"), false},		/* of nothing */
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\x20\0\0\0\0\x02\x01h"), false}, /* headers that are no table */
    {BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\x05\x20\0\0\0\0\x03\x01hV"), true},
};

START_TEST(header_good_or_bad)
{
	struct sd_amqp_properties got;
	struct sd_slice raw, in = guarded(headers[_i].payload);
	uint16_t class_id;
	uint64_t size;
	ck_assert(sd_amqp_get_header(in, &class_id, &size, &raw, &got) == headers[_i].good);
}
END_TEST

/* ---- tables ---- */

static const struct {
	struct sd_amqp_field f;
	struct sd_slice bytes; /* behind the name "k" */
} fields[] = {
    {{.kind = 't', .n = 1}, BYTES("t\x01")},
    {{.kind = 't', .n = 0}, BYTES("t\0")},
    {{.kind = 'b', .n = -128}, BYTES("b\x80")},
    {{.kind = 'B', .n = 255}, BYTES("B\xff")},
    {{.kind = 's', .n = -2}, BYTES("s\xff\xfe")},
    {{.kind = 'u', .n = 65535}, BYTES("u\xff\xff")},
    {{.kind = 'I', .n = INT32_MIN}, BYTES("I\x80\0\0\0")},
    {{.kind = 'i', .n = UINT32_MAX}, BYTES("i\xff\xff\xff\xff")},
    {{.kind = 'l', .n = INT64_MIN}, BYTES("l\x80\0\0\0\0\0\0\0")},
    {{.kind = 'T', .n = 0x65000000}, BYTES("T\0\0\0\0\x65\0\0\0")},
    {{.kind = 'f', .real = 1.5}, BYTES("f\x3f\xc0\0\0")},
    {{.kind = 'd', .real = -2.25}, BYTES("d\xc0\x02\0\0\0\0\0\0")},
    {{.kind = 'D', .n = 314, .scale = 2}, BYTES("D\x02\0\0\x01\x3a")},
    {{.kind = 'D', .n = 314, .scale = 3}, BYTES("D\x03\0\0\x01\x3a")},
    {{.kind = 'S', .s = BYTES("a\0b")}, BYTES("S\0\0\0\x03" "a\0b")},
    {{.kind = 'x', .s = BYTES("")}, BYTES("x\0\0\0\0")},
    {{.kind = 'A', .s = BYTES("Vt\x01")}, BYTES("A\0\0\0\x03Vt\x01")},
    {{.kind = 'F', .s = BYTES("\x01xV")}, BYTES("F\0\0\0\x03\x01xV")},
    {{.kind = 'V'}, BYTES("V")},
};
#define NFIELDS ((int)(sizeof(fields) / sizeof(fields[0])))

START_TEST(each_kind_of_field)
{
	struct sd_text t = {0};
	struct sd_amqp_field got;
	sd_amqp_put_field(&t, "k", &fields[_i].f);
	ck_assert_uint_eq(t.n, fields[_i].bytes.n + 2);
	ck_assert_mem_eq(t.p, "\x01k", 2);
	ck_assert_mem_eq(t.p + 2, fields[_i].bytes.p, fields[_i].bytes.n);
	for (size_t n = 0; n <= t.n; n++) {
		struct sd_slice cut = guarded((struct sd_slice){t.p, n}), rest = cut;
		ck_assert(sd_amqp_is_table(cut) == (n == 0 || n == t.n));
		ck_assert(sd_amqp_next_field(&rest, &got) == (n == t.n));
		ck_assert_uint_eq(rest.n, n == t.n ? 0 : n);
	}
	struct sd_slice rest = all(&t);
	ck_assert(sd_amqp_next_field(&rest, &got) && sd_slice_eq(got.name, "k") && sd_amqp_field_eq(&got, &fields[_i].f));
	rest = fields[_i].bytes;
	ck_assert(sd_amqp_next_item(&rest, &got) && !got.name.n && sd_amqp_field_eq(&got, &fields[_i].f));
	for (int k = 0; k < NFIELDS; k++)
		ck_assert(sd_amqp_field_eq(&got, &fields[k].f) == (k == _i));
	free(t.p);
}
END_TEST

START_TEST(numbers_of_any_width)
{
	int64_t n;
	struct sd_amqp_field a = {.kind = 'b', .n = 5}, b = {.kind = 'l', .n = 5}, t = {.kind = 'T', .n = 5};
	struct sd_amqp_field f = {.kind = 'f', .real = 5}, d = {.kind = 'd', .real = 5}, s = {.kind = 'S', .s = BYTES("5")};
	ck_assert(sd_amqp_field_eq(&a, &b) && sd_amqp_field_eq(&f, &d));
	ck_assert(!sd_amqp_field_eq(&a, &t) && !sd_amqp_field_eq(&b, &d) && !sd_amqp_field_eq(&s, &a));
	struct sd_amqp_field nan = {.kind = 'd', .real = NAN};
	ck_assert(sd_amqp_field_eq(&nan, &nan) && !sd_amqp_field_eq(&nan, &d) && !sd_amqp_field_eq(&d, &nan));
	ck_assert(sd_amqp_field_int(&b, &n) && n == 5);
	ck_assert(!sd_amqp_field_int(&t, &n) && !sd_amqp_field_int(&d, &n) && !sd_amqp_field_int(&s, &n));
}
END_TEST

/* Tables or arrays, so many inside each other. */
static void nest(struct sd_text *t, char kind, int depth)
{
	if (!depth)
		return;
	size_t at = sd_amqp_begin_field(t, kind == 'F' || !t->n ? "n" : NULL, kind);
	nest(t, kind, depth - 1);
	sd_amqp_end_field(t, at);
}

START_TEST(depth_has_an_end)
{
	static const char kinds[] = "FA";
	for (size_t k = 0; k < 2; k++)
		for (int depth = SD_AMQP_DEPTH; depth <= SD_AMQP_DEPTH + 1; depth++) {
			struct sd_text t = {0};
			nest(&t, kinds[k], depth);
			ck_assert(sd_amqp_is_table(all(&t)) == (depth == SD_AMQP_DEPTH));
			free(t.p);
		}
}
END_TEST

START_TEST(written_by_parts)
{
	struct sd_text t = {0};
	struct sd_amqp_field f, item;
	sd_amqp_put_bool(&t, "yes", true);
	size_t at = sd_amqp_begin_field(&t, "list", 'A');
	sd_amqp_put_int(&t, NULL, -3);
	sd_amqp_put_string(&t, NULL, sd_slice_of("three"));
	sd_amqp_end_field(&t, at);
	sd_amqp_put_int(&t, "n", 7);
	struct sd_slice table = all(&t);
	ck_assert(sd_amqp_is_table(table));
	ck_assert(sd_amqp_find(table, "n", &f) && f.kind == 'l' && f.n == 7);
	ck_assert(sd_amqp_find(table, "yes", &f) && f.kind == 't' && f.n == 1);
	ck_assert(!sd_amqp_find(table, "li", &f) && !sd_amqp_find(table, "", &f));
	ck_assert(sd_amqp_find(table, "list", &f) && f.kind == 'A');
	ck_assert(sd_amqp_next_item(&f.s, &item) && item.n == -3);
	ck_assert(sd_amqp_next_item(&f.s, &item) && sd_slice_eq(item.s, "three"));
	ck_assert(!sd_amqp_next_item(&f.s, &item) && !f.s.n);
	free(t.p);
}
END_TEST

static const struct {
	struct sd_slice a, b;
	bool eq;
} pairs[] = {
    {BYTES(""), BYTES(""), true},
    {BYTES("\x01" "at\x01\x01" "bB\x05"), BYTES("\x01" "bu\0\x05\x01" "at\x01"), true},
    {BYTES("\x01" "at\x01"), BYTES("\x01" "at\0"), false},
    {BYTES("\x01" "at\x01"), BYTES("\x01" "bt\x01"), false},
    {BYTES("\x01" "at\x01"), BYTES("\x01" "at\x01\x01" "bV"), false},
    {BYTES("\x01" "aF\0\0\0\x03\x01xV"), BYTES("\x01" "aF\0\0\0\x03\x01xV"), true},
    {BYTES("\x01" "aF\0\0\0\x03\x01xV"), BYTES("\x01" "aF\0\0\0\x03\x01yV"), false},
    {BYTES("\x01" "aA\0\0\0\x02Vt"), BYTES("\x01" "aA\0\0\0\x02Vt"), false}, /* the array is none */
    {BYTES("\x01" "aA\0\0\0\x04" "B\x01" "B\x02"), BYTES("\x01" "aA\0\0\0\x04" "B\x01" "b\x02"), true},
    {BYTES("\x01" "aA\0\0\0\x04" "B\x01" "B\x02"), BYTES("\x01" "aA\0\0\0\x04" "B\x02" "B\x01"), false},
    {BYTES("\x01" "aA\0\0\0\x02" "B\x01"), BYTES("\x01" "aA\0\0\0\x04" "B\x01" "B\x02"), false},
    {BYTES("\x01" "at\x01\x01" "aV"), BYTES("\x01" "at\x01\x01" "aV"), true}, /* one name twice */
    {BYTES("\x01" "a?"), BYTES("\x01" "a?"), false},
};

START_TEST(tables_compared)
{
	ck_assert(sd_amqp_table_eq(pairs[_i].a, pairs[_i].b) == pairs[_i].eq);
	ck_assert(sd_amqp_table_eq(pairs[_i].b, pairs[_i].a) == pairs[_i].eq);
}
END_TEST

/* So many fields, numbered up or down. */
static struct sd_text many(int n, bool down)
{
	struct sd_text t = {0};
	for (int i = 0; i < n; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", down ? n - i : i + 1);
		sd_amqp_put_int(&t, name, 1);
	}
	return t;
}

START_TEST(order_counts_only_in_large_tables)
{
	for (int n = SD_AMQP_UNORDERED; n <= SD_AMQP_UNORDERED + 1; n++) {
		struct sd_text up = many(n, false), down = many(n, true);
		ck_assert(sd_amqp_table_eq(all(&up), all(&up)));
		ck_assert(sd_amqp_table_eq(all(&up), all(&down)) == (n == SD_AMQP_UNORDERED));
		free(up.p);
		free(down.p);
	}
}
END_TEST

START_TEST(codes_have_names)
{
	ck_assert_str_eq(sd_amqp_code_name(404), "NOT_FOUND");
	ck_assert_str_eq(sd_amqp_code_name(541), "INTERNAL_ERROR");
	ck_assert_ptr_null(sd_amqp_code_name(500));
	static const unsigned soft[] = {311, 312, 313, 403, 404, 405, 406}, hard[] = {320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541};
	for (size_t i = 0; i < sizeof(soft) / sizeof(soft[0]); i++)
		ck_assert(sd_amqp_code_name(soft[i]) && !sd_amqp_code_is_hard(soft[i]));
	for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++)
		ck_assert(sd_amqp_code_name(hard[i]) && sd_amqp_code_is_hard(hard[i]));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *s = suite_create("amqp");
	TCase *tc = tcase_create("bytes");
	tcase_add_checked_fixture(tc, page_new, page_free);
	tcase_add_loop_test(tc, frame_in_every_cut, 0, COUNT(frames));
	tcase_add_test(tc, frames_follow_each_other);
	tcase_add_loop_test(tc, every_method_there_and_back, 0, NEVERY);
	tcase_add_loop_test(tc, method_too_short_or_too_long_is_none, 0, NEVERY);
	tcase_add_loop_test(tc, known_bytes, 0, COUNT(known));
	tcase_add_test(tc, unknown_methods_say_which);
	tcase_add_test(tc, table_of_a_method_must_be_one);
	tcase_add_test(tc, long_names_are_cut);
	tcase_add_loop_test(tc, names_of_methods_and_arguments, 0, NEVERY);
	tcase_add_test(tc, header_in_every_cut);
	tcase_add_test(tc, known_bytes_of_properties);
	tcase_add_loop_test(tc, each_property_alone, 0, 14);
	tcase_add_loop_test(tc, header_good_or_bad, 0, COUNT(headers));
	tcase_add_loop_test(tc, each_kind_of_field, 0, NFIELDS);
	tcase_add_test(tc, numbers_of_any_width);
	tcase_add_test(tc, depth_has_an_end);
	tcase_add_test(tc, written_by_parts);
	tcase_add_loop_test(tc, tables_compared, 0, COUNT(pairs));
	tcase_add_test(tc, order_counts_only_in_large_tables);
	tcase_add_test(tc, codes_have_names);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
