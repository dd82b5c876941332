package main

import (
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// What `cgdeleg usage --json` writes; docs/json.md describes it. What is not known is
// null, and named in one of two lists.
type (
	jsonUsages struct {
		Schema int             `json:"schema"`
		Users  []jsonUserUsage `json:"users"`
	}
	jsonUserUsage struct {
		User     string             `json:"user"`
		Usage    jsonUsage          `json:"usage"`
		Sessions []jsonSessionUsage `json:"sessions"`
	}
	jsonSessionUsage struct {
		Session *int      `json:"session"`
		Scope   *string   `json:"scope"`
		Own     bool      `json:"own"`
		Usage   jsonUsage `json:"usage"`
	}
	jsonUsage struct {
		Memory      jsonMemory    `json:"memory"`
		CPU         jsonCPU       `json:"cpu"`
		Processes   jsonProcesses `json:"processes"`
		IO          jsonIO        `json:"io"`
		Controllers []string      `json:"controllers"`
		NotCounted  []string      `json:"not_counted"`
		NotReadable []string      `json:"not_readable"`
	}
	jsonMemory struct {
		Bytes      *int64        `json:"bytes"`
		Peak       *int64        `json:"peak_bytes"`
		Limit      *jsonLimit    `json:"limit"`
		High       *jsonLimit    `json:"high"`
		Swap       *int64        `json:"swap_bytes"`
		SwapLimit  *jsonLimit    `json:"swap_limit"`
		TotalLimit *jsonLimit    `json:"memory_and_swap_limit"`
		OOMKills   *int64        `json:"oom_kills"`
		LimitHits  *int64        `json:"limit_hits"`
		Pressure   *jsonPressure `json:"pressure"`
	}
	jsonCPU struct {
		Seconds          *float64      `json:"seconds"`
		Limit            *jsonLimit    `json:"limit"`
		Periods          *int64        `json:"periods"`
		ThrottledPeriods *int64        `json:"throttled_periods"`
		ThrottledSeconds *float64      `json:"throttled_seconds"`
		Pressure         *jsonPressure `json:"pressure"`
	}
	jsonProcesses struct {
		Count   *int64     `json:"count"`
		Peak    *int64     `json:"peak"`
		Limit   *jsonLimit `json:"limit"`
		Refused *int64     `json:"refused_forks"`
	}
	jsonIO struct {
		Read     *int64        `json:"read_bytes"`
		Written  *int64        `json:"written_bytes"`
		Pressure *jsonPressure `json:"pressure"`
	}
	jsonLimit struct {
		Value     float64 `json:"value"`
		Used      *int64  `json:"used"`
		File      string  `json:"file"`
		Hierarchy string  `json:"hierarchy"`
		Cgroup    string  `json:"cgroup"`
		Own       bool    `json:"own"`
	}
	jsonPressure struct {
		Some float64 `json:"some_percent"`
		Full float64 `json:"full_percent"`
	}
)

func usageJSON(users []usage.User) jsonUsages {
	all := jsonUsages{Schema: schemaVersion, Users: []jsonUserUsage{}}
	for i := range users {
		u := &users[i]
		one := jsonUserUsage{User: u.Name, Usage: oneUsageJSON(&u.Usage, u.Controllers), Sessions: []jsonSessionUsage{}}
		for j := range u.Sessions {
			s := &u.Sessions[j]
			one.Sessions = append(one.Sessions, jsonSessionUsage{
				Session: known(s.Number, s.Number >= 0), Scope: known(s.Scope, s.Scope != ""), Own: s.Own, Usage: oneUsageJSON(&s.Usage, s.Controllers),
			})
		}
		all.Users = append(all.Users, one)
	}
	return all
}

// usageLists collects what is null, by why.
type usageLists struct{ notCounted, notReadable []string }

func (l *usageLists) note(name string, answer machine.Answer) (isFound bool) {
	switch answer {
	case machine.Absent:
		l.notCounted = append(l.notCounted, name)
	case machine.Unknown:
		l.notReadable = append(l.notReadable, name)
	}
	return answer == machine.Found
}

func (l *usageLists) count(name string, c usage.Count) *int64 {
	return known(c.N, l.note(name, c.Answer))
}

func (l *usageLists) seconds(name string, c usage.Count) *float64 {
	return known(time.Duration(c.N).Seconds(), l.note(name, c.Answer))
}

// limit has a value in units, of which the kernel's number is a multiple.
func (l *usageLists) limit(name string, limit usage.Limit, unit float64) *jsonLimit {
	if !l.note(name, limit.Answer) || !limit.IsSet {
		return nil
	}
	used, isKnown := limit.Used.Known()
	return &jsonLimit{
		Value: float64(limit.N) / unit, Used: known(used, isKnown), File: limit.File, Hierarchy: limit.Hierarchy, Cgroup: limit.Path, Own: limit.IsOwn,
	}
}

func (l *usageLists) pressure(name string, p usage.Pressure) *jsonPressure {
	return known(jsonPressure{float64(p.Some) / 100, float64(p.Full) / 100}, l.note(name, p.Answer))
}

func oneUsageJSON(u *usage.Usage, controllers []string) jsonUsage {
	l := usageLists{}
	m, c, p, io := u.Memory, u.CPU, u.Processes, u.IO
	j := jsonUsage{
		Memory: jsonMemory{
			Bytes: l.count("memory.bytes", m.Now), Peak: l.count("memory.peak_bytes", m.Peak),
			Limit: l.limit("memory.limit", m.Max, 1), High: l.limit("memory.high", m.High, 1),
			Swap: l.count("memory.swap_bytes", m.Swap), SwapLimit: l.limit("memory.swap_limit", m.SwapMax, 1),
			TotalLimit: l.limit("memory.memory_and_swap_limit", m.TotalMax, 1),
			OOMKills:   l.count("memory.oom_kills", m.OOMKills), LimitHits: l.count("memory.limit_hits", m.Hits),
			Pressure: l.pressure("memory.pressure", m.Pressure),
		},
		CPU: jsonCPU{
			Seconds: l.seconds("cpu.seconds", c.Used), Limit: l.limit("cpu.limit", c.Max, 100), Periods: l.count("cpu.periods", c.Periods),
			ThrottledPeriods: l.count("cpu.throttled_periods", c.Throttled), ThrottledSeconds: l.seconds("cpu.throttled_seconds", c.ThrottledTime),
			Pressure: l.pressure("cpu.pressure", c.Pressure),
		},
		Processes: jsonProcesses{
			Count: l.count("processes.count", p.Now), Peak: l.count("processes.peak", p.Peak), Limit: l.limit("processes.limit", p.Max, 1),
			Refused: l.count("processes.refused_forks", p.Refused),
		},
		IO: jsonIO{
			Read: l.count("io.read_bytes", io.Read), Written: l.count("io.written_bytes", io.Written), Pressure: l.pressure("io.pressure", io.Pressure),
		},
		Controllers: orEmpty(controllers),
	}
	j.NotCounted, j.NotReadable = orEmpty(l.notCounted), orEmpty(l.notReadable)
	return j
}
