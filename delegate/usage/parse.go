package usage

import (
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// parser understands the content of a file. What the kernel has no line for is absent: it
// is older than that. What it would not write is unknown.
type parser func(text string) (n int64, answer machine.Answer)

// number is a file with one.
func number(text string) (int64, machine.Answer) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, machine.Unknown
	}
	return n, machine.Found
}

// numberOrMax is a number, or the word for no limit.
func numberOrMax(text string) (int64, machine.Answer) {
	if strings.TrimSpace(text) == "max" {
		return unlimited, machine.Found
	}
	return number(text)
}

// noLimitV1 is below what v1's memory controller shows for no limit: the largest number of
// pages that it can count, in bytes, which depends on the size of a page (PAGE_COUNTER_MAX).
const noLimitV1 = 1 << 62

func bytesV1(text string) (int64, machine.Answer) {
	n, answer := number(text)
	if n >= noLimitV1 {
		return unlimited, answer
	}
	return n, answer
}

// cpuMax is "QUOTA PERIOD" in microseconds.
func cpuMax(text string) (int64, machine.Answer) {
	first, second, _ := strings.Cut(strings.TrimSpace(text), " ")
	microseconds, answer := numberOrMax(first)
	period, answerPeriod := number(second)
	if answer != machine.Found || answerPeriod != machine.Found || period <= 0 {
		return 0, machine.Unknown
	}
	return quota(microseconds, period), machine.Found
}

// quota makes hundredths of a percent of one CPU of a quota and its period. A quota of -1
// is v1's for no limit.
func quota(microseconds, period int64) int64 {
	if microseconds < 0 || microseconds == unlimited || period <= 0 {
		return unlimited
	}
	return int64(float64(microseconds) * 10000 / float64(period))
}

// keyed is the number after a word that begins a line: "oom_kill 3".
func keyed(key string) parser {
	return func(text string) (int64, machine.Answer) {
		for line := range strings.Lines(text) {
			if rest, found := strings.CutPrefix(line, key+" "); found {
				return number(rest)
			}
		}
		return 0, machine.Absent
	}
}

// perDevice adds up a key of io.stat: "8:0 rbytes=1 wbytes=2 ...". In an empty file
// nothing was read or written.
func perDevice(key string) parser {
	return func(text string) (sum int64, answer machine.Answer) {
		for word := range strings.FieldsSeq(text) {
			value, found := strings.CutPrefix(word, key+"=")
			if !found {
				continue
			}
			n, answer := number(value)
			if answer != machine.Found {
				return 0, answer
			}
			sum += n
		}
		return sum, machine.Found
	}
}

// operation adds up one of blkio's: "8:0 Read 1".
func operation(name string) parser {
	return func(text string) (sum int64, answer machine.Answer) {
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) != 3 || fields[1] != name {
				continue
			}
			n, answer := number(fields[2])
			if answer != machine.Found {
				return 0, answer
			}
			sum += n
		}
		return sum, machine.Found
	}
}

// avg10 is the share of the last ten seconds, in hundredths of a percent, of a line such as
// "some avg10=0.25 avg60=0.00 avg300=0.00 total=1".
func avg10(kind string) parser {
	return func(text string) (hundredths int64, answer machine.Answer) {
		for line := range strings.Lines(text) {
			rest, isIt := strings.CutPrefix(line, kind+" avg10=")
			if !isIt {
				continue
			}
			value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			percent, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, machine.Unknown
			}
			return int64(percent*100 + 0.5), machine.Found
		}
		return 0, machine.Absent
	}
}
