package pasted

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	// a prompt that nothing else looks like: user@host:~$, [user@host ~]#, bash-5.1$, / #
	surePrompt = regexp.MustCompile(`^\s*(?:\([\w.-]+\)\s*)?(?:\[?([\w.\\+-]+)@([\w.-]+)[^$#%>❯]{0,200}|(?:ba|z|da|k)?sh-[0-9.]+|(?:[~/][^\s$#%]*|➜\s+\S+) ?)\]?\s?[$#%>❯]?\s+(\S.*)$`)
	// one that may be a comment, or a quotation: $ cat
	barePrompt = regexp.MustCompile(`^\s*[$#%>❯➜]\s*(\S.*)$`)
	sysctlLine = regexp.MustCompile(`^(?:kernel\.(unprivileged_userns_clone)|user\.(max_user_namespaces))\s*=\s*([0-9]+)\s*$`)
	// as in LXC's form for reports: `lxc-start --version`: **5.0.2**
	inlineVersion = regexp.MustCompile("^[\\s*-]*`?([a-z-]+) --version`?\\s*:\\s*[*`]*v?([0-9]+(?:\\.[0-9][\\w.+~-]*)*)[*`]*\\s*$")
	// a word of a version: 5.0.2, 1.1.5+ds1
	versionLine = regexp.MustCompile(`^\s*(?:\S+ )*v?[0-9]+(?:\.[0-9][\w.+~-]*)*(?: \(.*\))?\s*$`)
)

// shows are the programs that show files; those that show a part of one are told apart.
var shows = map[string]bool{
	"cat": true, "less": true, "more": true, "bat": true, "batcat": true, "view": true, "nl": false,
	"head": false, "tail": false, "grep": false, "egrep": false, "fgrep": false, "zgrep": false, "awk": false, "sed": false,
}

// versionOf are the programs whose --version says that of a program which checks ask for.
var versionOf = map[string]string{
	"lxc-start": "lxc", "lxc-ls": "lxc", "lxc-info": "lxc", "lxc-create": "lxc", "lxc-attach": "lxc", "lxc-execute": "lxc",
	"systemctl": "systemd", "systemd": "systemd", "podman": "podman", "runc": "runc", "crun": "crun", "bwrap": "bwrap",
}

// prompt tells whether a line is a prompt with a command, and says what that shows.
func (s *splitter) prompt(line string) bool {
	user, host, command, isSure := "", "", "", false
	if m := surePrompt.FindStringSubmatch(line); m != nil && hasMark(line, m[3]) {
		user, host, command, isSure = m[1], m[2], m[3], true
	} else if m := barePrompt.FindStringSubmatch(line); m != nil {
		command, isSure = m[1], strings.HasPrefix(strings.TrimSpace(line), "$ ")
	} else if plain := undecorated(line); isCommand(plain) {
		command = plain // a command without a prompt
	} else {
		return false
	}
	c, isKnown := commandOf(command)
	if !isSure && (!isKnown || !c.isPlain) { // a comment
		return false
	}
	s.label(nil, "")
	if s.isElsewhere(host, command) {
		s.skips = true
		return true
	}
	s.label(c.files, "the line "+strings.TrimSpace(line))
	s.isPart, s.pattern, s.program = c.isPart, c.pattern, c.program
	s.skips = len(c.files) == 0 && c.program == "" && !c.isAlike && !c.isPattern
	if user != "" && c.isOwn && len(s.paste.prompts) < 2 && !slices.Contains(s.paste.prompts, user) {
		s.paste.prompts = append(s.paste.prompts, user)
	}
	return true
}

// isElsewhere tells whether the prompt of a command is another machine's than the first one,
// or a container's. A prompt that names no machine is where the last one was, until the shell
// there is left.
func (s *splitter) isElsewhere(host, command string) bool {
	if s.host == "" && !s.isAway {
		s.host = host
	}
	if host != "" {
		s.isAway = host != s.host
	}
	wasAway := s.isAway
	words := strings.Fields(command)
	switch {
	case entersOther(words):
		s.isAway = true
	case len(words) == 1 && (words[0] == "exit" || words[0] == "logout"):
		s.isAway = false
	}
	return wasAway
}

