/*
 * pamapp: a PAM application whose shape is a script, for tests of what a module
 * does to the process that loads it.
 *
 *	pamapp WORD...
 *
 * Words are done in order; each prints one line "WORD: RESULT" (most of them
 * "ok" or the PAM return value). Blocks are words between { and }.
 *
 *	load=PATH		dlopen a module before PAM does
 *	start=SERVICE:USER	pam_start (PAM files in $CONFDIR if it is set)
 *	handle=N		which handle the next words use (0 to 9)
 *	open close end		on that handle
 *	opensilent		open, with PAM_SILENT
 *	item=NAME:VALUE		sets the handle's PAM_TTY or PAM_RUSER
 *	listen			the conversation of the handles to come says "said: TEXT"
 *				of each text, and fails else
 *	settle			waits until a close that nobody waited for has moved
 *				the application
 *	subreaper		becomes who gets orphans (PR_SET_CHILD_SUBREAPER)
 *	setsid			begins a session of its own
 *	clearuser		sets the handle's PAM_USER to NULL
 *	fork { ... }		the block in a child, which is waited for
 *	repeat=N { ... }	the block N times, quietly
 *	drop=UID:GID		gives privileges up
 *	caller=UID		that real user ID, and root's effective one, as in
 *				a set-user-ID program such as su
 *	threads=N		N threads churn malloc, dlopen and pthread_create
 *	sigchld=ignore|reap|nocldwait|block
 *	closefds=N		closes descriptors 0 to N
 *	openfds=N		opens /dev/null on those from 3 to N that are not open
 *	rlimit=NAME:VALUE	soft and hard: as nproc fsize data nofile stack
 *	softlimit=NAME:VALUE	soft only
 *	env=NAME=VALUE
 *	umask=OCTAL		chdir=DIR
 *	forks=N			a thread forks N children that keep what they
 *				inherit for two seconds
 *	seccomp=hang|kill	what mkdir does from now on, here and in children
 *	seccomp=old		no system call that is newer than Linux 5.2
 *	seccomp=dup		no dup2, for want of descriptors
 *	seccomp=recvmsg|sendto|sendmsg|socketpair	not that call (EPERM)
 *	filter=NR:ERRNO|kill	what the system call of that number does from now on
 *	filter=only:FILE	every call is killed whose number is not in the file
 *	child			starts a child that sleeps; prints its PID
 *	endchild		ends and reaps it
 *	reaped			how many children the SIGCHLD handler reaped
 *	syslog			logs a line, as every real application does before
 *				it calls PAM: syslog(3) keeps its socket open
 *	state			everything that a module must leave as it was
 *	session			CGDELEG_SESSION of the PAM environment
 *	memory			VmSize and VmRSS in kB
 *	cgroups			/proc/self/cgroup, on one line
 *	clock			nanoseconds of CLOCK_MONOTONIC
 *	orphans			waits until it has no child, and as subreaper no orphan
 *	usage			of the children that have ended: page faults and
 *				microseconds of processor time
 *	pause			waits for a line on standard input
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static FILE *out, *in;
static int quiet;
static pam_handle_t *handles[10], **h = handles;
static pid_t sleeper;
static volatile sig_atomic_t reaped;

static void say(const char *word, const char *format, ...)
{
	va_list args;

	if (quiet)
		return;
	fprintf(out, "%s: ", word);
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	fputc('\n', out);
	fflush(out);
}

static void die(const char *word)
{
	fprintf(out, "%s: %s\n", word, strerror(errno));
	fflush(out);
	_exit(1);
}

static int listens;

/* Texts for the user, if it listens to any. */
static int conversation(int n, const struct pam_message **m, struct pam_response **r, void *p)
{
	int i;

	(void)p;
	if (!listens)
		return PAM_CONV_ERR;
	*r = calloc((size_t)n, sizeof(**r));
	for (i = 0; i < n; i++) {
		char *c, *text = strdup(m[i]->msg);

		for (c = text; c && *c; c++)
			if (*c == '\n')
				*c = '|';
		say("said", "%s", text ? text : "");
		free(text);
	}
	return *r ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int set_item(const char *arg)
{
	int is_tty = !strncmp(arg, "TTY:", strlen("TTY:"));

	if (*h == NULL)
		return PAM_SYSTEM_ERR;
	return pam_set_item(*h, is_tty ? PAM_TTY : PAM_RUSER, arg + strlen(is_tty ? "TTY:" : "RUSER:"));
}

static int start(const char *arg)
{
	static const struct pam_conv conv = { conversation, NULL };
	char service[64];
	const char *user = strchr(arg, ':');

	snprintf(service, sizeof(service), "%.*s", (int)(user - arg), arg);
	if (getenv("CONFDIR"))
		return pam_start_confdir(service, user + 1, &conv, getenv("CONFDIR"), h);
	return pam_start(service, user + 1, &conv, h);
}

static void reap(int sig)
{
	int saved = errno;

	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		reaped++;
	errno = saved;
}

static void sigchld(const char *how)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t set;

	if (!strcmp(how, "ignore"))
		sa.sa_handler = SIG_IGN;
	if (!strcmp(how, "nocldwait"))
		sa.sa_flags = SA_NOCLDWAIT;
	if (!strcmp(how, "reap"))
		sa.sa_handler = reap;
	sigaction(SIGCHLD, &sa, NULL);
	if (!strcmp(how, "block")) {
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
}

static void *nothing(void *arg) { return arg; }

static void *churn(void *arg)
{
	for (;;) {
		pthread_t t;
		void *lib = dlopen("libm.so.6", RTLD_NOW), *mem = malloc(4096);

		if (pthread_create(&t, NULL, nothing, arg) == 0)
			pthread_join(t, NULL);
		free(mem);
		if (lib)
			dlclose(lib);
	}
	return NULL;
}

static void *fork_often(void *arg)
{
	long n;

	for (n = (long)arg; n > 0; n--) {
		if (fork() == 0) {
			sleep(2);
			_exit(0);
		}
		usleep(1000);
	}
	return NULL;
}

static void limit(const char *arg, int hard)
{
	static const struct { const char *name; int which; } names[] = {
		{ "as", RLIMIT_AS }, { "nproc", RLIMIT_NPROC }, { "fsize", RLIMIT_FSIZE },
		{ "data", RLIMIT_DATA }, { "nofile", RLIMIT_NOFILE }, { "stack", RLIMIT_STACK } };
	const char *value = strchr(arg, ':') + 1;
	struct rlimit r;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(arg, names[i].name, (size_t)(value - arg - 1))) {
			getrlimit(names[i].which, &r);
			r.rlim_cur = strtoul(value, NULL, 10);
			if (hard)
				r.rlim_max = r.rlim_cur;
			if (setrlimit(names[i].which, &r) < 0)
				die(arg);
		}
}

