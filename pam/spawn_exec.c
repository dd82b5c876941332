//go:build musl

/*
 * worker_spawn by fork and execve: the child makes itself a clean process and
 * becomes the static Go program CGDELEG_WORKER. For a C library that cannot load
 * a Go library (musl); cmd/go leaves this file out.
 *
 * Not posix_spawn: it cannot set the real user ID, limits or the signal at the
 * parent's death, so that su's caller could stop or starve the worker; and it
 * keeps the application waiting until the program is loaded, without a deadline.
 */
#include "child.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The worker, where the package puts it. */
#ifndef CGDELEG_WORKER
#define CGDELEG_WORKER "/usr/libexec/cgdeleg/worker"
#endif

pid_t worker_spawn(char *const argv[], int reply_fd, bool detached)
{
	static char *envp[WORKER_ENVIRONMENT_LEN] = { WORKER_ENVIRONMENT };
	pid_t application = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	if (detached)
		become_detached_worker(application, reply_fd);
	else
		become_worker(application, reply_fd);
	execve(CGDELEG_WORKER, argv, envp);
	if (detached)
		dprintf(STDERR_FILENO, "<83>%s: worker %s could not be run: %s; the session is left for a later cleanup",
			WORKER_DETACHED_NAME, CGDELEG_WORKER, strerror(errno)); /* LOG_AUTHPRIV|LOG_ERR, in one datagram */
	/* a whole reply, so that the log has this line and no other */
	dprintf(WORKER_REPLY_FD, "log error worker %s could not be run: %s; no session has cgroups of its own until that program is installed again\n"
		"result failure\n", CGDELEG_WORKER, strerror(errno));
	_exit(CHILD_NO_PROGRAM);
}
