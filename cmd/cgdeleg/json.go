package main

import (
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// What `cgdeleg status --json` writes; docs/json.md describes it. What is not
// known is null.
type (
	jsonStatus struct {
		Schema   int           `json:"schema"`
		Sessions []jsonSession `json:"sessions"`
	}
	jsonSession struct {
		User        string       `json:"user"`
		Session     *int         `json:"session"`
		Scope       *string      `json:"scope"`
		Own         bool         `json:"own"`
		State       string       `json:"state"`
		Leader      *int         `json:"leader"`
		Service     *string      `json:"service"`
		AgeSeconds  *int64       `json:"age_seconds"`
		Processes   int          `json:"processes"`
		MemoryBytes *int64       `json:"memory_bytes"`
		LimitBytes  *int64       `json:"limit_bytes"`
		PeakBytes   *int64       `json:"peak_bytes"`
		OOMKills    *int64       `json:"oom_kills"`
		Controllers []string     `json:"controllers"`
		Cgroups     []jsonCgroup `json:"cgroups"`
		Children    []jsonChild  `json:"children"`
		More        bool         `json:"more_children"`
	}
	jsonCgroup struct {
		Hierarchy   string   `json:"hierarchy"`
		Path        string   `json:"path"`
		Adopted     bool     `json:"adopted"`
		Controllers []string `json:"controllers"`
		Processes   []int    `json:"processes"`
		MemoryBytes *int64   `json:"memory_bytes"`
	}
	jsonChild struct {
		Name        string      `json:"name"`
		Processes   int         `json:"processes"`
		MemoryBytes *int64      `json:"memory_bytes"`
		Children    []jsonChild `json:"children"`
		More        bool        `json:"more_children"`
	}
)

func statusJSON(m machine.Machine, sessions []delegate.Session, used map[*delegate.Session]*usage.Usage) jsonStatus {
	all := jsonStatus{Schema: schemaVersion, Sessions: []jsonSession{}}
	for i := range sessions {
		s := &sessions[i]
		children, more := delegate.ChildrenOf(m, s)
		memory := used[s].Memory
		all.Sessions = append(all.Sessions, jsonSession{
			User: s.User, Session: known(s.Number, s.Number >= 0), Scope: known(s.Scope, s.Scope != ""),
			Own: s.Own, State: stateOf(s),
			Leader: known(s.Leader.PID, s.Leader.PID != 0), Service: known(s.Leader.Name, s.Leader.PID != 0),
			AgeSeconds: known(int64(s.Age/time.Second), s.Age >= 0),
			Processes:  s.Processes(), MemoryBytes: known(s.Memory(), s.Memory() >= 0),
			LimitBytes: known(memory.Max.N, memory.Max.IsSet), PeakBytes: known(memory.Peak.Known()), OOMKills: known(memory.OOMKills.Known()),
			Controllers: controllersOf(s), Cgroups: cgroupsJSON(s.Parts),
			Children: childrenJSON(children), More: more,
		})
	}
	return all
}

func cgroupsJSON(parts []delegate.Part) []jsonCgroup {
	all := []jsonCgroup{}
	for _, p := range parts {
		all = append(all, jsonCgroup{
			Hierarchy: p.Hierarchy, Path: p.Dir, Adopted: p.Adopted,
			Controllers: orEmpty(p.Controllers), Processes: orEmpty(p.Processes),
			MemoryBytes: known(p.Memory, p.Memory >= 0),
		})
	}
	return all
}

func childrenJSON(children []delegate.Child) []jsonChild {
	all := []jsonChild{}
	for _, c := range children {
		all = append(all, jsonChild{
			Name: c.Name, Processes: c.Processes, MemoryBytes: known(c.Memory, c.Memory >= 0),
			Children: childrenJSON(c.Children), More: c.More,
		})
	}
	return all
}

// known returns a pointer to the value, or nil, which is JSON's null.
func known[T any](value T, isKnown bool) *T {
	if !isKnown {
		return nil
	}
	return &value
}

// orEmpty makes an empty JSON array of what would be null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
