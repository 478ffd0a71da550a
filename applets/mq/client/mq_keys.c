#include <ctype.h>

#include "mq_cli.h"

/* The next letter that was typed; 0: no more come. */
static char next(struct mq_keys *k, struct mq_cli *cli)
{
	struct sd_error e;
	while (!k->ended) {
		while (k->at < k->n && isspace((unsigned char)k->line[k->at]))
			k->at++;
		if (k->at < k->n)
			return k->line[k->at++];
		k->at = k->n = 0;
		k->ended = sd_world_input(cli->call->world, k->line, sizeof(k->line), &k->n, &e) || !k->n;
	}
	return 0;
}

char mq_keys_ask(struct mq_keys *k, struct mq_cli *cli, const char *letters)
{
	bool echo = !sd_world_is_terminal(cli->call->world, 0); /* a terminal shows what is typed itself */
	for (;;) {
		fputs("> ", cli->call->out);
		fflush(cli->call->out);
		char c = (char)tolower((unsigned char)next(k, cli));
		if (!c)
			fputc('\n', cli->call->out);
		else if (echo)
			fprintf(cli->call->out, "%c\n", c);
		if (!c || strchr(letters, c))
			return c ? c : letters[strlen(letters) - 1];
	}
}
