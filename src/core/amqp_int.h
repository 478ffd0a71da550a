/* amqp_int.h - what the files of amqp.h share: reading and writing of its smallest things. */
#ifndef SD_CORE_AMQP_INT_H
#define SD_CORE_AMQP_INT_H

#include "core/amqp.h"
#include "core/bytes.h"

/* After the first thing that is not whole, everything read is 0 and empty. */
struct amqp_reader {
	struct sd_slice rest;
	bool bad;
};

static inline struct sd_slice amqp_take_bytes(struct amqp_reader *r, uint64_t n)
{
	if (n > r->rest.n) {
		r->bad = true;
		r->rest.n = 0;
		return (struct sd_slice){NULL, 0};
	}
	struct sd_slice s = {r->rest.p, (size_t)n};
	if (n) /* there may be nothing at no address */
		r->rest = (struct sd_slice){r->rest.p + n, r->rest.n - (size_t)n};
	return s;
}

static inline uint64_t amqp_take_number(struct amqp_reader *r, size_t bytes)
{
	struct sd_slice s = amqp_take_bytes(r, bytes);
	return sd_get_be(s.p, s.n);
}

/* A string or table behind its length, of which there are so many bytes. */
static inline struct sd_slice amqp_take_string(struct amqp_reader *r, size_t length_bytes)
{
	return amqp_take_bytes(r, amqp_take_number(r, length_bytes));
}

static inline void amqp_put_number(struct sd_text *t, uint64_t v, size_t bytes)
{
	char b[8];
	sd_put_be(b, v, bytes);
	sd_text_add(t, b, bytes);
}

static inline void amqp_put_short(struct sd_text *t, struct sd_slice s)
{
	size_t n = s.n < SD_AMQP_SHORT_MAX ? s.n : SD_AMQP_SHORT_MAX;
	amqp_put_number(t, n, 1);
	sd_text_add(t, s.p, n);
}

static inline void amqp_put_long(struct sd_text *t, struct sd_slice s)
{
	amqp_put_number(t, s.n, 4);
	sd_text_add(t, s.p, s.n);
}

/* Writes the length of what came since into the 4 bytes at `at`; so many of that are not counted. */
static inline void amqp_put_length(struct sd_text *t, size_t at, size_t not_counted)
{
	if (!t->full)
		sd_put_be(t->p + at, t->n - at - not_counted, 4);
}

#endif
