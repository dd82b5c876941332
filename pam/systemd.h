/*
 * Whether there is anything to open for a login, where that can be told without
 * starting the worker.
 */
#ifndef SYSTEMD_H
#define SYSTEMD_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether the application may leave a login of this user to systemd. */
bool is_left_to_systemd(uid_t uid);

/* Whether systemd runs the machine, and there may be a file of limits. */
bool has_systemd_limits(void);

/* is_left_to_systemd by what /proc/self/cgroup says on a machine that systemd runs. */
bool has_no_scope(const char *cgroups, uid_t uid);

#endif