// entersOther tells whether a command starts a shell on another machine, or in a container.
func entersOther(words []string) bool {
	for len(words) > 1 && words[0] == "sudo" {
		words = words[1:]
	}
	if len(words) < 2 {
		return false
	}
	args := slices.DeleteFunc(slices.Clone(words[1:]), func(word string) bool { return strings.HasPrefix(word, "-") })
	isShell := shell.MatchString(words[len(words)-1])
	switch path.Base(words[0]) {
	case "ssh":
		return len(args) == 1
	case "docker", "podman", "nerdctl", "kubectl", "lxc", "incus", "chroot", "nsenter":
		return isShell
	case "lxc-attach":
		return isShell || !slices.Contains(words, "--")
	case "lxc-console":
		return true
	case "machinectl":
		return len(args) == 2 && (args[0] == "shell" || args[0] == "login")
	}
	return false
}

// undecorated takes off what lists and code in Markdown have before and after a command: as
// in "* `cat /proc/self/cgroup`:", which LXC's form for reports has.
func undecorated(line string) string {
	return strings.TrimSpace(decoration.ReplaceAllString(strings.TrimRight(line, ": "), ""))
}

// isCommand tells whether a line without a prompt is a command that shows a file.
func isCommand(line string) bool {
	c, _ := commandOf(line)
	return c.isPlain && strings.Contains(line, "/") && len(c.files) > 0
}

// hasMark tells whether a prompt's mark stands before the command.
func hasMark(line, command string) bool {
	before := strings.TrimSpace(strings.TrimSuffix(line, command))
	return strings.HasSuffix(before, "$") || strings.HasSuffix(before, "#") || strings.HasSuffix(before, "%") ||
		strings.HasSuffix(before, ">") || strings.HasSuffix(before, "❯") || strings.HasPrefix(before, "➜")
}

// command is what a command line shows.
type command struct {
	files   []kind
	isPart  bool   // only some of their lines
	pattern string // by which grep shows these
	isOwn   bool   // the files of the process itself
	isAlike bool   // lines that are known by what they look like
	isPlain bool   // each word is an option or a file, or one is a path: no prose
	// isPattern tells that the shell, or the program, finds files by a pattern, and their
	// names stand before their lines.
	isPattern bool
	program   string // whose version
}

