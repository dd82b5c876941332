package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
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

// installedMachine is the recorded machine that the packages bring, of which README and docs
// show screens.
const installedMachine = "/usr/share/cgdeleg/machine"

// The screens of the recorded machine in README and docs are what the tool says. A line
// [...] stands for any lines.
func TestScreensOfInstalledMachine(t *testing.T) {
	seen := 0
	for _, path := range documents(t) {
		for command, screen := range screensIn(readDoc(t, path), "cgdeleg --root "+installedMachine+" ") {
			seen++
			var out strings.Builder
			run(append([]string{"--root", "../../contrib/machine"}, strings.Fields(command)...), &out, &out)
			rest, lines := out.String(), 0
			for line := range strings.Lines(screen) {
				if line == "[...]\n" || line == "\n" {
					continue
				}
				var isThere bool
				if _, rest, isThere = strings.Cut(rest, line); !isThere {
					t.Errorf("%s: cgdeleg %s does not say, at this place: %s", path, command, line)
				}
				lines++
			}
			if lines < 5 {
				t.Errorf("%s: the screen of cgdeleg %s has only %d lines", path, command, lines)
			}
		}
	}
	if seen == 0 {
		t.Error("there is no such screen")
	}
}

// screensIn returns what stands in a text below each command with this beginning, by the
// rest of the command.
func screensIn(text, beginning string) map[string]string {
	screens := map[string]string{}
	for _, after := range strings.Split(text, "\n    $ "+beginning)[1:] {
		command, rest, _ := strings.Cut(after, "\n")
		var screen strings.Builder
		for line := range strings.Lines(rest) {
			line, isScreen := strings.CutPrefix(line, "    ")
			if !isScreen && line != "\n" || strings.HasPrefix(line, "$ ") {
				break
			}
			screen.WriteString(line)
		}
		screens[command] = screen.String()
	}
	return screens
}

// documents returns the Markdown files that are written for readers, from the root on.
func documents(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "contrib/*.md", "contrib/ansible/roles/*/*.md", "packaging/*.md"} {
		found, _ := filepath.Glob("../../" + pattern)
		for _, path := range found {
			all = append(all, strings.TrimPrefix(path, "../../"))
		}
	}
	if len(all) < 30 {
		t.Fatalf("only %v", all)
	}
	return all
}

// manualPages returns the sources of the manual pages, from the root on.
func manualPages(t *testing.T) (all []string) {
	t.Helper()
	found, _ := filepath.Glob("../../docs/man/*.scd")
	for _, path := range found {
		all = append(all, strings.TrimPrefix(path, "../../"))
	}
	if len(all) < 5 {
		t.Fatalf("only %v", all)
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat("../../" + path)
	return err == nil
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link leads to a file that is there, and to a heading that it has.
func TestLinks(t *testing.T) {
	links := 0
	for _, document := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(withoutCode(readDoc(t, document)), -1) {
			links++
			if strings.Contains(found[1], "://") {
				if !strings.HasPrefix(found[1], "https://") {
					t.Errorf("%s: %s is not https", document, found[1])
				}
				continue
			}
			file, heading, hasHeading := strings.Cut(found[1], "#")
			target := document
			if file != "" {
				target = filepath.Join(filepath.Dir(document), file)
			}
			switch {
			case !exists(target):
				t.Errorf("%s: %s leads to %s, which is not there", document, found[1], target)
			case hasHeading && !slices.Contains(anchors(readDoc(t, target)), heading):
				t.Errorf("%s: %s: %s has no such heading", document, found[1], target)
			}
		}
	}
	if links < 150 {
		t.Errorf("only %d links were looked at", links)
	}
}

// withoutCode leaves out what is no text: indented blocks and code in backticks.
func withoutCode(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") {
			out.WriteString(line)
		}
	}
	return regexp.MustCompile("`[^`\\n]*`").ReplaceAllString(out.String(), "`code`")
}

