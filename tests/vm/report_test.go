package vm

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What guest/lib.sh writes is what ParseReport reads.
func TestReportOfTheLibrary(t *testing.T) {
	script := `CONTROL=` + t.TempDir() + `
. guest/lib.sh
ok "first (a)"
equal second "$(printf 'a\nb')" 'c\d'
note "a note"
fails third true
finish`
	out, err := exec.Command("bash", "-c", script).Output()
	if err == nil {
		t.Error("finish after a failure ends with status 0")
	}
	got, err := ParseReport(string(out))
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Assertions: []Assertion{
			{Name: "first (a)", OK: true},
			{Name: "second", Evidence: "got «a\nb», want «c\\d»"},
			{Name: "third", Evidence: "true worked: "},
		},
		Notes: []string{"a note"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What cgdeleg check --json writes is what guest/findings.pl reads: troubles, but for
// those of another's sake, and commands that a shell takes for the same words.
func TestFindings(t *testing.T) {
	const findings = `{"schema": 2, "user": "alice", "checks": [
		{"name": "mode", "status": "ok", "evidence": [{"path": "/x", "value": "\u003c1\u003e"}]},
		{"name": "subid", "status": "failed", "message": "a \"word\"", "evidence": [], "fix": {"text": "give it, and log in again", "commands": [
			{"args": ["sh", "-c", "printf '\\n%s\\n' \u003e\u003ex\n"], "root": true, "manual": false},
			{"args": ["editor", "/a b"], "root": false, "manual": true}]}},
		{"name": "paths", "status": "unknown", "blocked_by": "subid"},
		{"name": "userns", "status": "warning", "fix": {"text": "it", "commands": []}}]}`
	want := strings.Join([]string{
		"finding\tsubid\tfailed",
		"text\tgive it, and log in again",
		"command\troot\tany\t" + `'sh' '-c' 'printf '\''\n%s\n'\'' >>x'$'\n'''`,
		"command\tuser\tmanual\t'editor' '/a b'",
		"finding\tuserns\twarning",
		"text\tit", "",
	}, "\n")
	read := func(json string) (string, error) {
		command := exec.Command("perl", "guest/findings.pl")
		command.Stdin = strings.NewReader(json)
		out, err := command.Output()
		return string(out), err
	}
	if got, err := read(findings); err != nil || got != want {
		t.Errorf("%v, got\n%swant\n%s", err, got, want)
	}
	if got, err := read("Usage:\n"); err == nil {
		t.Errorf("what is no JSON is taken for %q", got)
	}
}

// A scenario that ends early, or whose lines were lost, does not pass.
func TestReportThatDoesNotCount(t *testing.T) {
	for _, test := range []struct{ output, want string }{
		{"", "did not come to its end"},
		{"ok a\nok b\n", "did not come to its end, after 2"},
		{"end 0\n", "asserts nothing"},
		{"ok a\nend 2\n", "1 assertions came out of 2"},
		{"ok a\nend x\n", "end line"},
	} {
		if _, err := ParseReport(test.output); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.output, err, test.want)
		}
	}
}

func TestFollow(t *testing.T) {
	port := "\r\n@boot 3.5\r\nok a\r\n\nok b\n@exit 1\n"
	result, ended := follow(strings.NewReader(port), time.Now(), func() {})
	if !ended || result.Status != 1 || result.Output != "ok a\nok b\n" || result.Boot <= 0 {
		t.Errorf("ended %t, %+v", ended, result)
	}
	if result, ended := follow(strings.NewReader("@boot 3.5\nok a"), time.Now(), func() {}); ended || result.Status != -1 {
		t.Errorf("without an end: ended %t, %+v", ended, result)
	}
}

func TestParseScenario(t *testing.T) {
	got, err := parseScenario("#!/bin/bash\n# About.\n# machines: bookworm-no-systemd-v2 trixie-systemd-v2\n# limit: 7\n# processors: 2\n")
	want := Scenario{Kinds: []Kind{{Bookworm, false, "v2"}, {Trixie, true, "v2"}}, Limit: 7 * time.Second, Processors: 2}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "# machines: nosuch\n", "# machines: bookworm-systemd-v2\n# limit: soon\n", "# machines: bookworm-systemd-v2\n# processors: all\n"} {
		if _, err := parseScenario(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
