/*
 * trylogin SERVICE USER CONFDIR COMMAND [ARGUMENT]...: opens a session of a PAM service
 * for the user, as that service's program does, runs the command in it as the user, and
 * closes it. CONFDIR has the PAM files; if it is empty, the machine's own are taken.
 *
 * `cgdeleg try` runs it, and reads on its standard output lines
 *
 *	ready PID TEXT		before it calls libpam; PID is its own
 *	log PRIORITY TEXT	what a module writes to the system log (syslog(3)); it is
 *				written there, too
 *	told STYLE TEXT		what a module has for the user (pam_conv(3))
 *	open RESULT TEXT	the return value of pam_open_session(3), and what it means
 *	command STATUS TEXT	what the command wrote, and how it ended, as from waitpid(2);
 *				-1: it was not waited for
 *	close RESULT TEXT	the return value of pam_close_session(3)
 *	error ERRNO TEXT	what could not be done
 *
 * In a TEXT, newlines are \n and backslashes \\. After ready and after open it waits for
 * a line on standard input, so that cgdeleg can look where it is. The end of that input
 * ends what it does, but for the close.
 *
 * Nobody but cgdeleg gets to write or read there, and nobody has the caller's terminal:
 * neither modules nor the user. Like sshd it has one thread, so that modules do what they
 * do there. It is C and beside cgdeleg because cgdeleg is one static file, and libpam is
 * not.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_appl.h>

#define COMMAND_SECONDS 20
#define END_SECONDS 2 /* how long it may take to end when it is killed */
#define OUTPUT_MAX (256 * 1024) /* what the user's command may write */
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define TEXT_MAX (4 * 1024) /* of any other text */

static FILE *answers; /* to cgdeleg */
static int orders; /* from it */

static void say(const char *kind, int result, const char *text, size_t most)
{
	const char *c;

	if (answers == NULL)
		return;
	fprintf(answers, "%s %d ", kind, result);
	for (c = text; *c != '\0' && most > 0; c++, most--) {
		if (*c == '\n')
			fputs("\\n", answers);
		else if (*c == '\\')
			fputs("\\\\", answers);
		else
			putc(*c, answers);
	}
	putc('\n', answers);
	fflush(answers);
}

static void say_error(const char *what, int error)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	say("error", error, text, TEXT_MAX);
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
	say("log", LOG_PRI(priority), line, TEXT_MAX);
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

/* Closes what the shell had open from there on, in which cgdeleg was typed. */
static void close_from(int first)
{
	DIR *dir;
	struct dirent *entry;
	int fd;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, UINT_MAX, 0) == 0)
		return;
#endif
	dir = opendir("/proc/self/fd"); /* before Linux 5.9 */
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if ((fd = (int)strtol(entry->d_name, NULL, 10)) >= first && fd != dirfd(dir))
			close(fd);
	if (dir != NULL)
		closedir(dir);
}

static void heed_nothing(int signal)
{
	(void)signal;
}

/*
 * Becomes what a daemon is: nothing of the caller's is left, neither terminal nor
 * descriptors, keys, directory or umask. Standard input and output are cgdeleg's alone, on
 * descriptors that no child has. Signals do nothing, also not in what modules start: that
 * has their default again. When cgdeleg is gone a write fails, and the session is closed
 * all the same.
 */
static void withdraw(void)
{
	static const int unheeded[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE };
	struct sigaction heed = { .sa_handler = heed_nothing, .sa_flags = SA_RESTART };
	int null, answer, i;

	close_from(STDERR_FILENO + 1);
	for (i = 0; i < (int)(sizeof(unheeded) / sizeof(unheeded[0])); i++)
		sigaction(unheeded[i], &heed, NULL);
	setsid(); /* fails where systemd made a session */
	umask(022);
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	orders = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (chdir("/") < 0 || null < 0 || orders < 0 || answer < 0 || (answers = fdopen(answer, "w")) == NULL)
		exit(1);
	for (i = 0; i <= STDERR_FILENO; i++)
		dup2(null, i);
}

/* Waits for a line of cgdeleg's; false if it is gone. */
static int is_wanted(void)
{
	char c;
	ssize_t n;

	do
		n = read(orders, &c, 1);
	while ((n < 0 && errno == EINTR) || (n == 1 && c != '\n'));
	return n == 1;
}

/* Nobody is there who would answer a question. */
static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < count; i++) {
		say("told", messages[i]->msg_style, messages[i]->msg, TEXT_MAX);
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF || messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			return PAM_CONV_ERR;
	}
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
	say_error("pam_start_confdir (Linux-PAM 1.4)", ENOSYS);
	exit(1);
}

