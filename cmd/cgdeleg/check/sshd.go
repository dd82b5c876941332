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
}

// usePAM tells whether sshd calls PAM. Of a word that is given twice the first counts, and
// the command line is read before any file; without any sshd does not call PAM. What stands
// after Match cannot change it.
func (f *Facts) usePAM() usesPAM {
	const mostFiles = 256
	left := mostFiles
	file := sshdConfig
	for pid := f.login.pid; ; {
		status, err := f.Machine.StatusOf(pid)
		if err != nil || pid <= 1 || !strings.HasPrefix(status.Name, "sshd") {
			break
		}
		value, other := sshdOptions(f.readArgs(pid))
		if value != "" {
			return usesPAM{strings.EqualFold(value, "yes"), true, Evidence{fmt.Sprintf("/proc/%d/cmdline", pid), "-o UsePAM=" + value}}
		}
		if other != "" {
			file = other
		}
		pid = status.Parent
	}
	return f.usePAMIn(file, &left)
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
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		words := sshdWords(line)
		if len(words) < 2 {
			continue
		}
		switch strings.ToLower(words[0]) {
		case "match":
			return usesPAM{known: true, where: Evidence{file, "no UsePAM"}}
		case "usepam":
			return usesPAM{strings.EqualFold(words[1], "yes"), true, Evidence{fmt.Sprintf("%s:%d", file, number), strings.TrimSpace(line)}}
		case "include":
			for _, pattern := range words[1:] {
				files, isKnown := f.included(pattern)
				if !isKnown {
					return usesPAM{where: Evidence{pattern, "was not read"}}
				}
				for _, included := range files {
					if uses := f.usePAMIn(included, left); !uses.known || uses.where.Path != included {
						return uses
					}
				}
			}
		}
	}
	return usesPAM{known: true, where: Evidence{file, "no UsePAM"}}
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
func (f *Facts) withoutPAMResult(where Evidence, evidence []Evidence) Result {
	r := failed("sshd did not call PAM for this shell: UsePAM is not set to yes", append([]Evidence{where}, evidence...)...)
	set := "set UsePAM yes in " + where.file() + " and have sshd read it again"
	edit := []Command{byHand(f.editor(), where.file())}
	if strings.HasPrefix(where.Path, "/proc/") {
		set, edit = "take "+where.Value+" off the command line with which sshd is started, and start it again", nil
	}
	if open := f.openFix(); open != nil && f.leftAlone() == nil {
		r = r.with(open, "for every login "+set)
	} else {
		r = r.with(nil, set+"; then log in again")
	}
	r.Fix.Commands = append(r.Fix.Commands, edit...)
	return r
}
