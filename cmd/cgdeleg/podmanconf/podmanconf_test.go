package podmanconf

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// file is one of several that are read in their order.
type file struct{ name, text string }

func TestLaterFilesHold(t *testing.T) {
	for name, test := range map[string]struct {
		files []file
		want  func(c *Config)
		key   string // and the file that said it last
		from  string
	}{
		"nothing": {nil, func(*Config) {}, "engine.runtime", ""},
		"one": {[]file{{"a", "[engine]\ncgroup_manager = \"cgroupfs\"\n"}},
			func(c *Config) { c.Engine.Manager = "cgroupfs" }, "engine.cgroup_manager", "a"},
		"the last one": {[]file{{"a", "[engine]\nruntime = \"crun\"\ncgroup_manager = \"systemd\"\n"}, {"b", "engine.runtime = \"runc\"\n"}},
			func(c *Config) { c.Engine.Runtime, c.Engine.Manager = "runc", "systemd" }, "engine.runtime", "b"},
		"what is not said again": {[]file{{"a", "[engine]\nruntime = \"crun\"\n"}, {"b", "[containers]\npids_limit = 5\n"}},
			func(c *Config) { c.Engine.Runtime, c.Containers.PidsLimit = "crun", 5 }, "engine.runtime", "a"},
		"no TOML changes nothing": {[]file{{"a", "[engine]\nruntime = \"crun\"\n"}, {"b", "[engine]\nruntime = \"runc\"\n["}},
			func(c *Config) { c.Engine.Runtime = "crun" }, "engine.runtime", "a"},
		"unknown keys": {[]file{{"a", "[nosuch]\nx = 1\n[engine]\ny = [1, {z = 2}]\n"}}, func(*Config) {}, "engine.runtime", ""},
		"lists are replaced": {[]file{{"a", "[containers]\ndefault_ulimits = [\"nofile=1:2\"]\n"}, {"b", "[containers]\ndefault_ulimits = [\"nproc=1:2\"]\n"}},
			func(c *Config) { c.Containers.Ulimits = List{"nproc=1:2"} }, "containers.default_ulimits", "b"},
		"or added to": {[]file{{"a", "[containers]\ndefault_ulimits = [\"nofile=1:2\"]\n"}, {"b", "[containers]\ndefault_ulimits = [\"nproc=1:2\", {append = true}]\n"}, {"c", "[engine]\n"}},
			func(c *Config) {
				c.Containers.Ulimits = List{"nofile=1:2", "nproc=1:2", map[string]any{"append": true}}
			}, "containers.default_ulimits", "b"},
		"runtimes are added": {[]file{{"a", "[engine.runtimes]\nx = [\"/x\"]\n"}, {"b", "[engine.runtimes]\ny = [\"/y\"]\n"}},
			func(c *Config) { c.Engine.Runtimes = map[string][]string{"x": {"/x"}, "y": {"/y"}} }, "engine.runtimes.x", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want Config
			for _, f := range test.files {
				_ = got.Read(f.name, f.text)
			}
			test.want(&want)
			if from := got.File(test.key); from != test.from {
				t.Errorf("%s is from %q, want %q", test.key, from, test.from)
			}
			got.files, got.replaced = nil, nil
			if len(got.Engine.Runtimes) == 0 {
				got.Engine.Runtimes = nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		line   int
		on     string // the line itself, or a part of it
		reason string
	}{
		"no TOML":          {"[containers]\n[engine\nruntime = \"x\"\n", 2, "[engine", "expected"},
		"another type":     {"[engine]\ncgroup_manager = 3\n", 2, "cgroup_manager = 3", "incompatible types"},
		"a list of others": {"[containers]\ndefault_ulimits = [1]\n", 1, "default_ulimits", "no string"},
		"append only":      {"[containers]\ndefault_ulimits = [{append = 1}]\n", 1, "default_ulimits", "no string"},
		"no end":           {"[engine]\nruntime = \"crun", 2, "runtime", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			var failure *confparse.ParseError
			if err := c.Read("/f", test.text); !errors.As(err, &failure) {
				t.Fatalf("got %v", err)
			}
			if failure.File != "/f" || failure.Line != test.line || !strings.Contains(failure.Text, test.on) || !strings.Contains(failure.Reason, test.reason) {
				t.Errorf("got %+v", failure)
			}
		})
	}
}

// Files that nobody would write end early, and with an error.
func TestDeepFiles(t *testing.T) {
	const large = 256<<10 - 100
	for name, text := range map[string]string{
		"arrays":                             "a = " + strings.Repeat("[", large),
		"tables":                             "a = " + strings.Repeat("{a=", large/3),
		"dots":                               "a" + strings.Repeat(".a", large/2) + " = 1",
		"heading":                            "[a" + strings.Repeat(".a", large/2) + "]",
		"brackets in strings":                "a = " + strings.Repeat("[\"]\",", large/5),
		"in literal strings":                 "a = " + strings.Repeat("[']',", large/5),
		"in long strings":                    "a = " + strings.Repeat("[\"\"\"]\"\"\",", large/9),
		"in long strings that end in quotes": "a = " + strings.Repeat("[\"\"\"]\"\"\"\",", large/10),
		"behind a quote":                     "a = " + strings.Repeat("[\"\\\"]\",", large/7),
		"in comments":                        "a = " + strings.Repeat("[#]\n", large/4),
		"dots in tables":                     "a = " + strings.Repeat("[{a"+strings.Repeat(".a", 30)+"=[\n", 60),
		"a list":                             "[containers]\ncgroup_conf = " + strings.Repeat("[", large/2) + strings.Repeat("]", large/2),
	} {
		t.Run(name, func(t *testing.T) {
			if err := new(Config).Read("/f", text); !errors.Is(err, ErrDeep) {
				t.Errorf("containers.conf: %.100v", err)
			}
			if err := new(Storage).Read("/f", text); !errors.Is(err, ErrDeep) {
				t.Errorf("storage.conf: %.100v", err)
			}
		})
	}
	usual := "[engine.runtimes]\n\"a.b\" = [\"/usr/lib/a.b.c/[x\"] # [e.g.\n[engine]\nhelper_binaries_dir = [\n" + strings.Repeat("\"/a.b/]{[\", # [\n", 200) +
		"]\n[containers]\ncgroup_conf = ['''\n" + strings.Repeat("[.", 500) + "''']\n[nosuch]\n" + strings.Repeat("# [engine] e.g. a.b.c\n", 500)
	if err := new(Config).Read("/f", usual); err != nil {
		t.Errorf("a usual one: %v", err)
	}
}

func TestStorage(t *testing.T) {
	var s Storage
	if err := s.Read("/s", "[storage]\ndriver = \"overlay\"\ngraphroot = \"$HOME/x\"\n[storage.options]\nmount_program = \"/old\"\n[storage.options.overlay]\nmount_program = \"/new\"\n"); err != nil {
		t.Fatal(err)
	}
	if s.Storage.Driver != "overlay" || s.Storage.GraphRoot != "$HOME/x" || s.MountProgram() != "/new" {
		t.Errorf("got %+v", s)
	}
	if err := s.Read("/s", "[storage]\nrootless_storage_path = \"/r\"\n"); err != nil || s.Storage.Driver != "" || s.MountProgram() != "" || s.Storage.RootlessPath != "/r" {
		t.Errorf("another file: %+v, %v", s, err)
	}
}

// What a report records says the same again.
func TestStringsAreRead(t *testing.T) {
	const text = "[containers]\nenv = [\"TOKEN=secret\"]\ncgroups = \"disabled\"\ndefault_ulimits = [\"nofile=1:2\", {append = true}]\npids_limit = 7\n" +
		"[engine]\nruntime = \"x\"\n[engine.runtimes]\nx = [\"/opt/x\"]\n[network]\ndefault_rootless_network_cmd = \"pasta\"\n"
	var c, again Config
	if err := c.Read("/f", text); err != nil {
		t.Fatal(err)
	}
	if err := again.Read("/f", c.String()); err != nil {
		t.Fatalf("%v of\n%s", err, c.String())
	}
	c.files, again.files = nil, nil
	if !reflect.DeepEqual(c, again) || strings.Contains(c.String(), "secret") {
		t.Errorf("%+v became\n%s%+v", c, c.String(), again)
	}
	if got := again.Containers.Ulimits.Strings(); !slices.Equal(got, []string{"nofile=1:2"}) {
		t.Errorf("strings %q", got)
	}
	var s, again2 Storage
	if err := errors.Join(s.Read("/s", "[storage]\ndriver = \"vfs\"\n[storage.options.overlay]\nmount_program = \"/p\"\n"), again2.Read("/s", s.String())); err != nil || s != again2 {
		t.Errorf("%+v became %+v, %v", s, again2, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "[engine]\nruntime = \"crun\"\n", "[containers]\ndefault_ulimits = [\"a=1:2\", {append = true}]\n", "[storage]\ndriver = \"vfs\"\n", "a.b = [[{}]]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c, again Config
		if c.Read("/f", text) == nil {
			if err := again.Read("/f", c.String()); err != nil {
				t.Errorf("what was read of %q cannot be read again: %v\n%s", text, err, c.String())
			}
		}
		_ = new(Storage).Read("/f", text)
	})
}

// FuzzDepth holds the look at brackets against the reader of TOML: what is let through is
// not nested deeper than that.
func FuzzDepth(f *testing.F) {
	for _, text := range []string{
		"[[[1]]]", "[\"]\",[\"]\",[1]]]", "{d.c = {e = 1}}", "[ # ]\n[ # ]\n[1]]]", "'''\n]'''", "\"\\\"]\"", "[']',", "[\"\"\"]\"\"\"\",", "[\"\"\"\"\"\"\"]\",",
		"[{a.a.a=[\n", "['''''']''',", "[\"a\\\\\",\"]\",",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > 100 {
			return
		}
		// many of them, as who wants to fill the stack would write them
		for _, text := range []string{"a = " + value, "a = " + strings.Repeat(value, 20*maxDepth/max(len(value), 1)), "a = " + strings.Repeat(value, maxDepth+1)} {
			if isDeep(text) {
				continue
			}
			for _, text := range []string{text, text + "1" + strings.Repeat("]", strings.Count(text, "["))} {
				var all map[string]any
				if _, err := toml.Decode(text, &all); err == nil && depthOf(all) > 2*maxDepth+2 {
					t.Errorf("%d levels in %q", depthOf(all), text)
				}
			}
		}
	})
}

func depthOf(value any) (deepest int) {
	switch v := value.(type) {
	case map[string]any:
		for _, below := range v {
			deepest = max(deepest, depthOf(below))
		}
	case []any:
		for _, below := range v {
			deepest = max(deepest, depthOf(below))
		}
	case []map[string]any:
		for _, below := range v {
			deepest = max(deepest, depthOf(below))
		}
	default:
		return 0
	}
	return deepest + 1
}
