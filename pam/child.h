/*
 * What the two backends of worker_spawn (worker.h) have in common: the child
 * that is forked from the application, until Go runs in it.
 */
#ifndef CHILD_H
#define CHILD_H

#include "worker.h"

/*
 * The worker's whole environment. The caller of su chooses the application's,
 * and GOMEMLIMIT=garbage aborts a program. One processor and no collector: the
 * worker lives for milliseconds, and may be allowed few threads.
 */
#define WORKER_ENVIRONMENT \
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=off", "GOTRACEBACK=none", NULL
#define WORKER_ENVIRONMENT_LEN 5

/* The status of a child that ends before it has become the worker. */
#define CHILD_CANNOT_RUN 126
#define CHILD_NO_PROGRAM 127

/*
 * Makes the forked child a clean process of root's, with nothing left in it of
 * the application but its hard limits and its cgroups: /dev/null on 0 and 1,
 * reply_fd on 2 and WORKER_REPLY_FD. Does not come back if that cannot be had, or
 * if the application has died.
 */
void become_worker(pid_t application, int reply_fd);

/*
 * The same for a worker that nobody waits for: a child of the child, which ends. It has
 * /dev/null in place of the reply, the system log as standard error, the application's
 * lock on WORKER_LOCK_FD, and the application on WORKER_APPLICATION_FD.
 */
void become_detached_worker(pid_t application, int reply_fd);

#endif
