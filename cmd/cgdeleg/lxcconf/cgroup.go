package lxcconf

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// IDMap is one mapping of user or group IDs (user_namespaces(7)).
type IDMap struct {
	Kind                   byte // 'u' or 'g'
	Inside, Outside, Count uint64
	Item                   Item
}

// IDMaps returns the mappings of lxc.idmap, and of lxc.id_map as it was called
// before LXC 2.1. An empty value clears those before it. Errors are
// *confparse.ParseError, for the first value that LXC does not understand.
func (c *Config) IDMaps() ([]IDMap, error) {
	var maps []IDMap
	for _, item := range c.Items {
		if item.Key != "lxc.idmap" && item.Key != "lxc.id_map" {
			continue
		}
		if item.Value == "" {
			maps = nil
			continue
		}
		m, reason := parseIDMap(item.Value)
		if reason != "" {
			return nil, &confparse.ParseError{File: item.File, Line: item.Line, Text: item.Key + " = " + item.Value, Reason: reason}
		}
		m.Item = item
		maps = append(maps, m)
	}
	return maps, nil
}

// parseIDMap parses "u 0 100000 65536" (parse_idmaps of confile_utils.c). LXC
// knows no "b" for both kinds here: that is lxc-usernsexec's.
func parseIDMap(value string) (m IDMap, reason string) {
	fields := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t\r", r) })
	if len(fields) == 0 || fields[0] != "u" && fields[0] != "g" {
		return m, "mapping of neither u nor g"
	}
	if len(fields) != 4 {
		return m, "mapping without three numbers"
	}
	m.Kind = fields[0][0]
	for i, number := range []*uint64{&m.Inside, &m.Outside, &m.Count} {
		var ok bool
		if *number, ok = confparse.ParseUint(fields[i+1]); !ok {
			return IDMap{}, "bad number"
		}
	}
	return m, ""
}

// Limit is a value that LXC writes into a file of the container's cgroup, on
// cgroup v2 or on v1.
type Limit struct {
	Unified bool   // lxc.cgroup2, not lxc.cgroup
	File    string // "memory.max"
	Value   string
	Item    Item
}

// Limits returns the limits in the order in which LXC writes them, so that the
// last of a file counts; some files, such as devices.allow, take several. An
// empty value clears those of that file before it, of an empty lxc.cgroup or
// lxc.cgroup2 all of that kind.
func (c *Config) Limits() []Limit {
	var limits []Limit
	for _, item := range c.Items {
		l, isLimit := parseLimit(item)
		if !isLimit {
			continue
		}
		if l.Value != "" {
			limits = append(limits, l)
			continue
		}
		limits = slices.DeleteFunc(limits, func(o Limit) bool {
			return o.Unified == l.Unified && (l.File == "" || o.File == l.File)
		})
	}
	return limits
}

// parseLimit takes a key apart. Only where the value is empty may the file be
// so, too. Keys that start with lxc.cgroup are limits, but for those that
// confile.c's table has before it and those that stand in lxc.conf.
func parseLimit(item Item) (l Limit, isLimit bool) {
	l = Limit{Value: item.Value, Item: item}
	rest, found := strings.CutPrefix(item.Key, "lxc.cgroup2")
	if l.Unified = found; !found {
		if rest, found = strings.CutPrefix(item.Key, "lxc.cgroup"); !found {
			return l, false
		}
	}
	if rest == "" {
		return l, item.Value == ""
	}
	l.File, found = strings.CutPrefix(rest, ".")
	if !found || l.File == "" {
		return l, false
	}
	switch {
	case l.Unified:
		return l, true
	case l.File == "dir", l.File == "relative", l.File == "use", l.File == "pattern":
		return l, false
	}
	return l, !strings.HasPrefix(l.File, "dir.") // dir.container, dir.monitor.pivot …
}
