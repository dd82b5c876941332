package hierarchy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The forms that pam_cgfs's -c takes (pam_cgfs(8)).
func TestParseList(t *testing.T) {
	names := func(names ...string) ControllerList { return ControllerList{Names: names} }
	for _, test := range []struct {
		name, in string
		want     ControllerList
	}{
		{"one", "freezer", names("freezer")},
		{"several, in order", "memory,freezer,name=systemd", names("memory", "freezer", "name=systemd")},
		{"all", "all", Everything},
		{"all twice", "all,all", Everything},
		{"all with empty items", ",all,", Everything},
		{"unified", "unified,cpu", names("unified", "cpu")},
		{"empty items are ignored", ",,cpu,,memory,", names("cpu", "memory")},
		{"twice counts once", "cpu,memory,cpu", names("cpu", "memory")},
		{"unknown names are for Select to miss", "nosuch", names("nosuch")},
		{"spaces belong to the name", " cpu", names(" cpu")},
		{"no shortening", "al,allx,name=all", names("al", "allx", "name=all")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseList(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseListRefuses(t *testing.T) {
	const beside, none = `"all" cannot stand beside other controllers`, "names no controller"
	for _, test := range []struct{ name, in, reason string }{
		{"empty", "", none},
		{"commas alone", ",,,", none},
		{"all first", "all,freezer", beside},
		{"all last", "freezer,all", beside},
		{"all in the middle", "freezer,all,memory", beside},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := ParseList(test.in)
			var list *ListError
			if !errors.As(err, &list) || *list != (ListError{List: test.in, Reason: test.reason}) {
				t.Errorf("got %#v", err)
			}
			if l.All || l.Names != nil {
				t.Errorf("beside the error: %+v", l)
			}
		})
	}
}

func TestListErrorText(t *testing.T) {
	err := &ListError{List: "all,\n" + strings.Repeat("x", 10000), Reason: "bad"}
	if got := err.Error(); !strings.HasPrefix(got, `controller list "all,\nxxx`) || len(got) > 200 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"", "all", "all,", ",", "cpu,cpu", "freezer,memory,name=systemd", "all,x", "unified"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseList(s)
		if err != nil {
			var list *ListError
			if !errors.As(err, &list) {
				t.Fatalf("%T", err)
			}
			return
		}
		if l.All == (len(l.Names) > 0) {
			t.Errorf("%q: %+v", s, l)
		}
		items := strings.Split(s, ",")
		for i, name := range l.Names {
			if name == "" || name == "all" || !slices.Contains(items, name) || slices.Contains(l.Names[:i], name) {
				t.Errorf("%q: item %q", s, name)
			}
		}
		if !l.All { // what was parsed parses to itself
			again, err := ParseList(strings.Join(l.Names, ","))
			if err != nil || !reflect.DeepEqual(again, l) {
				t.Errorf("%q: %+v, then %+v, %v", s, l, again, err)
			}
		}
	})
}

