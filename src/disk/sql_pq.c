#include "sql_pq.h"

#include <dlfcn.h>
#include <string.h>

static const char *const names[] = {
#define X(name, result, arguments) #name,
    PQ_FUNCTIONS(X)
#undef X
};
#define COUNT (sizeof(names) / sizeof(names[0]))

_Static_assert(sizeof(struct pq) == sizeof(void *) * (COUNT + 1), "a function is a pointer, one behind the other");

enum sd_err pq_load(struct pq *pq, struct sd_error *e)
{
	void *table[COUNT];
	void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return sd_fail(e, SD_EUNSUPPORTED, "a database at postgres:// needs package libpq5");
	for (size_t i = 0; i < COUNT; i++) {
		table[i] = dlsym(library, names[i]);
		if (table[i])
			continue;
		dlclose(library);
		return sd_fail(e, SD_EUNSUPPORTED, "a database at postgres:// needs libpq of PostgreSQL 14 or later: this one has no %s",
			       names[i]);
	}
	pq->library = library;
	memcpy((char *)pq + sizeof(void *), table, sizeof(table));
	return SD_OK;
}

void pq_unload(struct pq *pq)
{
	/* It stays where it is: OpenSSL, which it uses, leaves handlers behind that are called when threads end. */
	*pq = (struct pq){0};
}
