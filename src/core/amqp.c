#include "core/amqp.h"

#include "core/amqp_int.h"

#define END_BYTE '\xce'

/* ---- frames ---- */

static bool type_is_known(uint8_t type)
{
	return type == SD_AMQP_METHOD || type == SD_AMQP_HEADER || type == SD_AMQP_BODY || type == SD_AMQP_HEARTBEAT;
}

enum sd_amqp_took sd_amqp_take(struct sd_slice *in, uint32_t frame_max, struct sd_amqp_frame *out)
{
	if (in->n > 0 && !type_is_known((uint8_t)in->p[0]))
		return SD_AMQP_BAD_TYPE;
	if (in->n < SD_AMQP_HEAD)
		return SD_AMQP_MORE;
	uint64_t n = sd_get_be(in->p + 3, 4), whole = n + SD_AMQP_HEAD + 1;
	if (frame_max && whole > frame_max)
		return SD_AMQP_TOO_LARGE;
	if (in->n < whole)
		return SD_AMQP_MORE;
	if (in->p[whole - 1] != END_BYTE)
		return SD_AMQP_BAD_END;
	*out = (struct sd_amqp_frame){(uint8_t)in->p[0], (uint16_t)sd_get_be(in->p + 1, 2), {in->p + SD_AMQP_HEAD, (size_t)n}};
	*in = (struct sd_slice){in->p + whole, in->n - (size_t)whole};
	return SD_AMQP_TOOK;
}

size_t sd_amqp_begin(struct sd_text *t, uint8_t type, uint16_t channel)
{
	size_t at = t->n;
	char head[SD_AMQP_HEAD] = {(char)type};
	sd_put_be(head + 1, channel, 2);
	sd_text_add(t, head, sizeof(head));
	return at;
}

void sd_amqp_end(struct sd_text *t, size_t at)
{
	amqp_put_length(t, at + 3, 4);
	sd_text_fill(t, END_BYTE, 1);
}

void sd_amqp_put_heartbeat(struct sd_text *t)
{
	sd_amqp_end(t, sd_amqp_begin(t, SD_AMQP_HEARTBEAT, 0));
}

void sd_amqp_put_body(struct sd_text *t, uint16_t channel, struct sd_slice body, uint32_t frame_max)
{
	size_t most = (frame_max ? frame_max : UINT32_MAX) - SD_AMQP_HEAD - 1;
	while (body.n > 0) {
		size_t n = body.n < most ? body.n : most, at = sd_amqp_begin(t, SD_AMQP_BODY, channel);
		sd_text_add(t, body.p, n);
		sd_amqp_end(t, at);
		body = (struct sd_slice){body.p + n, body.n - n};
	}
}

/* ---- methods ---- */

enum {
#define PLACE(name, text, class, method, args, names) PLACE_##name,
	SD_AMQP_METHODS(PLACE)
};

static const struct sd_amqp_method_info methods[] = {
#define INFO(name, text, class, method, args, names) {SD_AMQP_##name, text, args, names},
    SD_AMQP_METHODS(INFO)};

const struct sd_amqp_method_info *sd_amqp_method_find(uint32_t id)
{
#define CASE(name, text, class, method, args, names) \
	case SD_AMQP_##name: \
		return &methods[PLACE_##name];
	switch (id) {
		SD_AMQP_METHODS(CASE)
	default:
		return NULL;
	}
}

/* How wide a number of this kind is; 0: it is none. */
static size_t width(char kind)
{
	switch (kind) {
	case 'b':
		return 1;
	case 's':
		return 2;
	case 'l':
		return 4;
	case 'L':
	case 'M':
		return 8;
	default:
		return 0;
	}
}

static void get_arg(struct amqp_reader *r, char kind, struct sd_amqp_arg *out)
{
	if (width(kind)) {
		out->n = amqp_take_number(r, width(kind));
		return;
	}
	out->s = amqp_take_string(r, kind == 'S' ? 1 : 4);
	if (kind == 'T' && !sd_amqp_is_table(out->s))
		r->bad = true;
}

enum sd_amqp_read sd_amqp_get_method(struct sd_slice payload, uint32_t *id, const struct sd_amqp_method_info **info,
				     struct sd_amqp_arg args[SD_AMQP_ARGS])
{
	struct amqp_reader r = {payload, false};
	*id = (uint32_t)amqp_take_number(&r, 4);
	*info = r.bad ? NULL : sd_amqp_method_find(*id);
	if (!*info)
		return r.bad ? SD_AMQP_MALFORMED : SD_AMQP_UNKNOWN;
	unsigned bits = 0, used = 0; /* of the octet of bits that is being read */
	const char *kinds = (*info)->args;
	for (size_t i = 0; kinds[i]; i++) {
		args[i] = (struct sd_amqp_arg){0};
		if (kinds[i] != 't') {
			get_arg(&r, kinds[i], &args[i]);
			used = 0;
			continue;
		}
		if (used % 8 == 0)
			bits = (unsigned)amqp_take_number(&r, 1);
		args[i].n = bits >> used++ % 8 & 1;
	}
	return r.bad || r.rest.n ? SD_AMQP_MALFORMED : SD_AMQP_READ;
}

/* The bits that stand side by side from here on; how many they are. */
static size_t put_bits(struct sd_text *t, const char *kinds, const struct sd_amqp_arg *args)
{
	unsigned bits = 0;
	size_t n = 0;
	for (; n < 8 && kinds[n] == 't'; n++)
		bits |= (args[n].n ? 1u : 0u) << n;
	amqp_put_number(t, bits, 1);
	return n;
}

void sd_amqp_put_method(struct sd_text *t, uint16_t channel, uint32_t id, const struct sd_amqp_arg *args)
{
	const struct sd_amqp_method_info *info = sd_amqp_method_find(id);
	const char *kinds = info ? info->args : "";
	size_t at = sd_amqp_begin(t, SD_AMQP_METHOD, channel);
	amqp_put_number(t, id, 4);
	for (size_t i = 0; kinds[i];) {
		if (kinds[i] == 't') {
			i += put_bits(t, kinds + i, args + i);
			continue;
		}
		if (width(kinds[i]))
			amqp_put_number(t, args[i].n, width(kinds[i]));
		else if (kinds[i] == 'S')
			amqp_put_short(t, args[i].s);
		else
			amqp_put_long(t, args[i].s);
		i++;
	}
	sd_amqp_end(t, at);
}

/* ---- numbers with a name ---- */

static const struct {
	unsigned code;
	bool hard;
	const char *name;
} codes[] = {
    {200, false, "REPLY_SUCCESS"},	{311, false, "CONTENT_TOO_LARGE"}, {312, false, "NO_ROUTE"},
    {313, false, "NO_CONSUMERS"},	{320, true, "CONNECTION_FORCED"},  {402, true, "INVALID_PATH"},
    {403, false, "ACCESS_REFUSED"},	{404, false, "NOT_FOUND"},	   {405, false, "RESOURCE_LOCKED"},
    {406, false, "PRECONDITION_FAILED"}, {501, true, "FRAME_ERROR"},	   {502, true, "SYNTAX_ERROR"},
    {503, true, "COMMAND_INVALID"},	{504, true, "CHANNEL_ERROR"},	   {505, true, "UNEXPECTED_FRAME"},
    {506, true, "RESOURCE_ERROR"},	{530, true, "NOT_ALLOWED"},	   {540, true, "NOT_IMPLEMENTED"},
    {541, true, "INTERNAL_ERROR"},
};

const char *sd_amqp_code_name(unsigned code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].name;
	return NULL;
}

bool sd_amqp_code_is_hard(unsigned code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].hard;
	return true;
}
