package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"flydeploy/text"
)

// Trial is an upgrade that runs and is not what machines boot, as current.json tells it: it is confirmed, or each VM that runs it stops when its
// time is over, so that its machine starts without it.
type Trial struct {
	ID       string                  `json:"id"` // of the upgrade
	Version  string                  `json:"version"`
	SHA256   string                  `json:"sha256"`
	Owner    string                  `json:"owner,omitempty"`
	Machines map[string]MachineTrial `json:"machines"` // by machine ID
}

// MachineTrial is a trial in one machine's VM.
type MachineTrial struct {
	ID    string    `json:"id"`    // of the deploy that has begun it: a resumed one is another than the first
	Until time.Time `json:"until"` // by the bucket's clock
}

// Until is when the first machine is taken back.
func (t *Trial) Until() time.Time {
	var first time.Time
	for _, m := range t.Machines {
		if first.IsZero() || m.Until.Before(first) {
			first = m.Until
		}
	}
	return first
}

// End is when the last machine is.
func (t *Trial) End() time.Time {
	var last time.Time
	for _, m := range t.Machines {
		if m.Until.After(last) {
			last = m.Until
		}
	}
	return last
}

// Over reports whether its time is over for all machines.
func (t *Trial) Over(now time.Time) bool { return !now.Before(t.End()) }

// Describe words it: "2.1.0 is on trial on 4 machines until 14:32, not confirmed". Times are this computer's.
func (t *Trial) Describe(now time.Time) string {
	where := text.Counted(len(t.Machines), "machine")
	if t.Over(now) {
		return fmt.Sprintf("the trial of %s on %s ended at %s, not confirmed", text.Line(t.Version), where, clockTime(t.End(), now))
	}
	return fmt.Sprintf("%s is on trial on %s until %s, not confirmed", text.Line(t.Version), where, clockTime(t.Until(), now))
}

func clockTime(t, now time.Time) string {
	t = t.Local()
	if t.Sub(now).Abs() > 20*time.Hour {
		return t.Format("15:04 on 2006-01-02")
	}
	return t.Format("15:04")
}

// trialField is a field of current.json.
const trialField = "trial"

// Trial gives what is on trial, nil for nothing. What cannot be read, is not; nor is what machines of another image run.
func (md *Metadata) Trial() *Trial {
	var t Trial
	if json.Unmarshal(md.Extra[trialField], &t) != nil || len(t.Machines) == 0 {
		return nil
	}
	return &t
}

// AddTrial adds the machines of t to what is on trial. Another upgrade's trial is forgotten.
func (md *Metadata) AddTrial(t Trial) {
	if now := md.Trial(); now != nil && now.SHA256 == t.SHA256 {
		maps.Copy(now.Machines, t.Machines)
		t.Machines = now.Machines
	}
	md.setTrial(&t)
}

// AddTrials adds the machines of several parts of one trial.
func (md *Metadata) AddTrials(parts []Trial) {
	if len(parts) == 0 {
		return
	}
	whole := parts[0]
	whole.Machines = map[string]MachineTrial{}
	for _, part := range parts {
		maps.Copy(whole.Machines, part.Machines)
	}
	md.AddTrial(whole)
}

// EndTrial takes machines out of what is on trial.
func (md *Metadata) EndTrial(ids ...string) {
	t := md.Trial()
	if t == nil {
		return
	}
	for _, id := range ids {
		delete(t.Machines, id)
	}
	md.setTrial(t)
}

// EndTrials takes all machines out of it whose time is over.
func (md *Metadata) EndTrials(now time.Time) {
	if t := md.Trial(); t != nil && t.Over(now) {
		md.setTrial(nil)
	}
}

// ForgetTrial takes all machines out of it.
func (md *Metadata) ForgetTrial() { md.setTrial(nil) }

func (md *Metadata) setTrial(t *Trial) {
	if t == nil || len(t.Machines) == 0 {
		md.Extra = withoutField(md.Extra, trialField)
		return
	}
	if body, err := json.Marshal(t); err == nil {
		extra := withoutField(md.Extra, trialField)
		extra[trialField] = body
		md.Extra = extra
	}
}

// withoutField gives a copy of a document's further fields, without one.
func withoutField(extra map[string]json.RawMessage, name string) map[string]json.RawMessage {
	others := map[string]json.RawMessage{}
	maps.Copy(others, extra)
	delete(others, name)
	return others
}

// TrialEnd says how a trial is to end.
type TrialEnd string

// The ends of a trial that somebody may ask for.
const (
	TrialGoesOn    TrialEnd = ""
	TrialConfirmed TrialEnd = "confirmed"  // it is recorded, so that machines boot it
	TrialTakenBack TrialEnd = "taken_back" // its machines get the code again that they ran before
)
