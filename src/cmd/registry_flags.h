/*
 * What a process is told about registries, by flags or environment: for all verbs that pull.
 * Ownership: strings are the caller's, by registry_flags_done().
 */
#ifndef CMD_REGISTRY_FLAGS_H
#define CMD_REGISTRY_FLAGS_H

#include "store/registry_client.h"

struct registry_flags {
	char *insecure;
	char *mirrors;
	char *ca_file;
};

/* Fills what no flag has set from $OLLAMA_INSECURE_REGISTRIES and its like. */
void registry_flags_env(struct registry_flags *flags);
void registry_flags_done(struct registry_flags *flags);

/* FALSE: the sentence says which flag is wrong. To be cleared in any case. */
gboolean registry_flags_options(const struct registry_flags *flags,
    struct registry_options *ret_options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void registry_options_clear(struct registry_options *options);

#endif
