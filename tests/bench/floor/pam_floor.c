/*
 * pam_floor: the least that a module can do to give a login cgroups of its own: in
 * each hierarchy mkdir, chown and a write to cgroup.procs, and all of it back. What
 * the others cost more is what they look for, keep apart and clean up.
 *
 *	session optional pam_floor.so [POINT FORMER]...
 *
 * POINT is where a hierarchy is mounted, FORMER the path below it of the cgroup from
 * which the application comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int number;

static int put(const char *dir, const char *file, const char *text, size_t length)
{
	char path[4096];
	int fd, done;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, length) == (ssize_t)length;
	close(fd);
	return done;
}

/* A cpuset takes no process before it has CPUs and memory nodes. */
static int inherit(const char *point, const char *dir, const char *file)
{
	char text[4096];
	ssize_t length;
	int fd;

	snprintf(text, sizeof(text), "%s/%s", point, file);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	length = read(fd, text, sizeof(text));
	close(fd);
	return length > 0 && put(dir, file, text, (size_t)length);
}

static int is_cpuset(const char *point) { return strstr(point, "cpuset") != NULL; }

/* The user's cgroup, which may be there, and the first free number in it. */
static int make(const char *point, const struct passwd *pw, int first)
{
	char users[2048], dir[4096];
	int i;

	snprintf(users, sizeof(users), "%s/user/%s", point, pw->pw_name);
	if (mkdir(users, 0755) < 0 && errno == ENOENT) {
		snprintf(dir, sizeof(dir), "%s/user", point);
		mkdir(dir, 0755);
		mkdir(users, 0755);
	}
	for (i = 0; i < 2 && is_cpuset(point); i++)
		inherit(point, users, i ? "cpuset.mems" : "cpuset.cpus");
	do
		snprintf(dir, sizeof(dir), "%s/%d", users, number);
	while (mkdir(dir, 0755) < 0 && errno == EEXIST && first && ++number);
	for (i = 0; i < 2 && is_cpuset(point); i++)
		inherit(users, dir, i ? "cpuset.mems" : "cpuset.cpus");
	return chown(dir, pw->pw_uid, pw->pw_gid) == 0 && put(dir, "cgroup.procs", "0", 1);
}

static void leave(const char *point, const char *former, const char *user)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s%s", point, former);
	put(dir, "cgroup.procs", "0", 1);
	snprintf(dir, sizeof(dir), "%s/user/%s/%d", point, user, number);
	rmdir(dir);
	*strrchr(dir, '/') = '\0';
	rmdir(dir);
}

static const struct passwd *user_of(pam_handle_t *pamh)
{
	const char *user;

	return pam_get_user(pamh, &user, NULL) == PAM_SUCCESS ? getpwnam(user) : NULL;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const struct passwd *pw = user_of(pamh);
	int i, done = pw != NULL;

	(void)flags;
	for (i = 0; i + 1 < argc && done; i += 2)
		done = make(argv[i], pw, i == 0);
	return done ? PAM_SUCCESS : PAM_SESSION_ERR;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const struct passwd *pw = user_of(pamh);
	int i;

	(void)flags;
	for (i = 0; i + 1 < argc && pw; i += 2)
		leave(argv[i], argv[i + 1], pw->pw_name);
	return PAM_SUCCESS;
}
