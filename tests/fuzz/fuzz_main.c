/*
 * Runs a fuzz target without libFuzzer: over every file of its corpus, then over mutations of them
 * that are the same in every run. Prints TAP; fails if the corpus is empty. What is wrong with an
 * input shows as an abort, and the line before it names the input.
 *
 *   fuzz_main CORPUS_DIRECTORY [MUTATIONS_PER_FILE]
 */
#include "fuzz.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

enum { MUTATIONS_DEFAULT = 300, MUTATION_STEPS_MAX = 8, INPUT_MAX_BYTES = 64 * 1024 };

/* Bytes that mean something to most parsers here. */
static const char telling[] = "\"'\\{}[]:,.-+#&*!|>%@`<=\n\r\t \0"
			      "019eEKMx/?_~\xc3\xff\x80";

/* Names the input before it is run: when it aborts, this is the last line printed. */
static void run_input(const char *name, guint mutation, const GByteArray *input)
{
	/* A copy of exactly its length, so that ASan sees a read past its end. */
	g_autofree guint8 *copy = g_memdup2(input->data, input->len);
	static const guint8 nothing[1];

	if (mutation == 0)
		printf("# %s\n", name);
	else
		printf("# %s, mutation %u\n", name, mutation);
	fflush(stdout);
	LLVMFuzzerTestOneInput(copy != NULL ? copy : nothing, input->len);
}

static void insert_bytes(GByteArray *input, guint at, const guint8 *bytes, guint len)
{
	g_autofree guint8 *tail = g_memdup2(input->data + at, input->len - at);
	guint tail_len = input->len - at;

	g_byte_array_set_size(input, at);
	g_byte_array_append(input, bytes, len);
	if (tail_len > 0)
		g_byte_array_append(input, tail, tail_len);
}

/* One change: flip a bit, set, insert or remove bytes, repeat a part, cut the end off. */
static void mutate_once(GByteArray *input, GRand *random)
{
	guint at = input->len == 0 ? 0 : (guint)g_rand_int_range(random, 0, (gint32)input->len);
	guint left = input->len - at;
	guint8 byte = (guint8)telling[g_rand_int_range(random, 0, sizeof(telling) - 1)];
	guint part = (guint)g_rand_int_range(random, 1, 17);

	switch (g_rand_int_range(random, 0, 6)) {
	case 0:
		if (left > 0)
			input->data[at] ^= (guint8)(1 << g_rand_int_range(random, 0, 8));
		break;
	case 1:
		if (left > 0)
			input->data[at] = byte;
		break;
	case 2:
		insert_bytes(input, at, &byte, 1);
		break;
	case 3:
		if (left > 0)
			g_byte_array_remove_range(input, at, MIN(part, left));
		break;
	case 4:
		if (left > 0) {
			g_autofree guint8 *bytes = g_memdup2(input->data + at, MIN(part, left));

			for (guint i = 0; i < part; i++)
				insert_bytes(input, at, bytes, MIN(part, left));
		}
		break;
	default:
		if (g_rand_int_range(random, 0, 4) == 0)
			g_byte_array_set_size(input, at);
		break;
	}
}

static void run_file(const char *name, const char *text, gsize len, guint mutations)
{
	/* The seed hangs on the name only, so that a new file changes no other file's mutations. */
	g_autoptr(GRand) random = g_rand_new_with_seed(g_str_hash(name));

	for (guint i = 0; i <= mutations; i++) {
		g_autoptr(GByteArray) input = g_byte_array_new();
		int steps = i == 0 ? 0 : g_rand_int_range(random, 1, MUTATION_STEPS_MAX + 1);

		g_byte_array_append(input, (const guint8 *)text, (guint)MIN(len, INPUT_MAX_BYTES));
		for (int step = 0; step < steps && input->len < INPUT_MAX_BYTES; step++)
			mutate_once(input, random);
		run_input(name, i, input);
	}
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the corpus' files, sorted, so that every machine runs them in the same order. */
static GPtrArray *list_corpus(const char *path)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		if (*name != '.')
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, compare_names);
	return g_steal_pointer(&names);
}

int main(int argc, char **argv)
{
	g_autoptr(GPtrArray) names = NULL;
	guint64 mutations = MUTATIONS_DEFAULT;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s CORPUS_DIRECTORY [MUTATIONS_PER_FILE]\n", argv[0]);
		return 2;
	}
	if (argc == 3)
		mutations = MIN(g_ascii_strtoull(argv[2], NULL, 10), G_MAXINT);
	names = list_corpus(argv[1]);
	printf("1..%u\n", names->len + 1);
	printf("%s 1 - the corpus has files\n", names->len > 0 ? "ok" : "not ok");
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(argv[1], names->pdata[i], NULL);
		g_autofree char *text = NULL;
		g_autoptr(GError) error = NULL;
		gsize len = 0;

		if (g_file_get_contents(path, &text, &len, &error))
			run_file(names->pdata[i], text, len, (guint)mutations);
		printf("%s %u - %s\n", error == NULL ? "ok" : "not ok", i + 2,
		    (char *)names->pdata[i]);
	}
	return names->len > 0 ? 0 : 1;
}
