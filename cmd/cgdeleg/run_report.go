package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// runReport is what a command used in its cgroup, and what ended it.
type runReport struct {
	name   string
	status syscall.WaitStatus
	// threads are those of the process that became the command. The kernel has counted
	// them in the cgroup, before there was the command.
	threads int64
	before  []usage.MemoryLimit
	usage.Usage
	reached   usage.Limit // the limit of memory that was
	isReached bool
}

// look looks at the cgroups when the command has ended. What cannot be read is not known.
func (r *runReport) look(m machine.Machine, cgroups []delegate.Cgroup) {
	r.Usage, _ = usage.OfCgroups(m, cgroups)
	after, _ := usage.MemoryLimits(m, cgroups)
	r.reached, r.isReached = usage.Reached(r.before, after)
}

func (r *runReport) print(w io.Writer) {
	complain(w, "%s", printable(r.name)+" "+r.ended())
	for _, row := range []struct{ label, text string }{
		{"memory", r.memory()}, {"cpu", r.cpu()}, {"processes", r.processes()}, {"OOM kills", r.counted(r.Memory.OOMKills, decimal)},
	} {
		_ = printf(w, "  %s %s\n", markup(fmt.Sprintf("%-10s", row.label)), row.text)
	}
}

// killStatus is what a shell ends with whose command was killed by SIGKILL.
const killStatus = 128 + int(syscall.SIGKILL)

// ended says how the command ended, and why.
func (r *runReport) ended() string {
	isKilled := r.status.Signaled() && r.status.Signal() == syscall.SIGKILL
	switch {
	case isKilled:
		return fmt.Sprintf("was killed by SIGKILL (exit status %d): %s", killStatus, r.whyKilled())
	case r.status.Signaled():
		return fmt.Sprintf("was killed by %s (exit status %d)%s", signalText(r.status.Signal()), 128+int(r.status.Signal()), r.others())
	case r.status.ExitStatus() == killStatus:
		return fmt.Sprintf("ended with exit status %d: something that it ran was killed by SIGKILL: %s", killStatus, r.whyKilled())
	}
	return fmt.Sprintf("ended with exit status %d%s", r.status.ExitStatus(), r.others())
}

// whyKilled says where a SIGKILL came from.
func (r *runReport) whyKilled() string {
	n, isKnown := r.Memory.OOMKills.Known()
	switch {
	case !isKnown:
		return "whether for want of memory is not known, because no cgroup of its own counts that"
	case n == 0:
		return "not for want of memory; somebody sent the signal, or a limit of the shell was reached (ulimit -t)"
	}
	return r.forWant()
}

// forWant says which limit of memory was reached.
func (r *runReport) forWant() string {
	if !r.isReached {
		return "by the kernel, for want of memory; it was not seen which limit was reached, if it was not the machine's memory"
	}
	return fmt.Sprintf("by the kernel, for want of memory; %s of %s is %s, and was reached", r.reached.File, cgroupName(r.reached), humanBytes(r.reached.N))
}

// others says that something was killed of which the command did not die.
func (r *runReport) others() string {
	if n, isKnown := r.Memory.OOMKills.Known(); isKnown && n > 0 {
		return fmt.Sprintf("; %d of its processes %s killed %s", n, oneOrMany(n, "was", "were"), r.forWant())
	}
	return ""
}

// counted is a number, or why there is none.
func (r *runReport) counted(c usage.Count, words func(int64) string) string {
	switch c.Answer {
	case machine.Found:
		return words(c.N)
	case machine.Absent:
		return "not counted"
	}
	return "not known"
}

// ofOwn is " of 2.0G" for a limit; "" for none.
func ofOwn(l usage.Limit, words func(int64) string) string {
	if !l.IsSet {
		return ""
	}
	return " of " + words(l.N)
}

func (r *runReport) memory() string {
	peak := r.counted(r.Memory.Peak, humanBytes)
	if r.Memory.Peak.Answer != machine.Found {
		return peak
	}
	return "peak " + peak + ofOwn(r.Memory.Max, humanBytes)
}

func (r *runReport) cpu() string {
	text := r.counted(r.CPU.Used, humanCPU)
	if waited, isKnown := r.CPU.ThrottledTime.Known(); isKnown {
		text += ", throttled " + humanCPU(waited)
		if n, isKnown := r.CPU.Throttled.Known(); isKnown && n > 0 {
			text += fmt.Sprintf(" in %d of %s", n, plural(int(r.CPU.Periods.N), "period"))
		}
	}
	return text
}

func (r *runReport) processes() string {
	peak, isKnown := r.Processes.Peak.Known()
	words := []string{r.counted(r.Processes.Peak, decimal)}
	switch limit := r.Processes.Max; {
	case !isKnown:
	case limit.IsSet && limit.N < peak: // who enters a cgroup is not refused
		words[0] = fmt.Sprintf("at most %d of %d", limit.N, limit.N)
	case peak <= r.threads:
		words[0] = fmt.Sprintf("at most %d", peak) + ofOwn(limit, decimal)
	default:
		words[0] = fmt.Sprintf("peak %d", peak) + ofOwn(limit, decimal)
	}
	if n, isKnown := r.Processes.Refused.Known(); isKnown && n > 0 {
		words = append(words, plural(int(n), "fork")+" refused")
	}
	return strings.Join(words, ", ")
}
