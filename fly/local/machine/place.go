package machine

import (
	"fmt"
	"strings"

	fly "github.com/superfly/fly-go"
)

// anyRegion is Fly's name for a region that it chooses itself.
const anyRegion = "any"

// place gives the first region of a list like "ams,fra,any" that has room. Any is the primary region, or else a region that has
// room whatever else has not.
func (f *Fleet) place(regions string) (string, error) {
	if regions == "" {
		regions = f.config.PrimaryRegion
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, region := range strings.Split(regions, ",") {
		if region == anyRegion && f.full[anyRegion] {
			continue
		}
		if region == anyRegion {
			if region = f.config.PrimaryRegion; f.full[region] {
				region = "iad"
			}
		}
		if !f.full[region] {
			return region, nil
		}
	}
	return "", fmt.Errorf("%w: insufficient memory available to fulfill request", ErrNoCapacity)
}

// FillRegion leaves no room for new machines in a region until restore is called; in "any", nowhere that Fly would choose.
func (f *Fleet) FillRegion(region string) (restore func()) {
	set := func(full bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.full[region] = full
	}
	set(true)
	return func() { set(false) }
}

// The memory that a machine may have for each of its CPUs, in MB. Source: fly-go, MIN_MEMORY_MB_PER_CPU and so on.
var memoryPerCPU = map[string][2]int{
	"shared":      {fly.MIN_MEMORY_MB_PER_SHARED_CPU, fly.MAX_MEMORY_MB_PER_SHARED_CPU},
	"performance": {fly.MIN_MEMORY_MB_PER_CPU, fly.MAX_MEMORY_MB_PER_CPU},
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
