package fixes

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// site is a place in the checks' source that makes a fix.
type site struct {
	function string
	text     string // what is given there as the fix's text, as the source has it
	at       string // FILE:LINE
}

func (s site) String() string { return fmt.Sprintf("%s: %s (%s)", s.function, s.text, s.at) }

// primitives make no fix of their own: they add to a result what they are given.
var primitives = []string{"fixed", "with", "lasting", "possible", "byRoot", "mountCommand"}

// sites returns all of them, in the order of the source: calls of fixed, with and lasting,
// literals of Fix, and what a function returns that makes a text with its command.
func sites(t *testing.T) (all []site) {
	t.Helper()
	dir := filepath.Join(testbed.Root(t), "cmd/cgdeleg/check")
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no source in %s: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, is := d.(*ast.FuncDecl); is && !slices.Contains(primitives, f.Name.Name) {
				all = append(all, sitesIn(set, f)...)
			}
		}
	}
	return all
}

func sitesIn(set *token.FileSet, f *ast.FuncDecl) (all []site) {
	add := func(at ast.Node, texts ...ast.Expr) {
		p := set.Position(at.Pos())
		all = append(all, site{f.Name.Name, sourceOf(set, texts), fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)})
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit: // what that returns is not the function's
			return false
		case *ast.CallExpr:
			if method, is := n.Fun.(*ast.SelectorExpr); is && slices.Contains(primitives[:3], method.Sel.Name) {
				add(n, n.Args...)
			}
		case *ast.CompositeLit:
			if kind, is := n.Type.(*ast.Ident); is && kind.Name == "Fix" {
				add(n, n.Elts...)
			}
		case *ast.ReturnStmt:
			if makesText(f) && len(n.Results) > 0 {
				add(n, n.Results...)
			}
		}
		return true
	})
	return all
}

// makesText tells whether a function returns a fix's text with its command.
func makesText(f *ast.FuncDecl) bool {
	var kinds []string
	if f.Type.Results != nil {
		for _, field := range f.Type.Results.List {
			if kind, is := field.Type.(*ast.Ident); is {
				kinds = append(kinds, kind.Name)
			}
		}
	}
	return slices.Equal(kinds, []string{"string", "Command"})
}

func sourceOf(set *token.FileSet, nodes []ast.Expr) string {
	var out bytes.Buffer
	for _, n := range nodes {
		_ = printer.Fprint(&out, set, n)
		out.WriteByte(' ')
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// Each place that makes a fix is in the table, as often as it is there, and everything in
// the table is a place: a fix without a test fails this.
func TestTableHasAllSites(t *testing.T) {
	all := sites(t)
	rows := map[string]int{}
	for _, k := range kinds {
		for _, key := range k.sites {
			rows[key]++
		}
		if len(k.sites) == 0 {
			t.Errorf("%s names no place", k.name)
		}
	}
	for _, s := range all {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(rows)), s.is) {
			t.Errorf("the table has no kind for %v", s)
		}
	}
	for key, n := range rows {
		places := 0
		for _, s := range all {
			if s.is(key) {
				places++
			}
		}
		if places == 0 || places > n {
			t.Errorf("the table has %q %d times, the source %d", key, n, places)
		}
	}
}

// is tells whether a key of the table means this place. One that ends with $ has the end of
// what is given there.
func (s site) is(key string) bool {
	function, text, _ := strings.Cut(key, ": ")
	if text, isEnd := strings.CutSuffix(text, "$"); isEnd {
		return s.function == function && strings.HasSuffix(s.text, text)
	}
	return s.function == function && strings.Contains(s.text, text)
}

// What a kind names as the test that applies it is there.
func TestElsewhereIsThere(t *testing.T) {
	for _, k := range kinds {
		if k.elsewhere == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(testbed.Root(t), "tests", k.elsewhere)); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}
