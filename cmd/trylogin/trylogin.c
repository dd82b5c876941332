/*
 * trylogin SERVICE USER CONFDIR COMMAND...: opens a session of a PAM service for the
 * user, as that service's program does, runs the command in it as the user, and closes
 * it. CONFDIR has the PAM files; if it is empty, the machine's own are taken.
 *
 * `cgdeleg try` runs it, on standard output of which are lines
 *
 *	log PRIORITY TEXT	what a module writes to the system log (syslog(3)); it is
 *				written there, too
 *	open RESULT TEXT	the return value of pam_open_session(3), and what it means
 *	close RESULT TEXT	the same of pam_close_session(3)
 *	error ERRNO TEXT	what could not be done; nothing follows but a close
 *
 * and between open and close what the command writes. In a TEXT, newlines are \n and
 * backslashes \\. Like sshd it has one thread, so that modules do what they do there.
 * It is C and beside cgdeleg because cgdeleg is one static file, and libpam is not.
 */
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_appl.h>

static void say(const char *kind, int result, const char *text)
{
	const char *c;

	printf("%s %d ", kind, result);
	for (c = text; *c != '\0'; c++) {
		if (*c == '\n')
			fputs("\\n", stdout);
		else if (*c == '\\')
			fputs("\\\\", stdout);
		else
			putchar(*c);
	}
	putchar('\n');
	fflush(stdout); /* a child's copy of the buffer would say it again */
}

/*
 * Modules log by syslog(3), and the loader finds the program's before the C library's.
 * glibc's headers may have made it __syslog_chk.
 */
static void log_too(int priority, const char *format, va_list arguments)
{
	void (*real)(int, const char *, ...) = (void (*)(int, const char *, ...))dlsym(RTLD_NEXT, "syslog");
	char *line = NULL;

	if (vasprintf(&line, format, arguments) < 0)
		return;
	say("log", LOG_PRI(priority), line);
	if (real != NULL)
		real(priority, "%s", line);
	free(line);
}

void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_too(priority, format, arguments);
	va_end(arguments);
}

void vsyslog(int priority, const char *format, va_list arguments)
{
	log_too(priority, format, arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)flag;
	va_start(arguments, format);
	log_too(priority, format, arguments);
	va_end(arguments);
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments);
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
	(void)flag;
	log_too(priority, format, arguments);
}

/* Nobody is there who would answer a question. */
static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < count; i++)
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF || messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			return PAM_CONV_ERR;
	*responses = calloc((size_t)count, sizeof(**responses));
	return *responses != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int start(const char *service, const char *user, const char *dir, pam_handle_t **pamh)
{
	static const struct pam_conv conversation = { .conv = converse };
	int (*start_in)(const char *, const char *, const struct pam_conv *, const char *, pam_handle_t **);

	if (dir[0] == '\0')
		return pam_start(service, user, &conversation, pamh);
	/* since Linux-PAM 1.4 */
	start_in = (int (*)(const char *, const char *, const struct pam_conv *, const char *, pam_handle_t **))
		dlsym(RTLD_DEFAULT, "pam_start_confdir");
	if (start_in != NULL)
		return start_in(service, user, &conversation, dir, pamh);
	say("error", ENOSYS, "this libpam takes no PAM files but the machine's (pam_start_confdir, Linux-PAM 1.4)");
	exit(1);
}

/* In the child: becomes the user, and the command. */
static _Noreturn void become(const struct passwd *user, char **environment, char *command[])
{
	setenv("HOME", user->pw_dir, 1);
	setenv("USER", user->pw_name, 1);
	setenv("LOGNAME", user->pw_name, 1);
	for (; environment != NULL && *environment != NULL; environment++)
		putenv(*environment);
	if (chdir("/") == 0 && initgroups(user->pw_name, user->pw_gid) == 0 && setgid(user->pw_gid) == 0 &&
	    setuid(user->pw_uid) == 0)
		execv(command[0], command);
	say("error", errno, command[0]);
	_exit(1);
}

static void run(pam_handle_t *pamh, const struct passwd *user, char *command[])
{
	char **environment = pam_getenvlist(pamh);
	pid_t pid = fork();

	if (pid == 0)
		become(user, environment, command);
	if (pid < 0)
		say("error", errno, "fork");
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* what pam_getenvlist allocated goes with this process */
}

int main(int argc, char *argv[])
{
	pam_handle_t *pamh = NULL;
	struct passwd *user;
	int result;

	if (argc < 5) {
		fprintf(stderr, "this program is run by cgdeleg try; see cgdeleg try --help\n");
		return 2;
	}
	result = start(argv[1], argv[2], argv[3], &pamh);
	if (result != PAM_SUCCESS) {
		say("error", result, pam_strerror(pamh, result));
		return 1;
	}
	result = pam_open_session(pamh, 0);
	say("open", result, pam_strerror(pamh, result));
	if (result == PAM_SUCCESS) {
		user = getpwnam(argv[2]);
		if (user != NULL)
			run(pamh, user, argv + 4);
		else
			say("error", ENOENT, "the user is not known to the system");
	}
	/* also after a refusal: modules before the one that refused have done their part */
	result = pam_close_session(pamh, 0);
	say("close", result, pam_strerror(pamh, result));
	pam_end(pamh, result);
	return 0;
}
