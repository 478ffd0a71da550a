/* guard.h - memory that ends at a page nobody may read, so that one byte too far is a crash and not luck. */
#ifndef SDLAB_TEST_GUARD_H
#define SDLAB_TEST_GUARD_H

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	char *base;
	size_t size; /* bytes that may be used, in front of the unreadable page */
};

/* Room for up to `bytes`. */
static inline struct guard guard_new(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (bytes + page - 1) / page * page;
	void *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect((char *)p + size, page, PROT_NONE), 0);
	return (struct guard){p, size};
}

/* A copy of n bytes that ends exactly at the unreadable page. Valid until the next call. */
static inline const char *guard_put(struct guard *g, const void *bytes, size_t n)
{
	ck_assert_uint_le(n, g->size);
	char *p = g->base + g->size - n;
	return n ? memcpy(p, bytes, n) : p;
}

static inline void guard_free(struct guard *g)
{
	munmap(g->base, g->size + (size_t)sysconf(_SC_PAGESIZE));
	g->base = NULL;
}

#endif
