/*
 * The first process of every pod of the lab: it holds the pod's namespaces
 * open, reaps what its containers leave behind where they share a process
 * namespace, and ends when it is told to.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Blocked signals stay pending, so none is lost between two waits. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (sigwait(&set, &signo) == 0 && signo == SIGCHLD) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	return 0;
}
