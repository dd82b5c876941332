package limitcheck

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
)

// ofSyntax makes a finding of why a line is ignored.
func ofSyntax(err *limitsconf.SyntaxError) Finding {
	f := Finding{File: err.File, Line: err.Line, Column: err.Column, Severity: Error, Message: err.Reason, Fix: fixOfReason(err.Reason)}
	var name *limits.NameError
	var value *limits.ValueError
	var word *limitsconf.WordError
	switch {
	case errors.As(err, &name):
		f.Message, f.Fix = "there is no limit "+limitsconf.Show(name.Name), meant(name)
	case errors.As(err, &value):
		why := whyNot(value)
		f.Message, f.Fix = limitsconf.Show(value.Word)+": "+why.reason, why.fix
	case errors.As(err, &word):
		f.Message, f.Fix = word.Reason, word.Want
	}
	f.Message += "; the line is ignored"
	return f
}

// fixOfReason says what to do about a mistake of which there is no more than its reason.
func fixOfReason(reason string) string {
	switch {
	case strings.HasSuffix(reason, "is given twice"):
		return "give it once"
	case strings.Contains(reason, "quote"):
		return "close the quote before the end of the line: cpu.max=\"50000 100000\""
	case strings.Contains(reason, "- after") || strings.Contains(reason, "after -"):
		return "write either - or limits"
	}
	return "write WHO, user or session, and limits or -, such as: alice user memory.max=2G"
}

// others are names that other files, programs and versions have for limits.
var others = map[string]string{
	"memory.limit_in_bytes": "memory.max=2G", "memorylimit": "MemoryMax=2G", "memory": "memory.max=2G", "mem": "memory.max=2G",
	"mem.max": "memory.max=2G", "memory.limit": "memory.max=2G", "memory_limit": "memory.max=2G", "rss": "memory.max=2G", "as": "memory.max=2G", "ram": "memory.max=2G",
	"memory.soft_limit_in_bytes":  "memory.high=2G",
	"memory.memsw.limit_in_bytes": "memory.swap.max=1G, which is swap space alone, beside memory.max", "swap": "memory.swap.max=1G", "swap.max": "memory.swap.max=1G",
	"cpu.cfs_quota_us": "cpu.max=50%, percent of one CPU", "cpu.cfs_period_us": "cpu.max=50%, percent of one CPU", "cpu": "cpu.max=50%, percent of one CPU", "cpus": "cpu.max=200%, or cpuset.cpus=0-1 for certain ones",
	"cpuquota": "CPUQuota=50%", "cpu.shares": "cpu.weight=100, which is 1024 shares", "cpushares": "CPUWeight=100, which is 1024 shares",
	"nproc": "pids.max=1024", "pids": "pids.max=1024", "tasks": "pids.max=1024", "procs": "pids.max=1024", "processes": "pids.max=1024",
	"blkio.weight": "io.weight=100, which is 500 there", "blkio.bfq.weight": "io.weight=100", "blockioweight": "IOWeight=100", "io.bfq.weight": "io.weight=100",
	"blkio.throttle.read_bps_device": `io.max="/dev/sda rbps=10M"`, "blkio.throttle.write_bps_device": `io.max="/dev/sda wbps=10M"`,
	"blkio.throttle.read_iops_device": `io.max="/dev/sda riops=100"`, "blkio.throttle.write_iops_device": `io.max="/dev/sda wiops=100"`,
	"blockioreadbandwidth": `IOReadBandwidthMax="/dev/sda 10M"`, "blockiowritebandwidth": `IOWriteBandwidthMax="/dev/sda 10M"`,
	"cpuset": "cpuset.cpus=0-3", "cpuset.cpu": "cpuset.cpus=0-3",
}

// ofPAM are limits of pam_limits(8) for which cgroups have nothing.
var ofPAM = []string{"nofile", "memlock", "core", "data", "fsize", "stack", "maxlogins", "maxsyslogins", "priority", "nice", "rtprio", "locks", "sigpending", "msgqueue"}

// meant says which name to write in place of one that there is not.
func meant(name *limits.NameError) string {
	lower := strings.ToLower(name.Name)
	switch other, known := others[lower]; {
	case known:
		return "write " + other
	case slices.Contains(ofPAM, lower):
		return "write it into /etc/security/limits.conf: cgroups have no such limit"
	case name.Nearest != "":
		return "write " + name.Nearest
	}
	return "write one of " + strings.Join(kernels(), ", ") + "; cgdeleg-limits.conf(5) has systemd's names too"
}

