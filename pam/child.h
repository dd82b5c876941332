/*
 * What the two backends of worker_spawn (worker.h) have in common: the child
 * that is forked from the host, until Go runs in it.
 */
#ifndef CHILD_H
#define CHILD_H

#include "worker.h"

/*
 * The worker's whole environment. The caller of su chooses the host's, and
 * GOMEMLIMIT=garbage aborts a program. One processor and no collector: the
 * worker lives for milliseconds, and may be allowed few threads.
 */
#define WORKER_ENVIRONMENT \
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=off", "GOTRACEBACK=none", NULL
#define WORKER_ENVIRONMENT_LEN 5

/*
 * Makes the forked child a clean process of root's, with nothing of the host's
 * left in it but its limit on descriptors and its cgroups: /dev/null on 0 and 1,
 * reply_fd on 2 and WORKER_REPLY_FD. Does not come back if the host has died.
 */
void become_worker(pid_t host, int reply_fd);

#endif