/* What a kernel before 5.3 does not have. */
static const int new_calls[] = { SYS_pidfd_open, SYS_pidfd_send_signal, SYS_close_range, SYS_openat2, SYS_clone3, -1 };

static const int dup_calls[] = {
#ifdef SYS_dup2
	SYS_dup2,
#endif
	SYS_dup3, -1 };

static void install(struct sock_filter *code, unsigned short len)
{
	struct sock_fprog prog = { len, code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		die("seccomp");
}

/* More system calls than there are. */
#define CALLS_MAX 1000

/* From now on there is this for the calls, and that for all others. */
static void filter(const int *calls, unsigned answer, unsigned others)
{
	static struct sock_filter code[2 * CALLS_MAX + 2];
	unsigned short len = 0;

	code[len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; *calls >= 0; calls++) {
		code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*calls, 0, 1);
		code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
	}
	code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	install(code, len);
}

/* From now on the calls answer with that error. */
static void refuse(const int *calls, int error)
{
	filter(calls, SECCOMP_RET_ERRNO | (unsigned)error, SECCOMP_RET_ALLOW);
}

static void filter_as(const char *arg)
{
	static int calls[CALLS_MAX + 1];
	const char *what = strchr(arg, ':') + 1;
	FILE *f;
	int n = 0;

	if (strncmp(arg, "only:", 5)) {
		calls[0] = atoi(arg);
		calls[1] = -1;
		filter(calls, strcmp(what, "kill") ? SECCOMP_RET_ERRNO | (unsigned)atoi(what) : SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW);
		return;
	}
	f = fopen(what, "re");
	if (f == NULL)
		die(arg);
	while (n < CALLS_MAX && fscanf(f, "%d", &calls[n]) == 1)
		n++;
	fclose(f);
	calls[n] = -1;
	filter(calls, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

static void filter_mkdir(const char *how)
{
	int hang = !strcmp(how, "hang");
	unsigned action = hang ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_KILL_PROCESS;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* nobody ever answers on the listener, so the caller waits for ever */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, hang ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &prog) < 0)
		die("seccomp");
}

