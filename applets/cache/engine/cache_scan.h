/* cache_scan.h - what SCAN, SSCAN, HSCAN and ZSCAN have in common: the cursor, the options and the shape of the reply.
 *
 *	if (!cache_scan_begin(c, 2, &scan)) return;	the cursor is argv[2]
 *	if (!cache_scan_options(&scan, 3)) return;
 *	cache_scan_table(&scan, table, fn);		fn calls cache_scan_give for its entry; the reply is whole
 *
 * or, of what is given whole: cache_scan_give for each, then cache_scan_end.
 */
#ifndef CACHE_SCAN_H
#define CACHE_SCAN_H

#include "cache.h"

struct cache_scan {
	struct cache_call *c;
	uint64_t cursor;	 /* the next one is 0 unless a table is scanned */
	int64_t count;
	struct sd_slice pattern; /* p NULL: all */
	struct sd_slice type;	 /* of SCAN; p NULL: all */
	bool keys;		 /* it is SCAN, which has TYPE */
	size_t place;		 /* where its reply begins */
	size_t n, items;	 /* given; with values they are twice as many items */
};

/* False: the cursor is none, and the reply says so. */
bool cache_scan_begin(struct cache_call *c, size_t cursor_at, struct cache_scan *s);
/* MATCH, COUNT, and TYPE when keys is set. */
bool cache_scan_options(struct cache_scan *s, size_t from);
/* Gives it, when it fits the pattern. value NULL: it has none. */
void cache_scan_give(struct cache_scan *s, struct sd_slice name, const struct sd_slice *value);
/* About as many entries as COUNT says; fn's arg is the scan. The reply is whole afterwards. */
void cache_scan_table(struct cache_scan *s, struct sd_dict *d, void (*fn)(void *arg, struct sd_dict_entry *e));
void cache_scan_end(struct cache_scan *s);

#endif
