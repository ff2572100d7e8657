package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bill is a software bill of materials, as far as we fill it: https://cyclonedx.org/docs/1.5/json/
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// parts lists the modules that are in the binary, as Go's linker has written them into it, and Go's own library.
func parts(b built) bill {
	program := component{Type: "application", Name: "flydeploy", Version: b.version, PURL: "pkg:golang/" + b.info.Main.Path + "@" + b.version}
	program.Ref = program.PURL
	for _, s := range b.info.Settings {
		if strings.HasPrefix(s.Key, "vcs.") || s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" {
			program.Properties = append(program.Properties, property{"go:build:" + s.Key, s.Value})
		}
	}
	all := bill{
		Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{b.at.Format(time.RFC3339), program},
		Components: []component{library("std", strings.TrimPrefix(b.info.GoVersion, "go"), "")},
	}
	for _, m := range b.info.Deps {
		m = cmp.Or(m.Replace, m)
		all.Components = append(all.Components, library(m.Path, m.Version, m.Sum))
	}
	return all
}

// library is a module; its sum is that of go.sum, over its source.
func library(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version, PURL: "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")}
	c.Ref = c.PURL
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}}
	}
	return c
}

func writeParts(out string, b built) (string, error) {
	text, err := json.MarshalIndent(parts(b), "", "  ")
	if err != nil {
		return "", err
	}
	name := b.name() + ".cdx.json"
	return name, os.WriteFile(filepath.Join(out, name), append(text, '\n'), 0o644)
}
