// Command sbom prints a bill of materials, in CycloneDX's JSON, of the programs
// and libraries that its arguments name: their hashes, which Go modules are linked
// into them, by Go's own build information, and under which licences those are, by
// the texts in the folder of `go mod vendor`.
//
// With -licences it prints another list: all modules in that folder, those that only tests
// use among them, each with its version and its licence.
//
// It must not know the time, the machine or the folder: the same files give the
// same bytes.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	version := flag.String("version", "", "of the project")
	vendor := flag.String("vendor", "vendor", "folder of `go mod vendor`")
	dir := flag.String("dir", ".", "folder of the files, which gives them their names")
	licences := flag.Bool("licences", false, "print the modules in the folder of `go mod vendor`, and no bill of materials")
	flag.Parse()
	var bom *document
	var err error
	if *licences {
		err = list(os.Stdout, *vendor)
	} else if bom, err = describe(*version, *vendor, *dir, flag.Args()); err == nil {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(bom)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// The parts of CycloneDX 1.5 that are used.
type (
	document struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []digest   `json:"hashes,omitempty"`
		Licences   []choice   `json:"licenses"`
		Scope      string     `json:"scope,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	digest struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	choice struct {
		Licence licence `json:"license"`
	}
	licence struct {
		ID string `json:"id"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

const ownLicence = "Apache-2.0"

// describe returns the bill of those files in dir. Each is a component by its name
// there, which tells the architecture.
func describe(version, vendor, dir string, names []string) (*document, error) {
	own := component{
		Type: "application", Ref: "pam_cgdeleg", Name: "pam_cgdeleg", Version: version,
		Licences: []choice{{licence{ownLicence}}}, PURL: "pkg:golang/github.com/cgdeleg/pam_cgdeleg@v" + version,
	}
	bom := &document{Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: metadata{own}}
	whole := dependency{own.Ref, nil}
	modules := map[string]component{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		made := own
		made.Ref, made.Name, made.PURL = "pam_cgdeleg/"+name, name, ""
		made.Hashes = []digest{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(data))}}
		of := dependency{made.Ref, []string{}}
		linked, err := linked(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, m := range linked {
			c, err := library(m, vendor)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			modules[c.Ref] = c
			of.DependsOn = append(of.DependsOn, c.Ref)
		}
		bom.Components = append(bom.Components, made)
		bom.Dependencies = append(bom.Dependencies, of)
		whole.DependsOn = append(whole.DependsOn, made.Ref)
	}
	if err := addUnlinked(modules, vendor); err != nil {
		return nil, err
	}
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		bom.Components = append(bom.Components, modules[ref])
		bom.Dependencies = append(bom.Dependencies, dependency{ref, []string{}})
	}
	bom.Dependencies = append(bom.Dependencies, whole)
	return bom, nil
}

// addUnlinked adds the modules that come with the sources and are in no program.
func addUnlinked(modules map[string]component, vendor string) error {
	vendored, err := vendored(vendor)
	if err != nil {
		return err
	}
	for _, m := range vendored {
		c, err := library(m, vendor)
		if err != nil {
			return err
		}
		if _, isLinked := modules[c.Ref]; !isLinked {
			c.Scope = "excluded"
			modules[c.Ref] = c
		}
	}
	return nil
}

// list writes the modules in a folder of `go mod vendor`, one a line.
func list(w io.Writer, vendor string) error {
	modules, err := vendored(vendor)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODULE\tVERSION\tLICENCE\tTEXT")
	for _, m := range modules {
		dir := filepath.FromSlash(m.Path)
		id, file, err := licenceIn(filepath.Join(vendor, dir))
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.Path, m.Version, id, filepath.Join("vendor", dir, file))
	}
	return table.Flush()
}

// vendored returns the modules of which there are packages in a folder of `go mod vendor`.
func vendored(vendor string) (modules []*debug.Module, err error) {
	data, err := os.ReadFile(filepath.Join(vendor, "modules.txt"))
	if err != nil {
		return nil, err
	}
	var last *debug.Module
	for line := range strings.Lines(string(data)) {
		switch fields := strings.Fields(line); {
		case len(fields) == 3 && fields[0] == "#":
			last = &debug.Module{Path: fields[1], Version: fields[2]}
		case len(fields) > 3 && fields[0] == "#": // `=>`: its licence would be another's
			return nil, fmt.Errorf("modules.txt has a module in another's place: %s", line)
		case len(fields) == 1 && last != nil: // a package
			modules, last = append(modules, last), nil
		}
	}
	return modules, nil
}

// linked returns the modules in a program, Go's own packages among them; none if it
// is not made of Go.
func linked(program []byte) ([]*debug.Module, error) {
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	if file.Section(".gopclntab") == nil && file.Section(".data.rel.ro.gopclntab") == nil { // all of Go's have one
		return nil, nil
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	modules := []*debug.Module{{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, m)
	}
	return modules, nil
}

func library(m *debug.Module, vendor string) (component, error) {
	id := "BSD-3-Clause" // Go's own
	if m.Path != "std" {
		var err error
		if id, _, err = licenceIn(filepath.Join(vendor, filepath.FromSlash(m.Path))); err != nil {
			return component{}, err
		}
	}
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, Licences: []choice{{licence{id}}}, PURL: purl}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c, nil
}

// licenceIn returns the SPDX identifier of the licence in a module's folder. A
// text that it does not know is an error, never a guess. file is the text's name.
func licenceIn(dir string) (id, file string, err error) {
	var names []string
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", "", err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return "", "", fmt.Errorf("no licence in %s", dir)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		return "", "", err
	}
	file = filepath.Base(names[0])
	text := strings.Join(strings.Fields(string(data)), " ")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0", file, nil
	case has("Permission is hereby granted, free of charge"):
		return "MIT", file, nil
	case has("Redistribution and use in source and binary forms") && has("Neither the name of"):
		return "BSD-3-Clause", file, nil
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", file, nil
	}
	return "", "", fmt.Errorf("%s is a licence that sbom does not know: add it", names[0])
}
