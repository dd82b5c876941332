/*
 * libnss_cgtest: a name service (nss(5)) that is slow, or says much, by the user's name:
 *
 *	cgnss-slow	answers after a second and a half
 *	cgnss-much	has 64 kB of text about the user
 *	cgnss-name	is called by a name of 64 kB
 *	cgnss-hang	never says in which groups the user is
 *
 * Each question for a user is a line in /run/cgnss-asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define MUCH 65536

enum nss_status _nss_cgtest_getpwnam_r(const char *name, struct passwd *pw, char *buffer, size_t size, int *error);
enum nss_status _nss_cgtest_initgroups_dyn(const char *name, gid_t group, long *start, long *size, gid_t **groups,
					   long limit, int *error);

enum nss_status _nss_cgtest_getpwnam_r(const char *name, struct passwd *pw, char *buffer, size_t size, int *error)
{
	static char nothing[] = "", home[] = "/", shell[] = "/bin/sh";
	size_t much = strcmp(name, "cgnss-much") == 0 || strcmp(name, "cgnss-name") == 0 ? MUCH : 1;
	int fd;

	if (strncmp(name, "cgnss-", 6) != 0)
		return NSS_STATUS_NOTFOUND;
	if (size < much + strlen(name) + 1) {
		*error = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	fd = open("/run/cgnss-asked", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, "passwd\n", 7) == 7)
		close(fd);
	if (strcmp(name, "cgnss-slow") == 0)
		usleep(1500000);
	memset(buffer, 'x', much - 1);
	buffer[much - 1] = '\0';
	pw->pw_name = strcpy(buffer + much, name);
	pw->pw_gecos = nothing;
	if (strcmp(name, "cgnss-much") == 0)
		pw->pw_gecos = buffer;
	if (strcmp(name, "cgnss-name") == 0)
		pw->pw_name = buffer;
	pw->pw_passwd = nothing;
	pw->pw_dir = home;
	pw->pw_shell = shell;
	pw->pw_uid = 22600;
	pw->pw_gid = 22600;
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_cgtest_initgroups_dyn(const char *name, gid_t group, long *start, long *size, gid_t **groups,
					   long limit, int *error)
{
	(void)group;
	(void)start;
	(void)size;
	(void)groups;
	(void)limit;
	(void)error;
	while (strcmp(name, "cgnss-hang") == 0)
		pause();
	return NSS_STATUS_NOTFOUND;
}
