/* stream.h - one connection of any kind: TCP, UNIX, in-process; TLS when it comes is another struct sd_io.
 *
 * Reading: bytes are read into the loop's shared buffer and handed to data(), which returns how many it took. What it
 * leaves is kept in the stream and handed over again, with what came since, when more arrives or after
 * sd_stream_resume. So an idle connection owns no buffer, and back-pressure is simply taking nothing: once
 * in_limit bytes are kept the stream stops reading.
 *
 * Writing: bytes gather in the stream and go out in one system call at the end of the callback. Large pieces
 * are sent at once, without a copy, as far as the kernel takes them. Above `high` bytes of backlog the writer should
 * stop (sd_stream_backlog tells); drained() says when it fell to `low`.
 *
 * Ending: closed() comes at most once, when the connection broke by itself; afterwards only sd_stream_close may be
 * called. sd_stream_close may be called at any time, from any callback; no callback comes after it. When the peer takes
 * nothing any more while we read, what is written is thrown away and counts as backlog, what the peer said before is
 * still handed over, and closed() comes where that ends: a server may refuse a body, answer and close.
 *
 *	CONNECTING --connected--> OPEN --eof()--> peer will send no more; writing goes on
 *	     |                     |
 *	     +----- closed(why) ---+-- sd_stream_finish: flush, shut down writing, read until the peer closes
 *	                           +-- sd_stream_close, sd_stream_abort: gone
 */
#ifndef SD_NET_STREAM_H
#define SD_NET_STREAM_H

#include "core/clients.h"
#include "world/loop.h"

struct sd_stream;

struct sd_stream_events {
	void (*connected)(struct sd_stream *s); /* NULL: nobody asks */
	size_t (*data)(struct sd_stream *s, const char *p, size_t n);
	void (*eof)(struct sd_stream *s);
	void (*drained)(struct sd_stream *s);
	void (*timeout)(struct sd_stream *s);
	void (*closed)(struct sd_stream *s, enum sd_err why);
	void (*spliced)(struct sd_stream *s); /* bytes went from here to another stream; NULL: nobody asks */
};

/* What must have been done before bytes leave: a record that says what they promise. One gate serves many streams. */
struct sd_stream_gate {
	void (*pass)(struct sd_stream_gate *g); /* does it; shut is false afterwards */
	bool shut;
};

struct sd_stream {
	struct sd_loop *loop;
	struct sd_io *io;
	const struct sd_stream_events *events;
	void *owner;
	char *in, *out; /* blocks of the loop when of its block size, else malloc */
	uint32_t in_len, in_cap, in_limit;
	uint32_t out_off, out_len, out_cap; /* out_len counts from out_off */
	uint16_t todo;                      /* what the deferred task is to do */
	uint8_t why;                        /* enum sd_err: why it broke, once dead */
	uint8_t write_err;                  /* enum sd_err: why nothing can be written any more; 0: it can */
	bool shutting; /* what tells the peer that no more will come is on its way */
	bool connecting, got_eof, want_read, want_write, above_high, dead, closing, shut_pending,
	    close_pending, file_waits; /* file_waits: drained() is to come when there is room */
	uint32_t high, low;
	uint32_t in_pipe;                    /* bytes read and on their way to splice_to */
	struct sd_stream *splice_to, *splice_from;
	struct sd_stream_gate *gate; /* of what is gathered; NULL: none */
	struct sd_task task;
	struct sd_timer timer;
	int64_t deadline_ns;
	uint64_t bytes_in, bytes_out;
	void (*finished)(void *arg); /* of sd_stream_finish */
	struct sd_client_pass pass;  /* ends when the connection is closed */
};

#define SD_STREAM_HIGH (64 * 1024)
#define SD_STREAM_LOW  (16 * 1024)

/* Takes over an accepted (connecting false) or connecting io. On failure io is closed and NULL returned. */
struct sd_stream *sd_stream_new(struct sd_io *io, bool connecting, uint32_t in_limit,
				const struct sd_stream_events *events, void *owner);
