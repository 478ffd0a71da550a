/* mq_equal.c - a declaration against what there is: RabbitMQ's words for the difference. */
#include <stdio.h>

#include "mq_int.h"

struct of { /* what a sentence is about */
	const char *arg, *kind;
	struct sd_slice name, vhost;
};

static bool differ(const struct of *o, const char *got, const char *is, struct mq_error *e)
{
	return mq_fail(e, 406, "inequivalent arg '%s' for %s '%.*s' in vhost '%.*s': received %s but current is %s", o->arg, o->kind,
		       MQ_ARG(o->name), MQ_ARG(o->vhost), got, is);
}

bool mq_equal_bool(const char *arg, const char *kind, struct sd_slice name, struct sd_slice vhost, bool got, bool is, struct mq_error *e)
{
	const struct of o = {arg, kind, name, vhost};
	return got == is || differ(&o, got ? "'true'" : "'false'", is ? "'true'" : "'false'", e);
}

static void quoted(struct sd_slice s, char *out, size_t n)
{
	snprintf(out, n, "'%.*s'", MQ_ARG(s));
}

bool mq_equal_text(const char *arg, const char *kind, struct sd_slice name, struct sd_slice vhost, struct sd_slice got,
		   struct sd_slice is, struct mq_error *e)
{
	const struct of o = {arg, kind, name, vhost};
	char a[128], b[128];
	if (mq_same(got, is))
		return true;
	quoted(got, a, sizeof(a));
	quoted(is, b, sizeof(b));
	return differ(&o, a, b, e);
}

/* ---- arguments ---- */

const char *mq_kind_name(char kind)
{
	static const char kinds[] = "tbBsuIilfdDASTFVx";
	static const char *const names[] = {"bool",  "byte",   "unsignedbyte", "short", "unsignedshort", "signedint",
					    "unsignedint", "long",   "float",	"double", "decimal",	    "array",
					    "longstr",	   "timestamp", "table", "void",	  "binary"};
	const char *at = strchr(kinds, kind);
	return at && kind ? names[at - kinds] : "void";
}

static void value(const struct sd_amqp_field *f, char *out, size_t n)
{
	int64_t i;
	if (f->kind == 'S' || f->kind == 'x')
		snprintf(out, n, "%.*s", MQ_ARG(f->s));
	else if (f->kind == 't')
		snprintf(out, n, "%s", f->n ? "true" : "false");
	else if (sd_amqp_field_int(f, &i))
		snprintf(out, n, "%lld", (long long)i);
	else
		snprintf(out, n, "%s", f->kind == 'V' ? "undefined" : "...");
}

/* NULL: there is none. bare: the other side has one, too. */
static void told(const struct sd_amqp_field *f, bool bare, char *out, size_t n)
{
	char v[96];
	if (!f) {
		snprintf(out, n, "none");
		return;
	}
	value(f, v, sizeof(v));
	if (bare)
		snprintf(out, n, "'%s'", v);
	else
		snprintf(out, n, "the value '%s' of type '%s'", v, mq_kind_name(f->kind));
}

bool mq_equal_arguments(const char *const *which, const char *kind, struct sd_slice name, struct sd_slice vhost,
			struct sd_slice got, struct sd_slice is, struct mq_error *e)
{
	for (; *which; which++) {
		struct sd_amqp_field a, b;
		bool has_a = sd_amqp_find(got, *which, &a), has_b = sd_amqp_find(is, *which, &b);
		const struct of o = {*which, kind, name, vhost};
		char texts[2][160];
		if (has_a == has_b && (!has_a || sd_amqp_field_eq(&a, &b)))
			continue;
		told(has_a ? &a : NULL, has_b, texts[0], sizeof(texts[0]));
		told(has_b ? &b : NULL, has_a, texts[1], sizeof(texts[1]));
		return differ(&o, texts[0], texts[1], e);
	}
	return true;
}