var (
	shell      = regexp.MustCompile(`^(?:/\S*/)?(?:ba|da|a|z)?sh$`)
	separators = regexp.MustCompile(`\s*(?:;|&&)\s*`)
	// what shows all but comments and empty lines
	noComments = regexp.MustCompile(`^\s*(?:sudo )?e?grep (?:-E )?-[A-Za-z]*v[A-Za-z]*\s+['"]?\^?(?:\[\[:space:\]\]\*|\\s\*)?[#$][^|]*$`)
	grepFor    = regexp.MustCompile(`^\s*(?:sudo )?[ef]?grep (?:-[EFHhniw]+ )*([^\s|-][^\s|]*)\s[^|]*$`)
	quoted     = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// commandOf takes a command line apart. isKnown is false for a command of which nothing is
// known; one with files that are not known has none.
func commandOf(line string) (c command, isKnown bool) {
	line = quoted.ReplaceAllStringFunc(strings.TrimSpace(line), func(word string) string {
		return strings.NewReplacer("|", "_", ";", "_", "&", "_", " ", "_").Replace(word)
	})
	for _, part := range separators.Split(line, -1) {
		one, known := oneCommand(part)
		if !known {
			return command{}, isKnown
		}
		isKnown = true
		c.files = append(c.files, one.files...)
		c.isPart, c.isOwn, c.isAlike = c.isPart || one.isPart, c.isOwn || one.isOwn, c.isAlike || one.isAlike
		c.isPlain, c.isPattern = c.isPlain || one.isPlain, c.isPattern || one.isPattern
		if one.pattern != "" {
			c.pattern = one.pattern
		}
		if one.program != "" {
			c.program = one.program
		}
	}
	return c, isKnown
}

func oneCommand(line string) (c command, isKnown bool) {
	line, rest, isPiped := strings.Cut(line, "|")
	words := strings.Fields(line)
	for len(words) > 1 && slices.Contains([]string{"sudo", "time", "command", "\\cat"}, words[0]) {
		words = words[1:]
	}
	if len(words) == 0 {
		return c, false
	}
	program, args := path.Base(words[0]), words[1:]
	if of, has := versionOf[program]; has && slices.Contains(args, "--version") {
		return command{program: of, isPlain: true}, true
	}
	switch program {
	case "id", "sysctl", "uname":
		return command{isAlike: true}, true
	case "getent":
		if k, isFile := kindCalled("passwd"); isFile && len(args) > 0 && args[0] == "passwd" {
			return command{files: []kind{k}, isPart: true}, true
		}
	}
	isWhole, isShow := shows[program]
	if !isShow {
		return c, false
	}
	c.isPart = isPiped && !noComments.MatchString(rest) || !isWhole && !noComments.MatchString(line)
	c.pattern = patternOf(line + " ")
	if isPiped {
		c.pattern = patternOf(rest + " ")
	}
	c.isPlain = len(args) > 0
	hasPath := false
	for i, arg := range args {
		k, isFile := kindOfPath(arg)
		if !isFile && !strings.Contains(arg, "/") && (i > 0 || isWhole) {
			k, isFile = kindOfName(arg)
		}
		if isFile {
			c.files = append(c.files, k)
			c.isOwn = c.isOwn || strings.HasPrefix(arg, "/proc/self/")
			hasPath = hasPath || strings.Contains(arg, "/")
		} else if !strings.HasPrefix(arg, "-") {
			c.isPlain = false
			c.isPattern = c.isPattern || strings.HasPrefix(arg, "/etc/") && strings.ContainsAny(arg, "*{")
		}
	}
	c.isPlain = c.isPlain || hasPath
	return c, true
}

// patternOf returns what a command line has grep look for, if it is no option that tells.
func patternOf(line string) string {
	if m := grepFor.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// version takes the line in which a program says its version, and those of sysctl(8).
func (s *splitter) version(line string) bool {
	if m := sysctlLine.FindStringSubmatch(line); m != nil && !s.skips {
		k, _ := kindCalled(m[1] + m[2])
		if !s.paste.Has(k.name) {
			s.add(k, m[3], byLines)
		}
		return true
	}
	if m := inlineVersion.FindStringSubmatch(line); m != nil && versionOf[m[1]] != "" && !s.skips {
		k, _ := kindCalled("versions")
		s.add(k, versionOf[m[1]]+" "+m[2], byLines)
		return true
	}
	if s.program == "" || strings.TrimSpace(line) == "" {
		return false
	}
	program := s.program
	s.program = ""
	number := versionNumber(line)
	if number == "" {
		return false
	}
	k, _ := kindCalled("versions")
	s.add(k, program+" "+number, s.by)
	s.skips = true // what else it says
	return true
}

// versionNumber returns the first word of a line that is a version.
func versionNumber(line string) string {
	for _, word := range strings.Fields(line) {
		if isVersion.MatchString(word) {
			return strings.TrimPrefix(word, "v")
		}
	}
	return ""
}

var isVersion = regexp.MustCompile(`^v?[0-9]+(?:\.[0-9][\w.+~-]*)*$`)

// plainVersion is a line such as "runc version 1.1.5" or "systemd 252 (252.1)" as a recorded
// machine has it: "runc 1.1.5".
func plainVersion(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	name := strings.ToLower(words[0])
	switch {
	case versionOf[name] != "":
		name = versionOf[name]
	case name == "bubblewrap":
		name = "bwrap"
	}
	return name + " " + versionNumber(strings.Join(words[1:], " "))
}