static int count_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void state(void)
{
	char cwd[4096], line[8192];
	unsigned long env = 5381;
	struct sigaction sa;
	sigset_t mask;
	int i, n = 0;
	mode_t um = umask(0);
	char **e;
	const char *c;

	umask(um);
	for (e = environ; *e; e++)
		for (c = *e; *c; c++)
			env = env * 33 + (unsigned char)*c;
	n += snprintf(line, sizeof(line), "threads=%d umask=%o cwd=%s uid=%d/%d gid=%d/%d env=%lx/%p",
		      count_dir("/proc/self/task"), um, getcwd(cwd, sizeof(cwd)), getuid(), geteuid(),
		      getgid(), getegid(), env, (void *)environ);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " sid=%d pgid=%d fds=", getsid(0), getpgid(0));
	for (i = 0; i < 1024; i++)
		if (fcntl(i, F_GETFD) >= 0)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%d,", i);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " blocked=");
	for (i = 1; i < NSIG; i++)
		if (sigismember(&mask, i) == 1)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%d,", i);
	sigpending(&mask);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " handlers=");
	for (i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &sa) == 0 && (sa.sa_handler != SIG_DFL || sa.sa_flags))
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%d:%p:%x,", i, (void *)sa.sa_handler, (unsigned)sa.sa_flags);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " limits=");
	for (i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit r;
		getrlimit(i, &r);
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%lx/%lx,", (unsigned long)r.rlim_cur, (unsigned long)r.rlim_max);
	}
	i = waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD;
	snprintf(line + n, sizeof(line) - (size_t)n, " children=%s", i ? "no" : "yes");
	say("state", "%s", line);
}

static void print_file(const char *word, const char *path, const char *wanted)
{
	char line[4096], all[16384] = "";
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!wanted || strstr(wanted, strtok(strdupa(line), ":"))) {
			line[strcspn(line, "\n")] = '\0';
			strncat(all, line, sizeof(all) - strlen(all) - 2);
			strcat(all, " ");
		}
	if (f)
		fclose(f);
	say(word, "%s", all);
}

static void print_clock(const char *word)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	say(word, "%lld", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
}

/* The index of the } that belongs to the { at words[i]. */
static int block_end(char **words, int i)
{
	int depth = 0;

	for (; words[i]; i++) {
		depth += !strcmp(words[i], "{") - !strcmp(words[i], "}");
		if (depth == 0)
			return i;
	}
	fprintf(out, "block without end\n");
	_exit(2);
}

static void run(char **words, int n);

static void in_child(char **words, int n)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		run(words, n);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	say("fork", "%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void start_child(void)
{
	sleeper = fork();
	if (sleeper == 0) {
		pause();
		_exit(0);
	}
	say("child", "%d", sleeper);
}

static int setting(const char *w)
{
	const char *arg = strchr(w, '=') + 1;
	int i;

	if (!strncmp(w, "load=", 5))
		say("load", "%s", dlopen(arg, RTLD_NOW) ? "ok" : dlerror());
	else if (!strncmp(w, "start=", 6))
		say("start", "%d", start(arg));
	else if (!strncmp(w, "item=", 5))
		say("item", "%d", set_item(arg));
	else if (!strncmp(w, "handle=", 7))
		h = &handles[atoi(arg)];
	else if (!strncmp(w, "drop=", 5)) {
		if (setgid((gid_t)atoi(strchr(arg, ':') + 1)) < 0 || setuid((uid_t)atoi(arg)) < 0)
			die(w);
	} else if (!strncmp(w, "threads=", 8)) {
		for (i = 0; i < atoi(arg); i++) {
			pthread_t t;
			pthread_create(&t, NULL, churn, NULL);
		}
	} else if (!strncmp(w, "sigchld=", 8))
		sigchld(arg);
	else if (!strncmp(w, "closefds=", 9))
		for (i = 0; i <= atoi(arg); i++)
			close(i);
	else if (!strncmp(w, "openfds=", 8)) {
		for (i = 3; i <= atoi(arg); i++)
			if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR) != i)
				die(w);
	} else if (!strncmp(w, "rlimit=", 7))
		limit(arg, 1);
	else if (!strncmp(w, "softlimit=", 10))
		limit(arg, 0);
	else if (!strncmp(w, "env=", 4))
		putenv((char *)arg);
	else if (!strncmp(w, "umask=", 6))
		umask((mode_t)strtol(arg, NULL, 8));
	else if (!strncmp(w, "chdir=", 6))
		say("chdir", "%d", chdir(arg));
	else if (!strcmp(w, "seccomp=old"))
		refuse(new_calls, ENOSYS);
	else if (!strcmp(w, "seccomp=dup"))
		refuse(dup_calls, EMFILE);
	else if (!strcmp(w, "seccomp=recvmsg"))
		refuse((const int[]){ SYS_recvmsg, -1 }, EPERM);
	else if (!strcmp(w, "seccomp=sendto"))
		refuse((const int[]){ SYS_sendto, -1 }, EPERM);
	else if (!strcmp(w, "seccomp=sendmsg"))
		refuse((const int[]){ SYS_sendmsg, -1 }, EPERM);
	else if (!strcmp(w, "seccomp=socketpair"))
		refuse((const int[]){ SYS_socketpair, -1 }, EPERM);
	else if (!strncmp(w, "seccomp=", 8))
		filter_mkdir(arg);
	else if (!strncmp(w, "filter=", 7))
		filter_as(arg);
	else if (!strncmp(w, "caller=", 7)) {
		if (setresuid((uid_t)atoi(arg), 0, 0) < 0)
			die(w);
	} else if (!strncmp(w, "forks=", 6)) {
		pthread_t t;
		pthread_create(&t, NULL, fork_often, (void *)(long)atoi(arg));
	}
	else
		return 0;
	return 1;
}

