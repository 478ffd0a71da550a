/* resp_reply.h - RESP, the protocol of Redis, versions 2 and 3, as a client hears it: replies read as their bytes come. Pure.
 *
 * A reader cuts a stream into tokens, in order, and keeps nothing of them but how deep it is:
 *
 *	*2\r\n$1\r\na\r\n:7\r\n      ARRAY of 2, depth 0; BULK "a", depth 1; INT 7, depth 1, `last`: the reply is whole
 *
 * A long string comes in pieces, each where it was received, so that nobody copies what nobody keeps. Who wants the whole
 * reply gives the tokens to a tree.
 *
 * Strict: a line ends with CRLF and holds neither alone, and numbers are written as RESP writes them. Strings and arrays without a length ("$?") are not taken: no server sends them.
 */
#ifndef SD_CORE_RESP_REPLY_H
#define SD_CORE_RESP_REPLY_H

#include "resp.h"
#include "sdlab/err.h"

/* A kind is what its first byte on the wire is; null may also have been "$-1" or "*-1". */
enum sd_resp_kind {
	SD_RESP_SIMPLE = '+',
	SD_RESP_ERROR = '-',
	SD_RESP_INT = ':',
	SD_RESP_BULK = '$',
	SD_RESP_ARRAY = '*',
	SD_RESP_NULL = '_',
	SD_RESP_BOOL = '#',
	SD_RESP_DOUBLE = ',',
	SD_RESP_BIG = '(',        /* an integer of any length, as text */
	SD_RESP_BULK_ERROR = '!',
	SD_RESP_VERBATIM = '=',   /* "txt:" and a text */
	SD_RESP_MAP = '%',
	SD_RESP_SET = '~',
	SD_RESP_PUSH = '>',       /* not an answer to anything; only at depth 0 */
	SD_RESP_ATTRIBUTE = '|',  /* a map about the reply that follows it at the same depth */
};

#define SD_RESP_MAX_DEPTH 32
#define SD_RESP_MAX_LINE  (64 * 1024)

struct sd_resp_reply_limits {
	int64_t max_bulk;  /* bytes of one string */
	int64_t max_items; /* of one reply, those of arrays in arrays too; a map has two for each pair */
	int64_t max_bytes; /* of one reply, with all that is in it */
};
/* What a program takes that shows replies to a person: strings of 512 MiB, 16 Mi items, 1 GiB in all. */
extern const struct sd_resp_reply_limits sd_resp_reply_usual;

struct sd_resp_token {
	enum sd_resp_kind kind;
	unsigned depth;       /* 0: a reply; 1: in an array that is one */
	bool more;            /* the string goes on in the next token */
	bool last;            /* with it a reply is whole */
	bool push;            /* that reply is a push */
	struct sd_slice text; /* of everything but arrays and their like: the bytes, or this piece of them */
	int64_t n;            /* an array and its like: its items, two for each pair; a string: its length in all;
				 INT: the number; BOOL: 0 or 1 */
	double number;        /* DOUBLE */
};

/* Zero it to start; it owns nothing. */
struct sd_resp_replies {
	struct sd_resp_frame {
		uint64_t left;  /* items that have not begun */
		bool attribute; /* what it is in goes on as if it had not been there */
	} frames[SD_RESP_MAX_DEPTH];
	unsigned depth;
	enum sd_resp_kind string; /* in the middle of one; 0: not */
	uint64_t total, left;     /* its bytes, and those that did not come yet */
	size_t seen;              /* bytes of the line that were looked at */
	uint64_t taken, items;    /* bytes and items of the reply, as far as they are announced */
	bool push;
	char error[128];          /* after SD_RESP_BAD */
};

/* Takes one token from p[0..n), which begins where the last one ended, and returns its length; t points into p.
 * SD_RESP_INCOMPLETE: call again with more behind the same bytes. SD_RESP_BAD: error says why, and the stream is lost. */
ssize_t sd_resp_next(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
		     struct sd_resp_token *t);

/* ---- a reply as a whole ---- */

/* One value; those in an array follow it, each with its own, so that the one after an array is `span` further. */
struct sd_resp_value {
	enum sd_resp_kind kind;
	size_t items;         /* arrays and their like: how many values are directly in it */
	size_t span;          /* values, this one and all below it */
	struct sd_slice text; /* as in the token, but whole; of VERBATIM without its "txt:" */
	int64_t n;
	double number;
	size_t at;            /* inside: where the text begins; before the tree is whole it may move */
};

/* Zero it to start. Attributes are left out. */
struct sd_resp_tree {
	struct sd_resp_value *values; /* values[0] is the reply */
	size_t n, room;
	struct sd_resp_out text;
	size_t open[SD_RESP_MAX_DEPTH]; /* those whose items still come */
	unsigned nopen;
	bool in_string;
	unsigned skip; /* depth of the attribute that is left out, and 1; 0: none */
};

/* SD_ENOMEM, or SD_OK. After the token that has `last`, values is whole until the next call. */
enum sd_err sd_resp_tree_add(struct sd_resp_tree *tree, const struct sd_resp_token *t);
/* Takes bytes from p[0..n) until a reply is whole, and says so in *whole; returns how many it took, or SD_RESP_BAD, with the reason in
 * r->error; out of memory is one of them. */
ssize_t sd_resp_tree_read(struct sd_resp_tree *tree, struct sd_resp_replies *r, const char *p, size_t n,
			  const struct sd_resp_reply_limits *limits, bool *whole);
/* For the next reply; memory is kept. */
void sd_resp_tree_reset(struct sd_resp_tree *tree);
void sd_resp_tree_free(struct sd_resp_tree *tree);

/* The one that stands behind v and what is in v. */
static inline const struct sd_resp_value *sd_resp_after(const struct sd_resp_value *v)
{
	return v + v->span;
}

static inline bool sd_resp_has_items(enum sd_resp_kind k)
{
	return k == SD_RESP_ARRAY || k == SD_RESP_MAP || k == SD_RESP_SET || k == SD_RESP_PUSH || k == SD_RESP_ATTRIBUTE;
}

static inline bool sd_resp_is_error(enum sd_resp_kind k)
{
	return k == SD_RESP_ERROR || k == SD_RESP_BULK_ERROR;
}

#endif
