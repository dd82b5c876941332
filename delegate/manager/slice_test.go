package manager_test

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

func TestUserOfSlice(t *testing.T) {
	tests := []struct {
		name string
		uid  int
		ok   bool
	}{
		{name: manager.UserSlice(1000), uid: 1000, ok: true},
		{name: "user-0.slice", uid: 0, ok: true},
		{name: "user.slice"},
		{name: "user-.slice"},
		{name: "user-1000.scope"},
		{name: "user-01000.slice"},
		{name: "user--1.slice"},
		{name: "user-+1.slice"},
		{name: "user-4294967296.slice"},
		{name: "1000.slice"},
		{name: "session-1000.slice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if uid, ok := manager.UserOfSlice(tt.name); ok != tt.ok || ok && uid != tt.uid {
				t.Errorf("%d, %t; want %d, %t", uid, ok, tt.uid, tt.ok)
			}
		})
	}
}
