package check

import (
	"path"
	"regexp"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// logKeys name files into which LXC writes, and without which it does not read the
// configuration (log.c, confile.c).
var logKeys = []string{"lxc.log.file", "lxc.console.buffer.logfile"}

// checkValues looks for values at which LXC refuses to read the configuration. It does at the
// first, also where a later line says something else.
func (f *Facts) checkValues() Result {
	for _, item := range f.Config.Items {
		if want := lxcconf.Wanted(item.Key, item.Value); want != "" {
			if value := lxcconf.Switch(item.Key, item.Value); value != "" {
				want = value
			}
			return failed("LXC does not understand the value of "+item.Key+", and refuses to start the container", itemEvidence(item)).
				fixed("write "+want+" in place of "+item.Value, f.editAny(item.File)).certain()
		}
	}
	for _, key := range logKeys {
		for _, item := range f.Config.Items {
			if item.Key == key && !f.Partial {
				if at, st, mayNot := f.keepsLog(item.Value); mayNot {
					return failed("LXC cannot write "+item.Value+", which "+item.Key+" names, and refuses to start the container", itemEvidence(item), Evidence{at, ownerAndMode(st)}).
						fixed("name in "+key+" a file in a directory that "+f.Subject.Name+" may write to, or remove the line "+key, f.editAny(item.File)).certain()
				}
			}
		}
	}
	return ok("")
}

// keepsLog returns what keeps the subject from writing a file that LXC makes, with the directories
// above it.
func (f *Facts) keepsLog(file string) (at string, st machine.Stat, isSeen bool) {
	if !path.IsAbs(file) {
		return "", st, false
	}
	files := f.usersFiles()
	for at = file; at != "/" && files.Find(at) == machine.Absent; {
		at = path.Dir(at)
	}
	st, err := files.Stat(at)
	if at == file {
		return at, st, err == nil && !f.mayWrite(st)
	}
	return at, st, err == nil && (!f.mayWrite(st) || !f.maySearch(st))
}

// kernelValues are what the kernel takes in these files (memparse, page_counter_memparse,
// pids_max_write).
var kernelValues = map[string]*regexp.Regexp{
	"memory.max": orMax, "memory.high": orMax, "memory.low": orMax, "memory.min": orMax, "memory.swap.max": orMax, "memory.swap.high": orMax,
	"memory.limit_in_bytes": orMinus, "memory.memsw.limit_in_bytes": orMinus, "memory.soft_limit_in_bytes": orMinus,
	"pids.max": regexp.MustCompile(`^(max|\d+)$`),
}

var (
	orMax   = regexp.MustCompile(`^(max|(0[xX][0-9a-fA-F]+|\d+)[kKmMgGtTpPeE]?)$`)
	orMinus = regexp.MustCompile(`^(-1|(0[xX][0-9a-fA-F]+|\d+)[kKmMgGtTpPeE]?)$`)
)

// checkLimitValues looks for values that the kernel does not take: LXC writes them as they are.
func (f *Facts) checkLimitValues(limits []lxcconf.Limit) Result {
	for _, l := range limits {
		takes := kernelValues[l.File]
		if takes == nil || f.ignores(l) || takes.MatchString(l.Value) {
			continue
		}
		r := failed("the kernel does not accept "+l.Value+" as a value of "+l.File+", and LXC refuses to start the container", limitEvidence(l))
		for _, unit := range []string{"iB", "ib", "B", "b"} {
			if shorter := strings.ReplaceAll(strings.TrimSuffix(l.Value, unit), " ", ""); takes.MatchString(shorter) {
				return r.fixed("write "+shorter+" in place of "+l.Value, f.editAny(l.Item.File))
			}
		}
		number := "a number"
		if strings.HasPrefix(l.File, "memory.") {
			number = "a number of bytes, or one followed by K, M or G"
		}
		return r.fixed("write "+number+", or "+unlimited(l.File)+", as the value of "+l.Item.Key, f.editAny(l.Item.File))
	}
	return ok("")
}
