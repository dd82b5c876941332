package limitcheck

import (
	"fmt"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
)

// more finds limits that are above what this machine, or the container, has: they are never
// reached.
func (c *checker) more(r *limitsconf.Rule) {
	if c.Set == nil {
		return
	}
	for i, l := range r.Limits {
		switch v := l.Value; {
		case v.Kind == limits.Quota && len(c.CPUs) > 0 && v.Quota > v.Period*uint64(len(c.CPUs)):
			c.limit(r, i, Warning, fmt.Sprintf("%s is more than the %s here have, and limits nothing", l, cpus(len(c.CPUs))), fmt.Sprintf("give less than %d%%; or leave it for machines that have more", 100*len(c.CPUs)))
		case v.Kind == limits.Number:
			c.moreOf(r, i, l)
		}
	}
}

func cpus(n int) string {
	if n == 1 {
		return "one CPU"
	}
	return fmt.Sprintf("%d CPUs", n)
}

func (c *checker) moreOf(r *limitsconf.Rule, i int, l limits.Limit) {
	name, have := l.Name, sizeText
	switch name {
	case limits.MemoryHigh:
		name = limits.MemoryMax
	case limits.MemoryMax:
	case limits.PidsMax:
		have = func(n uint64) string { return fmt.Sprintf("%d processes and threads", n) }
	default: // swap space may be added at any time
		return
	}
	if c.totals == nil {
		c.totals = limits.ReadTotals(c.Machine, c.Set, "/user/NAME")
	}
	if total, known := c.totals[name]; known && l.Value.Number > total {
		c.limit(r, i, Warning, fmt.Sprintf("%s is more than the %s that there are here, and limits nothing", l, have(total)), "give less, or a percentage; or leave it for machines that have more")
	}
}

func sizeText(n uint64) string {
	const units = "KMGTPE"
	size, unit := float64(n), -1
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit < 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f%c", size, units[unit])
}
