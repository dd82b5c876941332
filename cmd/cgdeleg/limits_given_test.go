package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// A time is seconds, or has its unit.
func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "5m": 5 * time.Minute, "0": 0, "-1": -1, "10 s": -1, "": -1} {
		var s seconds
		err := s.Set(text)
		if want < 0 {
			if err == nil || !strings.Contains(err.Error(), "want seconds") {
				t.Errorf("%q: %v, %v", text, s, err)
			}
			continue
		}
		if err != nil || time.Duration(s) != want {
			t.Errorf("%q: %v, %v", text, time.Duration(s), err)
		}
	}
}

// What holds while more is in use is what the table says; a dry run tells what would be, and
// is no failure, as what the machine has nothing for is none.
func TestAppliedInUse(t *testing.T) {
	l := limits.Limit{Name: limits.MemoryMax}
	inUse := limits.Outcome{
		Setting: limits.Setting{Limit: l, File: "memory.max", Value: "104857600"}, Before: "314572800",
		Err: &limits.InUseError{Limit: l, InUse: 150 << 20, Want: 100 << 20, InForce: 170 << 20},
	}
	limited := apply.Limited{Session: -1, Hierarchy: &hierarchy.Hierarchy{Name: "unified"}, Outcomes: []limits.Outcome{inUse}}
	for isDry, want := range map[bool]string{
		true:  "300.0M 100.0M 150.0M in use: would be lowered as that falls",
		false: "300.0M 170.0M not 100.0M yet: 150.0M in use",
	} {
		rows := appliedRows(limited, isDry)
		if len(rows) != 1 || rows[0].was+" "+rows[0].now+" "+rows[0].result != want {
			t.Errorf("got %+v, want %s", rows, want)
		}
		all := appliedLimits{isDry: isDry, users: []appliedUser{{user: "alice", all: []apply.Limited{limited}}}}
		if err := all.unapplied(); errors.Is(err, errNotApplied) == isDry {
			t.Errorf("dry run %v: %v", isDry, err)
		}
	}
	none := apply.Limited{Errs: []error{&limits.NoEquivalentError{Limit: l}}}
	if err := (appliedLimits{users: []appliedUser{{all: []apply.Limited{none}}}}).unapplied(); err != nil {
		t.Error(err)
	}
	broken := apply.Limited{Errs: []error{&limits.SettingError{Limit: l, Err: errors.New("broken")}}}
	if err := (appliedLimits{users: []appliedUser{{all: []apply.Limited{broken}}}}).unapplied(); err == nil {
		t.Error("no failure")
	}
}

// v1's two files of cpu.max are one row, in percent.
func TestQuotasTogether(t *testing.T) {
	l := limits.Limit{Name: limits.CPUMax}
	period := limits.Outcome{Setting: limits.Setting{Limit: l, File: periodFile, Value: "100000"}, Before: "100000"}
	quota := limits.Outcome{Setting: limits.Setting{Limit: l, File: quotaFile, Value: "25000"}, Before: "-1", IsChanged: true}
	rows := appliedRows(apply.Limited{Outcomes: []limits.Outcome{period, quota}}, false)
	if len(rows) != 1 || rows[0].was != "unlimited" || rows[0].now != "25%" {
		t.Errorf("got %+v", rows)
	}
	if rows := appliedRows(apply.Limited{Outcomes: []limits.Outcome{{Setting: period.Setting, IsChanged: true}}}, false); len(rows) != 1 {
		t.Errorf("a period alone: %+v", rows)
	}
}
