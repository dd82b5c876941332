// Package podmanconf reads podman's configuration files (containers.conf(5),
// storage.conf(5)) as podman does, and of them what concerns cgroups, limits, and
// the programs and directories that podman needs.
//
// It takes the text of files, in their order. It must not know where these are, nor
// whether what they ask for is there.
package podmanconf

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// Config is what containers.conf says.
type Config struct {
	Containers struct {
		Cgroups    string `toml:"cgroups,omitempty"` // "enabled", "disabled", "no-conmon", "split"
		CgroupConf List   `toml:"cgroup_conf,omitempty"`
		Ulimits    List   `toml:"default_ulimits,omitempty"`
		NetNS      string `toml:"netns,omitempty"`
		CgroupNS   string `toml:"cgroupns,omitempty"`
		PIDNS      string `toml:"pidns,omitempty"`
		Volumes    List   `toml:"volumes,omitempty"`
		PidsLimit  int64  `toml:"pids_limit,omitempty"`
	} `toml:"containers"`
	Engine struct {
		Manager    string              `toml:"cgroup_manager,omitempty"` // "systemd", "cgroupfs"
		Runtime    string              `toml:"runtime,omitempty"`        // "crun", "runc", a path
		Runtimes   map[string][]string `toml:"runtimes,omitempty"`       // and where they are
		HelperDirs List                `toml:"helper_binaries_dir,omitempty"`
		NetworkCmd string              `toml:"network_cmd_path,omitempty"` // slirp4netns
		Conmon     List                `toml:"conmon_path,omitempty"`
	} `toml:"engine"`
	Network struct {
		RootlessCmd string `toml:"default_rootless_network_cmd,omitempty"` // "pasta", "slirp4netns"
		Backend     string `toml:"network_backend,omitempty"`              // "netavark", "cni"
	} `toml:"network"`

	files    map[string]string // by key: that which said it last
	replaced map[string]bool   // arrays that are not only added to podman's own
}

// Storage is what storage.conf says.
type Storage struct {
	Storage struct {
		Driver       string `toml:"driver,omitempty"`
		RunRoot      string `toml:"runroot,omitempty"`
		GraphRoot    string `toml:"graphroot,omitempty"`
		RootlessPath string `toml:"rootless_storage_path,omitempty"`
		Options      struct {
			MountProgram string `toml:"mount_program,omitempty"`
			Overlay      struct {
				MountProgram string `toml:"mount_program,omitempty"`
			} `toml:"overlay"`
		} `toml:"options"`
	} `toml:"storage"`
}

// List is an array of strings. With {append = true} as its last element it is added to
// what files before it say (containers.conf(5), "Appending to String Arrays").
type List []any

// Strings returns its strings.
func (l List) Strings() (all []string) {
	for _, element := range l {
		if text, isText := element.(string); isText {
			all = append(all, text)
		}
	}
	return all
}

// appends tells whether it has an {append = true}; ok is false if an element is neither
// that nor a string.
func (l List) appends() (appends, ok bool) {
	for _, element := range l {
		switch e := element.(type) {
		case string:
		case map[string]any:
			value, isBool := e["append"].(bool)
			if !isBool || len(e) != 1 {
				return false, false
			}
			appends = value
		default:
			return false, false
		}
	}
	return appends, true
}

// ErrDeep says that the tables and arrays of a file are nested deeper than anybody
// writes them: it is not read.
var ErrDeep = errors.New("nested too deeply")

// maxDepth bounds how deep. The reader of TOML has no bound: it goes on until its stack
// is full, and a thousand levels take it seconds.
const maxDepth = 64

// Read takes over what a file says, whose text is given: what it says holds over what
// those before it said. Text that podman does not understand changes nothing; the error
// is then a *confparse.ParseError, or ErrDeep.
func (c *Config) Read(file, text string) error {
	read, before := *c, *c
	read.Engine.Runtimes = merged(c.Engine.Runtimes, nil)
	meta, err := decode(file, text, &read)
	if err != nil {
		return err
	}
	read.replaced = merged(c.replaced, nil)
	for _, list := range []struct {
		key         string
		now, before *List
	}{
		{"containers.default_ulimits", &read.Containers.Ulimits, &before.Containers.Ulimits},
		{"containers.cgroup_conf", &read.Containers.CgroupConf, &before.Containers.CgroupConf},
		{"engine.helper_binaries_dir", &read.Engine.HelperDirs, &before.Engine.HelperDirs},
		{"engine.conmon_path", &read.Engine.Conmon, &before.Engine.Conmon},
	} {
		appends, ok := list.now.appends()
		switch isSaid := meta.IsDefined(strings.Split(list.key, ".")...); {
		case !isSaid:
		case !ok:
			return &confparse.ParseError{File: file, Line: 1, Text: list.key, Reason: "an element that is no string"}
		case appends:
			*list.now = append(append(List{}, *list.before...), *list.now...)
		default:
			read.replaced[list.key] = true
		}
	}
	read.files = merged(c.files, nil)
	for _, key := range meta.Keys() {
		read.files[key.String()] = file
	}
	*c = read
	return nil
}

