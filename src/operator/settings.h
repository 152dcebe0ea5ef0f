/*
 * What an installation sets for all Models. Filled by the verb `manager` from flags and
 * environment; borrowed and immutable afterwards.
 */
#ifndef OPERATOR_SETTINGS_H
#define OPERATOR_SETTINGS_H

#include <glib.h>

struct operator_settings {
	const char *namespace;       /* where operator and stores run */
	const char *watch_namespace; /* only Models of this namespace; NULL: all */
	const char *image;           /* the operator's own image: init container `fetch` */
	const char *server_image;    /* Ollama's, where a Model names none */
	const char *store_url;       /* how a pod reaches its node's store */
	const char *store_directory; /* the store's directory on each node */
	const char *store_selector;  /* labels of the store's pods */
	/* What pods pull from where their node's store does not answer; NULL: as the store's flags.
	 */
	const char *insecure_registries;
	const char *registry_mirrors;
	const char *claim_size; /* of the namespaces' shared claims; NULL: the default */
	guint16 store_port;
	guint workers;
};

#endif
