package check

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// shellOptions are the options of the programs that start a login shell where they are asked
// for one, and then name another PAM service.
type shellOptions struct {
	login     string // the letter that asks for it
	withValue string // letters whose value follows
	// endsAtWord tells that all after the first word that is no option is the command's.
	endsAtWord bool
}

var (
	sudoOptions = shellOptions{login: "i", withValue: "aCcDghpRrTtUu", endsAtWord: true} // sudo(8)
	suOptions   = shellOptions{login: "l", withValue: "cgGsuw"}                          // su(1), runuser(1)
)

// asksLoginShell tells whether a command line of sudo, su or runuser asks for a login shell.
func asksLoginShell(args []string) bool {
	o := suOptions
	if len(args) > 0 && path.Base(args[0]) == "sudo" {
		o = sudoOptions
	}
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return false
		case arg == "--login", arg == "-" && !o.endsAtWord:
			return true
		case strings.HasPrefix(arg, "--"):
			if !strings.Contains(arg, "=") && hasLongValue(arg) {
				i++
			}
		case !strings.HasPrefix(arg, "-"):
			if o.endsAtWord && !strings.Contains(arg, "=") { // VAR=value
				return false
			}
		default:
			isLogin, takesNext := o.letters(arg[1:])
			if isLogin {
				return true
			}
			if takesNext {
				i++
			}
		}
	}
	return false
}

// letters looks at options in one word: -iu is -i and -u, and the u's value is the next word.
func (o shellOptions) letters(word string) (isLogin, takesNext bool) {
	for i, letter := range word {
		switch {
		case string(letter) == o.login:
			return true, false
		case strings.ContainsRune(o.withValue, letter):
			return false, i == len(word)-1
		}
	}
	return false, false
}

// hasLongValue tells whether the next word is the value of a long option of one of the
// programs.
func hasLongValue(option string) bool {
	switch option {
	case "--user", "--group", "--host", "--prompt", "--close-from", "--chdir", "--chroot", "--role", "--type", "--command-timeout", "--other-user", "--auth-type", "--login-class",
		"--command", "--session-command", "--supp-group", "--shell", "--whitelist-environment":
		return true
	}
	return false
}

// isOneOff tells whether who asks is no shell that somebody types into, but one command of
// sudo's, su's or of a shell: it is gone when a fix for it is typed.
func (f *Facts) isOneOff() bool {
	if f.Subject.Proc != "/proc/self" || f.Subject.PID <= 1 {
		return false // somebody named the process
	}
	if _, isApplication := IsApplication(f.Machine, f.Subject.PID); isApplication {
		return true
	}
	data, _ := f.Machine.ReadFile(fmt.Sprintf("/proc/%d/cmdline", f.Subject.PID))
	args := strings.Split(string(data), "\x00")
	isShell := slices.Contains([]string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "busybox"}, strings.TrimPrefix(path.Base(args[0]), "-"))
	for _, arg := range args[1:] {
		isOption := isShell && strings.HasPrefix(arg, "-")
		if isOption && !strings.HasPrefix(arg, "--") && strings.Contains(arg, "c") {
			return true
		}
		if !isOption && arg != "sh" { // BusyBox's name of it
			break
		}
	}
	return false
}
