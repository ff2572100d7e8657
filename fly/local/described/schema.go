package described

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// schema is as much of JSON Schema as the description uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 string             `json:"type"`
	Nullable             bool               `json:"nullable"`
	Enum                 []any              `json:"enum"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	AllOf                []*schema          `json:"allOf"`
}

// check gives what of a value is not as described. at is where it is.
func (d *Description) check(s *schema, value any, at string) []string {
	if s = d.resolve(s); s == nil {
		return nil
	}
	if len(s.AllOf) > 0 {
		var wrong []string
		for _, part := range s.AllOf {
			wrong = append(wrong, d.check(part, value, at)...)
		}
		return wrong
	}
	if value == nil {
		if s.Nullable {
			return nil
		}
		return []string{at + " is null"}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		return []string{fmt.Sprintf("%s is none of %v", at, s.Enum)}
	}
	return d.checkType(s, value, at)
}

func (d *Description) checkType(s *schema, value any, at string) []string {
	ok := true
	switch s.Type {
	case "string":
		_, ok = value.(string)
	case "boolean":
		_, ok = value.(bool)
	case "number":
		_, ok = value.(float64)
	case "integer":
		var number float64
		number, ok = value.(float64)
		ok = ok && number == math.Trunc(number)
	case "array":
		var list []any
		if list, ok = value.([]any); ok {
			return d.checkItems(s, list, at)
		}
	case "object":
		var object map[string]any
		if object, ok = value.(map[string]any); ok {
			return d.checkObject(s, object, at)
		}
	}
	if !ok {
		return []string{fmt.Sprintf("%s is no %s", at, s.Type)}
	}
	return nil
}

func (d *Description) checkItems(s *schema, list []any, at string) []string {
	var wrong []string
	for _, item := range list {
		wrong = append(wrong, d.check(s.Items, item, at+"[]")...)
	}
	return wrong
}

func (d *Description) checkObject(s *schema, object map[string]any, at string) []string {
	var wrong []string
	for _, name := range s.Required {
		if _, has := object[name]; !has {
			wrong = append(wrong, at+"."+name+" is missing")
		}
	}
	others, any := s.others()
	for _, name := range slices.Sorted(maps.Keys(object)) {
		property, described := s.Properties[name]
		switch {
		case described:
			wrong = append(wrong, d.check(property, object[name], at+"."+name)...)
		case others != nil:
			wrong = append(wrong, d.check(others, object[name], at+".*")...)
		case !any:
			wrong = append(wrong, at+"."+name+" is not described")
		}
	}
	return wrong
}

// others is what the values of names are that are not listed; any: whatever they like, as where no name is listed at all.
func (s *schema) others() (others *schema, any bool) {
	switch text := strings.TrimSpace(string(s.AdditionalProperties)); {
	case text == "true":
		return nil, true
	case strings.HasPrefix(text, "{"):
		if json.Unmarshal(s.AdditionalProperties, &others) == nil {
			return others, false
		}
	}
	return nil, len(s.Properties) == 0
}

func (d *Description) resolve(s *schema) *schema {
	for s != nil && s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}
