package view

import (
	"cmp"
	"strings"

	"flydeploy/engine"
)

// ByLastOpened orders apps: this folder's, then those that were opened last, then by organisation and name.
func ByLastOpened(a, b engine.FlyApp) int {
	here := 0
	switch {
	case a.Here && !b.Here:
		here = -1
	case b.Here && !a.Here:
		here = 1
	}
	return cmp.Or(here, b.Opened.Compare(a.Opened), strings.Compare(a.Org, b.Org), strings.Compare(a.Name, b.Name))
}
