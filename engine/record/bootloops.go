package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
)

// bootsPrefix begins the names of the files in which machines count the boots with an upgrade that have not lasted: boots-<machine
// ID>.json, written by the startup hook (elixir/lib/fly_deploy/boot_count.ex). A boot that has lasted removes it.
const bootsPrefix = "boots-"

// addBootLoops says of those upgrades that current.json names which machines boot their image's code instead.
func addBootLoops(ctx context.Context, records engine.Records, past []*engine.Past) error {
	md, _, err := records.Metadata(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	named := map[string]bool{}
	if md.HotUpgrade != nil {
		named[md.HotUpgrade.ID] = true
	}
	for _, u := range md.MachineUpgrades {
		named[u.ID] = true
	}
	for _, p := range past {
		if p == nil || !named[p.ID] {
			continue
		}
		if p.BootsImage, err = bootLoops(ctx, records, p.ID); err != nil {
			return fmt.Errorf("read what machines have counted of deploy %s: %w", p.ID, err)
		}
	}
	return nil
}

// bootLoops lists the machines that do not load an upgrade any more when they boot.
func bootLoops(ctx context.Context, records engine.Results, upgradeID string) ([]string, error) {
	names, err := records.Results(ctx, upgradeID, bootsPrefix)
	if err != nil {
		return nil, err
	}
	var machines []string
	for _, name := range names {
		doc, err := records.Result(ctx, upgradeID, name)
		if errors.Is(err, engine.ErrNotFound) { // a boot has lasted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		var count struct {
			GaveUp bool `json:"gave_up"`
		}
		if json.Unmarshal(doc.Body, &count) == nil && count.GaveUp {
			machines = append(machines, strings.TrimSuffix(strings.TrimPrefix(name, bootsPrefix), ".json"))
		}
	}
	slices.Sort(machines)
	return machines, nil
}
