/*
 * pam_root: a PAM module that asks for another account when a session is opened, as many
 * do: getpwnam(3) has one buffer for all who call it.
 */
#include <pwd.h>
#include <stddef.h>
#include <security/pam_modules.h>

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return getpwnam("root") != NULL ? PAM_SUCCESS : PAM_SESSION_ERR;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return pam_sm_open_session(pamh, flags, argc, argv);
}