// kernels returns the kernel's names of limits.
func kernels() (names []string) {
	for _, name := range limits.Spellings() {
		if strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	return names
}

// why is what is wrong with a value, and what to do about it.
type why struct{ reason, fix string }

// Values that people write.
var (
	decimalComma = regexp.MustCompile(`^([0-9]+),([0-9]+)([KMGTPEkmgtpe%]?)$`)
	longUnit     = regexp.MustCompile(`^([0-9.]+) ?([KMGTPEkmgtpe])(i?[Bb]|ytes)$`)
	bytesUnit    = regexp.MustCompile(`^([0-9]+) ?([Bb]|bytes)$`)
	countUnit    = regexp.MustCompile(`^([0-9]+)([KMkm])$`)
	decimal      = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
)

// noLimit are words for no limit that other programs have.
var noLimit = []string{"-1", "unlimited", "none", "infinite", "inf", "no", "off", "-"}

// whyNot says what is wrong with a word NAME=VALUE: what people write instead, by name, else
// what the parser says.
func whyNot(e *limits.ValueError) why {
	name, value, hasValue := strings.Cut(e.Word, "=")
	if !hasValue {
		return whyNoPair(e)
	}
	isNamed := func(names ...string) bool { return slices.Contains(names, name) }
	isSize := isNamed("memory.max", "memory.high", "memory.swap.max", "MemoryMax", "MemoryHigh", "MemorySwapMax")
	if value == "" {
		return why{"no value", "write the value right behind the equals sign, without a blank: " + e.Want}
	}
	_, rest, hasComma := strings.Cut(value, ",")
	switch parts := decimalComma.FindStringSubmatch(value); {
	case parts != nil:
		return why{"a comma in a number", fmt.Sprintf("write a point: %s=%s.%s%s", name, parts[1], parts[2], strings.ToUpper(parts[3]))}
	case hasComma && strings.Contains(rest, "="), strings.Contains(value, ";") && strings.Contains(value, "="):
		return why{"a comma or semicolon between limits", "write a blank: " + strings.Join(strings.FieldsFunc(e.Word, func(r rune) bool { return r == ',' || r == ';' }), " ")}
	case strings.HasSuffix(value, ",") || strings.HasSuffix(value, ";"):
		return why{"a " + map[byte]string{',': "comma", ';': "semicolon"}[value[len(value)-1]] + " behind the value", "remove it: " + name + "=" + strings.TrimRight(value, ",;")}
	case slices.Contains(noLimit, strings.ToLower(value)) && !isNamed("cpuset.cpus", "AllowedCPUs", "io.weight", "cpu.weight"):
		return why{e.Reason, "write " + name + "=max for no limit"}
	}
	if isSize {
		return whyNoSize(name, value, e)
	}
	parts := countUnit.FindStringSubmatch(value)
	switch {
	case isNamed("pids.max", "TasksMax") && parts != nil:
		return why{"a number of processes has no unit", fmt.Sprintf("write the number: %s=%s%s", name, parts[1], map[string]string{"K": "000", "M": "000000"}[strings.ToUpper(parts[2])])}
	case isNamed("cpu.max", "CPUQuota") && decimal.MatchString(value):
		return why{e.Reason, "write percent of one CPU: " + name + "=50% for half of one, " + name + "=200% for two"}
	}
	return why{e.Reason, "write " + e.Want}
}

// whyNoPair is whyNot of a word without an equals sign.
func whyNoPair(e *limits.ValueError) why {
	switch {
	case e.Word == "," || e.Word == ";":
		return why{"a sign between limits", "write a blank between limits, and nothing else"}
	case slices.Contains(limits.Spellings(), e.Word):
		return why{"no value", "write the equals sign and the value right behind it, without blanks: " + e.Word + "=..."}
	case others[strings.ToLower(e.Word)] != "":
		return why{"no NAME=VALUE", "write " + others[strings.ToLower(e.Word)]}
	}
	return why{e.Reason, "write " + e.Want}
}

func whyNoSize(name, value string, e *limits.ValueError) why {
	if parts := longUnit.FindStringSubmatch(value); parts != nil {
		return why{"the unit is one letter", "write " + name + "=" + parts[1] + strings.ToUpper(parts[2])}
	}
	if parts := bytesUnit.FindStringSubmatch(value); parts != nil {
		return why{"bytes have no unit", "write " + name + "=" + parts[1]}
	}
	return why{e.Reason, "write " + e.Want}
}

// noText finds the files that are no text, in place of what is wrong with each line of
// them.
func (f *Facts) noText() map[string]*Finding {
	found := map[string]*Finding{}
	for _, err := range f.Config.Errors {
		syntax := (*limitsconf.SyntaxError)(nil)
		if !errors.As(err, &syntax) || found[syntax.File] != nil {
			continue
		}
		data, err := f.Machine.ReadFile(syntax.File)
		at := bytes.IndexByte(data, 0)
		if err != nil || at < 0 {
			continue
		}
		one := Finding{File: syntax.File, Severity: Error, Message: "the file is no text: there is a byte 0 in line " + fmt.Sprint(1+bytes.Count(data[:at], []byte("\n"))) + "; lines with mistakes are ignored", Fix: "write it anew, with a text editor"}
		if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
			name := quoted(syntax.File)
			one.Message = "the file is in UTF-16, and its lines are ignored"
			one.Fix = "save it as UTF-8: iconv -f UTF-16 -t UTF-8 " + name + " >" + quoted(syntax.File+".new") + " && mv " + quoted(syntax.File+".new") + " " + name
		}
		found[syntax.File] = &one
	}
	return found
}
