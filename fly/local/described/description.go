// Package described holds requests and answers against a description of the Machines API in OpenAPI 3.0, where somebody has one: Fly
// publishes it at https://docs.machines.dev. None is part of this repository.
package described

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Description is what of an OpenAPI document tells of JSON over HTTP.
type Description struct {
	Servers []struct {
		URL string `json:"url"`
	} `json:"servers"`
	Paths      map[string]map[string]operation `json:"paths"` // by lower-case method
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Parameters  []parameter `json:"parameters"`
	RequestBody *body       `json:"requestBody"`
	Responses   map[string]body
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *schema `json:"schema"`
}

type body struct {
	Required bool `json:"required"`
	Content  map[string]struct {
		Schema *schema `json:"schema"`
	} `json:"content"`
}

// json gives the schema of a JSON body, nil if there is to be none.
func (b body) json() *schema { return b.Content["application/json"].Schema }

// Load reads a description.
func Load(file string) (*Description, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(d.Paths) == 0 || len(d.Components.Schemas) == 0 {
		return nil, fmt.Errorf("%s describes no paths or no schemas", file)
	}
	return &d, nil
}

// base gives what its paths begin with on the server: "/v1", unless they say so themselves.
func (d *Description) base() string {
	if len(d.Servers) == 0 {
		return ""
	}
	at, err := url.Parse(d.Servers[0].URL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(at.Path, "/")
}

// operation finds what a request is described by.
func (d *Description) operation(method, path string) (operation, string, bool) {
	path, ok := strings.CutPrefix(path, d.base())
	if !ok {
		return operation{}, "", false
	}
	for template, methods := range d.Paths {
		if o, has := methods[strings.ToLower(method)]; has && matches(template, path) {
			return o, template, true
		}
	}
	return operation{}, "", false
}

func matches(template, path string) bool {
	want, parts := strings.Split(template, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(want) != len(parts) {
		return false
	}
	for i, w := range want {
		if w != parts[i] && !strings.HasPrefix(w, "{") {
			return false
		}
	}
	return true
}
