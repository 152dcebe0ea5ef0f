/* ollama-operator: one binary, one verb per process of the system. */
#include "cmd/cmd.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} verbs[] = {
    {"manager", cmd_manager, "watch Models and make what they need (the controller)"},
    {"store", cmd_store, "keep a node's weights: pull, verify, hand out"},
    {"fetch", cmd_fetch, "init container: wait until this pod's model is on the node"},
    {"probe", cmd_probe, "startup probe: load the model into the pod's own server"},
    {"drain", cmd_drain, "pre-stop hook: wait until no request is under way"},
    {"version", cmd_version, "print the version"},
};

static void print_help(FILE *out)
{
	fprintf(out,
	    "Ollama Operator %s: your Kubernetes cluster is one Ollama.\n\n"
	    "usage: ollama-operator VERB [flags]\n\n",
	    OPERATOR_VERSION);
	for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	fprintf(out, "\n'ollama-operator VERB --help' tells its flags.\n");
}

/*
 * Long-lived processes with rare large buffers (a page of a list is several megabytes, parsed some
 * four times that): those get mappings of their own, which go back to the kernel when they are
 * freed. By itself glibc raises the threshold after the first of them and keeps the heap for ever:
 * 27 MB instead of 12 MB with a thousand Models.
 */
static void tune_malloc(void)
{
	enum { LARGE_BYTES = 128 * 1024, ARENAS = 2 };

	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
	mallopt(M_ARENA_MAX, ARENAS);
}

int main(int argc, char **argv)
{
	tune_malloc();
	/* A peer that hangs up shows as EPIPE where it is written to, not as a death. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(1, argv);
	fprintf(stderr, "ollama-operator: there is no verb \"%s\"; see 'ollama-operator --help'\n",
	    argv[1]);
	return 2;
}
