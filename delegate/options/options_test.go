package options

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

func TestParseOptions(t *testing.T) {
	names := func(names ...string) hierarchy.ControllerList { return hierarchy.ControllerList{Names: names} }
	with := func(change func(o *Options)) Options {
		o := Options{Controllers: hierarchy.Everything, Policy: plan.Policy{MinUID: plan.DefaultMinUID}, Timeout: 5 * time.Second}
		change(&o)
		return o
	}
	lists := func(l hierarchy.ControllerList) Options { return with(func(o *Options) { o.Controllers = l }) }
	everything := lists(hierarchy.Everything)
	uid := func(n int) Options { return with(func(o *Options) { o.MinUID = n }) }
	wait := func(d time.Duration) Options { return with(func(o *Options) { o.Timeout = d }) }
	all := with(func(o *Options) {
		o.Controllers, o.Debug, o.MinUID, o.Timeout = names("freezer", "memory", "name=systemd"), true, 1000, 10*time.Second
	})
	const (
		twice   = "-c given more than once: the last one counts"
		unknown = `unknown option "%" ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N`
		badUID  = `option "%": want min_uid=N with a user ID; option ignored`
		badConf = `option "%": want confined=leave or confined=move; option ignored`
		badTime = `option "%": want timeout=N with 1 to 60 seconds; option ignored`
	)
	about := func(text, word string) []string { return []string{strings.Replace(text, "%", word, 1)} }
	for _, test := range []struct {
		name       string
		words      []string
		want       Options
		complaints []string
	}{
		{"none", nil, everything, nil},
		{"pam_cgfs's line", []string{"-c", "freezer,memory,name=systemd"}, lists(names("freezer", "memory", "name=systemd")), nil},
		{"in one word", []string{"-cfreezer"}, lists(names("freezer")), nil},
		{"all", []string{"-c", "all"}, everything, nil},
		{"empty items", []string{"-c", ",,cpu,"}, lists(names("cpu")), nil},
		{"unknown controllers are looked for later", []string{"-c", "nosuch"}, lists(names("nosuch")), nil},
		{"debug", []string{"debug"}, with(func(o *Options) { o.Debug = true }), nil},
		{"min_uid", []string{"min_uid=1000"}, uid(1000), nil},
		{"min_uid of root", []string{"min_uid=0"}, uid(0), nil},
		{"confined=move", []string{"confined=move"}, with(func(o *Options) { o.MoveConfined = true }), nil},
		{"confined=leave", []string{"confined=leave"}, everything, nil},
		{"the last confined= counts", []string{"confined=move", "confined=leave"}, everything, nil},
		{"limits", []string{"limits"}, with(func(o *Options) { o.Limits = true }), nil},
		{"limits=required", []string{"limits=required"}, with(func(o *Options) { o.RequireLimits = true }), nil},
		{"limits, both", []string{"limits", "limits=required"}, with(func(o *Options) { o.Limits, o.RequireLimits = true, true }), nil},
		{"limits with another word", []string{"limits=maybe"}, everything, about(`option "%": want limits=required; option ignored`, "limits=maybe")},
		{"close=wait", []string{"close=wait"}, with(func(o *Options) { o.CloseWaits = true }), nil},
		{"close with another word", []string{"close=later"}, everything, about(`option "%": want close=wait; option ignored`, "close=later")},
		{"close without its value", []string{"close"}, everything, about(unknown, "close")},
		{"timeout", []string{"timeout=10"}, wait(10 * time.Second), nil},
		{"shortest timeout", []string{"timeout=1"}, wait(time.Second), nil},
		{"longest timeout", []string{"timeout=60"}, wait(60 * time.Second), nil},
		{"everything", []string{"-c", "freezer,memory,name=systemd", "debug", "min_uid=1000", "timeout=10"}, all, nil},
		{"everything the other way round", []string{"timeout=10", "min_uid=1000", "debug", "-c", "freezer,memory,name=systemd"}, all, nil},
		{"list between the others", []string{"debug", "-cfreezer,memory,name=systemd", "timeout=10", "min_uid=1000"}, all, nil},
		{"the last number counts", []string{"min_uid=1", "timeout=1", "min_uid=2", "timeout=2"},
			with(func(o *Options) { o.MinUID, o.Timeout = 2, 2*time.Second }), nil},

		{"the last list counts", []string{"-c", "cpu", "-cmemory"}, lists(names("memory")), []string{twice}},
		{"a good list after a bad one", []string{"-c", "all,x", "-c", "memory"}, lists(names("memory")), []string{twice}},
		{"three lists", []string{"-ca", "-cb", "-cc"}, lists(names("c")), []string{twice, twice}},
		{"the word after -c is the list, whatever it is", []string{"-c", "debug"}, lists(names("debug")), nil},

		{"unknown word", []string{"nosuch"}, everything, about(unknown, "nosuch")},
		{"empty word", []string{""}, everything, about(unknown, "")},
		{"long option", []string{"--controllers=cpu"}, everything, about(unknown, "--controllers=cpu")},
		{"debug with a value", []string{"debug=1"}, everything, about(unknown, "debug=1")},
		{"word with a newline", []string{"a\nb"}, everything, about(unknown, `a\nb`)},
		{"10 kB", []string{strings.Repeat("x", 10000)}, everything, about(unknown, strings.Repeat("x", 100))},
		{"unknown words do not stop the others", []string{"nosuch", "debug", "nosuch2", "-c", "cpu"},
			with(func(o *Options) { o.Debug, o.Controllers = true, names("cpu") }), append(about(unknown, "nosuch"), about(unknown, "nosuch2")...)},

		{"min_uid without a number", []string{"min_uid="}, everything, about(badUID, "min_uid=")},
		{"min_uid with a name", []string{"min_uid=alice"}, everything, about(badUID, "min_uid=alice")},
		{"negative min_uid", []string{"min_uid=-1"}, everything, about(badUID, "min_uid=-1")},
		{"min_uid with a sign", []string{"min_uid=+1"}, everything, about(badUID, "min_uid=+1")},
		{"huge min_uid", []string{"min_uid=99999999999999999999"}, everything, about(badUID, "min_uid=99999999999999999999")},
		{"a bad min_uid leaves the good one", []string{"min_uid=7", "min_uid=x"}, uid(7), about(badUID, "min_uid=x")},
		{"min_uid without its value", []string{"min_uid"}, everything, about(unknown, "min_uid")},

		{"confined with another word", []string{"confined=yes"}, everything, about(badConf, "confined=yes")},
		{"confined without a word", []string{"confined="}, everything, about(badConf, "confined=")},
		{"confined without its value", []string{"confined"}, everything, about(unknown, "confined")},
		{"confined in capitals", []string{"confined=MOVE"}, everything, about(badConf, "confined=MOVE")},
		{"a bad confined= changes nothing", []string{"confined=move", "confined=x"}, with(func(o *Options) { o.MoveConfined = true }), about(badConf, "confined=x")},

		{"no timeout", []string{"timeout=0"}, everything, about(badTime, "timeout=0")},
		{"timeout too long", []string{"timeout=61"}, everything, about(badTime, "timeout=61")},
		{"negative timeout", []string{"timeout=-5"}, everything, about(badTime, "timeout=-5")},
		{"timeout with a unit", []string{"timeout=5s"}, everything, about(badTime, "timeout=5s")},
		{"timeout whose nanoseconds overflow", []string{"timeout=2147483647"}, everything, about(badTime, "timeout=2147483647")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, complaints, err := Parse(test.words)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if !slices.Equal(complaints, test.complaints) {
				t.Errorf("complaints %q\nwant       %q", complaints, test.complaints)
			}
		})
	}
}

