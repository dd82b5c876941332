package check

import (
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
)

// swapFiles begin the names of the files of v1 that limit memory and swap together. A kernel
// before 6.1 has them only if it was built or started so: Debian's only with swapaccount=1.
const swapFiles = "memory.memsw."

// noSwapFiles is the result for a limit of swap that this kernel does not know.
func (f *Facts) noSwapFiles(r Result, l lxcconf.Limit) Result {
	const word = "swapaccount=1"
	words := f.readWords("/proc/cmdline")
	for _, w := range words {
		if w == word {
			return r.fixed("remove that line: this kernel does not count swap", f.editAny(l.Item.File))
		}
	}
	fix := f.commandLineFix("add "+word+" to the kernel's command line", words)
	r.Fix = &Fix{
		Text:     "remove that line; or, if the kernel is to count swap, " + strings.TrimSpace(fix.Text),
		Commands: append([]Command{f.editAny(l.Item.File)}, fix.Commands...),
	}
	return r
}
