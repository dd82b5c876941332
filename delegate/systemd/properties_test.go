package systemd

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// LoadUnit finds units that are not loaded as well.
func (m fakeManager) LoadUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	u, found := m[name]
	if !found {
		return m.GetUnit(name)
	}
	return u.path, nil
}

// SetUnitProperties is bus_unit_set_properties in systemd's src/core/dbus-unit.c: it looks
// at all of them first, and then adds devices to those that there are.
func (m fakeManager) SetUnitProperties(name string, runtime bool, list []setting) *dbus.Error {
	u, found := m[name]
	refuse := func(kind string) *dbus.Error {
		return dbus.NewError("org.freedesktop.DBus.Error."+kind, []any{"fake systemd says no"})
	}
	switch {
	case name == "locked.slice":
		return refuse("AccessDenied")
	case name == "full.slice":
		return dbus.NewError("org.freedesktop.DBus.Error.NoMemory", nil)
	case !found:
		return dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"no " + name})
	case !runtime:
		return refuse("Failed")
	}
	for _, s := range list {
		had, known := u.properties[s.Name]
		switch {
		case !known:
			return refuse("PropertyReadOnly")
		case had.Signature() != s.Value.Signature() || s.Value.Value() == uint64(0):
			return refuse("InvalidArgs")
		}
	}
	for _, s := range list {
		rows, isList := s.Value.Value().([][]any)
		had, _ := u.properties[s.Name].Value().([]DeviceNumber)
		switch {
		case !isList:
			u.properties[s.Name] = s.Value
		case len(rows) == 0:
			u.properties[s.Name] = dbus.MakeVariant([]DeviceNumber{})
		default:
			for _, row := range rows {
				had = append(had, DeviceNumber{row[0].(string), row[1].(uint64)})
			}
			u.properties[s.Name] = dbus.MakeVariant(had)
		}
	}
	return nil
}

func TestUnitProperties(t *testing.T) {
	const unlimited = ^uint64(0)
	startSystemd(t, startBus(t), "252", fakeManager{"user-1000.slice": unit("user_2d1000_2eslice", ".Slice", map[string]any{
		"MemoryMax": unlimited, "TasksMax": uint64(5000), "CPUWeight": uint64(7), "Slice": "user.slice",
		"AllowedCPUs": []byte{}, "IOReadBandwidthMax": []DeviceNumber{}, "IODeviceWeight": []DeviceNumber{{"/dev/sda", 1}},
		"BPFProgram": []struct{ A, B string }{{"a", "b"}},
	})})
	get := func() map[string]any {
		t.Helper()
		all, err := UnitProperties(soon(t), "user-1000.slice")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := map[string]any{
		"MemoryMax": unlimited, "TasksMax": uint64(5000), "CPUWeight": uint64(7),
		"AllowedCPUs": []byte{}, "IOReadBandwidthMax": []DeviceNumber{}, "IODeviceWeight": []DeviceNumber{{"/dev/sda", 1}},
	}
	if got := get(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	set := []Property{
		{"MemoryMax", uint64(1 << 30)}, {"AllowedCPUs", []byte{5}}, {"IODeviceWeight", []DeviceNumber{{"/dev/sdb", 2}, {"/dev/sdc", 3}}},
		{"IOReadBandwidthMax", []DeviceNumber{{"/", 9}}},
	}
	if err := SetUnitProperties(soon(t), "user-1000.slice", set); err != nil {
		t.Fatal(err)
	}
	for _, p := range set {
		want[p.Name] = p.Value
	}
	if got := get(); !reflect.DeepEqual(got, want) {
		t.Errorf("after setting: got  %v\nwant %v", got, want)
	}
}

// What systemd refuses does not keep it from the rest.
func TestSetUnitPropertiesRefused(t *testing.T) {
	u := unit("a_2eslice", ".Slice", map[string]any{"TasksMax": uint64(1), "CPUWeight": uint64(1)})
	startSystemd(t, startBus(t), "239", fakeManager{"a.slice": u})
	err := SetUnitProperties(soon(t), "a.slice", []Property{{"AllowedCPUs", []byte{1}}, {"TasksMax", uint64(5)}, {"CPUWeight", uint64(0)}})
	var refused *RefusedError
	if !errors.Is(err, ErrNoProperty) || !errors.As(err, &refused) || refused.Property != "AllowedCPUs" || refused.Unit != "a.slice" {
		t.Errorf("got %v", err)
	}
	words := `unit "a.slice": property AllowedCPUs: systemd cannot set such a property: fake systemd says no
unit "a.slice": property CPUWeight: fake systemd says no`
	if err == nil || err.Error() != words {
		t.Errorf("got %v", err)
	}
	all, err := UnitProperties(soon(t), "a.slice")
	if want := map[string]any{"TasksMax": uint64(5), "CPUWeight": uint64(1)}; err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestSetUnitPropertiesFails(t *testing.T) {
	address := startBus(t)
	one := []Property{{"TasksMax", uint64(5)}}
	if err := SetUnitProperties(soon(t), "a.slice", one); !errors.Is(err, ErrNoSystemd) {
		t.Error(err)
	}
	startSystemd(t, address, "252", fakeManager{})
	for _, test := range []struct {
		unit string
		want error
	}{{"a.slice", ErrNoUnit}, {"locked.slice", fs.ErrPermission}} {
		err := SetUnitProperties(soon(t), test.unit, one)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.unit) {
			t.Errorf("%s: %v", test.unit, err)
		}
	}
	if err := SetUnitProperties(soon(t), "full.slice", one); err == nil || !strings.Contains(err.Error(), "NoMemory") {
		t.Error(err)
	}
	if _, err := UnitProperties(soon(t), "a.slice"); !errors.Is(err, ErrNoUnit) {
		t.Error(err)
	}
	if _, err := UnitProperties(soon(t), "a.mount"); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	listen(t)
	if err := SetUnitProperties(ctx, "a.slice", one); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
