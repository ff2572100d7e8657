package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// machineRecord is <machine ID>.json of the results: fly_deploy's fields, then ours.
type machineRecord struct {
	MachineID          string    `json:"machine_id"`
	Region             string    `json:"region"`
	Status             string    `json:"status"` // completed, failed, or pending if nothing was started
	Success            bool      `json:"success"`
	Error              *string   `json:"error"`
	ModulesReloaded    int       `json:"modules_reloaded"`
	ModuleNames        []string  `json:"module_names"`
	ProcessesSucceeded int       `json:"processes_succeeded"`
	ProcessNames       []string  `json:"process_names"` // callback modules
	ProcessesFailed    int       `json:"processes_failed"`
	SuspendMS          float64   `json:"suspend_duration_ms"`
	TotalMS            int64     `json:"total_duration_ms"`
	AppliedAt          time.Time `json:"applied_at"`
	Version            string    `json:"version"`

	UpgradeID   string `json:"upgrade_id"`
	Fingerprint string `json:"fingerprint,omitempty"`
	engine.MachineResult
}

func (j *job) machineRecord(u engine.Upgrade, r *rollout) ([]byte, error) {
	result := r.result()
	m := machineRecord{
		MachineID: result.ID, Region: result.Region, Status: "failed", Success: r.isUpgraded(), ModuleNames: []string{}, ProcessNames: []string{},
		SuspendMS: float64(result.SuspendedUS) / 1000, TotalMS: time.Since(j.started).Milliseconds(), AppliedAt: time.Now().UTC().Truncate(time.Millisecond),
		Version: u.Version, UpgradeID: u.ID, Fingerprint: r.code.Fingerprint, MachineResult: result,
		ProcessesFailed: r.status.FailuresTotal,
	}
	if result.Error != "" {
		m.Error = &result.Error
	}
	switch {
	case m.Success:
		m.Status = "completed"
	case result.Outcome == engine.OutcomeNotStarted:
		m.Status = "pending"
	}
	if r.status.State == agent.Committed {
		m.ModulesReloaded, m.ProcessesSucceeded = result.Modules, result.Processes
		for _, module := range r.status.Modules {
			m.ModuleNames = append(m.ModuleNames, module.Module)
		}
		for _, group := range r.status.Processes {
			m.ProcessNames = append(m.ProcessNames, group.Module)
		}
	}
	body, err := json.MarshalIndent(m, "", "  ")
	return append(body, '\n'), err
}

// resultFiles gives the files of machines' ends by name: <machine ID>.json, as fly_deploy has them; of more than fileEach machines
// machines-1.json, …, each an array of the ends of resultsInFile machines.
func (j *job) resultFiles(u engine.Upgrade, machines []*rollout) (map[string][]byte, error) {
	files := map[string][]byte{}
	if len(machines) <= fileEach {
		for _, r := range machines {
			body, err := j.machineRecord(u, r)
			if err != nil {
				return nil, err
			}
			files[r.machine.ID+".json"] = body
		}
		return files, nil
	}
	for part := range slices.Chunk(machines, resultsInFile) {
		var all []json.RawMessage
		for _, r := range part {
			body, err := j.machineRecord(u, r)
			if err != nil {
				return nil, err
			}
			all = append(all, body)
		}
		body, err := json.Marshal(all)
		if err != nil {
			return nil, err
		}
		files[fmt.Sprintf("machines-%d.json", len(files)+1)] = body
	}
	return files, nil
}

// writeResults stores each machine's end below releases/<app>-results/<upgrade ID>/, and removes the oldest records.
func (j *job) writeResults(ctx context.Context, all *soFar) {
	if all.journal == nil || all.staged == nil {
		return
	}
	_ = j.phase(engine.PhaseResults, "", nil, func() (string, error) {
		records := all.storage.Records
		files, err := j.resultFiles(all.upgrade, all.machines())
		if err != nil {
			return "", err
		}
		err = run.Each(ctx, slices.Sorted(maps.Keys(files)), resultsAtOnce, strings.Clone, func(ctx context.Context, name string) error {
			if err := records.WriteResult(ctx, all.upgrade.ID, name, files[name]); err != nil {
				return fmt.Errorf("write the result: %w", err)
			}
			return nil
		})
		if err == nil {
			err = j.prune(ctx, records, all.upgrade.ID)
		}
		return fmt.Sprintf("releases/%s-results/%s/", all.upgrade.OTPApp, all.upgrade.ID), err
	})
}

const (
	// resultsAtOnce is how many results are written at the same time.
	resultsAtOnce = 8
	// fileEach is up to how many machines have a file each, and resultsInFile how many of a larger fleet share one.
	fileEach, resultsInFile = 100, 250
	// defaultKeep is how many deploys the record keeps without Settings.Keep.
	defaultKeep = 50
)

// prune removes the oldest records, but keeps those of upgrades that machines run.
func (j *job) prune(ctx context.Context, records engine.Records, current string) error {
	keep := j.settings.Keep
	if keep == 0 {
		keep = defaultKeep
	}
	ids, err := records.Upgrades(ctx)
	if err != nil || len(ids) <= keep {
		return err
	}
	md, _, err := records.Metadata(ctx)
	if err != nil {
		return nil // the next deploy prunes
	}
	running := map[string]bool{current: true}
	if md.HotUpgrade != nil {
		running[md.HotUpgrade.ID] = true
	}
	for _, u := range md.MachineUpgrades {
		running[u.ID] = true
	}
	if t := md.Trial(); t != nil {
		running[t.ID] = true
	}
	for _, id := range ids[keep:] {
		if running[id] {
			continue
		}
		if err := records.DeleteUpgrade(ctx, id); err != nil {
			return fmt.Errorf("remove the record of deploy %s: %w", id, err)
		}
	}
	return nil
}
