package machine

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatStat returns the path's line for StatFile, without a newline.
func FormatStat(path string, s Stat) string {
	return fmt.Sprintf("%06o %d %d %s %s", s.Mode, s.UID, s.GID, s.flags(), path)
}

func (s Stat) flags() string {
	var flags []string
	switch {
	case s.Capable && s.Capabilities == AllCapabilities:
		flags = append(flags, "cap")
	case s.Capable:
		flags = append(flags, fmt.Sprintf("cap=%x", s.Capabilities))
	}
	if s.NoSetUID {
		flags = append(flags, "nosuid")
	}
	if len(s.Searchers) > 0 {
		flags = append(flags, "search="+strings.ReplaceAll(strings.Trim(fmt.Sprint(s.Searchers), "[]"), " ", ":"))
	}
	switch {
	case s.Delegated:
		flags = append(flags, "delegate")
	case s.Undelegated:
		flags = append(flags, "no-delegate")
	}
	if len(flags) == 0 {
		return "-"
	}
	return strings.Join(flags, ",")
}

// parseStat takes a line of StatFile apart.
func parseStat(line string) (s Stat, path string, ok bool) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) < 5 {
		return s, "", false
	}
	mode, err := strconv.ParseUint(fields[0], 8, 32)
	if err != nil {
		return s, "", false
	}
	s.Mode = uint32(mode)
	var hasOwner, hasGroup bool
	s.UID, hasOwner = parseID(fields[1])
	s.GID, hasGroup = parseID(fields[2])
	for flag := range strings.SplitSeq(fields[3], ",") {
		if !s.addFlag(flag) {
			return s, "", false
		}
	}
	return s, fields[4], hasOwner && hasGroup
}

// addFlag adds one of the flags; it returns false for one that is malformed.
func (s *Stat) addFlag(flag string) (ok bool) {
	key, value, hasValue := strings.Cut(flag, "=")
	switch {
	case flag == "cap":
		s.Capable, s.Capabilities = true, AllCapabilities
	case flag == "nosuid":
		s.NoSetUID = true
	case flag == "delegate":
		s.Delegated = true
	case flag == "no-delegate":
		s.Undelegated = true
	case key == "cap" && hasValue:
		set, err := strconv.ParseUint(value, 16, 64)
		s.Capable, s.Capabilities = true, set
		return err == nil
	case key == "search" && hasValue:
		for word := range strings.SplitSeq(value, ":") {
			uid, ok := parseID(word)
			if !ok {
				return false
			}
			s.Searchers = append(s.Searchers, uid)
		}
	}
	return true
}

func parseID(s string) (id int, ok bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil
}
