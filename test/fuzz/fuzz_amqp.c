/* Any bytes, as frames, as properties and as a table. Beside not crashing, these must hold:
 *
 *   - bytes that come in pieces end in the verdict of the whole;
 *   - every piece of what was read lies in what was given;
 *   - what was understood and is written again is understood as the same.
 *
 * Inputs are copied to blocks of just their size, so that the address sanitizer sees a byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "core/amqp.h"

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

#define LARGEST 4096

static struct sd_slice copy_of(const void *bytes, size_t n)
{
	char *p = malloc(n ? n : 1);
	HOLDS(p);
	return (struct sd_slice){n ? memcpy(p, bytes, n) : p, n};
}

static struct sd_slice all(const struct sd_text *t)
{
	return (struct sd_slice){t->p, t->n};
}

static bool inside(struct sd_slice s, struct sd_slice in)
{
	return !s.n || (s.p >= in.p && s.p + s.n <= in.p + in.n);
}

static bool same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

static void check_table(struct sd_slice table)
{
	struct sd_text again = {0};
	struct sd_amqp_field f, found;
	struct sd_slice rest = table;
	HOLDS(sd_amqp_table_eq(table, table));
	while (sd_amqp_next_field(&rest, &f)) {
		char name[SD_AMQP_SHORT_MAX + 1] = {0};
		HOLDS(inside(f.name, table) && inside(f.s, table));
		if (f.name.n)
			memcpy(name, f.name.p, f.name.n);
		if (strlen(name) == f.name.n)
			HOLDS(sd_amqp_find(table, name, &found));
		if (strlen(name) == f.name.n)
			sd_amqp_put_field(&again, name, &f);
	}
	HOLDS(!rest.n && sd_amqp_is_table(all(&again)));
	rest = table;
	struct sd_slice other = all(&again);
	while (sd_amqp_next_field(&rest, &f))
		if (!f.name.n || !memchr(f.name.p, 0, f.name.n))
			HOLDS(sd_amqp_next_field(&other, &found) && same(f.name, found.name) && sd_amqp_field_eq(&f, &found));
	free(again.p);
}

static void check_properties(struct sd_slice raw)
{
	struct sd_amqp_properties p;
	struct sd_text again = {0};
	if (!sd_amqp_get_properties(raw, &p))
		return;
	HOLDS(inside(p.headers, raw) && inside(p.message_id, raw) && inside(p.cluster_id, raw));
	check_table(p.headers);
	sd_amqp_put_properties(&again, &p);
	HOLDS(same(all(&again), raw));
	free(again.p);
}

static void check_method(const struct sd_amqp_frame *f)
{
	const struct sd_amqp_method_info *info, *same_info;
	struct sd_amqp_arg args[SD_AMQP_ARGS], got[SD_AMQP_ARGS];
	struct sd_amqp_frame again;
	struct sd_text t = {0};
	uint32_t id, same_id;
	if (sd_amqp_get_method(f->payload, &id, &info, args) != SD_AMQP_READ)
		return;
	sd_amqp_put_method(&t, f->channel, id, args);
	struct sd_slice in = all(&t);
	HOLDS(sd_amqp_take(&in, 0, &again) == SD_AMQP_TOOK && !in.n);
	HOLDS(again.channel == f->channel && again.payload.n == f->payload.n);
	HOLDS(sd_amqp_get_method(again.payload, &same_id, &same_info, got) == SD_AMQP_READ && same_id == id);
	for (size_t i = 0; info->args[i]; i++) {
		HOLDS(inside(args[i].s, f->payload) && args[i].n == got[i].n && same(args[i].s, got[i].s));
		if (info->args[i] == 'T')
			check_table(args[i].s);
	}
	free(t.p);
}

static void check_header(struct sd_slice payload)
{
	struct sd_amqp_properties p;
	struct sd_slice raw;
	uint16_t class_id;
	uint64_t size;
	if (sd_amqp_get_header(payload, &class_id, &size, &raw, &p)) {
		HOLDS(inside(raw, payload));
		check_properties(raw);
	}
}

struct verdict {
	enum sd_amqp_took took; /* the last */
	size_t frames, bytes;
};

/* Given in steps; what was taken is forgotten, as a connection does. */
static struct verdict frames(struct sd_slice in, size_t step, uint32_t frame_max, bool deep)
{
	struct verdict v = {SD_AMQP_MORE, 0, 0};
	for (size_t have = 0; have < in.n && v.took == SD_AMQP_MORE;) {
		have = in.n - have < step ? in.n : have + step;
		struct sd_slice own = copy_of(in.p + v.bytes, have - v.bytes), rest = own;
		struct sd_amqp_frame f;
		while ((v.took = sd_amqp_take(&rest, frame_max, &f)) == SD_AMQP_TOOK) {
			HOLDS(inside(f.payload, own) && (!frame_max || f.payload.n + 8 <= frame_max));
			v.frames++;
			if (deep && f.type == SD_AMQP_METHOD)
				check_method(&f);
			if (deep && f.type == SD_AMQP_HEADER)
				check_header(f.payload);
		}
		v.bytes += own.n - rest.n;
		free((char *)own.p);
	}
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t most[] = {0, 12, 131072};
	static const size_t steps[] = {1, 7};
	if (size > LARGEST)
		return 0;
	struct sd_slice in = copy_of(data, size);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			struct verdict a = frames(in, size, most[i], true), b = frames(in, steps[k], most[i], false);
			HOLDS(a.took == b.took && a.frames == b.frames && a.bytes == b.bytes);
		}
	check_properties(in);
	if (sd_amqp_is_table(in))
		check_table(in);
	free((char *)in.p);
	return 0;
}
