/* Where libmemcached puts keys: ring_memcached NAME:PORT:WEIGHT... <KEYS; prints key, tab, NAME:PORT. */
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <string.h>

static int add(memcached_st *m, const char *text)
{
	char host[256];
	unsigned port, weight;
	if (sscanf(text, "%255[^:]:%u:%u", host, &port, &weight) != 3)
		return -1;
	return memcached_failed(memcached_server_add_with_weight(m, host, (in_port_t)port, weight));
}

int main(int argc, char **argv)
{
	char line[1024];
	memcached_st *m = memcached_create(NULL);
	if (!m || memcached_failed(memcached_behavior_set(m, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1)))
		return 1;
	for (int i = 1; i < argc; i++)
		if (add(m, argv[i]))
			return 2;
	while (fgets(line, sizeof(line), stdin)) {
		memcached_return_t rc;
		line[strcspn(line, "\n")] = '\0';
		const memcached_instance_st *s = memcached_server_by_key(m, line, strlen(line), &rc);
		if (!s)
			return 3;
		printf("%s\t%s:%u\n", line, memcached_server_name(s), memcached_server_port(s));
	}
	memcached_free(m);
	return 0;
}
