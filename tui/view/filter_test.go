package view

import (
	"testing"

	"flydeploy/engine"
)

func TestFiltersOfMachines(t *testing.T) {
	m := engine.Machine{ID: "148e1", Name: "fra-like", Region: "ams", ProcessGroup: "Web", State: "started", Image: "registry/x:v1"}
	var f Fleet
	for filter, lets := range map[string]bool{
		"": true, "fra": true, "region:fra": false, "region:ams": true, "region:fra,ams": true, "REGION:AMS": true, "region:am": false, "region:": true,
		"group:web": true, "group:web region:ams started": true, "group:web region:ams stopped": false, "group:we": false,
		"!region:ams": false, "!region:fra": true, "!region:ams group:cron": true, "!": true, "zone:ams": false, "148E": true,
	} {
		if f.Lets(filter, m) != lets {
			t.Errorf("%q: %v", filter, !lets)
		}
	}
}
