package contrib

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What the script writes is one file that everybody may read, with metrics that
// Prometheus's own parser and its rules for names accept.
func TestTextfile(t *testing.T) {
	testbed.Need(t)
	need(t, "promtool", "prometheus")
	withBuilt(t)
	dir := t.TempDir()
	u := testbed.AddUser(t, "cgcontribprom", 25010)
	_, end := openSession(t, u)
	must(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir)
	end()
	must(t, "cgdeleg", "cleanup", "--user", u.Name)
	wantOnly(t, dir, "cgdeleg.prom")
	info, err := os.Stat(filepath.Join(dir, "cgdeleg.prom"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	metrics := read(t, filepath.Join(dir, "cgdeleg.prom"))
	if strings.Contains(metrics, `cgdeleg_sessions{state="alive"} 0`) || strings.Contains(metrics, u.Name) {
		t.Errorf("a session is not counted, or a user named:\n%s", metrics)
	}
	if said, err := checkMetrics(metrics); err != nil || said != "" {
		t.Errorf("promtool: %v\n%s", err, said)
	}
	// That promtool looks at names and values:
	for _, broken := range []string{
		strings.Replace(metrics, "\ncgdeleg_memory_bytes ", "\ncgdeleg_memory_bytes x", 1),
		strings.ReplaceAll(metrics, "cgdeleg_memory_bytes", "cgdeleg_memory_kilobytes_total"),
	} {
		if said, err := checkMetrics(broken); err == nil {
			t.Errorf("promtool accepts it: %s", said)
		}
	}
}

func checkMetrics(metrics string) (said string, err error) {
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func wantOnly(t *testing.T, dir string, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("in the folder are %v, want only %s", entries, name)
	}
}

// Where cgdeleg fails halfway, the last good file stays, and nothing beside it.
func TestTextfileFails(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	write(t, dir+"/cgdeleg.prom", "good 1\n", 0o644)
	write(t, bin+"/cgdeleg", "#!/bin/sh\necho half\nexit 3\n", 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if said, err := run(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir); err == nil {
		t.Errorf("it ended well: %s", said)
	}
	wantOnly(t, dir, "cgdeleg.prom")
	if got := read(t, dir+"/cgdeleg.prom"); got != "good 1\n" {
		t.Errorf("the file is now %q", got)
	}
}

// What cgdeleg says of a file that is good is no mail from cron.
func TestTextfileSaysNothing(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	write(t, bin+"/cgdeleg", "#!/bin/sh\necho cgdeleg: left out: hierarchy memory >&2\necho good 1\n", 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if said := must(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir); said != "" {
		t.Errorf("it said %q", said)
	}
	if got := read(t, dir+"/cgdeleg.prom"); got != "good 1\n" {
		t.Errorf("the file is %q", got)
	}
}

// A service that is stopped leaves nothing, and a link that node_exporter's user
// made takes root's file nowhere.
func TestTextfileLeavesNothing(t *testing.T) {
	dir, elsewhere, bin := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, bin+"/cgdeleg", "#!/bin/sh\necho half\nkill $PPID\n", 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if said, err := run(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir); err == nil {
		t.Errorf("it ended well: %s", said)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("in the folder are %v (%v)", entries, err)
	}

	write(t, bin+"/cgdeleg", "#!/bin/sh\necho good 1\n", 0o755)
	if err := os.Symlink(elsewhere, dir+"/cgdeleg.prom"); err != nil {
		t.Fatal(err)
	}
	must(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir)
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("behind the link are %v (%v)", entries, err)
	}
	if got := read(t, dir+"/cgdeleg.prom"); got != "good 1\n" {
		t.Errorf("the file is %q", got)
	}
}

// The alerts fire when they should, and not before.
func TestAlerts(t *testing.T) {
	need(t, "promtool", "prometheus")
	must(t, "promtool", "check", "rules", file(t, "prometheus/cgdeleg.rules.yml"))
	must(t, "promtool", "test", "rules", file(t, "prometheus/cgdeleg.rules.test.yml"))
}

// With CGDELEG_PER_USER=yes users are named, and Prometheus accepts these metrics too.
func TestTextfilePerUser(t *testing.T) {
	testbed.Need(t)
	need(t, "promtool", "prometheus")
	withBuilt(t)
	dir := t.TempDir()
	u := testbed.AddUser(t, "cgcontribpromuser", 25011)
	_, end := openSession(t, u, "memory", "pids", "cpu", "cpuacct")
	t.Setenv("CGDELEG_PER_USER", "yes")
	must(t, file(t, "prometheus/cgdeleg-textfile.sh"), dir)
	end()
	must(t, "cgdeleg", "cleanup", "--user", u.Name)
	metrics := read(t, filepath.Join(dir, "cgdeleg.prom"))
	for _, name := range []string{"memory_bytes", "oom_kills_total", "processes", "cpu_seconds_total"} {
		if !strings.Contains(metrics, "\ncgdeleg_user_"+name+`{user="`+u.Name+`"} `) {
			t.Errorf("no %s of %s:\n%s", name, u.Name, metrics)
		}
	}
	if said, err := checkMetrics(metrics); err != nil || said != "" {
		t.Errorf("promtool: %v\n%s", err, said)
	}
}

// The dashboard asks for metrics that docs/monitoring.md has, in queries that Prometheus
// understands.
func TestDashboard(t *testing.T) {
	need(t, "promtool", "prometheus")
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, file(t, "prometheus/cgdeleg-users.json"))), &dashboard); err != nil {
		t.Fatal(err)
	}
	page := read(t, filepath.Join(testbed.Root(t), "docs/monitoring.md"))
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$user", ".*")
	rules, asked := "groups:\n- name: dashboard\n  rules:\n", ""
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			asked += target.Expr + "\n"
			rules += fmt.Sprintf("  - record: dashboard%d\n    expr: %q\n", strings.Count(rules, "record"), variables.Replace(target.Expr))
		}
	}
	for _, v := range dashboard.Templating.List {
		asked += v.Definition + "\n"
	}
	names := regexp.MustCompile(`cgdeleg_\w+`).FindAllString(asked, -1)
	if len(names) < 10 {
		t.Errorf("it asks for %q only", names)
	}
	for _, name := range names {
		if !strings.Contains(page, "| `"+name+"{user}` |") {
			t.Errorf("there is no metric %s", name)
		}
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	write(t, path, rules, 0o644)
	must(t, "promtool", "check", "rules", path)
	if strings.Contains(variables.Replace(asked), "$") {
		t.Errorf("a variable is not known:\n%s", asked)
	}
}
