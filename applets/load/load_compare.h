/* load_compare.h - do two results differ, and by how much? */
#ifndef LOAD_COMPARE_H
#define LOAD_COMPARE_H

#include <stdio.h>

/* Prints to `out` how B's rate, mean, p50, p90 and p99 stand to A's: the ratio, its 95 % interval by resampling, and a
 * word. Both texts are what load_export_json writes, with its histograms; names are for the reader. The same two texts
 * give the same output always. Returns the exit status: 0 when they were compared, whatever came of it; 1, with a line
 * on `err`, when one of them is no result or has no answer in it. Response times are compared when both are open loops,
 * else service times. */
int load_compare(FILE *out, FILE *err, const char *a_json_text, const char *b_json_text, const char *a_name,
		 const char *b_name);

#endif
