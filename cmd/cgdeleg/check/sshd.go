package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// sshdConfig is sshd's configuration (sshd_config(5)).
const sshdConfig = "/etc/ssh/sshd_config"

// usesPAM is whether sshd calls PAM.
type usesPAM struct {
	yes, known bool
	// where is what says so, or what was not read.
	where Evidence
	// match is the first Match of that file, before which a line that is added has to stand;
	// below a line UsePAM that stands behind it, with which sshd refuses the file. A path
	// of "" means that there is none.
	match, below Evidence
	// isWithout tells that the program was built without PAM.
	isWithout bool
}

// usePAM tells whether sshd calls PAM. Of a word that is given twice the first counts, and
// the command line is read before any file; without any sshd does not call PAM. What stands
// after Match cannot change it.
func (f *Facts) usePAM() usesPAM {
	const mostFiles = 256
	left := mostFiles
	file := sshdConfig
	without := f.builtWithoutPAM()
	for pid := f.login.pid; ; {
		status, err := f.Machine.StatusOf(pid)
		if err != nil || pid <= 1 || !strings.HasPrefix(status.Name, "sshd") {
			break
		}
		value, other := sshdOptions(f.readArgs(pid))
		if value != "" {
			where := Evidence{fmt.Sprintf("/proc/%d/cmdline", pid), "-o UsePAM=" + value}
			return usesPAM{yes: strings.EqualFold(value, "yes"), known: true, where: where}
		}
		if other != "" {
			file = other
		}
		pid = status.Parent
	}
	uses := f.usePAMIn(file, &left)
	if without.Path != "" {
		uses.yes, uses.known, uses.isWithout = false, true, true
		uses.where = Evidence{file, "UsePAM does nothing in it"}
		uses.below = without
	}
	return uses
}

// alpinePAM is what Alpine has in a package of its own (openssh-server-pam): its other sshd
// is built --without-pam.
const alpinePAM = "/usr/sbin/sshd.pam"

// builtWithoutPAM says by what it is seen that the login's sshd was built without PAM; the
// path is "" if it was not, or nobody knows. Where a link of sshd's name leads to the other
// program, nobody does.
func (f *Facts) builtWithoutPAM() (e Evidence) {
	name := f.login.application
	isSession := name == "sshd-session" // which has its suffix from the package
	if !f.isLike("alpine") || !isSession && (name != "sshd" || f.Machine.Exists(alpinePAM)) {
		return e
	}
	return Evidence{fmt.Sprintf("/proc/%d/status", f.login.pid), name + ", which Alpine builds without PAM"}
}

// readArgs returns a process's arguments. Of one that shows something else, as sshd does
// ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"), they are the words of that.
func (f *Facts) readArgs(pid int) []string {
	data, _ := f.Machine.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	title := strings.TrimRight(string(data), "\x00")
	if !strings.Contains(title, "\x00") {
		return strings.Fields(title)
	}
	return strings.Split(title, "\x00")
}

// sshdOptions returns what sshd's arguments say of UsePAM, and which file they name in place
// of sshdConfig; "" where they do not.
func sshdOptions(args []string) (usePAM, file string) {
	for i, arg := range args {
		next := args[i+1:]
		switch {
		case strings.HasPrefix(arg, "-o"):
			words := slices.Concat(sshdWords(arg[2:]), sshdWords(strings.Join(next[:min(2, len(next))], " ")))
			if len(words) > 1 && strings.EqualFold(words[0], "UsePAM") && usePAM == "" {
				usePAM = words[1]
			}
		case arg == "-f" && len(next) > 0:
			file = next[0]
		case strings.HasPrefix(arg, "-f"):
			file = arg[2:]
		}
	}
	return usePAM, file
}

// sshdWords takes a line of sshd_config apart.
func sshdWords(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n=\"", r) })
}

