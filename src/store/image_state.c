#include "store/image_state.h"

#include <string.h>

static const char *const POLICIES[] = {"Never", "IfNotPresent", "Always"};
static const char *const PHASES[] = {"Queued", "Resolving", "Pulling", "Ready", "Failed"};

gboolean pull_policy_parse(const char *text, enum pull_policy *ret_policy)
{
	for (guint i = 0; i < G_N_ELEMENTS(POLICIES); i++) {
		if (strcmp(text, POLICIES[i]) == 0) {
			*ret_policy = (enum pull_policy)i;
			return TRUE;
		}
	}
	return FALSE;
}

const char *image_phase_name(enum image_phase phase)
{
	return PHASES[phase];
}

void image_state_free(struct image_state *state)
{
	if (state == NULL)
		return;
	g_free(state->image);
	g_free(state->digest);
	g_free(state->family);
	g_free(state->parameters);
	g_free(state->quantization);
	g_free(state->reason);
	g_free(state->message);
	g_free(state->view_key);
	g_free(state);
}

struct image_state *image_state_copy(const struct image_state *state)
{
	struct image_state *copy = g_memdup2(state, sizeof(*state));

	copy->image = g_strdup(state->image);
	copy->digest = g_strdup(state->digest);
	copy->family = g_strdup(state->family);
	copy->parameters = g_strdup(state->parameters);
	copy->quantization = g_strdup(state->quantization);
	copy->reason = g_strdup(state->reason);
	copy->message = g_strdup(state->message);
	copy->view_key = g_strdup(state->view_key);
	return copy;
}

gboolean image_state_serves(
    const struct image_state *state, enum pull_policy policy, guint64 ticket)
{
	return state->view_key != NULL &&
	       (state->served >= ticket ||
		   (policy != PULL_ALWAYS && state->served_local >= ticket));
}