// merged returns a copy of a, with what b has over it.
func merged[V any](a, b map[string]V) map[string]V {
	all := map[string]V{}
	for _, m := range []map[string]V{a, b} {
		for key, value := range m {
			all[key] = value
		}
	}
	return all
}

// File returns the file that said last what holds for a key, such as
// engine.cgroup_manager; "" if none said anything.
func (c *Config) File(key string) string { return c.files[key] }

// IsAdded tells whether an array's elements are only added to those that podman has of its own.
func (c *Config) IsAdded(key string) bool { return !c.replaced[key] }

// String returns c as a containers.conf.
func (c *Config) String() string { return encode(c) }

// Read takes over what a storage.conf says. Its errors are those of Config's.
func (s *Storage) Read(file, text string) error {
	var read Storage
	if _, err := decode(file, text, &read); err != nil {
		return err
	}
	*s = read
	return nil
}

// MountProgram returns what is to mount file systems in place of the kernel's overlay;
// "" if nothing is.
func (s *Storage) MountProgram() string {
	return cmp.Or(s.Storage.Options.Overlay.MountProgram, s.Storage.Options.MountProgram)
}

// String returns s as a storage.conf.
func (s *Storage) String() string { return encode(s) }

func encode(v any) string {
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(v); err != nil {
		return ""
	}
	return out.String()
}

func decode(file, text string, into any) (meta toml.MetaData, err error) {
	if isDeep(text) {
		return meta, fmt.Errorf("%s: %w", file, ErrDeep)
	}
	if meta, err = toml.Decode(text, into); err == nil {
		return meta, nil
	}
	line, reason := position(text, err)
	failure := &confparse.ParseError{File: file, Line: line, Reason: reason}
	if lines := strings.SplitN(text, "\n", line+1); line <= len(lines) {
		failure.Text = lines[line-1]
	}
	return meta, failure
}

// position returns the line on which an error of the reader's is, and the error without
// it. Of a value of another type the reader says the line in words alone; a line that ends
// too early it takes for the one after it.
func position(text string, err error) (line int, reason string) {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		start := min(max(parse.Position.Start, 0), len(text))
		return 1 + strings.Count(strings.TrimSuffix(text[:start], "\n"), "\n"), cmp.Or(parse.Message, err.Error())
	}
	reason = strings.TrimPrefix(err.Error(), "toml: ")
	if n, _ := fmt.Sscanf(reason, "line %d", &line); n == 0 || line < 1 {
		return 1, reason
	}
	if _, rest, found := strings.Cut(reason, "): "); found {
		reason = rest
	}
	return line, reason
}

// isDeep tells whether arrays, tables and the keys of a statement may be nested deeper than
// maxDepth. It counts brackets and dots, but for those in strings and comments, with which
// somebody could hide what is open.
func isDeep(text string) bool {
	depth, dots := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '.':
			dots++
		case '\n':
			if depth == 0 {
				dots = 0
			}
		case '#':
			if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
				i += end - 1
				continue
			}
			return false
		case '"', '\'':
			i += stringLength(text[i:]) - 1
		}
		if depth > maxDepth || dots > maxDepth {
			return true
		}
	}
	return false
}

// stringLength returns how many bytes the string has with which text begins, with its
// quotes. One without an end reaches to the end of its line or, with three quotes, of the
// text: there the reader of TOML ends as well.
func stringLength(text string) int {
	quote, long := text[:1], strings.Repeat(text[:1], 3)
	isLong := strings.HasPrefix(text, long)
	start := 1
	if isLong {
		start = len(long)
	}
	for i := start; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == `"`:
			i++
		case isLong && strings.HasPrefix(text[i:], long):
			i += len(long)
			// one or two more belong to what is quoted
			return i + len(text[i:min(i+2, len(text))]) - len(strings.TrimLeft(text[i:min(i+2, len(text))], quote))
		case !isLong && text[i] == quote[0]:
			return i + 1
		case !isLong && text[i] == '\n':
			return i
		}
	}
	return len(text)
}