// anchors returns what GitHub calls the headings of a text.
func anchors(text string) (all []string) {
	for line := range strings.Lines(text) {
		hashes, heading, isHeading := strings.Cut(strings.TrimSpace(line), " ")
		if !isHeading || hashes == "" || strings.Trim(hashes, "#") != "" {
			continue
		}
		heading = link.ReplaceAllString(heading, "")
		all = append(all, strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-', c == '_', unicode.IsLetter(c), unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, heading))
	}
	return all
}

// code returns what a text has in backticks or in indented blocks; of a manual page what is
// bold, underlined or in examples, without those marks.
func code(path, text string) (pieces []string) {
	if strings.HasSuffix(path, ".scd") {
		text = strings.NewReplacer("\\*", "*", "*", "", "\\", "").Replace(text)
		return strings.Split(text, "\n")
	}
	for line := range strings.Lines(text) {
		if block, isBlock := strings.CutPrefix(line, "    "); isBlock {
			pieces = append(pieces, strings.TrimSpace(block))
		}
	}
	for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(blocksOut(text), -1) {
		pieces = append(pieces, strings.Join(strings.Fields(found[1]), " "))
	}
	return pieces
}

// blocksOut leaves indented blocks out of a text.
func blocksOut(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// allDocs returns the documents and the manual pages.
func allDocs(t *testing.T) []string { return append(documents(t), manualPages(t)...) }

var ourFile = regexp.MustCompile(`(?:^|[\s"'(=])((?:docs|cmd|tests|pam|contrib|packaging|delegate)/[A-Za-z0-9_@.*/-]*[A-Za-z0-9_*/-])`)

// Every path of this repository that is named is there.
func TestNamedFiles(t *testing.T) {
	files := 0
	for _, document := range allDocs(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			for _, found := range ourFile.FindAllStringSubmatch(piece, -1) {
				files++
				if !isThere(found[1]) && !isThere(filepath.Join(filepath.Dir(document), found[1])) {
					t.Errorf("%s: there is no %s", document, found[1])
				}
			}
		}
	}
	if files < 120 {
		t.Errorf("only %d paths were looked at", files)
	}
}

// isThere tells whether a path is a file's, or the beginning of some files' names, as in
// lists with braces; words in capitals stand for any name.
func isThere(path string) bool {
	for _, pattern := range []string{path, regexp.MustCompile(`[A-Z]{2,}`).ReplaceAllString(path, "*")} {
		if found, _ := filepath.Glob("../../" + pattern + "*"); len(found) > 0 {
			return true
		}
	}
	return false
}

// runtimePaths are what the programs use on a machine, beside what packages install.
var runtimePaths = []string{
	"/etc/cgdeleg/limits.conf", "/etc/cgdeleg/limits.d", "/run/cgdeleg/users", "/run/cgdeleg/applications", "/run/cgdeleg/turns",
	"/run/cgdeleg/told", "/run/cgdeleg/serve.sock", "/run/cgdeleg/limits",
}

var installedPath = regexp.MustCompile(`(?:^|[\s"'(=])(/(?:etc|usr|run|lib|var)/[A-Za-z0-9_@./*-]*cgdeleg[A-Za-z0-9_@./*-]*[A-Za-z0-9_])`)

// Every path of ours on a machine that is named is in a package, or used by the programs.
func TestInstalledPaths(t *testing.T) {
	var packaged strings.Builder
	lists, _ := filepath.Glob("../../tests/release/testdata/*.files")
	for _, list := range lists {
		packaged.WriteString(readDoc(t, strings.TrimPrefix(list, "../../")))
	}
	paths := 0
	for _, document := range allDocs(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			for _, found := range installedPath.FindAllStringSubmatch(piece, -1) {
				path := strings.TrimSuffix(found[1], "/")
				paths++
				ofProgram := func(known string) bool { return strings.HasPrefix(path, known) || strings.HasPrefix(known, path+"/") }
				switch {
				case strings.Contains(packaged.String(), " "+path+"\n"), strings.Contains(packaged.String(), " "+path+"/"):
				case slices.ContainsFunc(runtimePaths, ofProgram):
				case slices.Contains(othersPaths, path):
				default:
					t.Errorf("%s: %s is in no package, and no program's", document, path)
				}
			}
		}
	}
	if paths < 35 {
		t.Errorf("only %d paths were looked at", paths)
	}
}

// othersPaths are no package's and no program's, but where the documents have an
// administrator put something, where the tests do, or where a service writes its log.
var othersPaths = []string{
	"/etc/cron.d/cgdeleg-textfile", "/etc/sv/cgdeleg-serve", "/etc/sv/cgdeleg-serve/conf", "/lib/x86_64-linux-gnu/security/pam_cgdeleg.so",
	"/var/log/cgdeleg-serve.log", "/var/tmp/cgdeleg-vm",
}

// A shell command of the tool in a text, up to what the shell takes for another one.
var ourCommand = regexp.MustCompile(`(?:^|[\s($]|build/)cgdeleg ((?:[^|;&#<>()]|<[A-Z]+>)*)`)

// Every option of a cgdeleg command that is named is one of that command.
func TestNamedOptions(t *testing.T) {
	looked := 0
	for _, document := range allDocs(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			for _, found := range ourCommand.FindAllStringSubmatch(piece, -1) {
				looked += wantCommand(t, document, found[1])
			}
		}
	}
	if looked < 200 {
		t.Errorf("only %d options and commands were looked at", looked)
	}
}

