package view

import (
	"slices"
	"strings"
	"time"

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
	return letsIn(filter, m.Region, m.ProcessGroup,
		m.ID, m.Name, m.Region, string(m.State), m.ProcessGroup, engine.Tag(m.Image), f.Runs(m).Text, f.Drift(m).Text, m.Caution())
}

// LetsMachine reports whether a filter lets a machine of a deploy through, by where it stands and what happened.
func LetsMachine(filter string, m *engine.MachineProgress, s Standing, now time.Time) bool {
	if filter == "" {
		return true
	}
	return letsIn(filter, m.Facts.Region, m.Facts.ProcessGroup,
		m.ID, m.Facts.Name, m.Facts.Region, m.Facts.ProcessGroup, s.Word, RankWords[s.Rank], Happened(m, s, now))
}

// letsIn reports whether a filter lets a machine of a region and a process group through.
func letsIn(filter, region, group string, shows ...string) bool {
	shown := strings.ToLower(strings.Join(shows, " "))
	return filteredBy(filter, func(word string) bool {
		if regions, is := strings.CutPrefix(word, FilterRegion); is {
			return oneOf(regions, region)
		}
		if groups, is := strings.CutPrefix(word, FilterGroup); is {
			return oneOf(groups, group)
		}
		return strings.Contains(shown, word)
	})
}

// oneOf reports whether a value is one of those between commas; before any is typed, all are.
func oneOf(values, value string) bool {
	return values == "" || slices.Contains(strings.Split(values, ","), strings.ToLower(value))
}