// Sets of hierarchies as Find finds them.
var (
	machineV1 = []*Hierarchy{
		{Name: "memory", Controllers: []string{"memory"}},
		{Name: "freezer", Controllers: []string{"freezer"}},
		{Name: "cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}},
		{Name: "blkio", Controllers: []string{"blkio"}},
		{Name: "name=systemd", Controllers: []string{"name=systemd"}},
	}
	machineHybrid = []*Hierarchy{
		{Name: "freezer", Controllers: []string{"freezer"}},
		{Name: "name=systemd", Controllers: []string{"name=systemd"}},
		{Name: Unified, Controllers: []string{"hugetlb", "memory"}},
	}
	machineV2      = []*Hierarchy{{Name: Unified, Controllers: []string{"cpuset", "cpu", "io", "memory", "pids"}}}
	machineBareV2  = []*Hierarchy{{Name: Unified}}
	machineNothing []*Hierarchy
)

func TestSelect(t *testing.T) {
	type picked map[string][]string // hierarchy to what is enabled
	v1 := []string(nil)
	none := []string{}
	for _, test := range []struct {
		name    string
		found   []*Hierarchy
		list    string
		want    picked
		missing []string
	}{
		{"v1: two of five", machineV1, "freezer,memory", picked{"memory": v1, "freezer": v1}, nil},
		{"v1: named", machineV1, "name=systemd", picked{"name=systemd": v1}, nil},
		{"v1: one of a comounted pair", machineV1, "cpuacct", picked{"cpu,cpuacct": v1}, nil},
		{"v1: both of a comounted pair are one", machineV1, "cpu,cpuacct", picked{"cpu,cpuacct": v1}, nil},
		{"v1: unified is missing", machineV1, "unified,freezer", picked{"freezer": v1}, []string{"unified"}},
		{"v1: missing stay in order", machineV1, "zz,freezer,aa", picked{"freezer": v1}, []string{"zz", "aa"}},
		{"v1: no v2 name for a v1 controller", machineV1, "io", picked{}, []string{"io"}},
		{"v1: the name alone is no named hierarchy", machineV1, "systemd", picked{}, []string{"systemd"}},
		{"v1: all", machineV1, "all", picked{"memory": v1, "freezer": v1, "cpu,cpuacct": v1, "blkio": v1, "name=systemd": v1}, nil},

		{"hybrid: v1 before v2", machineHybrid, "freezer", picked{"freezer": v1}, nil},
		{"hybrid: some on each", machineHybrid, "memory,freezer,name=systemd", picked{"freezer": v1, "name=systemd": v1, Unified: {"memory"}}, nil},
		{"hybrid: unified enables all", machineHybrid, "unified", picked{Unified: {"hugetlb", "memory"}}, nil},
		{"hybrid: unified beside one of it", machineHybrid, "memory,unified", picked{Unified: {"memory", "hugetlb"}}, nil},
		{"hybrid: nowhere", machineHybrid, "cpu", picked{}, []string{"cpu"}},
		{"hybrid: all", machineHybrid, "all", picked{"freezer": v1, "name=systemd": v1, Unified: {"hugetlb", "memory"}}, nil},

		{"v2: same name", machineV2, "memory,cpu", picked{Unified: {"memory", "cpu"}}, nil},
		{"v2: v1 names with successors", machineV2, "blkio,cpuacct", picked{Unified: {"io", "cpu"}}, nil},
		{"v2: successor and its own name are one", machineV2, "cpu,cpuacct,io,blkio", picked{Unified: {"cpu", "io"}}, nil},
		{"v2: freezer and devices need no controller", machineV2, "freezer,devices", picked{Unified: none}, nil},
		{"v2: named v1 hierarchy is missing", machineV2, "name=systemd,memory", picked{Unified: {"memory"}}, []string{"name=systemd"}},
		{"v2: v1 controller without a successor", machineV2, "net_cls,hugetlb", picked{}, []string{"net_cls", "hugetlb"}},
		{"v2: the successors' empty name is no controller", machineV2, "nosuch", picked{}, []string{"nosuch"}},

		{"v2 without controllers: freezer", machineBareV2, "freezer", picked{Unified: none}, nil},
		{"v2 without controllers: unified", machineBareV2, "unified", picked{Unified: none}, nil},
		{"v2 without controllers: blkio's successor is missing under its v1 name", machineBareV2, "blkio", picked{}, []string{"blkio"}},
		{"v2 without controllers: all", machineBareV2, "all", picked{Unified: none}, nil},

		{"nothing mounted", machineNothing, "freezer,unified", picked{}, []string{"freezer", "unified"}},
		{"nothing mounted: all is satisfied", machineNothing, "all", picked{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := ParseList(test.list)
			if err != nil {
				t.Fatal(err)
			}
			selected, missing := Select(test.found, list)
			got, order := picked{}, []string{}
			for _, c := range selected {
				got[c.Name] = slices.Clone(c.Enable)
				order = append(order, c.Name)
				if !c.IsUnified() && c.Enable != nil {
					t.Errorf("v1 %s enables %q", c.Name, c.Enable)
				}
			}
			for name, enable := range test.want {
				if at, ok := got[name]; !ok || !slices.Equal(at, enable) {
					t.Errorf("%s: got %q, %v; want %q", name, at, ok, enable)
				}
			}
			if len(order) != len(test.want) || !slices.IsSortedFunc(order, byPlaceIn(test.found)) {
				t.Errorf("selected %q, want %d in the order of the machine", order, len(test.want))
			}
			if !slices.Equal(missing, test.missing) {
				t.Errorf("missing %q, want %q", missing, test.missing)
			}
		})
	}
}

func byPlaceIn(found []*Hierarchy) func(a, b string) int {
	place := func(name string) int {
		return slices.IndexFunc(found, func(h *Hierarchy) bool { return h.Name == name })
	}
	return func(a, b string) int { return place(a) - place(b) }
}
