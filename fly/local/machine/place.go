package machine

import (
	"fmt"
	"slices"
	"strings"

	fly "github.com/superfly/fly-go"
)

// anyRegion is Fly's name for a region that it chooses itself.
const anyRegion = "any"

// groups are the regions that there are by Fly's names for parts of the world. Source: superfly/docs, machine-placement.html.md.
var groups = map[string][]string{
	"apac": {"bom", "nrt", "sin", "syd"},
	"eu":   {"ams", "arn", "cdg", "fra", "lhr"},
	"na":   {"dfw", "ewr", "iad", "lax", "ord", "sjc", "yyz"},
	"sa":   {"gru"},
	"us":   {"dfw", "ewr", "iad", "lax", "ord", "sjc"},
	"usa":  {"dfw", "ewr", "iad", "lax", "ord", "sjc"},
	"":     {"jnb"}, // of no group
}

func isRegion(name string) bool {
	for _, regions := range groups {
		if slices.Contains(regions, name) {
			return true
		}
	}
	return false
}

// place gives the first region of a list like "ams,eu,any" that has room. Any is the primary region, or else one that has room
// whatever else has not. If there is none, the last refusal is told.
func (f *Fleet) place(list string) (string, error) {
	if list == "" {
		list = f.config.PrimaryRegion
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var refusal error
	for _, name := range strings.Split(list, ",") {
		regions, err := f.regionsOf(name)
		if err != nil {
			return "", err
		}
		for _, region := range regions {
			if refusal = f.full[region]; refusal == nil {
				return region, nil
			}
		}
	}
	return "", refusal
}

// regionsOf gives the regions of a name, which is one or names several.
func (f *Fleet) regionsOf(name string) ([]string, error) {
	switch regions := groups[name]; {
	case name == anyRegion && f.full[anyRegion] != nil:
		return []string{anyRegion}, nil // refused as a whole
	case name == anyRegion:
		return []string{f.config.PrimaryRegion, "iad"}, nil
	case name != "" && len(regions) > 0:
		return regions, nil
	case !isRegion(name):
		return nil, fmt.Errorf("%w: region %q not found", ErrInvalid, name)
	}
	return []string{name}, nil
}

// FillRegion leaves no room for new machines in a region until restore is called; in "any", nowhere that Fly would choose.
func (f *Fleet) FillRegion(region string) (restore func()) {
	return f.refuseIn(region, fmt.Errorf("%w: insufficient memory available to fulfill request", ErrNoCapacity))
}

// UseUpQuota has the organisation use all that it may in a region until restore is called.
func (f *Fleet) UseUpQuota(region string) (restore func()) {
	return f.refuseIn(region, fmt.Errorf("organization %q is using 1970176 MB of memory in %s which is %w. please consider other regions", f.config.App, region, ErrQuota))
}

func (f *Fleet) refuseIn(region string, why error) (restore func()) {
	set := func(why error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.full[region] = why
	}
	set(why)
	return func() { set(nil) }
}

// The memory that a machine may have for each of its CPUs, in MB. Source: fly-go, MIN_MEMORY_MB_PER_CPU and so on.
var memoryPerCPU = map[string][2]int{
	"shared":      {fly.MIN_MEMORY_MB_PER_SHARED_CPU, fly.MAX_MEMORY_MB_PER_SHARED_CPU},
	"performance": {fly.MIN_MEMORY_MB_PER_CPU, fly.MAX_MEMORY_MB_PER_CPU},
}

// checkConfig refuses what Fly refuses.
func checkConfig(c *fly.MachineConfig) error {
	if err := checkGuest(c.Guest); err != nil {
		return err
	}
	return checkStop(c.StopConfig)
}

// checkGuest refuses sizes that Fly has no machines of.
func checkGuest(g *fly.MachineGuest) error {
	if g == nil {
		return nil
	}
	bounds, ok := memoryPerCPU[g.CPUKind]
	if !ok {
		return fmt.Errorf("%w: invalid config.guest.cpu_kind: %q", ErrInvalid, g.CPUKind)
	}
	if least, most := bounds[0]*g.CPUs, bounds[1]*g.CPUs; g.MemoryMB < least || g.MemoryMB > most || g.MemoryMB%256 != 0 {
		return fmt.Errorf("%w: invalid config.guest.memory_mb, minimum required %d MiB, maximum allowed %d MiB, in steps of 256 MiB", ErrInvalid, least, most)
	}
	return nil
}