// wantCommand looks at a command of the tool, as far as it is one, and returns at how many
// words.
func wantCommand(t *testing.T, document, text string) (looked int) {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", "`", " ", "_", " ", "'", " ", "\"", " ").Replace(text))
	command := newRoot()
	command.InitDefaultHelpFlag()
	for _, word := range words {
		if word == "--" {
			break
		}
		if below := childOf(command, word); below != nil {
			command, looked = below, looked+1
			command.InitDefaultHelpFlag()
			continue
		}
		name, _, _ := strings.Cut(strings.TrimRight(word, ".,:"), "=")
		if !regexp.MustCompile(`^--?[a-z]`).MatchString(name) {
			continue
		}
		looked++
		long := strings.TrimPrefix(name, "--")
		var flag *pflag.Flag
		if long != name {
			flag = cmp.Or(command.Flags().Lookup(long), command.InheritedFlags().Lookup(long), command.Root().PersistentFlags().Lookup(long))
		} else {
			flag = cmp.Or(command.Flags().ShorthandLookup(name[1:2]), command.InheritedFlags().ShorthandLookup(name[1:2]))
		}
		if flag == nil {
			t.Errorf("%s: %q has no option %s: cgdeleg %s", document, command.CommandPath(), name, text)
		}
	}
	return looked
}

// childOf returns the command of that name below another one; nil if there is none.
func childOf(command *cobra.Command, name string) *cobra.Command {
	for _, below := range command.Commands() {
		if below.Name() == name {
			return below
		}
	}
	return nil
}

var aPAMLine = regexp.MustCompile(`pam_cgdeleg\.so((?: +[-a-z_]+(?:=[a-z0-9]+)?(?:[a-z0-9,=]*))*)`)

// Every PAM line that is shown is one that the module takes without complaint.
func TestPAMLines(t *testing.T) {
	lines := 0
	for _, document := range allDocs(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			if !strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(piece), "-"), "session ") || strings.Contains(piece, "[") {
				continue
			}
			for _, found := range aPAMLine.FindAllStringSubmatch(piece, -1) {
				lines++
				_, complaints, err := options.Parse(strings.Fields(found[1]))
				if len(complaints) > 0 || err != nil {
					t.Errorf("%s: %s: %v, %v", document, piece, complaints, err)
				}
			}
		}
	}
	if lines < 15 {
		t.Errorf("only %d lines were looked at", lines)
	}
}

// proof is how docs/security.md names a test: by folder and function, or a scenario.
var proof = regexp.MustCompile("`([^` ]+) ([^` ]+)`")

// Each promise of docs/security.md names tests, and all of them are there.
func TestPromises(t *testing.T) {
	_, text, _ := strings.Cut(readDoc(t, "docs/security.md"), "\n## Promises\n")
	text, _, _ = strings.Cut(text, "\n## ")
	promises := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "|") || len(cells) != 2 || strings.HasPrefix(strings.TrimSpace(cells[0]), "**") || strings.Contains(cells[0], "---") || strings.Contains(cells[1], "proved by") {
			continue
		}
		promises++
		proofs := proof.FindAllStringSubmatch(cells[1], -1)
		if rest := strings.Trim(proof.ReplaceAllString(cells[1], ""), " ,"); len(proofs) == 0 || rest != "" {
			t.Errorf("%s: this is no list of tests: %s", cells[0], cells[1])
		}
		for _, found := range proofs {
			if folder, name := found[1], found[2]; !hasTest(t, folder, name) {
				t.Errorf("%s: there is no %s in %s", cells[0], name, folder)
			}
		}
	}
	if promises < 30 {
		t.Errorf("only %d promises were looked at", promises)
	}
}

// hasTest tells whether a folder has a test of that name, or a scenario if it is that of the
// virtual machines.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	if folder == "tests/vm" {
		return exists("tests/vm/scenarios/" + name + ".sh")
	}
	files, _ := filepath.Glob("../../" + folder + "/*_test.go")
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(readDoc(t, strings.TrimPrefix(file, "../../")), "\nfunc "+name+"(t *testing.T) {")
	})
}

// Every target of make that is named is one.
func TestMakeTargets(t *testing.T) {
	makefiles := readDoc(t, "Makefile") + readDoc(t, "packaging/release/release.mk")
	targets := 0
	for _, document := range documents(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			found := regexp.MustCompile(`^(?:sudo |[A-Z_]+=\S+ )*make ([a-z][a-z-]*)(?:\s|$)`).FindStringSubmatch(piece)
			if found == nil {
				continue
			}
			targets++
			if !regexp.MustCompile(`(?m)^([a-z -]* )?` + found[1] + `( [a-z -]*)?:`).MatchString(makefiles) {
				t.Errorf("%s: there is no target %s: %s", document, found[1], piece)
			}
		}
	}
	if targets < 20 {
		t.Errorf("only %d targets were looked at", targets)
	}
}

// Every manual page of ours that is named is there, and each is in README.
func TestNamedPages(t *testing.T) {
	pages := map[string]bool{}
	for _, page := range manualPages(t) {
		name := strings.TrimSuffix(filepath.Base(page), ".scd")
		at := strings.LastIndex(name, ".")
		pages[name[:at]+"("+name[at+1:]+")"] = true
	}
	readme := readDoc(t, "README.md")
	for page := range pages {
		if !strings.Contains(readme, "["+page+"]") {
			t.Errorf("README does not link %s", page)
		}
	}
	for _, document := range allDocs(t) {
		text := strings.NewReplacer("*", "", "\\", "").Replace(readDoc(t, document))
		for _, page := range regexp.MustCompile(`\b(?:pam_)?cgdeleg[a-z.-]*\(\d\)`).FindAllString(text, -1) {
			if !pages[page] {
				t.Errorf("%s: there is no %s", document, page)
			}
		}
	}
}

// Each entry of docs/troubleshooting.md says what the text means, which checks see it, and
// the fix.
func TestTroubleshooting(t *testing.T) {
	entries := strings.Split(readDoc(t, "docs/troubleshooting.md"), "\n#### ")[1:]
	if len(entries) < 30 {
		t.Errorf("only %d entries", len(entries))
	}
	for _, entry := range entries {
		entry, _, _ = strings.Cut(entry, "\n## ")
		entry, _, _ = strings.Cut(entry, "\n### ")
		heading, rest, _ := strings.Cut(entry, "\n")
		meaning, rest, hasCheck := strings.Cut(rest, "\nCheck: ")
		checks, fix, hasFix := strings.Cut(rest, "\nFix: ")
		if !hasCheck || !hasFix || len(strings.TrimSpace(meaning)) < 20 || len(strings.TrimSpace(fix)) < 20 || !strings.Contains(heading, "`") {
			t.Errorf("%s: want a text in backticks, its meaning, Check: and Fix:", heading)
			continue
		}
		named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(checks, -1)
		if len(named) == 0 {
			t.Errorf("%s: no check", heading)
		}
		for _, found := range named {
			if !isCheck(found[1]) {
				t.Errorf("%s: there is no check %s", heading, found[1])
			}
		}
	}
}