// There is no guessing what the writer of such a list wanted.
func TestParseOptionsRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		words []string
		list  string
	}{
		{"-c last, without a list", []string{"debug", "-c"}, ""},
		{"empty list", []string{"-c", ""}, ""},
		{"commas alone", []string{"-c", ",,"}, ",,"},
		{"commas alone in one word", []string{"-c,,"}, ",,"},
		{"all and another", []string{"-c", "all,x"}, "all,x"},
		{"a bad list after a good one", []string{"-c", "cpu", "-c", "x,all"}, "x,all"},
		{"a bad list before other words", []string{"-c", "all,x", "debug", "min_uid=1"}, "all,x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Parse(test.words)
			var list *hierarchy.ListError
			if !errors.As(err, &list) || list.List != test.list {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Nothing in a PAM line may stop the module, and its log lines stay bounded.
func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{
		"", "-c freezer,memory debug", "-c", "-c ", "-call,x -cy", "min_uid=1 min_uid= timeout=61", "confined=move confined=x", "\n \x00 \xff", strings.Repeat("x", 10000),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		o, complaints, err := Parse(words)
		if o.Timeout <= 0 || o.Timeout > maxTimeout || o.MinUID < plan.DefaultMinUID {
			t.Errorf("%q: %+v", line, o)
		}
		if len(complaints) > len(words) {
			t.Errorf("%q: %d complaints of %d words", line, len(complaints), len(words))
		}
		for _, c := range complaints {
			isOneLine := utf8.ValidString(c) && !strings.ContainsFunc(c, func(r rune) bool { return !unicode.IsPrint(r) })
			if len(c) > 1000 || !isOneLine {
				t.Errorf("%q: %d bytes: %q", line, len(c), c)
			}
		}
		if err == nil && !o.Controllers.All && len(o.Controllers.Names) == 0 {
			t.Errorf("%q: no controllers, and no error", line)
		}
	})
}
