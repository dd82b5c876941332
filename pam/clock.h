/* The clock of all deadlines here. */
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

static inline long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