/* Changes who is called; what is kept is handed to the new owner after sd_stream_resume. */
void sd_stream_hand_over(struct sd_stream *s, const struct sd_stream_events *events, void *owner,
			 uint32_t in_limit);
void sd_stream_close(struct sd_stream *s);
/* Closes with a reset: the peer is to see that something was cut off. */
void sd_stream_abort(struct sd_stream *s);
/* Sends what is buffered and closes, or gives up at the deadline. linger: the peer may still be sending, and closing
 * on unread bytes would reset the connection and lose the last answer; so shuts down writing and throws away
 * what comes until the peer closes or 1 MiB came. No callback comes afterwards but finished(arg) (may be NULL), once
 * it is closed, unless sd_stream_close or sd_stream_abort closed it. */
void sd_stream_finish(struct sd_stream *s, int64_t deadline_ns, bool linger, void (*finished)(void *arg), void *arg);

void sd_stream_write(struct sd_stream *s, const void *p, size_t n);
/* At least n bytes to write into; then commit what was used. NULL: out of memory, and the stream is dead; or the peer
 * takes nothing any more. */
char *sd_stream_reserve(struct sd_stream *s, size_t n);
void sd_stream_commit(struct sd_stream *s, size_t n);
/* What was written since the last bytes left, and what is written from now on, leaves when the gate has been passed, which is
 * asked for at the end of the loop's turn for all streams together. The gate outlives the stream, or the end of the turn. */
void sd_stream_behind(struct sd_stream *s, struct sd_stream_gate *gate);
/* Has the peer, as far as can be known now, neither ended nor said anything that was not read yet? */
static inline bool sd_stream_quiet(const struct sd_stream *s)
{
	return !s->dead && !s->got_eof && s->io->ops->quiet(s->io);
}
/* Why it broke, in words: for closed(); valid until the stream is closed. */
const char *sd_stream_why(const struct sd_stream *s, enum sd_err why);
static inline size_t sd_stream_backlog(const struct sd_stream *s)
{
	return s->out_len;
}
static inline bool sd_stream_above_high(const struct sd_stream *s)
{
	return s->out_len > s->high || s->file_waits || s->write_err || s->dead; /* whoever writes until it is should stop */
}
/* Sends up to n bytes of a file after what is buffered, without a copy through this program: how many went. Fewer: drained()
 * comes when there is room again, and until then the stream counts as above high. -SD_EEOF: the file ends there.
 * -SD_EUNSUPPORTED: not on this stream; write the bytes instead. */
ssize_t sd_stream_send_file(struct sd_stream *s, struct sd_file *f, uint64_t off, size_t n);
/* drained() is called on a later turn of the loop, when there is room; until then the stream counts as above high: for a
 * writer that has more but lets others have their turn. */
void sd_stream_yield(struct sd_stream *s);
/* Is nothing buffered any more, and where the end is told in bytes of its own (close_notify), are these sent as well? To
 * close earlier would look like a cut. */
static inline bool sd_stream_all_sent(const struct sd_stream *s)
{
	bool tells = s->io && s->io->ops->pending;
	return !s->out_len && !(tells && (s->shut_pending || s->shutting));
}
/* drained() is called once all is sent in this sense. */
void sd_stream_tell_empty(struct sd_stream *s);
/* After everything buffered was sent, says to the peer that no more will come. */
void sd_stream_shutdown_write(struct sd_stream *s);

/* Hands over again what data() left, and reads on. */
void sd_stream_resume(struct sd_stream *s);

/* What is read from now on goes to this other stream without data(), by the kernel alone where it can; whoever still writes
 * to it goes in front of what comes later. Until one of the two is closed. False: these cannot, and nothing changed;
 * also data() comes again later if it turns out so. Both must be open, and nothing may be kept in s. */
bool sd_stream_splice(struct sd_stream *s, struct sd_stream *to);

/* timeout() is called once when this time has passed. Moving it later costs nothing. SD_NEVER: none. */
void sd_stream_deadline(struct sd_stream *s, int64_t at_ns);

#endif
