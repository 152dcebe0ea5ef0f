#include "nomem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	RUNS_MAX = 20000,
	OUTPUT_MAX = 4096,
	/* How a child ends; a sanitizer's own codes are others. */
	ALL_WENT_WELL = 40, /* no allocation was left to fail */
	CLEAN_ERROR,
	RIGHT_ALL_THE_SAME,
	WRONG_RESULT,
	NO_ERROR_SET,
	LEAK,
};

/* ---- the allocator ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__interceptor_malloc(size_t size) __attribute__((weak));
void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
void *__interceptor_realloc(void *block, size_t size) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Of a child: how many more allocations succeed; -1: all. One fails, those after it do not. */
static volatile long left = -1;
static volatile int failed;
/* What the runs are to give: reachable, so that nobody takes it for leaked. */
static char *want;

static int fails_now(void)
{
	if (left < 0)
		return 0;
	if (left-- > 0)
		return 0;
	failed = 1;
	errno = ENOMEM;
	return 1;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	if (fails_now())
		return NULL;
	return __interceptor_malloc != NULL ? __interceptor_malloc(size) : __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	if (fails_now())
		return NULL;
	return __interceptor_calloc != NULL ? __interceptor_calloc(n, size)
					    : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *block, size_t size)
{
	if (fails_now())
		return NULL;
	return __interceptor_realloc != NULL ? __interceptor_realloc(block, size)
					     : __libc_realloc(block, size);
}

/* ---- one run ---- */

/* Never returns: its exit code is the result. */
static void run_child(const struct nomem_case *test, long successes)
{
	const struct rlimit no_core = {0, 0};
	GError *error = NULL;
	char *got;
	int code;

	setrlimit(RLIMIT_CORE, &no_core);
	left = successes;
	got = test->run(test->input, &error);
	left = -1;
	if (!failed)
		_exit(ALL_WENT_WELL);
	if (got != NULL)
		code = strcmp(got, want) == 0 && error == NULL ? RIGHT_ALL_THE_SAME : WRONG_RESULT;
	else
		code = error != NULL ? CLEAN_ERROR : NO_ERROR_SET;
	g_clear_error(&error);
	if (code == WRONG_RESULT)
		dprintf(STDERR_FILENO, "%.1000s instead of %.1000s", got, want);
	free(got);
	got = NULL;
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
		code = LEAK;
	_exit(code);
}

/* Runs a child; its wait status, and what it wrote to its standard error. */
static int run_once(const struct nomem_case *test, long successes, char *output)
{
	int ends[2], status = 0;
	gsize have = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		run_child(test, successes);
	}
	close(ends[1]);
	while ((n = read(ends[0], output + have, OUTPUT_MAX - 1 - have)) > 0)
		have += (gsize)n;
	output[have] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* NULL: it ended as it may. */
static const char *problem_of(int status, const char *output)
{
	if (WIFSIGNALED(status)) {
		if ((WTERMSIG(status) == SIGTRAP || WTERMSIG(status) == SIGABRT) &&
		    (strstr(output, "failed to allocate") != NULL ||
			strstr(output, "no memory") != NULL))
			return NULL;
		return "it crashed";
	}
	switch (WEXITSTATUS(status)) {
	case CLEAN_ERROR:
	case RIGHT_ALL_THE_SAME:
		return NULL;
	case WRONG_RESULT:
		return "a wrong result";
	case NO_ERROR_SET:
		return "neither result nor error";
	case LEAK:
		return "it leaked";
	default:
		return "a sanitizer ended it";
	}
}

void nomem_check(const struct nomem_case *test)
{
	GError *error = NULL;
	char output[OUTPUT_MAX];
	long clean = 0, aborted = 0, n;

	g_free(want);
	want = test->run(test->input, &error);
	if (want == NULL)
		fail_msg("%s: with all memory: %s", test->name, error->message);
	for (n = 0; n < RUNS_MAX; n++) {
		int status = run_once(test, n, output);
		const char *problem;

		if (WIFEXITED(status) && WEXITSTATUS(status) == ALL_WENT_WELL)
			break;
		problem = problem_of(status, output);
		if (problem != NULL)
			fail_msg(
			    "%s: allocation %ld fails: %s\n%s", test->name, n + 1, problem, output);
		aborted += WIFSIGNALED(status) != 0;
		clean += WIFEXITED(status) && WEXITSTATUS(status) == CLEAN_ERROR;
	}
	g_clear_pointer(&want, g_free);
	print_message(
	    "%s: %ld allocations, %ld errors, %ld aborts\n", test->name, n, clean, aborted);
	/* Else malloc() was not ours. */
	assert_true(n > 0 && clean + aborted > 0);
}
