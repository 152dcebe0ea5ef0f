/*
 * Runs a piece of code again and again, each time with another one of its allocations failing.
 *
 * Linked into a program this replaces malloc(), calloc() and realloc() of the whole process, the
 * libraries' too; a sanitizer's own still lie below. Each run is a child process, because GLib's
 * answer to a failed allocation is to abort with "failed to allocate" (ours says "no memory"): that
 * is allowed, as is an error, or the right result in spite of it. A crash, a leak, a wrong result,
 * and a failure without an error are not.
 */
#ifndef TESTS_JSON_NOMEM_H
#define TESTS_JSON_NOMEM_H

#include <glib.h>

struct nomem_case {
	const char *name;
	/* The result as text, the caller's; NULL with the error. */
	char *(*run)(const void *input, GError **error);
	const void *input;
};

/* Fails the running cmocka test when a run ends in another way than it may. */
void nomem_check(const struct nomem_case *test);

#endif
