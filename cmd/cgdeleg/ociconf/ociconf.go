// Package ociconf reads the configuration of an OCI bundle, its config.json (OCI runtime
// specification, config.md and config-linux.md), as runc does: of it what concerns user
// namespaces, cgroups, limits and the root file system.
//
// It takes the file's text. It must not know where that is, nor whether what it asks for
// is to be had.
package ociconf

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// FileName is what the file is called in a bundle.
const FileName = "config.json"

// Config is what is read of the file.
type Config struct {
	Process *Process `json:"process,omitempty"`
	Root    *Root    `json:"root,omitempty"`
	Mounts  []Mount  `json:"mounts,omitempty"`
	Linux   *Linux   `json:"linux,omitempty"`
}

// Process is who the container's first process is, and its resource limits.
type Process struct {
	User struct {
		UID            uint32   `json:"uid"`
		GID            uint32   `json:"gid"`
		AdditionalGIDs []uint32 `json:"additionalGids,omitempty"`
	} `json:"user"`
	Rlimits []Rlimit `json:"rlimits,omitempty"`
}

// Rlimit is a limit of setrlimit(2).
type Rlimit struct {
	Type string `json:"type"` // "RLIMIT_NOFILE"
	Hard uint64 `json:"hard"`
	Soft uint64 `json:"soft"`
}

// Root is the root file system.
type Root struct {
	Path     string `json:"path"`
	ReadOnly bool   `json:"readonly,omitempty"`
}

// Mount is what is mounted in it.
type Mount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type,omitempty"`
	Options     []string `json:"options,omitempty"`
}

// Linux is what Linux alone knows.
type Linux struct {
	UIDs        []IDMap     `json:"uidMappings,omitempty"`
	GIDs        []IDMap     `json:"gidMappings,omitempty"`
	Namespaces  []Namespace `json:"namespaces,omitempty"`
	CgroupsPath string      `json:"cgroupsPath,omitempty"`
	Resources   *Resources  `json:"resources,omitempty"`
}

// IDMap is a line of an ID map.
type IDMap struct {
	Inside  uint32 `json:"containerID"`
	Outside uint32 `json:"hostID"`
	Count   uint32 `json:"size"`
}

// Namespace is one that is made, or with a path one that is entered.
type Namespace struct {
	Type string `json:"type"`
	Path string `json:"path,omitempty"`
}

// Resources are the limits.
type Resources struct {
	Memory *struct {
		Limit       int64 `json:"limit,omitempty"`
		Reservation int64 `json:"reservation,omitempty"`
		Swap        int64 `json:"swap,omitempty"`
	} `json:"memory,omitempty"`
	CPU *struct {
		Shares          uint64 `json:"shares,omitempty"`
		Quota           int64  `json:"quota,omitempty"`
		Period          uint64 `json:"period,omitempty"`
		RealtimeRuntime int64  `json:"realtimeRuntime,omitempty"`
		RealtimePeriod  uint64 `json:"realtimePeriod,omitempty"`
		CPUs            string `json:"cpus,omitempty"`
		Mems            string `json:"mems,omitempty"`
	} `json:"cpu,omitempty"`
	PIDs *struct {
		Limit int64 `json:"limit"`
	} `json:"pids,omitempty"`
	BlockIO *struct {
		Weight       uint16 `json:"weight,omitempty"`
		LeafWeight   uint16 `json:"leafWeight,omitempty"`
		WeightDevice []any  `json:"weightDevice,omitempty"`
		ReadBps      []any  `json:"throttleReadBpsDevice,omitempty"`
		WriteBps     []any  `json:"throttleWriteBpsDevice,omitempty"`
		ReadIOPS     []any  `json:"throttleReadIOPSDevice,omitempty"`
		WriteIOPS    []any  `json:"throttleWriteIOPSDevice,omitempty"`
	} `json:"blockIO,omitempty"`
	HugePages []any `json:"hugepageLimits,omitempty"`
	Network   *struct {
		ClassID    uint32 `json:"classID,omitempty"`
		Priorities []any  `json:"priorities,omitempty"`
	} `json:"network,omitempty"`
	RDMA    map[string]any    `json:"rdma,omitempty"`
	Unified map[string]string `json:"unified,omitempty"`
}

