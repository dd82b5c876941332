package catalogue

// What is said more than once.
const (
	reportIt  = "Report it, with this line and what cgdeleg report writes."
	lookAtLog = "The lines before it in the log say why. If there are none, report it, with what cgdeleg report writes."
)

var entries = []Entry{
	// What module.c says of its child process.
	{
		Levels: []string{Error}, Text: `worker did not finish in <N> s (timeout=); <CONSEQUENCE>`,
		Meaning: "The module's child process had not finished after timeout=, and was killed.",
		Action:  "See what takes so long: a machine that has no CPU time left, a user with tens of thousands of cgroups (cgdeleg usage NAME), a directory service that does not answer when limits are given to groups. A larger timeout= gives it more time.",
		Sources: []string{"worker did not finish in %u s (timeout=); %s"},
	},
	{
		Levels: []string{Error}, Text: `worker could not be run: <REASON>; <CONSEQUENCE>`,
		Meaning: "The application could not start a child process.",
		Action:  "Resource temporarily unavailable: raise the limit of processes of the application or its user (pids.max, ulimit -u). Cannot allocate memory: the machine or the application's cgroup has none left.",
		Sources: []string{"worker could not be run: %s; %s"},
	},
	{
		Levels: []string{Error}, Text: `worker was killed by signal <N>; <CONSEQUENCE>`,
		Meaning: "Somebody else ended the child process. Signal 9 mostly comes from the kernel, for want of memory.",
		Action:  "Look for \"Out of memory\" or \"oom-kill\" in the kernel's log. With another signal, report it, with what cgdeleg report writes.",
		Sources: []string{"worker was killed by signal %d; %s"},
	},
	{
		Levels: []string{Error}, Text: `worker ended early with status <N>; <CONSEQUENCE>`,
		Meaning: "The child process ended without a result.",
		Action:  lookAtLog,
		Sources: []string{"worker ended early with status %d; %s"},
	},
	{
		Levels: []string{Error}, Text: `worker ended early; <CONSEQUENCE>`,
		Meaning: "The child process ended without a result, and the application took its exit status, which is not known.",
		Action:  lookAtLog,
		Sources: []string{"worker ended early; %s"},
	},
	{
		Levels: []string{Error}, Text: `worker said: <TEXT>`,
		Meaning: "What the child process wrote when it ended early, its first line. \"failed to create new OS thread\" is a limit of processes, \"cannot allocate memory\" one of memory.",
		Action:  "Raise the limit of the application that the text is about.",
		Sources: []string{"worker said: %.200s"},
	},
	{
		Levels: []string{Error}, Text: `worker could not be run: <CALL>: error <N>; no cgroup was made or removed`,
		Meaning: "The child process could not be set up: the system call that is named failed with that error number (errno(3)).",
		Action:  "24 and 23 are limits of open files, 12 one of memory: raise the application's. With another number, report it.",
		Sources: []string{"worker could not be run: %s: error %d; no cgroup was made or removed"},
	},
	{
		Levels: []string{Error}, Text: `worker <FILE> could not be run: <REASON>; no session has cgroups of its own until that program is installed again`,
		Meaning: "Where the C library is musl: the module is there, and the program that it starts is not.",
		Action:  "Install the package of the module again; it has both.",
		Sources: []string{"worker %s could not be run: %s; no session has cgroups of its own until that program is installed again"},
	},
	{
		Levels: []string{Error}, Text: `worker <FILE> could not be run: <REASON>; the session is left for a later cleanup`,
		Meaning: "The same at a logout: the session was not removed.",
		Action:  "Install the package of the module again.",
		Sources: []string{"worker %s could not be run: %s; the session is left for a later cleanup"},
	},
	{
		Levels: []string{Error}, Text: `out of memory; <CONSEQUENCE>`,
		Meaning: "The application could not get memory for the request.",
		Action:  "Raise the application's limit of memory.",
		Sources: []string{"out of memory; %s"},
	},
	{
		Levels: []string{Error}, Text: `cgdeleg serve did not open the session; <CONSEQUENCE>`,
		Meaning: "cgdeleg serve accepted the login and did not finish it, and there was no time left for a worker.",
		Action:  "Look at the log of cgdeleg-serve, and start it again. Without it logins work.",
		Sources: []string{"cgdeleg serve did not open the session; %s"},
	},

	// What the worker says of itself and of the request.
	{
		Levels: []string{Error}, Text: `internal error: <TEXT>`,
		Meaning: "A fault of the module. What had been begun is taken back.",
		Action:  reportIt,
		Sources: []string{"internal error: %v"},
	},
	{
		Levels: []string{Error}, Text: `bad request from the module: <REASON>`,
		Meaning: "The module and its worker do not understand each other: they are of different versions.",
		Action:  "Install both from one package or build, and start applications again that loaded the old module.",
		Sources: []string{"bad request from the module: %v", "bad request from the module: verb %q"},
	},
	{
		Levels: []string{Error}, Text: `controller list "<LIST>": <REASON>; this session has no cgroups of its own`,
		Meaning: "The list after -c is wrong: it has all beside other names, or no name.",
		Action:  "Correct the PAM line. Without -c everything is used.",
		Sources: []string{"controller list %.100q: %s", "%v; this session has no cgroups of its own"},
	},
	{
		Levels: []string{Error}, Text: `user name "<NAME>": <REASON>; this session has no cgroups of its own`,
		Meaning: "The name cannot be that of a directory: it is empty, too long, has a slash or a control character, or is a dot or two.",
		Sources: []string{"user name %.300q: %s"},
	},
	{
		Levels: []string{Error}, Text: `user "<NAME>" is not known to the system; <CONSEQUENCE>`,
		Meaning: "The account has no user ID: getpwnam(3) does not find it. The module returns PAM_USER_UNKNOWN.",
		Action:  "See what getent passwd NAME says.",
		Sources: []string{"user %q is not known to the system; this session has no cgroups of its own", "user %q is not known to the system; this session has no limits of its own"},
	},
	{
		Levels: []string{Error}, Text: `hierarchy <HIERARCHY>: <REASON>; <CONSEQUENCE>`,
		Meaning: "The kernel refused to make or to fill a cgroup there. Nothing was made, in any hierarchy. The reason names the file. Read-only file system: the cgroups are mounted read-only, as in many containers. Permission denied, in a container: its root does not own these cgroups; with SELinux: the policy. Resource temporarily unavailable: cgroup.max.descendants or cgroup.max.depth above it is reached. Device or resource busy or No space left on device: what the hierarchy has cannot be given to a new cgroup.",
		Action:  "cgdeleg check --user NAME says which it is, and the fix.",
		Sources: []string{"hierarchy %s: %v", "user %q: %v; this session has no cgroups of its own"},
	},
	{
		Levels: []string{Error}, Text: `<REASON>; not taken back: <REASON>; <CONSEQUENCE>`,
		Meaning: "Opening a session failed for the first reason. What had been done was to be taken back, and part of that failed for the second. Another worker tries again at once, and the logout once more.",
		Action:  "See the first reason. cgdeleg cleanup removes what is still there, and says what it cannot.",
		Sources: []string{"%v; not taken back: %s", "user %q: %v; this session has no cgroups of its own"},
	},
	{
		Levels: []string{Error}, Text: `limits are required: <REASON>; this session is refused`,
		Meaning: "With limits=required: a limit of limits.conf does not hold.",
		Action:  "Correct the limit that is named, or take limits=required from the line.",
		Sources: []string{"limits are required: ", "user %q: %v; this session is refused"},
	},
	{
		Levels: []string{Error}, Text: `limits are required, and not known: <REASON>; this session is refused`,
		Meaning: "With limits=required: a file of limits could not be read, or the user's groups are not known.",
		Action:  "cgdeleg limits check names what is wrong with the files. See whether id NAME answers.",
		Sources: []string{"limits are required, and not known: %w", "user %q: limits are required, and not known: %v; this session is refused"},
	},
	{
		Levels: []string{Error}, Text: `limits are required, and pam_systemd cannot set <LIMITS>; this session is refused`,
		Meaning: "With limits and limits=required: systemd sets memory.max, pids.max, cpu.weight and io.weight of a session, and no other.",
		Action:  "Give the other limits to the user in place of the session (limits.conf, second column).",
		Sources: []string{"user %q: limits are required, and pam_systemd cannot set %s; this session is refused"},
	},
	{
		Levels: []string{Error}, Text: `<REASON>; <CONSEQUENCE>`,
		Meaning: "The cgroups of the login could not be read from /proc. No such file or directory: the process that logs in has ended meanwhile.",
		Action:  "See that /proc is mounted, and that root sees all of it.",
		Sources: []string{"user %q: %v; this session has no cgroups of its own", "%s:%d: %s in %.200q", "larger than %d KiB"},
	},

	// Of the PAM line.
	{
		Levels: []string{Warning}, Text: `unknown option "<WORD>" ignored; known are <OPTIONS>`,
		Meaning: "The PAM line has a word that the module does not know.",
		Action:  "Correct the line.",
		Sources: []string{"unknown option %.100q ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N"},
	},
	{
		Levels: []string{Warning}, Text: `option "<WORD>": want <FORM>; option ignored`,
		Meaning: "The value of an option of the PAM line is wrong; the default holds.",
		Action:  "Correct the line.",
		Sources: []string{
			"option %.100q: want min_uid=N with a user ID; option ignored", "option %.100q: want timeout=N with 1 to %d seconds; option ignored",
			"option %.100q: want confined=leave or confined=move; option ignored", "option %.100q: want oom=quiet; option ignored",
			"option %.100q: want limits=required; option ignored", "option %.100q: want close=wait; option ignored",
		},
	},
	{
		Levels: []string{Warning}, Text: `-c given more than once: the last one counts`,
		Meaning: "The PAM line has two lists.",
		Action:  "Write one list with all names.",
		Sources: []string{"-c given more than once: the last one counts"},
	},

	// Of limits.conf.
	{
		Levels: []string{Warning}, Text: `<FILE>:<LINE>:<COLUMN>: <REASON>; ignored`,
		Meaning: "A line of limits.conf has a mistake and gives no limits.",
		Action:  "cgdeleg limits check shows all such lines, with the place of the mistake.",
		Sources: []string{"%s:%d:%d: %s", "%v; ignored", "%.200q: %s; want %s", "there is no limit %.100q", "there is no limit %.100q; is %s meant?"},
	},
	{
		Levels: []string{Warning}, Text: `<OPERATION> <FILE>: <REASON>; ignored`,
		Meaning: "A file of limits was not read. \"others than root can write it\" and \"its owner is not root\" are also said of its directory: who can write there would set the limits.",
		Action:  "chown root FILE; chmod go-w FILE. cgdeleg limits check looks at all of them.",
		Sources: []string{"%v; ignored", "its owner is not root", "others than root can write it", "larger than %d KiB"},
	},
	{
		Levels: []string{Warning}, Text: `<N> more lines of limits are ignored; cgdeleg limits check shows them`,
		Meaning: "There are more mistakes than a login names.",
		Action:  "cgdeleg limits check shows them all.",
		Sources: []string{"%d more lines of limits are ignored; cgdeleg limits check shows them"},
	},
	{
		Levels: []string{Warning}, Text: `the groups of user "<NAME>" are not known: <REASON>; lines of limits for groups are ignored`,
		Meaning: "A line for a group was reached, and id(1) did not answer within a quarter of timeout=, or said that there is no such user. Such lines match nobody then.",
		Action:  "See how long id NAME takes. Raise timeout=, or put lines for names and user IDs before those for groups.",
		Sources: []string{"%v; lines of limits for groups are ignored", "groups of user %.100q: %s%v", "there is no id(1) where it usually is", "not known to the system", "no answer by the deadline", "the answer is no list of groups"},
	},
	{
		Levels: []string{Warning}, Text: `pam_systemd cannot set these limits of a session: <LIMITS>`,
		Meaning: "With limits: systemd sets memory.max, pids.max, cpu.weight and io.weight of a session, and no other.",
		Action:  "Give the other limits to the user in place of the session (limits.conf, second column).",
		Sources: []string{"user %q: pam_systemd cannot set these limits of a session: %s"},
	},
	{
		Levels: []string{Warning}, Text: `<REASON>; this session has no limits of its own`,
		Meaning: "With limits: the limits are not known, and pam_systemd was told none.",
		Action:  "The reason names the file. cgdeleg limits check looks at all of them.",
		Sources: []string{"user %q: %v; this session has no limits of its own"},
	},
	{
		Levels: []string{Warning, Debug}, Text: `limits <LIMITS> not set: <REASON>`,
		Meaning: "No cgroup of this login can have these limits: no mounted hierarchy has the controller, the login is confined, or elogind made its cgroup. With debug also where that is as it should be.",
		Action:  "cgdeleg limits check says which limits this machine cannot have.",
		Sources: []string{"limits ", "%s not set: %s", "no mounted hierarchy has the controller", "the scope that elogind made is in no cgroup of the user's"},
	},
	{
		Levels: []string{Warning}, Text: `limit <LIMIT> not set: <FILE> is <VALUE>`,
		Meaning: "Where systemd runs the machine: the user's slice does not have the limit that limits.conf gives to the user, or the session's scope that of the session. It may also be that the file cannot be read.",
		Action:  "For a slice: see what the journal of user-runtime-dir@UID.service says, and that its drop-in 50-cgdeleg-limits.conf is there; cgdeleg limits apply --user NAME sets it now. For a scope: see that the line with the option limits stands before that of pam_systemd.",
		Sources: []string{"limit ", "%s not set: %s is %s", "%s not set: %s cannot be read"},
	},
	{
		Levels: []string{Warning}, Text: `limit of the <USER OR SESSION>: <LIMIT> is not <N> bytes yet, because <N> are in use; <LIMIT IN FORCE>; cgdeleg limits apply lowers it as that falls`,
		Meaning: "The user's processes use more memory than the limit allows. So that none is killed, an eighth more than they use holds until a later login.",
		Action:  "cgdeleg limits apply --user NAME lowers it. End some of the processes if it has to hold now.",
		Sources: []string{"limit of the %s: %v; cgdeleg limits apply lowers it as that falls", "%s is not %d bytes yet, because %d are in use; %s", "no limit holds until then", "%d bytes hold until then"},
	},
	{
		Levels: []string{Warning, Debug}, Text: `limit of the <USER OR SESSION> not set: <REASON>`,
		Meaning: "The kernel or the hierarchy does not have this limit: cgroup v1 has no memory.high, a device is not there. With debug also what is no fault.",
		Action:  "The reason names the limit. cgdeleg limits check says the same without a login.",
		Sources: []string{"limit of the %s not set: %v", "limit of the %s: %v", "%s: %v", "%s cannot be set in hierarchy %s: %s", "%s: unexpected content %.100q", "not on a block device of its own"},
	},

	// Of the session.
	{
		Levels: []string{Warning}, Text: `there is no hierarchy in which a session can be made; this session has no cgroups of its own`,
		Meaning: "Nothing that -c names is mounted, or no cgroup file system is.",
		Action:  "cgdeleg check --user NAME says what is missing.",
		Sources: []string{"there is no hierarchy in which a session can be made; this session has no cgroups of its own"},
	},
	{
		Levels: []string{Warning}, Text: `no mounted hierarchy has "<CONTROLLERS>"; ignored`,
		Meaning: "-c names controllers that this machine does not have: they are misspelt, the kernel was built or booted without them (cgroup_disable=memory), or nobody mounted them.",
		Action:  "Take them from the list, or leave -c out; or mount them.",
		Sources: []string{"no mounted hierarchy has %.300q", "; ignored"},
	},
	{
		Levels: []string{Warning}, Text: `session without <CONTROLLERS>: there are processes in the cgroup that holds user/`,
		Meaning: "On cgroup v2 a cgroup with processes cannot give controllers to those below it. In a container the first processes often are in its root cgroup.",
		Action:  "cgdeleg check base says what moves them, and prints the commands.",
		Sources: []string{"session without %s: %s", "there are processes in the cgroup that holds user/"},
	},
	{
		Levels: []string{Warning}, Text: `session without <CONTROLLERS>: not in Delegate= of session scopes (50-cgdeleg.conf)`,
		Meaning: "-c asks for controllers that systemd does not delegate: the drop-in does not name them.",
		Action:  "Add them to Delegate= in a drop-in of session-.scope, run systemctl daemon-reload, and log in again.",
		Sources: []string{"session without %s: %s", "not in Delegate= of session scopes (50-cgdeleg.conf)"},
	},
	{
		Levels: []string{Warning}, Text: `session without <CONTROLLERS>: <REASON>`,
		Meaning: "The kernel refused to enable these controllers of cgroup v2. Invalid argument for cpu: there is a process with a real-time priority below. The session has the others.",
		Action:  "cgdeleg check controllers says more.",
		Sources: []string{"session without %s: %s", "controller %s: %v"},
	},
	{
		Levels: []string{Warning}, Text: `session without <HIERARCHY>: root may not make a cgroup there: <REASON>`,
		Meaning: "In a container: its root does not own the cgroups of this hierarchy, because the user who started it has none there, or they are mounted read-only.",
		Action:  "On the machine, log in with the module, or without its -c, and start the container again. cgdeleg check container in it says which.",
		Sources: []string{"session without %s: root may not make a cgroup there: %v"},
	},
	{
		Levels: []string{Warning}, Text: `confined by <FILE> (<VALUE>): the login stays there, without cgroups of its own, because its session would not be under that limit (confined=move on the PAM line moves it all the same)`,
		Meaning: "Somebody has put this login under the limit that is named, such as a batch system or the script that starts the service. The module leaves it there, in all hierarchies.",
		Action:  "For a batch job: nothing. Otherwise raise or remove the limit, or put confined=move on the PAM line.",
		Sources: []string{"%v: the login stays there, without cgroups of its own, because its session would not be under that limit (confined=move on the PAM line moves it all the same)", "confined by %s (%s)"},
	},
	{
		Levels: []string{Warning}, Text: `systemd does not delegate <SCOPE>: /usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf is missing or not loaded; no cgroup v2 for this session`,
		Meaning: "On cgroup v2 the module gives the scope to the user only if systemd knows that it is delegated. Otherwise systemd would take its controllers away at the next daemon-reload.",
		Action:  "cgdeleg fix delegation prints the drop-in, if it is missing. Then systemctl daemon-reload, and log in again.",
		Sources: []string{"systemd does not delegate %s: /usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf is missing or not loaded; no cgroup v2 for this session", "scope %s is not delegated"},
	},
	{
		Levels: []string{Warning}, Text: `lock <FILE>: <REASON>; session made without the lock, dead sessions were not removed`,
		Meaning: "The user's lock could not be taken in a quarter of timeout=, or /run/cgdeleg cannot be written. The session was made.",
		Action:  "Once: nothing. Each time: see that /run is writable and that /run/cgdeleg is root's, and what process holds the file (fuser FILE).",
		Sources: []string{"%v; session made without the lock, dead sessions were not removed", "lock %s: %v"},
	},
	{
		Levels: []string{Warning, Debug}, Text: `hierarchy <HIERARCHY>: mounted, but cannot be used: <REASON>`,
		Meaning: "A hierarchy cannot be used, and the session is without it: another file system is mounted over it, or the process is not in its cgroup namespace.",
		Action:  "cgdeleg check mounts namespace says which.",
		Sources: []string{"hierarchy %s: %s", "%s: %v", "mount point %s: %s", "cgroup lies outside of this mount or cgroup namespace"},
	},
	{
		Levels: []string{Warning, Debug}, Text: `line ignored: mountinfo:<N>: <REASON>`,
		Meaning: "A line of /proc/self/mountinfo could not be understood. Users can make such lines with fusermount; nothing else is lost by it.",
		Sources: []string{"%s: %v", "%s:%d: %s in %.200q"},
	},

	// Of logouts, and of logins that are taken back.
	{
		Levels: []string{Warning}, Text: `session not closed: <REASON>`,
		Meaning: "The application's cgroups could not be read, mostly because it had ended. The user's next login or cgdeleg cleanup removes the session.",
		Action:  "Where all processes end with the application, as in a container with a single login, put close=wait on the PAM line.",
		Sources: []string{"user %q: session not closed: %v"},
	},
	{
		Levels: []string{Warning}, Text: `what was begun is left for a later cleanup: <REASON>`,
		Meaning: "A login failed, and not all of it could be taken back.",
		Action:  "cgdeleg cleanup removes what is left.",
		Sources: []string{"user %q: what was begun is left for a later cleanup: %v"},
	},
	{
		Levels: []string{Warning, Debug}, Text: `session <SESSION> closed, left for a later cleanup: <REASON>`,
		Meaning: "The session could not be removed. With debug: it has processes, such as a container that goes on, another process is removing it, or the application has given up its privileges; the user's next login or cgdeleg cleanup removes it when that is over. As a warning: the kernel refused, for the reason that is named.",
		Action:  "cgdeleg status shows what is in it.",
		Sources: []string{"session %s closed, left for a later cleanup: %v", "another process is removing what this user made", "too many cgroups to look at in the time that there is"},
	},

	// With debug alone.
	{
		Levels: []string{Debug}, Text: `session <N> opened by "<SERVICE>" in <HIERARCHIES>`,
		Meaning: "A session was made.",
		Sources: []string{"user %q: session %d opened by %q in %s"},
	},
	{
		Levels: []string{Debug}, Text: `session scope delegated in <HIERARCHIES>`,
		Meaning: "The scope that logind or elogind made for the login was given to the user.",
		Sources: []string{"user %q: session scope delegated in %s"},
	},
	{
		Levels: []string{Debug}, Text: `session <SESSION> closed and removed`,
		Meaning: "A logout, or a login that was taken back.",
		Sources: []string{"session %s closed and removed"},
	},
	{
		Levels: []string{Warning}, Text: `process <PID> left its session, and its limits: <ERROR>`,
		Meaning: "A logout, or a login that is taken back, moves the application back to the cgroup from which it came. That one refused it, and it is in the base of that hierarchy now, without the limits that it had.",
		Action:  "None, for an application that ends now, as sshd's process does. The error says what the cgroup refused; one that is frozen, has no CPUs or has controllers enabled below it takes no process.",
		Sources: []string{"user %q: process %d left its session, and its limits: %v", "hierarchy %s: not back in %s, but in the base: %v"},
	},
	{
		Levels: []string{Debug}, Text: `process <PID> is in no session`,
		Meaning: "There was nothing to close: no session had been made, or it was removed already.",
		Sources: []string{"user %q: process %d is in no session"},
	},
	{
		Levels: []string{Debug}, Text: `user ID <UID> is below min_uid=<N>, nothing done`,
		Meaning: "min_uid= on the PAM line excludes this user, who gets no session.",
		Sources: []string{"user ID %d is below min_uid=%d", ", nothing done"},
	},
	{
		Levels: []string{Debug}, Text: `user ID <UID> is a system account's: below UID_MIN <N> of <FILE>, nothing done`,
		Meaning: "System accounts get no session.",
		Action:  "If one is to have sessions, put min_uid= on the PAM line.",
		Sources: []string{"user ID %d is a system account's: below UID_MIN %d of %s", ", nothing done"},
	},
	{
		Levels: []string{Debug}, Text: `user ID <UID> is a system account's: below UID_MIN, which is <N> by default, nothing done`,
		Meaning: "The same where /etc/login.defs has no UID_MIN.",
		Sources: []string{"user ID %d is a system account's: below UID_MIN, which is %d by default", ", nothing done"},
	},
	{
		Levels: []string{Debug}, Text: `ignored "<NAMES>": this machine has only cgroup v2`,
		Meaning: "-c names v1 hierarchies such as name=systemd, as the PAM line of pam_cgfs does. On cgroup v2 there is nothing to do for them.",
		Sources: []string{"ignored %q: this machine has only cgroup v2"},
	},
	{
		Levels: []string{Debug}, Text: `hierarchy <HIERARCHY>: <CGROUP> is systemd's or elogind's and no session scope of this user; the login stays there`,
		Meaning: "The login is in a service, or in a scope of another user, as after su. On cgroup v2 its containers have what that cgroup has.",
		Sources: []string{"hierarchy %s: %s is systemd's or elogind's and no session scope of this user; the login stays there"},
	},
	{
		Levels: []string{Debug}, Text: `hierarchy <HIERARCHY>: elogind delegates <CGROUP> to the user; the login stays where it is`,
		Meaning: "elogind does it itself (DelegateSessionCgroups=yes).",
		Sources: []string{"hierarchy ", ": elogind delegates ", " to the user; the login stays where it is"},
	},
	{
		Levels: []string{Debug}, Text: `hierarchy <HIERARCHY>: <REASON>`,
		Meaning: "In a container, without -c: its root may make no cgroup in this hierarchy, which is left out.",
		Sources: []string{"hierarchy %s: %v"},
	},
	{
		Levels: []string{Debug}, Text: `pam_systemd is to set <NAME>=<VALUE>`,
		Meaning: "With limits: what was left for pam_systemd.",
		Sources: []string{"user %q: pam_systemd is to set %s=%s"},
	},
	{
		Levels: []string{Debug}, Text: `systemd does not run this machine; the PAM line with limits does nothing`,
		Meaning: "The line with limits is for systemd. Without it, the module's other line sets the limits.",
		Sources: []string{"systemd does not run this machine; the PAM line with limits does nothing"},
	},
}
