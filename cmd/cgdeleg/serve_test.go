package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// capabilityNames are those that are left to anything of ours.
var capabilityNames = map[int]string{
	unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
	unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_SYS_NICE: "CAP_SYS_NICE", unix.CAP_SYSLOG: "CAP_SYSLOG",
}

// What the worker, the server and the watch keep of root's capabilities is the same in the
// code, the units and the table of docs/security.md. The units have the rest, too.
func TestPrivileges(t *testing.T) {
	named := func(capabilities []int) (names []string) {
		for _, c := range capabilities {
			names = append(names, capabilityNames[c])
		}
		slices.Sort(names)
		return names
	}
	inUnit := func(unit string) []string {
		_, list, _ := strings.Cut(readDoc(t, "contrib/systemd/"+unit), "\nCapabilityBoundingSet=")
		list, _, _ = strings.Cut(list, "\n")
		names := strings.Fields(list)
		slices.Sort(names)
		return names
	}
	var inWorker []string
	for _, found := range regexp.MustCompile(`KEEP\((CAP_\w+)\)`).FindAllStringSubmatch(readDoc(t, "pam/child.c"), -1) {
		inWorker = append(inWorker, found[1])
	}
	slices.Sort(inWorker)
	table := privilegesTable(t)
	for _, test := range []struct {
		of                string
		column            int
		inCode, elsewhere []string
	}{
		{"worker", 1, inWorker, inWorker},
		{"serve", 2, named(neededToServe), inUnit("cgdeleg-serve.service")},
		{"cleanup --watch", 3, named(neededToClean), inUnit("cgdeleg-cleanup.service")},
	} {
		var inTable []string
		for _, row := range table[:len(table)-1] {
			if row[test.column] == "yes" {
				inTable = append(inTable, row[0])
			}
		}
		slices.Sort(inTable)
		if len(inTable) == 0 || !slices.Equal(inTable, test.inCode) || !slices.Equal(inTable, test.elsewhere) {
			t.Errorf("%s: the table has %q, the code %q, the unit %q", test.of, inTable, test.inCode, test.elsewhere)
		}
		if count := table[len(table)-1][test.column]; count != fmt.Sprint(len(inTable)) {
			t.Errorf("%s: the table counts %s, and there are %d", test.of, count, len(inTable))
		}
	}
	for _, line := range []string{"NoNewPrivileges=yes", "SystemCallFilter=@system-service", "SystemCallFilter=~syslog", "SystemCallArchitectures=native"} {
		if !strings.Contains(readDoc(t, "contrib/systemd/cgdeleg-serve.service"), "\n"+line+"\n") {
			t.Errorf("cgdeleg-serve.service lacks %s", line)
		}
	}
}

// privilegesTable returns the rows of the table, of which the last one counts.
func privilegesTable(t *testing.T) (rows [][]string) {
	t.Helper()
	_, text, _ := strings.Cut(readDoc(t, "docs/security.md"), "\n## Privileges\n")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| CAP_") && !strings.HasPrefix(line, "| together") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells[1:])
		if cells[1] == "together" {
			return rows
		}
	}
	t.Fatal("the table of capabilities has no end")
	return nil
}
