#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

static guint64 rotate_left(guint64 value, unsigned bits)
{
	return (value << bits) | (value >> (64 - bits));
}

static void sip_round(guint64 v[4])
{
	v[0] += v[1];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[3];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[2] = rotate_left(v[2], 32);
}

static guint64 siphash13(const guint64 key[2], const unsigned char *data, gsize len)
{
	guint64 v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
	    key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	guint64 last = (guint64)len << 56;
	gsize whole = len & ~(gsize)7;

	for (gsize i = 0; i < whole; i += 8) {
		guint64 word;
		memcpy(&word, data + i, 8);
		word = GUINT64_FROM_LE(word);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (gsize i = whole; i < len; i++)
		last |= (guint64)data[i] << (8 * (i - whole));
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/*
 * Why: a process-wide seed. GHashFunc takes no user pointer, so the seed cannot be passed in; it
 * is written once and read-only from then on.
 */
static const guint64 *process_seed(void)
{
	static guint64 seed[2];
	static gsize ready;

	if (g_once_init_enter(&ready)) {
		if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
			seed[0] = (guint64)g_get_monotonic_time();
			seed[1] = (guint64)g_get_real_time() ^ (guint64)(guintptr)&seed;
		}
		g_once_init_leave(&ready, 1);
	}
	return seed;
}

guint64 hash_bytes(const void *data, gsize len)
{
	return siphash13(process_seed(), data, len);
}

guint64 hash_stable(const void *data, gsize len)
{
	static const guint64 key[2] = {0x6f6c6c616d612d6f, 0x70657261746f7221};
	return siphash13(key, data, len);
}

guint hash_str(gconstpointer key)
{
	return (guint)hash_bytes(key, strlen(key));
}
