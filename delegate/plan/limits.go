package plan

import (
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What makes a value of a limit's file one that limits something.

// notMax is for files with a number, of which cpu.max has a second word.
func notMax(value string, _ inBase) bool {
	first, _, _ := strings.Cut(value, " ")
	return first != "max" && first != ""
}

func notEmpty(value string, _ inBase) bool { return value != "" }

// anyKeyNotMax is for lines such as "8:0 rbps=max wbps=1048576".
func anyKeyNotMax(value string, _ inBase) bool {
	for word := range strings.FieldsSeq(value) {
		if _, setting, isSetting := strings.Cut(word, "="); isSetting && setting != "max" {
			return true
		}
	}
	return false
}

// anyWordNotMax is for lines such as "sev max".
func anyWordNotMax(value string, _ inBase) bool {
	for line := range strings.Lines(value) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] != "max" {
			return true
		}
	}
	return false
}

func positive(value string, _ inBase) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && n > 0
}

// unlimitedBytes is below what v1's memory controller shows for "no limit": the
// largest number of pages that it can count, in bytes, which depends on the size of
// a page (PAGE_COUNTER_MAX).
const unlimitedBytes = 1 << 62

func bytesLimited(value string, _ inBase) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	return err == nil && n < unlimitedBytes
}

// smallerThanBase is for sets of CPUs and memory nodes: what the base lacks a
// session would lack as well. CPUs that are isolated for special use are none that
// a session would get.
func smallerThanBase(value string, base inBase) bool {
	own, err := cpulist.Parse(value)
	all, errBase := cpulist.Parse(base.toSession())
	return err == nil && errBase == nil && value != "" && len(own) < len(all)
}

// inBase is the same file in the base.
type inBase struct {
	machine machine.Machine
	h       *hierarchy.Hierarchy
	file    string
}

// value returns what the file says, "" if there is none.
func (b inBase) value() string {
	data, _ := b.h.BaseDir().Read(b.file)
	return strings.TrimSpace(string(data))
}

// toSession returns what of it a session gets.
func (b inBase) toSession() string {
	if b.file == "cpuset.cpus" {
		return cpulist.WithoutIsolated(b.machine, b.value())
	}
	return b.value()
}

// fewerThanBase is for devices.list: a session in the base has what the base has.
func fewerThanBase(value string, base inBase) bool {
	return value != "a *:* rwm" && value != base.value()
}