// usePAMIn reads one more file, of those that are left to be read.
func (f *Facts) usePAMIn(file string, left *int) usesPAM {
	data, err := f.Machine.ReadFile(file)
	if *left--; err != nil || *left < 0 {
		return usesPAM{where: Evidence{file, "was not read"}}
	}
	uses := usesPAM{known: true, where: Evidence{file, "no UsePAM"}}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		words := sshdWords(line)
		if len(words) < 2 {
			continue
		}
		at := Evidence{fmt.Sprintf("%s:%d", file, number), strings.TrimSpace(line)}
		switch keyword := strings.ToLower(words[0]); {
		case keyword == "match" && uses.match.Path == "":
			uses.match = at
		case uses.match.Path != "":
			if keyword == "usepam" {
				uses.below = at
				return uses
			}
		case keyword == "usepam":
			return usesPAM{yes: strings.EqualFold(words[1], "yes"), known: true, where: at}
		case keyword == "include":
			for _, pattern := range words[1:] {
				files, isKnown := f.included(pattern)
				if !isKnown {
					return usesPAM{where: Evidence{pattern, "was not read"}}
				}
				for _, included := range files {
					in := f.usePAMIn(included, left)
					if !in.known || in.where.Path != included {
						return in
					}
					if uses.below.Path == "" && in.below.Path != "" { // a Match ends with its file
						uses.below = in.below
					}
				}
			}
		}
	}
	return uses
}

// included returns the files that a pattern of an Include matches, in order; isKnown is false
// where that cannot be told.
func (f *Facts) included(pattern string) (files []string, isKnown bool) {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(sshdConfig), pattern)
	}
	dir, base := path.Split(path.Clean(pattern))
	switch {
	case strings.ContainsAny(dir, "*?["):
		return nil, false
	case !strings.ContainsAny(base, "*?["):
		answer := f.Machine.Find(pattern)
		if answer == machine.Found {
			files = []string{pattern}
		}
		return files, answer != machine.Unknown
	}
	names, err := f.Machine.ReadDir(path.Clean(dir))
	slices.Sort(names)
	for _, name := range names {
		isHidden := strings.HasPrefix(name, ".") && !strings.HasPrefix(base, ".") // glob(3)
		if matches, _ := path.Match(base, name); matches && !isHidden {
			files = append(files, path.Join(dir, name))
		}
	}
	return files, err == nil || errors.Is(err, fs.ErrNotExist)
}

// withoutPAMResult is the result for a shell that came by an sshd that does not call PAM.
func (f *Facts) withoutPAMResult(uses usesPAM, evidence []Evidence) Result {
	says := "UsePAM is not set to yes"
	seen := []Evidence{uses.where}
	switch {
	case uses.isWithout:
		says = "it was built without PAM"
		seen = []Evidence{uses.below}
	case uses.below.Path != "":
		says = "UsePAM stands below Match, where it is not allowed (with this file sshd does not start again)"
		seen = []Evidence{uses.match, uses.below}
		if uses.match.Path == "" {
			seen = []Evidence{uses.below}
		}
	}
	r := failed("sshd did not call PAM for this shell: "+says, append(seen, evidence...)...)
	set, commands := f.setUsePAM(uses)
	if open := f.openFix(); open != nil && f.leftAlone() == nil {
		return r.lasting(everyLogin+set, open, commands...)
	}
	return r.fixed(set+"; then log in again", commands...)
}

// setUsePAM has sshd call PAM. With a file that it does not understand sshd ends when it
// reads it again, and nobody can log in any more: so it is asked before.
func (f *Facts) setUsePAM(uses usesPAM) (text string, commands []Command) {
	if strings.HasPrefix(uses.where.Path, "/proc/") {
		return "remove " + uses.where.Value + " from the command line with which sshd is started, and start sshd again", nil
	}
	file, program := uses.where.file(), "sshd"
	text = "set UsePAM yes in " + file
	switch at := uses.below; {
	case !uses.isWithout && at.Path != "":
		file = at.file()
		text = "move line " + strings.TrimPrefix(at.Path, file+":") + " of " + file + " above the first Match"
		if !strings.EqualFold(sshdWords(at.Value)[1], "yes") {
			text += ", write UsePAM yes in it"
		}
	case uses.match.Path != "":
		text += ", above the first Match"
	}
	reread := "have sshd read the file again"
	if uses.isWithout {
		program = alpinePAM
		if !f.Machine.Exists(alpinePAM) {
			text = "install openssh-server-pam, " + text
			commands = append(commands, byHand("apk", "add", "openssh-server-pam"))
		}
		reread = "start sshd again, as " + alpinePAM
	}
	text += ", see that " + path.Base(program) + " -t finds no error, and " + reread
	return text, append(commands, byHand(f.editor(), file), byHand(program, "-t"))
}
