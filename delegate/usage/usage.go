package usage

import (
	"cmp"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Count is a number that the kernel counts.
type Count struct {
	// Answer is machine.Found if N counts; Absent if nothing counts this here; Unknown if
	// it could not be read.
	Answer machine.Answer
	N      int64
}

// Known returns the number, and whether it was found.
func (c Count) Known() (n int64, isKnown bool) { return c.N, c.Answer == machine.Found }

// Limit is the limit that a cgroup reaches first: its own, or one of a cgroup above. The
// lowest binds; of equal ones, the nearest.
type Limit struct {
	// Answer is machine.Found if it is known whether there is a limit; Absent if no
	// hierarchy could limit this; Unknown if a file that may hold one could not be read,
	// and no other one holds any.
	Answer machine.Answer
	IsSet  bool  // else there is none, and what follows does not count
	N      int64 // in the units of what is limited

	File      string // that holds it, such as memory.max
	Hierarchy string
	Path      string // of its cgroup, below the mount point
	FromBase  string // the same below the base: /user/alice
	IsOwn     bool   // it is of the very cgroup that was asked about
	// Used is how much of it is used: by all that is in the cgroup that holds it.
	Used Count
}

// Percent returns how much of the limit is used, in percent; ok is false where there is
// no limit, or not known how much of it is used.
func (l Limit) Percent() (percent int64, ok bool) {
	used, isKnown := l.Used.Known()
	if l.Answer != machine.Found || !l.IsSet || !isKnown || l.N <= 0 {
		return 0, false
	}
	return int64(float64(used) * 100 / float64(l.N)), true
}

// Pressure is for how much of the last ten seconds tasks waited for something, in
// hundredths of a percent: some of them, or all (Documentation/accounting/psi.rst).
type Pressure struct {
	Answer     machine.Answer
	Some, Full int64
}

// Memory is in bytes.
type Memory struct {
	Now Count
	// Peak is the most that there was since the cgroup was made (v2: Linux 5.19).
	Peak Count
	Max  Limit
	// High is where the kernel slows a cgroup down; v1 has nothing like it.
	High Limit
	Swap Count
	// SwapMax is v2's limit for swap; TotalMax is v1's for memory and swap together.
	SwapMax, TotalMax Limit
	// OOMKills are the processes in it and below that the kernel killed for want of
	// memory (Linux 4.13). On v1 those in cgroups that were removed are forgotten.
	OOMKills Count
	// Hits is how often the cgroup's own limit was reached.
	Hits     Count
	Pressure Pressure
}

// CPU is what tasks ran.
type CPU struct {
	// Used is in nanoseconds.
	Used Count
	// Max is in hundredths of a percent of one CPU.
	Max Limit
	// Periods, Throttled and ThrottledTime are of the cgroup's own limit: how many of its
	// periods there were with something to run, in how many of these tasks had to wait,
	// and for how many nanoseconds, of all CPUs together.
	Periods, Throttled, ThrottledTime Count
	Pressure                          Pressure
}

// Processes are counted as the kernel limits them: each thread is one.
type Processes struct {
	Now Count
	// Peak is the most that there were (Linux 6.1).
	Peak Count
	Max  Limit
	// Refused is how many forks failed for want of them. Up to Linux 6.10, and on v1, the
	// kernel counts them where the process is that wanted to fork, and forgets them when
	// that cgroup is removed; since then where the limit is, and above.
	Refused Count
}

// IO is in bytes, of all devices together: what goes through a device to another one is
// counted for both.
type IO struct {
	Read, Written Count
	Pressure      Pressure
}

// Usage is what is used in a cgroup, and in all below it.
type Usage struct {
	Memory    Memory
	CPU       CPU
	Processes Processes
	IO        IO
}

// Session is a session and what it uses.
type Session struct {
	*delegate.Session
	Usage Usage
	// Controllers are those of memory, cpu, pids and io that its cgroups have.
	Controllers []string
}

// User is a user and what all sessions use together: what is in user/NAME or, where
// systemd manages logins, in user-UID.slice.
type User struct {
	Name string
	UID  int
	// IsGrouped tells that there is a cgroup that holds all sessions of the user, in some
	// hierarchy. Without one nothing is counted for the user (elogind's sessions have none).
	IsGrouped   bool
	Usage       Usage
	Controllers []string
	Sessions    []Session
}

// Account is a user who is asked about, whether there is a session or not.
type Account struct {
	Name string
	UID  int
}

// Of returns what the users of these sessions, and those accounts, use, sorted by name.
// Each session needs the name of its user. An account that has neither a session nor a
// cgroup is left out. It fails as hierarchy.Find does.
func Of(m machine.Machine, sessions []delegate.Session, accounts ...Account) ([]User, error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	r := &reader{set: set, files: map[file]content{}}
	for i := range sessions {
		s := &sessions[i]
		if !slices.ContainsFunc(accounts, func(a Account) bool { return a.Name == s.User }) {
			accounts = append(accounts, Account{s.User, s.UID})
		}
	}
	var users []User
	for _, a := range accounts {
		u := User{Name: a.Name, UID: a.UID}
		for i := range sessions {
			if s := &sessions[i]; s.User == a.Name {
				g := r.ofSession(s)
				u.Sessions = append(u.Sessions, Session{s, g.usage(), g.controllers()})
			}
		}
		g := r.ofUser(a, u.Sessions)
		u.IsGrouped = len(g.cgroups) > 0
		if u.IsGrouped || len(u.Sessions) > 0 {
			u.Usage, u.Controllers = g.usage(), g.controllers()
			u.fill()
			users = append(users, u)
		}
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return users, nil
}

// fill adds up over the sessions what nothing counts for the user: elogind's scopes are in
// no cgroup that is the user's.
func (u *User) fill() {
	for _, of := range []func(*Usage) *Count{
		func(u *Usage) *Count { return &u.Memory.Now },
		func(u *Usage) *Count { return &u.Memory.Swap },
		func(u *Usage) *Count { return &u.Memory.OOMKills },
		func(u *Usage) *Count { return &u.CPU.Used },
		func(u *Usage) *Count { return &u.Processes.Now },
		func(u *Usage) *Count { return &u.Processes.Refused },
		func(u *Usage) *Count { return &u.IO.Read },
		func(u *Usage) *Count { return &u.IO.Written },
	} {
		if total := of(&u.Usage); total.Answer == machine.Absent {
			*total = u.addUp(of)
		}
	}
}

func (u *User) addUp(of func(*Usage) *Count) Count {
	total := Count{Answer: machine.Absent}
	for i := range u.Sessions {
		switch c := of(&u.Sessions[i].Usage); c.Answer {
		case machine.Unknown:
			return Count{}
		case machine.Found:
			total = Count{machine.Found, total.N + c.N}
		}
	}
	return total
}
