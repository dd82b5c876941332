package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What follow makes of a page: each command is typed once, by whom the page says, and a
// command that fails, or does not print what stands below it, is not ok.
func TestFollowPage(t *testing.T) {
	tests := map[string]struct {
		page string
		want []string // how the lines with assertions begin
	}{
		"commands of both":              {"# Title\n\nText:\n\n    # true\n    alice$ echo hello\n    hello\n", []string{"ok root: true", "ok alice: echo hello"}},
		"other lines around the output": {"    # printf '%s\\n' one two three four\n    [...]\n    two\n    four\n", []string{"ok root: "}},
		"lines in another order":        {"    # printf '%s\\n' two one\n    one\n    two\n", []string{"not ok root: "}},
		"anything in a line":            {"    # echo 'pid 17 of [c1]'\n    pid ... of [c1]\n", []string{"ok root: "}},
		"only the beginning of a line":  {"    # echo 268435456000\n    268435456\n", []string{"not ok root: "}},
		"a star is a star":              {"    # echo anything\n    *\n", []string{"not ok root: "}},
		"a command that fails":          {"    # false\n    # true\n", []string{"not ok root: false", "ok root: true"}},
		"no output":                     {"    alice$ true\n    something\n", []string{"not ok alice: true"}},
		"a long command":                {"    # echo a \\\n        b\n    a b\n", []string{"ok root: echo a "}},
		"a block that is not run":       {"<!-- not run: no reason -->\n\n    # false\n    out\n\nText.\n\n    # true\n", []string{"ok root: true"}},
		"a block without a command":     {"Text.\n\n    lxc.uts.name = c1\n\nText.\n", []string{"not ok a block of the page begins with a command"}},
		"a question":                    {"    # read -r answer && echo $answer\n    y\n", []string{"ok root: "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			page := filepath.Join(t.TempDir(), "page.md")
			if err := os.WriteFile(page, []byte(test.page), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("bash", "-c", `. guest/lib.sh; . guest/pages.sh; type_as_alice() { bash -c "$1"; }; follow "$1"`, "follow", page)
			cmd.Env = append(os.Environ(), "CONTROL="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var got []string
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "not ok ") {
					got = append(got, strings.TrimSpace(line))
				}
			}
			matches := len(got) == len(test.want)
			for i := range min(len(got), len(test.want)) {
				matches = matches && strings.HasPrefix(got[i], strings.TrimSpace(test.want[i]))
			}
			if !matches {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The pages that are typed have commands of both, and the command that is alice's login before
// any of hers.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/getting-started/*.md")
	pages = slices.DeleteFunc(pages, func(page string) bool { return filepath.Base(page) == "alpine.md" })
	if err != nil || len(pages) != 3 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		login, first := strings.Index(string(data), "\n    # ssh alice@localhost\n"), strings.Index(string(data), "\n    alice$ ")
		if login < 0 || first < login {
			t.Errorf("%s: alice types before she has logged in", page)
		}
	}
}
