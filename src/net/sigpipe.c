#include "net/sigpipe.h"

#include <stddef.h>
#include <time.h>

static void only_sigpipe(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
}

void sigpipe_block(struct sigpipe_guard *guard)
{
	sigset_t set;

	only_sigpipe(&set);
	pthread_sigmask(SIG_BLOCK, &set, &guard->before);
}

void sigpipe_restore(const struct sigpipe_guard *guard)
{
	const struct timespec at_once = {0, 0};
	sigset_t set;

	if (sigismember(&guard->before, SIGPIPE))
		return;
	only_sigpipe(&set);
	sigtimedwait(&set, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
