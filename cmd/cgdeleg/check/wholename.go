package check

import (
	"path"
	"strings"
)

// commLength is how many letters of a program's name the kernel keeps (proc_pid_comm(5)).
const commLength = 15

// wholeName is what a process is called: of a longer name what its command line has, if that is
// of the same program.
func (f *Facts) wholeName(pid int, name string) string {
	if args := f.readArgs(pid); len(name) == commLength && len(args) > 0 {
		word, _, _ := strings.Cut(args[0], " ")
		if whole := strings.TrimSuffix(path.Base(word), ":"); strings.HasPrefix(whole, name) {
			return whole
		}
	}
	return name
}
