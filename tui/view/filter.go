package view

import (
	"slices"
	"strings"

	"flydeploy/engine"
)

// Filtered applies the words of a filter to what a row shows: each must occur in it; a leading ! inverts.
func Filtered(filter, shows string) bool {
	shows = strings.ToLower(shows)
	return filteredBy(filter, func(word string) bool { return strings.Contains(shows, word) })
}

// filteredBy applies a filter whose words, in lower case, each hold or not.
func filteredBy(filter string, holds func(word string) bool) bool {
	words := strings.Fields(strings.ToLower(strings.TrimPrefix(filter, "!")))
	if len(words) == 0 {
		return true
	}
	missing := slices.ContainsFunc(words, func(w string) bool { return !holds(w) })
	return missing == strings.HasPrefix(filter, "!")
}

// FilterRegion and FilterGroup begin words of a filter that mean a machine's region or process group itself: region:ams,fra group:web.
const (
	FilterRegion = "region:"
	FilterGroup  = "group:"
)

// Lets reports whether a filter lets a machine through, by what its row shows.
func (f *Fleet) Lets(filter string, m engine.Machine) bool {
	if filter == "" {
		return true
	}
	shows := strings.ToLower(strings.Join([]string{
		m.ID, m.Name, m.Region, string(m.State), m.ProcessGroup, engine.Tag(m.Image), f.Runs(m).Text, f.Drift(m).Text, m.Caution(),
	}, " "))
	return filteredBy(filter, func(word string) bool {
		if regions, is := strings.CutPrefix(word, FilterRegion); is {
			return oneOf(regions, m.Region)
		}
		if groups, is := strings.CutPrefix(word, FilterGroup); is {
			return oneOf(groups, m.ProcessGroup)
		}
		return strings.Contains(shows, word)
	})
}

// oneOf reports whether a value is one of those between commas; before any is typed, all are.
func oneOf(values, value string) bool {
	return values == "" || slices.Contains(strings.Split(values, ","), strings.ToLower(value))
}
