// Package hardened says what a built file lacks of what every build of ours has: a place
// in memory that nobody knows before, tables of addresses that nothing can write, a stack
// that cannot be executed, and C whose buffers and returns are guarded.
package hardened

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// Kind is what a file is, and so what it can have.
type Kind int

// The kinds of files. What none of them has, and why, is in docs/packaging.md.
const (
	Module        Kind = iota // a library, C and on glibc Go, too
	Program                   // C alone, dynamic
	Static                    // Go, with the start and the threads of a C library
	StaticAtFixed             // Go alone, where glibc 2.36 has no start for a static PIE
)

// OfGo returns the kind of a program that is Go, by its architecture.
func OfGo(arch string) Kind {
	if arch == "riscv64" || arch == "s390x" {
		return StaticAtFixed
	}
	return Static
}

// Missing returns what the file lacks, a sentence each. isGlibc says whether its C is
// compiled with glibc's headers, which alone have functions that know a buffer's size.
func Missing(path string, kind Kind, isGlibc bool) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var missing []string
	want := func(has bool, format string, a ...any) {
		if !has {
			missing = append(missing, path+": "+fmt.Sprintf(format, a...))
		}
	}
	want(!slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0 }),
		"it has memory that can be written and executed")
	want(kind == StaticAtFixed || hasSegment(f, elf.PT_GNU_STACK), "it does not say that its stack is not executed")
	want(!hasSegment(f, elf.PT_INTERP) || kind == Program, "it wants a dynamic linker")
	if kind == StaticAtFixed {
		want(f.Type == elf.ET_EXEC, "it is a %v: say so here", f.Type)
		return missing, nil
	}
	want(f.Type == elf.ET_DYN, "it is position-dependent: %v", f.Type)
	want(hasSegment(f, elf.PT_GNU_RELRO), "it has no RELRO")
	flags, err := f.DynValue(elf.DT_FLAGS_1)
	if err != nil {
		return nil, err
	}
	has := func(flag elf.DynFlag1) bool { return len(flags) == 1 && elf.DynFlag1(flags[0])&flag != 0 }
	want(has(elf.DF_1_NOW), "it is bound lazily, so RELRO is not full")
	want(kind == Module || has(elf.DF_1_PIE), "it is not marked as PIE")
	if kind == Static {
		libraries, err := f.ImportedLibraries()
		want(err == nil && len(libraries) == 0, "it wants libraries: %v, %v", libraries, err)
		return missing, nil
	}
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return nil, err
	}
	imports := func(matches func(string) bool) bool {
		return slices.ContainsFunc(symbols, func(s elf.ImportedSymbol) bool { return matches(s.Name) })
	}
	want(imports(func(name string) bool { return name == "__stack_chk_fail" }), "no function guards its return address")
	isChecked := func(name string) bool {
		return strings.HasPrefix(name, "__") && strings.HasSuffix(name, "_chk")
	}
	want(!isGlibc || imports(isChecked), "no call of the C library is checked (_FORTIFY_SOURCE)")
	return missing, nil
}

func hasSegment(f *elf.File, kind elf.ProgType) bool {
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == kind })
}
