package engine

import (
	"slices"
	"testing"
)

func TestRegionsOfTemporaryMachines(t *testing.T) {
	fleet := []Machine{{Region: "fra"}, {Region: "nrt"}, {Region: "ams"}, {Region: "nrt"}, {}}
	if got := (Temporary{}).For(fleet).Regions; !slices.Equal(got, []string{"nrt", "ams", "fra", AnyRegion}) {
		t.Errorf("the app's regions: %v", got)
	}
	if got := (Temporary{Regions: []string{"lhr"}}).For(fleet).Regions; !slices.Equal(got, []string{"lhr"}) {
		t.Errorf("regions that were named: %v", got)
	}
	if got := (Temporary{}).For(nil).Regions; !slices.Equal(got, []string{AnyRegion}) {
		t.Errorf("without machines: %v", got)
	}
}