func isCheck(name string) bool {
	return slices.ContainsFunc(check.All(), func(c *check.Check) bool { return c.Name == name })
}

// What the texts have run as `cgdeleg check NAME` or `cgdeleg fix NAME` is a check.
func TestNamedChecks(t *testing.T) {
	looked := 0
	for _, document := range allDocs(t) {
		for _, piece := range code(document, readDoc(t, document)) {
			for _, found := range regexp.MustCompile(`cgdeleg (?:check|fix)((?: [a-z][a-z0-9-]+)+)`).FindAllStringSubmatch(piece, -1) {
				for name := range strings.FieldsSeq(found[1]) {
					if strings.HasSuffix(document, ".scd") && !isCheck(name) {
						break // the rest of a sentence
					}
					looked++
					if !isCheck(name) {
						t.Errorf("%s: there is no check %s: %s", document, name, piece)
					}
				}
			}
		}
	}
	if looked < 5 {
		t.Errorf("only %d checks were looked at", looked)
	}
}

// No text sends a reader to a document that only its writers have.
func TestNoReferenceToDesign(t *testing.T) {
	for _, document := range allDocs(t) {
		text := readDoc(t, document)
		for _, words := range []string{"design.md", "design-2", "/work/", "shared/", "design document"} {
			if strings.Contains(text, words) {
				t.Errorf("%s has %q", document, words)
			}
		}
	}
}

// scdoc understands every manual page.
func TestScdoc(t *testing.T) {
	if _, err := exec.LookPath("scdoc"); err != nil {
		t.Skip("needs scdoc")
	}
	for _, page := range manualPages(t) {
		cmd := exec.Command("scdoc")
		cmd.Stdin = strings.NewReader(readDoc(t, page))
		if out, err := cmd.CombinedOutput(); err != nil {
			text := strings.TrimSpace(string(out))
			t.Errorf("%s: %v: %s", page, err, text[strings.LastIndex(text, "\n")+1:])
		}
	}
}

// docs/checks.md is made of the checks (-update writes it).
func TestChecksPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The checks\n\nWhat `cgdeleg check` looks at, in this order. `cgdeleg check --explain NAME` says the\nsame. Of each problem the screen says where it was seen, and the fix that works there.\n")
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