static void usage(const char *w)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	say(w, "%ld %ld", u.ru_minflt + u.ru_majflt,
	    (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000L + u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* A detached worker holds the application's lock for as long as it may move it. */
static void settle(const char *w)
{
	struct stat st; /* not access(2), which asks for the real user ID */
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/run/cgdeleg/applications/%d", (int)getpid());
	for (i = 0; i < 5000 && stat(path, &st) == 0; i++)
		usleep(1000);
	say(w, "%s", i < 5000 ? "ok" : "still held");
}

static void simple(const char *w)
{
	char line[16];

	if (!strcmp(w, "open"))
		say(w, "%d", pam_open_session(*h, 0));
	else if (!strcmp(w, "opensilent"))
		say("open", "%d", pam_open_session(*h, PAM_SILENT));
	else if (!strcmp(w, "listen"))
		listens = 1;
	else if (!strcmp(w, "close"))
		say(w, "%d", pam_close_session(*h, 0));
	else if (!strcmp(w, "end"))
		say(w, "%d", pam_end(*h, 0)), *h = NULL;
	else if (!strcmp(w, "session"))
		say(w, "%s", pam_getenv(*h, "CGDELEG_SESSION") ? pam_getenv(*h, "CGDELEG_SESSION") : "none");
	else if (!strcmp(w, "settle"))
		settle(w);
	else if (!strcmp(w, "subreaper"))
		say(w, "%d", prctl(PR_SET_CHILD_SUBREAPER, 1));
	else if (!strcmp(w, "orphans")) {
		while (wait(NULL) > 0 || errno == EINTR)
			;
		say(w, "ok");
	} else if (!strcmp(w, "setsid"))
		say(w, "%s", setsid() > 0 ? "ok" : strerror(errno));
	else if (!strcmp(w, "clearuser"))
		say(w, "%d", pam_set_item(*h, PAM_USER, NULL));
	else if (!strcmp(w, "child"))
		start_child();
	else if (!strcmp(w, "endchild"))
		kill(sleeper, SIGKILL), waitpid(sleeper, NULL, 0), say(w, "ok");
	else if (!strcmp(w, "reaped"))
		say(w, "%d", (int)reaped);
	else if (!strcmp(w, "syslog"))
		syslog(LOG_INFO, "pamapp");
	else if (!strcmp(w, "state"))
		state();
	else if (!strcmp(w, "memory"))
		print_file(w, "/proc/self/status", "VmSize VmRSS");
	else if (!strcmp(w, "cgroups"))
		print_file(w, "/proc/self/cgroup", NULL);
	else if (!strcmp(w, "usage"))
		usage(w);
	else if (!strcmp(w, "clock"))
		print_clock(w);
	else if (!strcmp(w, "pause"))
		say(w, "%s", fgets(line, sizeof(line), in) ? "ok" : "end of input");
	else {
		fprintf(out, "unknown word %s\n", w);
		_exit(2);
	}
}

static void run(char **words, int n)
{
	int i, k;

	for (i = 0; i < n; i++) {
		int is_fork = !strcmp(words[i], "fork");

		if (is_fork || !strncmp(words[i], "repeat=", 7)) {
			int end = block_end(words, i + 1), rounds = is_fork ? 1 : atoi(words[i] + 7);

			quiet += !is_fork;
			for (k = 0; k < rounds; k++)
				(is_fork ? in_child : run)(words + i + 2, end - i - 2);
			quiet -= !is_fork;
			i = end;
		} else if (!strchr(words[i], '=') || !setting(words[i]))
			simple(words[i]);
	}
}

int main(int argc, char **argv)
{
	int fd;

	/* what else is open is the script's to say, and not whoever runs the tests' */
	for (fd = 3; fd < 1024; fd++)
		close(fd);
	/* away from the low descriptors, which a script may close */
	out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 20), "w");
	in = fdopen(fcntl(0, F_DUPFD_CLOEXEC, 20), "r");
	run(argv + 1, argc - 1);
	return 0;
}
