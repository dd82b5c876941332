package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// limitWords are the limits of a command as people think of them.
type limitWords struct {
	memory, swap, cpus, tasks string
	io                        []string
}

func (w *limitWords) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.memory, "memory", "", "at most so much memory: `SIZE` is 512M, 1.5G, 20% or max")
	cmd.Flags().StringVar(&w.swap, "swap", "", "at most so much swap space: `SIZE` as with --memory, 0 for none")
	cmd.Flags().StringVar(&w.cpus, "cpus", "", "at most the time of so many CPUs: `N` is 1.5, 0.25 or max")
	cmd.Flags().StringVar(&w.tasks, "tasks", "", "at most so many processes and threads: `N` is 100, 20% or max")
	cmd.Flags().StringArrayVar(&w.io, "io", nil, "read and write a device, or the one that a path is on, at most at these rates: `DEVICE,RATE...` is /home,rbps=10M,wbps=5M,riops=100,wiops=max")
}

// optionOf are the options by the limits that they give.
var optionOf = map[limits.Name]string{
	limits.MemoryMax: "--memory", limits.MemorySwapMax: "--swap", limits.CPUMax: "--cpus", limits.PidsMax: "--tasks", limits.IOMax: "--io",
}

// parse returns the limits that are given. An empty value is one, and wrong: a variable of
// a script that is not set must not mean that there is no limit. Errors are *usageError.
func (w *limitWords) parse(isGiven func(option string) bool) (list []limits.Limit, err error) {
	add := func(name limits.Name, given string, value func(given string) (string, error)) {
		if err != nil || !isGiven(strings.TrimPrefix(optionOf[name], "--")) {
			return
		}
		var text string
		if text, err = value(given); err != nil {
			return
		}
		l, wrong := limits.Parse(string(name) + "=" + text)
		if wrong != nil {
			err = inOption(name, given, wrong)
			return
		}
		if l.Name == limits.MemoryMax && l.Value.Kind == limits.Number && l.Value.Number < leastMemory {
			err = &usageError{fmt.Errorf("--memory %q: no program starts in less than 1M; want bytes with K, M, G or T: 512M, 1.5G", given)}
			return
		}
		isSame := func(other limits.Limit) bool { return other.Name == l.Name && other.Value.Device == l.Value.Device }
		if slices.ContainsFunc(list, isSame) {
			err = &usageError{fmt.Errorf("--io %q: there are two options for %s; give all its rates in one", given, printable(l.Value.Device))}
			return
		}
		list = append(list, l)
	}
	add(limits.MemoryMax, w.memory, asGiven)
	add(limits.MemorySwapMax, w.swap, asGiven)
	add(limits.CPUMax, w.cpus, percentOfCPUs)
	add(limits.PidsMax, w.tasks, asGiven)
	for _, word := range w.io {
		add(limits.IOMax, word, ratesText)
	}
	return list, err
}

// leastMemory is what a program needs at least; who gives less has forgotten the unit.
const leastMemory = 1 << 20

func asGiven(given string) (string, error) { return given, nil }

const wantCPUs = "a number of CPUs with four digits after the point at most, or max: 1.5, 0.25"

// inOption says what is wrong with an option's value.
func inOption(name limits.Name, given string, err error) error {
	var wrong *limits.ValueError
	if !errors.As(err, &wrong) {
		return &usageError{fmt.Errorf("%s %.200q: %w", optionOf[name], given, err)}
	}
	return &usageError{fmt.Errorf("%s %.200q: %s; want %s", optionOf[name], given, wrong.Reason, wantIn(name, wrong.Want))}
}

// wantIn is what would be right: as it is written in the option.
func wantIn(name limits.Name, want string) string {
	switch name {
	case limits.CPUMax:
		return wantCPUs + "; at least 0.001"
	case limits.IOMax:
		return "a device, or a path on one, and rates: /dev/sda,rbps=10M,wbps=max,riops=100,wiops=100"
	}
	return want
}

// percentOfCPUs makes of a number of CPUs what cpu.max is written as: percent of one.
func percentOfCPUs(cpus string) (percent string, err error) {
	if cpus == "max" || cpus == "infinity" {
		return cpus, nil
	}
	whole, fraction, isDecimal := strings.Cut(cpus, ".")
	isNumber := whole+fraction != "" && strings.Trim(whole+fraction, "0123456789") == ""
	if !isNumber || isDecimal && fraction == "" || len(fraction) > 4 {
		return "", &usageError{fmt.Errorf("--cpus %.200q: want %s", cpus, wantCPUs)}
	}
	fraction = (fraction + "0000")[:4]
	return whole + fraction[:2] + "." + fraction[2:] + "%", nil
}

// ratesText is a device with its rates as limits.conf has it. Commas need no quotes in a
// shell; who writes blanks may have commas in the path.
func ratesText(word string) (string, error) {
	if strings.ContainsAny(word, " \t") {
		return word, nil
	}
	return strings.ReplaceAll(word, ",", " "), nil
}

// inScopeFlag tells a cgdeleg that it has a scope of systemd's to itself.
const inScopeFlag = "in-scope"

// givenFlags are the options of a command as they can be given to another one.
func givenFlags(cmd *cobra.Command) (words []string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, isList := f.Value.(pflag.SliceValue); isList {
			for _, value := range list.GetSlice() {
				words = append(words, "--"+f.Name+"="+value)
			}
			return
		}
		words = append(words, "--"+f.Name+"="+f.Value.String())
	})
	return words
}
