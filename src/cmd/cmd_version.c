#include "cmd/cmd.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
	static const GOptionEntry entries[] = {G_OPTION_ENTRY_NULL};

	if (!cmd_parse(&argc, &argv, "version", "Prints the version.", NULL, entries))
		return 2;
	printf("ollama-operator %s\n", OPERATOR_VERSION);
	return 0;
}