// Parse reads the text of the file, which gives the errors their name. What stands
// after the first value is not looked at. Errors are *confparse.ParseError.
//
// The reader of JSON bounds how deep arrays may be nested; the size is the caller's to
// bound.
func Parse(file, text string) (*Config, error) {
	var c Config
	err := json.NewDecoder(strings.NewReader(text)).Decode(&c)
	if err == nil {
		return &c, nil
	}
	failure := &confparse.ParseError{File: file, Reason: err.Error()}
	at := len(text)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = int(syntax.Offset)
	case errors.As(err, &kind):
		at = int(kind.Offset)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		failure.Reason = "it ends too early"
	}
	failure.Line, failure.Text = lineAt(text, at)
	return nil, failure
}

// lineAt returns the line that has the byte before an offset.
func lineAt(text string, offset int) (number int, line string) {
	at := min(max(offset-1, 0), len(text))
	start := strings.LastIndexByte(text[:at], '\n') + 1
	line, _, _ = strings.Cut(text[start:], "\n")
	return 1 + strings.Count(text[:start], "\n"), line
}

// String returns c as a config.json: what of the file has been read.
func (c *Config) String() string {
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return ""
	}
	return string(data) + "\n"
}

// Namespace returns the namespace of a type; ok is false if there is none, so that the
// container is in that of who starts it.
func (c *Config) Namespace(kind string) (n Namespace, ok bool) {
	if c.Linux == nil {
		return n, false
	}
	i := slices.IndexFunc(c.Linux.Namespaces, func(n Namespace) bool { return n.Type == kind })
	if i < 0 {
		return n, false
	}
	return c.Linux.Namespaces[i], true
}

// CgroupsPath returns the cgroup that the container is to be in; "" if the runtime is to
// choose.
func (c *Config) CgroupsPath() string {
	if c.Linux == nil {
		return ""
	}
	return c.Linux.CgroupsPath
}

// Limit is a key of linux.resources that sets something.
type Limit struct {
	Key string // "memory.limit"
	// V1 and V2 are the controllers that it needs; "" where that version of cgroups has
	// none, so that the key does nothing or is refused.
	V1, V2 string
}

// Limits returns the limits in the order of the specification. A number that is zero is
// no limit, as runc takes it. The keys of devices are not among them: rootless runtimes
// pass them over.
func (c *Config) Limits() (all []Limit) {
	if c.Linux == nil || c.Linux.Resources == nil {
		return nil
	}
	r := c.Linux.Resources
	add := func(isSet bool, key, v1, v2 string) {
		if isSet {
			all = append(all, Limit{key, v1, v2})
		}
	}
	if m := r.Memory; m != nil {
		add(m.Limit != 0, "memory.limit", "memory", "memory")
		add(m.Reservation != 0, "memory.reservation", "memory", "memory")
		add(m.Swap != 0, "memory.swap", "memory", "memory")
	}
	if p := r.CPU; p != nil {
		add(p.Shares != 0, "cpu.shares", "cpu", "cpu")
		add(p.Quota != 0, "cpu.quota", "cpu", "cpu")
		add(p.Period != 0, "cpu.period", "cpu", "cpu")
		add(p.RealtimeRuntime != 0, "cpu.realtimeRuntime", "cpu", "")
		add(p.RealtimePeriod != 0, "cpu.realtimePeriod", "cpu", "")
		add(p.CPUs != "", "cpu.cpus", "cpuset", "cpuset")
		add(p.Mems != "", "cpu.mems", "cpuset", "cpuset")
	}
	add(r.PIDs != nil && r.PIDs.Limit != 0, "pids.limit", "pids", "pids")
	if b := r.BlockIO; b != nil {
		add(b.Weight != 0, "blockIO.weight", "blkio", "io")
		add(b.LeafWeight != 0, "blockIO.leafWeight", "blkio", "")
		add(len(b.WeightDevice) > 0, "blockIO.weightDevice", "blkio", "io")
		add(len(b.ReadBps)+len(b.WriteBps)+len(b.ReadIOPS)+len(b.WriteIOPS) > 0, "blockIO.throttle", "blkio", "io")
	}
	add(len(r.HugePages) > 0, "hugepageLimits", "hugetlb", "hugetlb")
	if n := r.Network; n != nil {
		add(n.ClassID != 0, "network.classID", "net_cls", "")
		add(len(n.Priorities) > 0, "network.priorities", "net_prio", "")
	}
	add(len(r.RDMA) > 0, "rdma", "rdma", "rdma")
	for _, name := range slices.Sorted(maps.Keys(r.Unified)) {
		controller, _, _ := strings.Cut(name, ".")
		add(true, "unified."+name, "", controller)
	}
	return all
}
