package catalogue

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// elsewhere are words that get into no line of the log by themselves, and why.
var elsewhere = map[string]string{
	"user %q: %s":                                                     "has a text of package messages in it",
	"%d arguments, want at least 8":                                   "the reason of a bad request",
	"%s is no ID":                                                     "the reason of a bad request",
	"the groups of user %q are not known: %w":                         "is in the line about lines for groups",
	"%q is no number of entered cgroups":                              "the reason why a session was not opened",
	"the application does not read the reply":                         "is for an application that does not read",
	"no hierarchy is delegated to this process":                       "of cgdeleg run",
	"no delegated hierarchy has the file %q; delegated: %s":           "of cgdeleg run",
	"%s: no delegated hierarchy has the controller %s; delegated: %s": "of cgdeleg run",
	"this machine is a recorded one":                                  "of recorded machines",
	"not recorded":                                                    "of recorded machines",
	"not a regular file":                                              "of files that cgdeleg reads as a user",
	"a file of the kernel's, named by a user":                         "of files that cgdeleg reads as a user",
	"nobody can tell the user's groups":                               "of cgdeleg limits",
	"the session was opened before there were limits in this hierarchy, and has no cgroup there": "of cgdeleg limits apply",
	"no CPU list":      "a file with one is ignored",
	"malformed ticket": "such a ticket counts as none",
}

// notTheModules are packages that the module does not use.
var notTheModules = []string{"messages", "systemd", "oom", "usage", "told", "terminal", "options"}

// source is words in the code, and the level at which they are logged, if that is told.
type source struct{ text, level, at string }

// sources returns the words of which lines of the log are made.
func sources(t *testing.T) (all []source) {
	t.Helper()
	const root = "../../.."
	all = append(all, inGo(t, root+"/pam/worker", logged)...)
	all = append(all, inGo(t, root+"/delegate/messages", literals)...)
	all = append(all, inGo(t, root+"/delegate/options", complaints)...)
	err := filepath.WalkDir(root+"/delegate", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if slices.Contains(notTheModules, d.Name()) || d.Name() == "testdata" {
			return filepath.SkipDir
		}
		all = append(all, inGo(t, path, errorTexts)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(all, inC(t, root+"/pam")...)
}

// inGo returns what look finds in the Go files of a directory.
func inGo(t *testing.T, dir string, look func(ast.Node) []source) (all []source) {
	t.Helper()
	paths, _ := filepath.Glob(dir + "/*.go")
	for _, path := range paths {
		// what the server answers is for cgdeleg-serve(8)
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "/worker/served.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			for _, s := range look(n) {
				s.at = files.Position(n.Pos()).String()
				all = append(all, s)
			}
			_, isImport := n.(*ast.ImportSpec)
			return !isImport
		})
	}
	return all
}

// literal returns a string constant's value if it has a word and a space in it.
func literal(n ast.Node) (string, bool) {
	l, ok := n.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil && strings.Contains(text, " ") && strings.ContainsFunc(text, unicode.IsLetter)
}

// literals are all that have a space.
func literals(n ast.Node) []source {
	if text, ok := literal(n); ok {
		return []source{{text: text}}
	}
	return nil
}

// call returns the arguments of a call of one of the functions.
func call(n ast.Node, names ...string) []ast.Expr {
	c, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	name := ""
	switch f := c.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	if !slices.Contains(names, name) {
		return nil
	}
	return c.Args
}

// logged are the formats of replier.log, and of errors that it is given.
func logged(n ast.Node) (all []source) {
	if args := call(n, "log"); len(args) > 1 {
		level := ""
		if l, ok := args[0].(*ast.BasicLit); ok {
			level, _ = strconv.Unquote(l.Value)
		}
		if text, ok := literal(args[1]); ok {
			all = append(all, source{text: text, level: level})
		}
	}
	for _, arg := range call(n, "Errorf", "New") {
		all = append(all, literals(arg)...)
	}
	return all
}

// complaints are the formats of Parse of package options.
func complaints(n ast.Node) (all []source) {
	for _, arg := range call(n, "complain") {
		if text, ok := literal(arg); ok {
			all = append(all, source{text: text, level: Warning})
		}
	}
	return all
}

