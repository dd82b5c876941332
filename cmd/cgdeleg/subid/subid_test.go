package subid

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func read(t *testing.T, data string) ([]Range, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "subuid"), []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return Read(machine.Recorded(dir), "/subuid")
}

// Lines of subuid(5).
func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []Range
	}{
		{"empty file", "", nil},
		{"two users", "alice:100000:65536\nbob:165536:65536\n", []Range{{"alice", 100000, 65536, 1}, {"bob", 165536, 65536, 2}}},
		{"owner by number", "1000:100000:65536\n", []Range{{"1000", 100000, 65536, 1}}},
		{"no newline at the end", "alice:1:2", []Range{{"alice", 1, 2, 1}}},
		{"empty lines and comments", "\n# a:1:2\n \t\nalice:1:2\n", []Range{{"alice", 1, 2, 4}}},
		{"lines for NIS", "+alice:1:2\n-bob\nalice:1:2\n", []Range{{"alice", 1, 2, 3}}},
		{"hexadecimal and octal", "a:0x10:010\n", []Range{{"a", 16, 8, 1}}},
		{"zero", "a:0:0\n", []Range{{"a", 0, 0, 1}}},
		{"plus and blanks, as strtoul", "a: +1:\t2\n", []Range{{"a", 1, 2, 1}}},
		{"fourth field", "a:1:2:3:x\n", []Range{{"a", 1, 2, 1}}},
		{"same user twice", "a:1:2\na:5:2\n", []Range{{"a", 1, 2, 1}, {"a", 5, 2, 2}}},
		{"spaces belong to the owner", " a :1:2\n", []Range{{" a ", 1, 2, 1}}},
		{"IDs that no kernel has", "a:4294967296:18446744069414584319\n", []Range{{"a", 1 << 32, math.MaxUint64 - 1<<32, 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(t, test.data)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

// What shadow ignores is an error, beside all other lines.
func TestReadMalformed(t *testing.T) {
	for _, test := range []struct{ name, line, reason string }{
		{"one field", "alice", "fewer than three fields"},
		{"two fields", "alice:1", "fewer than three fields"},
		{"no owner", ":1:2", "no owner"},
		{"no first", "alice::2", "bad number"},
		{"no count", "alice:1:", "bad number"},
		{"words", "alice:one:2", "bad number"},
		{"blank after a number", "alice:1 :2", "bad number, followed by a blank"},
		{"carriage return", "alice:1:2\r", "bad number, followed by a carriage return"},
		{"negative", "alice:-1:2", "bad number"},
		{"two signs", "alice:++1:2", "bad number"},
		{"fraction", "alice:1.5:2", "bad number"},
		{"underscore", "alice:1_0:2", "bad number"},
		{"no octal", "alice:08:2", "bad number"},
		{"hexadecimal without digits", "alice:0x:2", "bad number"},
		{"Go's octal", "alice:0o7:2", "bad number"},
		{"too large", "alice:18446744073709551616:1", "bad number"},
		{"overflow", "alice:1:18446744073709551615", "range beyond all numbers"},
		{"too long", strings.Repeat("a", 1020) + ":1:2", "more than 1023 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(t, "a:1:2\n"+test.line+"\nnext\nb:3:4\n")
			var parse *confparse.ParseError
			if !errors.As(err, &parse) || *parse != (confparse.ParseError{File: "/subuid", Line: 2, Text: test.line, Reason: test.reason}) {
				t.Errorf("got %+v", err)
			}
			if want := []Range{{"a", 1, 2, 1}, {"b", 3, 4, 4}}; !reflect.DeepEqual(got, want) {
				t.Errorf("other lines: %v", got)
			}
		})
	}
}

func TestReadMissing(t *testing.T) {
	for _, test := range []struct {
		name string
		file string // of the recording
		want error
	}{
		{"absent", machine.StatFile, fs.ErrNotExist},
		{"not recorded", "other", machine.ErrNotRecorded},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			all, err := Read(machine.Recorded(dir), "/etc/subgid")
			var path *fs.PathError
			if !errors.As(err, &path) || path.Path != "/etc/subgid" || !errors.Is(err, test.want) || all != nil {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}

func TestParseErrorText(t *testing.T) {
	err := &confparse.ParseError{File: "/etc/subuid", Line: 3, Text: "\x1b" + strings.Repeat("x", 1000), Reason: "why"}
	if got := err.Error(); !strings.HasPrefix(got, `/etc/subuid:3: why in "\x1bxx`) || len(got) > 300 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestOf(t *testing.T) {
	alice, number, bob, like := Range{"alice", 1, 2, 1}, Range{"1000", 3, 4, 2}, Range{"bob", 5, 6, 3}, Range{"01000", 7, 8, 4}
	all := []Range{alice, number, bob, like}
	if got, want := Of(all, 1000, "alice", "bob"), all[:3]; !reflect.DeepEqual(got, want) {
		t.Errorf("two names: got %v, want %v", got, want)
	}
	for _, test := range []struct {
		name string
		uid  int
		want []Range
	}{
		{"alice", 1000, []Range{alice, number}},
		{"bob", 1001, []Range{bob}},
		{"carol", 1000, []Range{number}},
		{"carol", 1002, nil},
		{"alice", -1, []Range{alice}},
		{"", 0, nil},
	} {
		if got := Of(all, test.uid, test.name); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s, %d: got %v, want %v", test.name, test.uid, got, test.want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	alice := Range{Owner: "alice", First: 100, Count: 10}
	for _, test := range []struct {
		name  string
		other Range
		want  bool
	}{
		{"the same", Range{Owner: "bob", First: 100, Count: 10}, true},
		{"last ID", Range{Owner: "bob", First: 109, Count: 1}, true},
		{"right behind", Range{Owner: "bob", First: 110, Count: 10}, false},
		{"first ID", Range{Owner: "bob", First: 91, Count: 10}, true},
		{"right before", Range{Owner: "bob", First: 90, Count: 10}, false},
		{"within", Range{Owner: "bob", First: 103, Count: 1}, true},
		{"around", Range{Owner: "bob", First: 0, Count: math.MaxUint64}, true},
		{"empty", Range{Owner: "bob", First: 103, Count: 0}, false},
		{"his own, by number", Range{Owner: "7", First: 100, Count: 10}, false},
		{"his own, by name", Range{Owner: "alice", First: 100, Count: 10}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Overlaps([]Range{test.other, alice}, 7, "alice")
			var want [][2]Range
			if test.want {
				want = [][2]Range{{alice, test.other}}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	r := func(first, count uint64) Range { return Range{First: first, Count: count} }
	for _, test := range []struct {
		name         string
		ranges       []Range
		first, count uint64
		want         bool
	}{
		{"none", nil, 1, 1, false},
		{"exactly", []Range{r(10, 5)}, 10, 5, true},
		{"one more", []Range{r(10, 5)}, 10, 6, false},
		{"one earlier", []Range{r(10, 5)}, 9, 5, false},
		{"within", []Range{r(10, 5)}, 12, 1, true},
		{"adjacent", []Range{r(10, 5), r(15, 5)}, 10, 10, true},
		{"adjacent, in any order", []Range{r(20, 5), r(10, 5), r(15, 5)}, 11, 14, true},
		{"overlapping", []Range{r(10, 8), r(12, 2), r(15, 5)}, 10, 10, true},
		{"gap", []Range{r(10, 5), r(16, 5)}, 10, 10, false},
		{"empty range in a gap", []Range{r(10, 5), r(15, 0), r(16, 5)}, 10, 10, false},
		{"no IDs", []Range{r(10, 5)}, 12, 0, false},
		{"overflow", []Range{r(0, math.MaxUint64)}, 2, math.MaxUint64, false},
		{"everything", []Range{r(0, math.MaxUint64)}, 0, math.MaxUint64, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Covers(test.ranges, test.first, test.count); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestFree(t *testing.T) {
	r := func(first, count uint64) Range { return Range{First: first, Count: count} }
	const last = math.MaxUint32 - 1
	for _, test := range []struct {
		name  string
		count uint64
		lists [][]Range
		want  uint64 // 0: none
	}{
		{"no lists", 65536, nil, 100000},
		{"empty lists", 65536, [][]Range{nil, nil}, 100000},
		{"behind one", 65536, [][]Range{{r(100000, 65536)}}, 165536},
		{"free in one list only", 65536, [][]Range{{r(100000, 65536)}, {r(165536, 65536)}}, 231072},
		{"in a gap", 10, [][]Range{{r(100020, 10), r(100000, 10)}}, 100010},
		{"gap too small", 11, [][]Range{{r(100020, 10), r(100000, 10)}}, 100030},
		{"gap before the first", 10, [][]Range{{r(100010, 10)}}, 100000},
		{"below the lowest", 10, [][]Range{{r(0, 1000)}}, 100000},
		{"across the lowest", 10, [][]Range{{r(0, 100005)}}, 100005},
		{"empty range is in nobody's way", 10, [][]Range{{r(100005, 0)}}, 100000},
		{"a short one behind a long one", 10, [][]Range{{r(100000, 1000), r(100100, 10)}}, 101000},
		{"up to the last ID", last - 100000 + 1, nil, 100000},
		{"one more", last - 100000 + 2, nil, 0},
		{"only the last ID is left", 1, [][]Range{{r(0, last)}}, last},
		{"no ID is left", 1, [][]Range{{r(0, last+1)}}, 0},
		{"ranges beyond all IDs", 1, [][]Range{{r(0, math.MaxUint64)}}, 0},
		{"range that starts beyond", 10, [][]Range{{r(math.MaxUint64, 0), r(math.MaxUint64-1, 1)}}, 100000},
		{"more than there are", math.MaxUint64, nil, 0},
		{"none wanted", 0, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := Free(test.count, test.lists...)
			if got != test.want && ok || ok != (test.want != 0) {
				t.Errorf("got %d, %v; want %d", got, ok, test.want)
			}
		})
	}
}

func TestFreeIn(t *testing.T) {
	r := func(first, count uint64) Range { return Range{First: first, Count: count} }
	for _, test := range []struct {
		name    string
		extents []Range
		taken   []Range
		want    uint64 // 0: none
	}{
		{"all IDs", []Range{r(0, math.MaxUint32)}, nil, 100000},
		{"no extents", nil, nil, 0},
		{"end of the only one", []Range{r(0, 165536)}, nil, 100000},
		{"one ID too few", []Range{r(0, 165535)}, nil, 0},
		{"not across a border", []Range{r(0, 131072), r(131072, 131072)}, nil, 131072},
		{"in the second, behind what is taken", []Range{r(0, 131072), r(131072, 131072)}, []Range{r(131000, 100)}, 131100},
		{"extents in no order", []Range{r(300000, 65536), r(200000, 65536)}, nil, 200000},
		{"all taken", []Range{r(200000, 65536)}, []Range{r(200000, 1)}, 0},
		{"beyond all IDs", []Range{r(0, math.MaxUint64)}, []Range{r(0, math.MaxUint32)}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := FreeIn(test.extents, 65536, test.taken)
			if got != test.want || ok != (test.want != 0) {
				t.Errorf("got %d, %v; want %d", got, ok, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"", "alice:100000:65536\nbob:165536:65536\n", "a:0x10:010", "a:4294967295:1\n", "#\n+\n\nx\n", "a:1:18446744073709551615", ":::"} {
		f.Add(s, uint64(65536))
	}
	f.Fuzz(func(t *testing.T, data string, count uint64) {
		all, bad := parse(data)
		for _, line := range bad {
			if line.Line < 1 || line.Reason == "" {
				t.Errorf("%v", line)
			}
		}
		for _, r := range all {
			if r.Count > 0 && !Covers(all, r.First, r.Count) {
				t.Errorf("%v is not covered by all", r)
			}
			if r.Owner == "" || r.Line < 1 || r.end() < r.First {
				t.Errorf("%+v", r)
			}
		}
		Overlaps(all, 1000, "alice")
		first, ok := Free(count, all)
		if !ok {
			return
		}
		found := Range{Owner: "x", First: first, Count: count}
		if first < lowest || found.end() > limit {
			t.Errorf("%v is not within all IDs", found)
		}
		for _, r := range all {
			if r.overlaps(found) {
				t.Errorf("%v is not free: %v", found, r)
			}
		}
	})
}

// Arithmetic on ranges.
func TestRanges(t *testing.T) {
	r := func(numbers ...uint64) (all []Range) {
		for i := 0; i+1 < len(numbers); i += 2 {
			all = append(all, Range{First: numbers[i], Count: numbers[i+1]})
		}
		return all
	}
	const last = 1<<64 - 1
	for _, test := range []struct {
		name      string
		got, want []Range
	}{
		{"no union", Union(nil), nil},
		{"union", Union(r(10, 5, 0, 3, 12, 10, 22, 1, 40, 0)), r(0, 3, 10, 13)},
		{"union at the end", Union(r(last-4, 4, 5, 1)), r(5, 1, last-4, 4)},
		{"all is missing", Missing(nil, 5, 3), r(5, 3)},
		{"nothing is missing", Missing(r(0, 10), 5, 3), nil},
		{"the beginning is missing", Missing(r(6, 10), 5, 3), r(5, 1)},
		{"the middle is missing", Missing(r(0, 6, 7, 10), 5, 3), r(6, 1)},
		{"the end is missing", Missing(r(0, 6), 5, 3), r(6, 2)},
		{"inside", Inside(r(0, 5, 4, 2, 9, 3), r(0, 5, 5, 7)), r(0, 5, 9, 3)},
		{"within", Within(r(4, 2, 20, 1), r(0, 5, 5, 7)), r(4, 1, 5, 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !slices.Equal(test.got, test.want) {
				t.Errorf("got %v, want %v", test.got, test.want)
			}
		})
	}
	if pairs := Repeated(r(0, 10, 20, 5, 5, 2, 22, 1, 30, 1)); len(pairs) != 2 || pairs[0][1].First != 5 || pairs[1][1].First != 22 {
		t.Errorf("repeated: %v", pairs)
	}
}

// What somebody meant by lines that shadow does not understand.
func TestClaims(t *testing.T) {
	for line, want := range map[string][]Range{
		"bob:100000:65536alice:165536:65536": {{First: 100000, Count: 65536}, {First: 165536, Count: 65536}},
		"bob:100000:65536 ":                  {{First: 100000, Count: 65536}},
		"bob 100000 65536":                   {{First: 100000, Count: 65536}},
		":100000:65536":                      {{First: 100000, Count: 65536}},
		"1000:100000:65536x":                 {{First: 100000, Count: 65536}},
		"bob:100000-165535":                  {{First: 100000, Count: 65536}},
		"bob:165535-100000":                  nil,
		"bob:100000":                         nil,
		"bob":                                nil,
		"":                                   nil,
		"bob:4294967000:65536x":              nil,
		"bob:0x186a0:65536x":                 {{First: 100000, Count: 65536}},
	} {
		if got := Claims(line); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

// Lines that are two.
func TestFused(t *testing.T) {
	for line, want := range map[string]string{
		"bob:100000:65536alice:165536:65536": "bob:100000:65536",
		"bob:100000:655361000:165536:65536":  "bob:100000:65536", // alice is 1000
		"bob:100000:655361001:165536:65536":  "",
		"bob:100000:65536:alice:165536":      "",
		"bob:100000:alice:165536:65536":      "",
		"bob:100000:65536alice:165536:x":     "",
		"bob:100000:65536alice:165536":       "",
		"bob:100000:65536":                   "",
	} {
		one, two, at := Fused(line, "1000")
		if line[:at] != want || at > 0 && (one.Count != 65536 || two.First != 165536) {
			t.Errorf("%q: %+v and %+v, from %d on", line, one, two, at)
		}
	}
}
