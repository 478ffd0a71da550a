/* skiplist.h - members in the order of their score, then of their bytes, with their rank (Pugh 1990; spans as Redis has them).
 *
 *	head --------------------> C --------> end      span: how many places a step goes
 *	head --> A ----------> C --------> E --> end    2 1 ..
 *	head --> A --> B --> C --> D --> E --> end      every node; back leads the other way
 *
 * A node is one piece of memory: its levels, then the node, then the member's bytes. It begins with an entry of core/dict
 * with the member as the key, so that a sorted set has a table of members too without another allocation. The caller
 * allocates and frees. Finding, adding, removing, rank and the node at a rank cost O(log n).
 */
#ifndef SD_CORE_SKIPLIST_H
#define SD_CORE_SKIPLIST_H

#include "core/dict.h"

#define SD_SKIP_LEVELS 16 /* of which a quarter of the nodes has each next: enough for 2^32 */

struct sd_skip_node {
	struct sd_dict_entry e; /* hash and klen are for the table; klen is the length of the member */
	double score;
	struct sd_skip_node *back; /* NULL: the first */
	uint8_t height;
	char member[];
};

struct sd_skip_level {
	struct sd_skip_node *next; /* NULL: the end */
	uint32_t span;             /* places from here to next, or to the last node */
};

struct sd_skiplist {
	struct sd_skip_level head[SD_SKIP_LEVELS];
	struct sd_skip_node *last;
	uint32_t count;
	unsigned height; /* levels in use */
};

/* How tall a new node is. */
unsigned sd_skip_height(struct sd_rng *rng);
size_t sd_skip_node_bytes(unsigned height, size_t member_n);
/* Makes a node in so many bytes, aligned as malloc's are. Its place in the table (e.next, e.hash) is the caller's. */
struct sd_skip_node *sd_skip_node_init(void *memory, unsigned height, double score, struct sd_slice member);
/* Where its memory begins: what is to be freed. */
void *sd_skip_node_memory(struct sd_skip_node *n);

static inline struct sd_slice sd_skip_member(const struct sd_skip_node *n)
{
	return (struct sd_slice){n->member, n->e.klen};
}
static inline struct sd_skip_node *sd_skip_next(const struct sd_skip_node *n)
{
	return ((const struct sd_skip_level *)n - 1)->next;
}

void sd_skiplist_init(struct sd_skiplist *l);
static inline struct sd_skip_node *sd_skiplist_first(const struct sd_skiplist *l)
{
	return l->head[0].next;
}
/* The member is not in it; the score is a number (no NaN). Less than UINT32_MAX are. */
void sd_skiplist_add(struct sd_skiplist *l, struct sd_skip_node *n);
void sd_skiplist_remove(struct sd_skiplist *l, struct sd_skip_node *n);
void sd_skiplist_set_score(struct sd_skiplist *l, struct sd_skip_node *n, double score);
/* How many come before it. */
uint32_t sd_skiplist_rank(const struct sd_skiplist *l, const struct sd_skip_node *n);
/* The one before which so many are; NULL: there are not that many. */
struct sd_skip_node *sd_skiplist_at(const struct sd_skiplist *l, uint32_t rank);

/* An end of a range: everything from here on, or up to here. Of scores, or of bytes where all scores are the same. */
struct sd_skip_bound {
	double score;
	struct sd_slice member;
	int8_t infinite; /* of bytes: -1 before, 1 behind everything */
	bool lex, exclusive;
};
/* Is the member before (negative), at (0) or behind the bound's place? An exclusive bound excludes those at it. */
int sd_skip_compare(const struct sd_skip_bound *b, double score, struct sd_slice member);
/* How many are too low for a range that begins at min. The first that is not is in *n, when that is not NULL. */
uint32_t sd_skiplist_below(const struct sd_skiplist *l, const struct sd_skip_bound *min, struct sd_skip_node **n);
/* How many are not too high for a range that ends at max. The last of them is in *n. */
uint32_t sd_skiplist_up_to(const struct sd_skiplist *l, const struct sd_skip_bound *max, struct sd_skip_node **n);

#endif
