/*
 * What a fuzz target provides: one function that takes any bytes, keeps nothing between calls,
 * and aborts (g_assert, sanitizers) when something is wrong. It returns 0.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