// errorTexts are what methods called Error return, and the errors of errors.New.
func errorTexts(n ast.Node) (all []source) {
	for _, arg := range call(n, "New") {
		all = append(all, literals(arg)...)
	}
	f, ok := n.(*ast.FuncDecl)
	if !ok || f.Recv == nil || f.Name.Name != "Error" {
		return all
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		all = append(all, literals(n)...)
		return true
	})
	return all
}

var (
	cCall  = regexp.MustCompile(`pam_syslog\(\s*\w+,\s*LOG_(\w+),\s*"((?:[^"\\]|\\.)*)"`)
	cReply = regexp.MustCompile(`"(?:log error |<83>%s: )(worker [^"]*?)(?:\\n)?"`)
	cNames = map[string]string{"ERR": Error, "WARNING": Warning, "DEBUG": Debug}
)

// inC returns the formats of pam_syslog(3), and the lines of a child that could not start
// the worker.
func inC(t *testing.T, dir string) (all []source) {
	t.Helper()
	paths, _ := filepath.Glob(dir + "/*.c")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range cCall.FindAllStringSubmatch(string(data), -1) {
			all = append(all, source{text: found[2], level: cNames[found[1]], at: path})
		}
		for _, found := range cReply.FindAllStringSubmatch(string(data), -1) {
			all = append(all, source{text: found[1], level: Error, at: path})
		}
		if n := strings.Count(string(data), "pam_syslog("); n != strings.Count(string(data), "pam_syslog(pamh, levels[i].priority")+len(cCall.FindAllString(string(data), -1)) {
			t.Errorf("%s: of %d calls of pam_syslog some are not understood", path, n)
		}
	}
	return all
}

// Every line that the code can write is in the catalogue, at its level, and the other way
// round.
func TestSources(t *testing.T) {
	inCode := map[string]bool{}
	for _, s := range sources(t) {
		inCode[s.text] = true
		if elsewhere[s.text] != "" {
			continue
		}
		var of []Entry
		for _, e := range entries {
			if slices.Contains(e.Sources, s.text) {
				of = append(of, e)
			}
		}
		hasLevel := func(e Entry) bool { return s.level == "" || slices.Contains(e.Levels, s.level) }
		switch {
		case len(of) == 0:
			t.Errorf("%s: no entry has %q: add one to entries.go, and run the tests of this package with -update", s.at, s.text)
		case !slices.ContainsFunc(of, hasLevel):
			t.Errorf("%s: %q is logged as %s, the entry has %v", s.at, s.text, s.level, of[0].Levels)
		}
	}
	if len(inCode) < 80 {
		t.Errorf("only %d texts were found in the code", len(inCode))
	}
	for _, e := range entries {
		if len(e.Sources) == 0 {
			t.Errorf("%q comes from nowhere", e.Text)
		}
		for _, text := range e.Sources {
			if !inCode[text] {
				t.Errorf("%q: nothing in the code says %q any more", e.Text, text)
			}
		}
	}
	for text := range elsewhere {
		if !inCode[text] {
			t.Errorf("nothing in the code says %q any more: take it from elsewhere", text)
		}
	}
}

// The consequences are those of the C side and of the worker.
func TestConsequences(t *testing.T) {
	data, err := os.ReadFile("../../../pam/module.c")
	if err != nil {
		t.Fatal(err)
	}
	errands := regexp.MustCompile(`struct errand \w+ = \{ "\w+", "([^"]*)" \}`).FindAllStringSubmatch(string(data), -1)
	if len(errands) < 4 {
		t.Fatalf("module.c has the consequences %v", errands)
	}
	for _, errand := range errands {
		if !slices.ContainsFunc(consequences, func(c Consequence) bool { return c.Text == errand[1] }) {
			t.Errorf("no consequence %q", errand[1])
		}
	}
	for _, c := range consequences {
		isSaid := slices.ContainsFunc(sources(t), func(s source) bool { return strings.HasSuffix(s.text, "; "+c.Text) })
		if !isSaid && !slices.ContainsFunc(errands, func(e []string) bool { return e[1] == c.Text }) {
			t.Errorf("nothing says %q", c.Text)
		}
	}
}