/* Who the user is, by a copy: modules ask for other accounts. */
struct account {
	char name[256];
	uid_t uid;
	gid_t gid;
};

static int look_up(const char *name, struct account *account)
{
	const struct passwd *found = getpwnam(name);

	if (found == NULL || strlen(found->pw_name) >= sizeof(account->name))
		return -1;
	strcpy(account->name, found->pw_name);
	account->uid = found->pw_uid;
	account->gid = found->pw_gid;
	return 0;
}

/* In the child: becomes the user, and the command, with nothing of root's but the pipe. */
static _Noreturn void become(const struct account *user, int command_fd, int out, char *command[])
{
	static char *environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", NULL };
	int i;

	for (i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	setsid();
	umask(022);
	if (dup2(out, STDOUT_FILENO) >= 0 && chdir("/") == 0 && initgroups(user->name, user->gid) == 0 &&
	    setgid(user->gid) == 0 && setuid(user->uid) == 0 && getuid() == user->uid && geteuid() == user->uid)
		fexecve(command_fd, command, environment);
	say_error("the command could not be run", errno);
	_exit(126);
}

static long seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* How the command ended, by itself or killed; -1 if it does not: the user has frozen it. */
static int end(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	int status = -1, waits;
	pid_t got = 0;

	for (waits = 0; got == 0 && waits < END_SECONDS * 200; waits++) {
		got = waitpid(pid, &status, WNOHANG);
		if (got == 0 && waits == 20) { /* a moment after it has closed its output */
			kill(-pid, SIGKILL); /* its session */
			kill(pid, SIGKILL);
		}
		if (got == 0)
			nanosleep(&pause, NULL);
	}
	if (got == pid)
		kill(-pid, SIGKILL); /* what it left */
	return got == pid ? status : -1;
}

/* Gathers what the command writes, until it and all that it started have ended, cgdeleg is
 * gone, or the time is over. */
static void gather(int fd, char *text)
{
	struct pollfd wait[2] = { { .fd = fd, .events = POLLIN }, { .fd = orders, .events = POLLIN } };
	long end = seconds() + COMMAND_SECONDS;
	char surplus[4096];
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && seconds() < end && wait[1].revents == 0) {
		if (poll(wait, 2, 500) <= 0 || wait[0].revents == 0)
			continue;
		if (len < OUTPUT_MAX)
			n = read(fd, text + len, OUTPUT_MAX - len);
		else
			n = read(fd, surplus, sizeof(surplus));
		if (n > 0 && len < OUTPUT_MAX)
			len += (size_t)n;
	}
	text[len] = '\0';
}

static void run(const struct account *user, int command_fd, char *command[])
{
	char *text = malloc(OUTPUT_MAX + 1);
	int ends[2];
	pid_t pid;

	if (text == NULL || pipe2(ends, O_CLOEXEC) < 0) {
		say_error("pipe", errno);
		free(text);
		return;
	}
	pid = fork();
	if (pid == 0)
		become(user, command_fd, ends[1], command);
	close(ends[1]);
	if (pid < 0) {
		say_error("fork", errno);
	} else {
		gather(ends[0], text);
		say("command", end(pid), text, OUTPUT_MAX);
	}
	close(ends[0]);
	free(text);
}

int main(int argc, char *argv[])
{
	pam_handle_t *pamh = NULL;
	struct account user;
	int command_fd, result, is_known;

	if (argc < 5) {
		fprintf(stderr, "this program is run by cgdeleg try; see cgdeleg try --help\n");
		return 2;
	}
	withdraw();
	is_known = look_up(argv[2], &user) == 0;
	command_fd = open(argv[4], O_RDONLY | O_CLOEXEC);
	if (!is_known || command_fd < 0) {
		say_error(is_known ? argv[4] : argv[2], is_known ? errno : ENOENT);
		return 1;
	}
	say("ready", (int)getpid(), "", 0);
	if (!is_wanted())
		return 1;
	result = start(argv[1], argv[2], argv[3], &pamh);
	if (result != PAM_SUCCESS) {
		say("error", result, pam_strerror(pamh, result), TEXT_MAX);
		return 1;
	}
	result = pam_open_session(pamh, 0);
	say("open", result, pam_strerror(pamh, result), TEXT_MAX);
	if (is_wanted() && result == PAM_SUCCESS)
		run(&user, command_fd, argv + 4);
	/* also after a refusal: modules before the one that refused have done their part */
	result = pam_close_session(pamh, 0);
	say("close", result, pam_strerror(pamh, result), TEXT_MAX);
	pam_end(pamh, result);
	return 0;
}
