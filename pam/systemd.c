/*
 * On a machine that systemd runs with cgroup v2 alone, a login gets the scope that
 * logind made for a session of that very user, and nothing else (package plan in
 * delegate). Most calls of sudo, su and cron come from elsewhere, and cost no worker.
 * What is not plainly so is left to the worker.
 */
#include "systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool has_no_scope(const char *cgroups, uid_t uid)
{
	const char *end = strchr(cgroups, '\n'), *last = strrchr(cgroups, '/');
	char slice[64];
	int len;

	/* a single line: no v1 hierarchy is in use */
	if (strncmp(cgroups, "0::/", 4) != 0 || end == NULL || end[1] != '\0')
		return false;
	len = snprintf(slice, sizeof(slice), "/user.slice/user-%lu.slice", (unsigned long)uid);
	return strncmp(last, "/session-", 9) != 0 || last - cgroups < len ||
	       strncmp(last - len, slice, (size_t)len) != 0;
}

static bool is_booted(void)
{
	return access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
}

/* What cannot be looked at may be there. */
static bool can_exist(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

bool has_systemd_limits(void)
{
	return is_booted() && (can_exist("/etc/cgdeleg/limits.conf") || can_exist("/etc/cgdeleg/limits.d"));
}

bool is_left_to_systemd(uid_t uid)
{
	char cgroups[4096]; /* a longer path is the worker's */
	ssize_t len;
	int fd;

	if (!is_booted())
		return false;
	fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, cgroups, sizeof(cgroups) - 1);
	close(fd);
	if (len <= 0)
		return false;
	cgroups[len] = '\0';
	return has_no_scope(cgroups, uid);
}
