#include "connect.h"

#include "io_front.h"

/* Plain bytes need no layer of their own: they wait in the stream, and go out with what follows. */
static struct sd_io *add_layers(const struct sd_connect *how, struct sd_io *io)
{
	if (!how->tls)
		return io;
	if (how->first.n)
		io = sd_io_send_first(io, how->first.p, how->first.n);
	return io ? sd_tls_connect(how->tls, io) : NULL;
}

enum sd_err sd_stream_connect(struct sd_loop *l, const struct sd_connect *how, const struct sd_stream_events *events, void *owner,
			      struct sd_stream **out, struct sd_error *e)
{
	struct sd_io *io;
	*out = NULL;
	enum sd_err err = sd_loop_connect(l, how->addr, &io, e);
	if (err)
		return err;
	io = add_layers(how, io);
	if (io)
		*out = sd_stream_new(io, true, how->in_limit, events, owner);
	if (!*out)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (!how->tls)
		sd_stream_write(*out, how->first.p, how->first.n);
	return SD_OK;
}
