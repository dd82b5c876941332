package limitcheck

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
)

// notRead finds files that look as if they had limits, and are not read: by their name, or
// because a link leads nowhere. Backups beside the file of which they are one are none.
func (f *Facts) notRead() (findings []Finding) {
	add := func(file string, severity Severity, message, fix string) {
		findings = append(findings, Finding{File: file, Severity: severity, Message: message, Fix: fix})
	}
	dir := path.Dir(limitsconf.File)
	for place, isMeant := range map[string]func(string) bool{
		dir:                  func(name string) bool { return strings.HasPrefix(strings.ToLower(name), "limit") },
		limitsconf.Directory: func(string) bool { return true },
	} {
		names, _ := f.Machine.ReadDir(place)
		for _, name := range names {
			file := path.Join(place, name)
			isRead := file == limitsconf.File || place == limitsconf.Directory && strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".")
			switch {
			case file == limitsconf.Directory || !isMeant(name):
			case isRead && f.isDangling(file):
				add(file, Error, "ignored: it is a link to a file that does not exist", "make the file, or remove the link: rm "+quoted(file))
			case isRead || isBackup(name, names) || strings.HasPrefix(name, "README"):
			case place == dir:
				add(file, Warning, "is not read: only "+limitsconf.File+" and the files of "+limitsconf.Directory+" are", f.rename(file, limitsconf.File))
			case strings.HasPrefix(name, "."):
				add(file, Warning, "is not read: its name begins with a dot", f.rename(file, path.Join(place, strings.TrimLeft(name, "."))))
			default:
				add(file, Warning, "is not read: its name does not end in .conf", f.rename(file, path.Join(place, confName(name))))
			}
		}
	}
	return findings
}

// isDangling tells whether a name in a directory is that of a link that leads nowhere.
func (f *Facts) isDangling(file string) bool {
	_, err := f.Machine.ReadFile(file)
	return errors.Is(err, fs.ErrNotExist)
}

// rename is the command that gives a file a name by which it is read.
func (f *Facts) rename(file, name string) string {
	if f.Machine.Exists(name) {
		return "remove it, or give it another name that is read: " + limitsconf.Directory + "/NAME.conf"
	}
	return "mv " + quoted(file) + " " + quoted(name)
}

// backups are what editors and package managers put behind a file's name.
var backups = []string{"~", ".bak", ".old", ".orig", ".save", ".swp", ".tmp", ".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-bak", ".pacnew", ".pacsave", ".apk-new", ".ucf-old", ".ucf-dist"}

// isBackup tells whether a file is a copy of one that is there, as its name says.
func isBackup(name string, names []string) bool {
	return slices.ContainsFunc(backups, func(end string) bool {
		of, isOne := strings.CutSuffix(name, end)
		return isOne && (slices.Contains(names, of) || slices.Contains(names, strings.TrimPrefix(of, ".")))
	})
}

// confName is a file's name with the end that it has to have.
func confName(name string) string {
	for _, end := range append([]string{".cfg", ".txt", ".conf.disabled"}, backups...) {
		if of, isOne := strings.CutSuffix(name, end); isOne && of != "" {
			name = of
			break
		}
	}
	return strings.TrimSuffix(name, ".conf") + ".conf"
}
