package storms

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sample is how much of the machine is in use.
type Sample struct {
	Sessions    int
	Cgroups     int // of all hierarchies (proc/cgroups), those too that the kernel has yet to free
	Slab        int // the kernel's memory that it cannot free (SUnreclaim), in MB
	Memory      int // of the server, in kB
	Descriptors int // the same
	Logged      int // lines in the system's log
}

func (s Sample) String() string {
	return fmt.Sprintf("%7d sessions: %d cgroups, %d MB slab, server %d kB and %d descriptors, %d lines logged",
		s.Sessions, s.Cgroups, s.Slab, s.Memory, s.Descriptors, s.Logged)
}

// Watch takes samples.
type Watch struct {
	Server int        // the PID of cgdeleg serve; 0: there is none
	Logged func() int // how many lines are in the log
}

func (w Watch) sample(sessions int) Sample {
	s := Sample{Sessions: sessions, Cgroups: cgroups(), Slab: number("/proc/meminfo", "SUnreclaim:") >> 10}
	if w.Server > 0 {
		proc := fmt.Sprintf("/proc/%d/", w.Server)
		s.Memory = number(proc+"status", "VmRSS:")
		all, _ := os.ReadDir(proc + "fd")
		s.Descriptors = len(all)
	}
	if w.Logged != nil {
		s.Logged = w.Logged()
	}
	return s
}

// cgroups adds up the third column of /proc/cgroups.
func cgroups() (sum int) {
	data, _ := os.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 4 {
			n, _ := strconv.Atoi(fields[2]) // not of the heading
			sum += n
		}
	}
	return sum
}

// number returns what stands after a word in a file.
func number(file, word string) (n int) {
	data, _ := os.ReadFile(file)
	_, after, _ := bytes.Cut(data, []byte(word))
	_, _ = fmt.Sscan(string(after), &n)
	return n
}

// Soak logs somebody in and out again and again, by some programs at once, until that many
// sessions were opened, or the time is over. It takes that many samples, the first after a
// part of the sessions, so that caches are filled.
func (f *Field) Soak(sessions, programs, samples int, latest time.Time, w Watch) (c *Count, all []Sample) {
	c = &Count{Storm: "soak"}
	begun := time.Now()
	for i := range samples + 1 {
		var running sync.WaitGroup
		var mutex sync.Mutex
		for p := range programs {
			running.Go(func() {
				for n := p; n < sessions/(samples+1) && time.Now().Before(latest); n += programs {
					l := f.login(f.someone(), way(n%2), nil)
					mutex.Lock()
					f.add(c, l)
					mutex.Unlock()
				}
			})
		}
		running.Wait()
		f.clear(f.Users)
		all = append(all, w.sample(c.All))
		if i > 0 && time.Now().After(latest) {
			break
		}
	}
	c.Took = time.Since(begun)
	slices.Sort(c.Opens)
	return c, all
}

// Day is what cron and sudo do on a busy machine in a day: in each of the 1,440 minutes ten
// jobs begin at the same moment, and between these people call sudo 20 times. A day may be
// shorter: minute is how long one takes.
func (f *Field) Day(minutes int, minute time.Duration, w Watch) (c *Count, all []Sample) {
	c = &Count{Storm: "a day of cron and sudo"}
	begun := time.Now()
	var mutex sync.Mutex
	one := func(running *sync.WaitGroup, user string, after time.Duration) {
		running.Go(func() {
			time.Sleep(after)
			l := f.login(user, inside, nil)
			mutex.Lock()
			f.add(c, l)
			mutex.Unlock()
		})
	}
	for m := range minutes {
		var running sync.WaitGroup
		next := time.Now().Add(minute)
		for job := range 10 {
			one(&running, f.Users[job%len(f.Users)], 0)
		}
		for range 20 {
			one(&running, f.someone(), rand.N(minute))
		}
		running.Wait()
		time.Sleep(time.Until(next))
		if m%max(minutes/10, 1) == 0 {
			all = append(all, w.sample(c.All))
		}
	}
	c.Took = time.Since(begun)
	c.Left = f.clear(f.Users)
	slices.Sort(c.Opens)
	return c, all
}

// Grows says what is more in the last sample than in the first, beyond what comes and goes;
// "" if nothing is.
func Grows(all []Sample) string {
	first, last := all[0], all[len(all)-1]
	var grown []string
	for _, of := range []struct {
		name            string
		from, to, spare int
	}{
		// what others do on the machine at the same time is in the first two
		{"cgroups", first.Cgroups, last.Cgroups, 300},
		{"MB of slab", first.Slab, last.Slab, 100},
		{"kB of the server", first.Memory, last.Memory, 8192},
		{"descriptors of the server", first.Descriptors, last.Descriptors, 4},
	} {
		if of.to > of.from+of.spare {
			grown = append(grown, fmt.Sprintf("%s: %d, then %d", of.name, of.from, of.to))
		}
	}
	return strings.Join(grown, "; ")
}
