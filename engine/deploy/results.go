package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// machineRecord is <machine id>.json of the results: fly_deploy's fields, and ours.
type machineRecord struct {
	MachineID          string    `json:"machine_id"`
	Region             string    `json:"region"`
	Status             string    `json:"status"` // completed, failed, or pending where nothing was started
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

func (p *Pipeline) machineRecord(r *Rollout) machineRecord {
	result := r.result()
	m := machineRecord{
		MachineID: result.ID, Region: result.Region, Status: "failed", Success: r.upgraded(), ModuleNames: []string{}, ProcessNames: []string{},
		SuspendMS: float64(result.SuspendedUS) / 1000, TotalMS: time.Since(p.started).Milliseconds(), AppliedAt: time.Now().UTC().Truncate(time.Millisecond),
		Version: p.Upgrade.Version, UpgradeID: p.Upgrade.ID, Fingerprint: r.code.Fingerprint, MachineResult: result,
		ProcessesFailed: r.status.FailuresTotal,
	}
	if result.Error != "" {
		m.Error = &result.Error
	}
	switch {
	case r.upgraded():
		m.Status = "completed"
	case result.Outcome == outcomeNotStarted:
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
	return m
}

// reportSuffix follows the machine's id in the name of the report that its agent uploads when something failed.
const reportSuffix = ".report.json.gz"

// resultsAtOnce bounds how many results are written at the same time.
const resultsAtOnce = 8

// writeResults stores each machine's end below releases/<app>-results/<upgrade id>/, and removes the oldest records.
func (p *Pipeline) writeResults(ctx context.Context) {
	if p.journal == nil {
		return
	}
	_ = p.phase(engine.PhaseResults, "", func() (string, error) {
		group, writing := errgroup.WithContext(ctx)
		group.SetLimit(resultsAtOnce)
		for _, r := range p.machines {
			group.Go(func() error {
				err := run.Guarded(func() error {
					body, err := json.MarshalIndent(p.machineRecord(r), "", "  ")
					if err != nil {
						return err
					}
					return p.Target.Storage.Records.WriteResult(writing, p.Upgrade.ID, r.Machine.ID+".json", append(body, '\n'))
				})
				if err != nil {
					return fmt.Errorf("write the result of machine %s: %w", r.Machine.ID, err)
				}
				return nil
			})
		}
		err := group.Wait()
		if err == nil {
			err = p.prune(ctx)
		}
		return fmt.Sprintf("releases/%s-results/%s/", p.Target.OTPApp, p.Upgrade.ID), err
	})
}

// defaultKeep is how many deploys the record keeps.
const defaultKeep = 50

// prune removes the oldest records. Those of upgrades that machines run are kept.
func (p *Pipeline) prune(ctx context.Context) error {
	keep := p.settings.Keep
	if keep == 0 {
		keep = defaultKeep
	}
	records := p.Target.Storage.Records
	ids, err := records.Upgrades(ctx)
	if err != nil || len(ids) <= keep {
		return err
	}
	md, _, err := records.Metadata(ctx)
	if err != nil {
		return nil // the next deploy prunes
	}
	running := map[string]bool{p.Upgrade.ID: true}
	if md.HotUpgrade != nil {
		running[md.HotUpgrade.ID] = true
	}
	for _, u := range md.MachineUpgrades {
		running[u.ID] = true
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

// finishRecord writes the end of the stream. Nobody is told by an event any more: the stream has ended.
func (p *Pipeline) finishRecord(ctx context.Context, result engine.Result) error {
	if p.journal == nil {
		return nil
	}
	return p.journal.Finish(ctx, result)
}
