package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/sign"
	"flydeploy/text"
)

// findEarlier looks up the deploy that is to be resumed or deployed again; nil if neither was asked for. Its code is run on the
// machines, so that its record must be signed if anything is.
func (j *job) findEarlier(ctx context.Context, otpApp string, records engine.Results) (*record.Record, error) {
	var r record.Record
	var err error
	switch {
	case j.settings.To != "":
		r, err = readRecord(ctx, records, j.settings.To)
		if err == nil && r.Upgrade.TarballURL == "" {
			err = engine.NewProblem("no_tarball", "deploy "+j.settings.To+" ended before its tarball was uploaded", nil, "Choose another deploy: `flydeploy history` lists them.")
		}
	case j.settings.Resume:
		if r, err = record.Last(ctx, records); err == nil {
			err = j.checkMeant(r.ID)
		}
	default:
		return nil, nil
	}
	if err == nil {
		err = j.checkSigned(otpApp, r)
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// checkMeant refuses to go on with another deploy than the one that somebody has seen.
func (j *job) checkMeant(id string) error {
	if j.settings.Meant == "" || j.settings.Meant == id {
		return nil
	}
	return engine.NewProblem("another_deploy", "deploy "+text.Line(id)+" is the last by now, not "+j.settings.Meant, nil,
		"Nothing was changed. `flydeploy status` and `flydeploy history` show what happened since.")
}

// readRecord reads the record of a deploy by its ID, which somebody may have typed.
func readRecord(ctx context.Context, records engine.Results, id string) (record.Record, error) {
	r, err := record.Read(ctx, records, id)
	if errors.Is(err, engine.ErrNotFound) {
		err = record.NoRecordProblem(id, err)
	}
	return r, err
}

// checkSigned refuses a record that nobody has signed who is trusted, where anything is.
func (j *job) checkSigned(otpApp string, r record.Record) error {
	return j.ports.Keys.CheckDeploy(sign.App{Fly: j.settings.App, OTP: otpApp}, r.ID, r.Upgrade, orderedBy(r))
}

func orderedBy(r record.Record) sign.Ordered {
	o := sign.Ordered{Select: r.Select, Resumes: r.Resumes}
	if r.Strategy != nil {
		o.Strategy = *r.Strategy
	}
	return o
}

// closeEarlier marks the deploy that is resumed as unfinished if its record says that it runs: since we hold the lock, it does
// not.
func (j *job) closeEarlier(ctx context.Context, records engine.Results, earlier *record.Record) {
	if earlier == nil || !earlier.Running {
		return
	}
	// Its owner may have released the lock a moment ago, and have written the end since.
	if now, err := record.Read(ctx, records, earlier.ID); err != nil || !now.Running {
		return
	}
	if err := record.CloseUnfinished(ctx, records, *earlier); err != nil { // readers take it as unfinished anyway, once it is old enough
		j.rec.Log(engine.PhaseLock, fmt.Sprintf("the record of deploy %s could not be closed: %v", earlier.ID, err))
	}
}
