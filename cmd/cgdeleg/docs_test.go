package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every command, option and exit code is in the manual page.
func TestManualPage(t *testing.T) {
	page := readDoc(t, "docs/man/cgdeleg.1.scd")
	root := newRoot()
	for _, command := range root.Commands() {
		if command.Hidden {
			continue
		}
		section := sectionOf(page, command.Name())
		if section == "" {
			t.Errorf("no section for %s", command.Name())
			continue
		}
		command.Flags().VisitAll(func(f *pflag.Flag) { wantOption(t, command, section, page, f) })
		for _, below := range command.Commands() { // limits check and its like
			if !strings.Contains(section, "*cgdeleg "+command.Name()+" "+below.Name()+"*") && below.Parent().Name() != "completion" {
				t.Errorf("%s: nothing of %s", command.Name(), below.Name())
			}
			below.Flags().VisitAll(func(f *pflag.Flag) { wantOption(t, below, section, page, f) })
		}
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { wantOption(t, root, page, page, f) })
	for code := 0; code <= exitPrivilege; code++ {
		if !strings.Contains(page, fmt.Sprintf("\n*%d*\n", code)) {
			t.Errorf("no exit code %d", code)
		}
	}
}

// sectionOf returns the section whose heading names the command.
func sectionOf(page, command string) string {
	for _, section := range strings.Split(page, "\n# ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		for word := range strings.SplitSeq(heading, ", ") {
			if word == strings.ToUpper(command) {
				return text
			}
		}
	}
	return ""
}

// wantOption looks for an option in its command's section; check's are also
// those of fix and report.
func wantOption(t *testing.T, command *cobra.Command, section, page string, f *pflag.Flag) {
	t.Helper()
	if f.Hidden {
		return
	}
	if f.Name == "help" {
		return
	}
	if strings.Contains(section, "options that say what to\nlook at are those of *check*") || strings.Contains(section, "options that say what to look at are those of *check*") {
		section += sectionOf(page, "check")
	}
	if !strings.Contains(section, "*--"+f.Name+"*") {
		t.Errorf("%s: no option --%s", command.Name(), f.Name)
	}
	if f.Shorthand != "" && !strings.Contains(section, "*-"+f.Shorthand+"*") {
		t.Errorf("%s: no option -%s", command.Name(), f.Shorthand)
	}
}

// The screen of check in README is what check says.
func TestReadmeScreen(t *testing.T) {
	_, screen, found := strings.Cut(readDoc(t, "README.md"), "    $ cgdeleg check --container c1\n")
	if !found {
		t.Fatal("README has no screen of check")
	}
	var out strings.Builder
	run(strings.Fields("--root check/testdata/systemd-v2-no-dropin check --container c1"), &out, &out)
	rest, lines := out.String(), 0
	for line := range strings.Lines(screen) {
		line, isScreen := strings.CutPrefix(line, "    ")
		if !isScreen && line != "\n" {
			break
		}
		if line == "[...]\n" || line == "\n" {
			continue
		}
		var before bool
		if _, rest, before = strings.Cut(rest, line); !before {
			t.Errorf("check does not say, at this place: %s", line)
		}
		lines++
	}
	if lines < 5 {
		t.Errorf("the screen has only %d lines", lines)
	}
}

// docs/checks.md is made of the checks (-update writes it).
func TestChecksPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The checks\n\nWhat `cgdeleg check` looks at, in this order. `cgdeleg check --explain NAME` says the\nsame. Of each trouble the screen says where it was seen, and the fix that works there.\n")
	for _, c := range check.All() {
		fmt.Fprintf(&page, "\n## %s\n\n%s: **%s.**\n\n%s\n", c.Name, c.Code, c.Title, wrapped(c.Explain, 88))
		if dependence := dependenceOf(c); dependence != "" {
			page.WriteString("\n" + wrapped(dependence, 88) + "\n")
		}
	}
	const path = "docs/checks.md"
	if *update {
		must(t, os.WriteFile("../../"+path, []byte(page.String()), 0o644))
	}
	if readDoc(t, path) != page.String() {
		t.Errorf("%s is not what the checks say: run this test with -update", path)
	}
}
