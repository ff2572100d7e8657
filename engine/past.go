package engine

import (
	"context"
	"time"
)

// Past summarizes one recorded deploy.
type Past struct {
	ID             string    `json:"id"`
	At             time.Time `json:"at"` // when it began
	Outcome        Outcome   `json:"outcome"`
	Version        string    `json:"version,omitempty"`
	Owner          string    `json:"owner,omitempty"`
	Host           string    `json:"host,omitempty"`
	Message        string    `json:"message,omitempty"`
	GitRevision    string    `json:"git_revision,omitempty"`
	CILink         string    `json:"ci_link,omitempty"`
	Machines       int       `json:"machines"`
	Upgraded       int       `json:"upgraded"`
	MaxSuspendedUS int64     `json:"max_suspended_us"`
	DurationMS     int64     `json:"duration_ms"`
	WaitedMS       int64     `json:"waited_ms,omitempty"` // as Result's
	Running        bool      `json:"running,omitempty"`
	// BootsImage lists machines that boot their image's code, since boots with this upgrade have not lasted.
	BootsImage []string `json:"boots_image,omitempty"`
	Verdict    Verdict  `json:"verdict,omitzero"`    // of its plan
	Health     Health   `json:"health,omitempty"`    // of what runs the upgrade, once it has ended
	Why        string   `json:"why,omitempty"`       // what ended one that did not succeed
	Stopped    bool     `json:"stopped,omitempty"`   // by its operator, and by nothing else
	Cold       bool     `json:"cold,omitempty"`      // as Result's
	Trial      *Trial   `json:"trial,omitempty"`     // it is on trial now, or was until its time was over
	TrialEnd   TrialEnd `json:"trial_end,omitempty"` // as Result's
	Tried      string   `json:"tried,omitempty"`     // with TrialEnd: the ID of the deploy that was on trial
	Address    string   `json:"address,omitempty"`   // of its record in the bucket, as Document's; known to who has read that
}

// IsNothing: it has come to nothing before anything was suspended, as it was meant to.
func (p *Past) IsNothing() bool {
	return p.Upgraded == 0 && (p.Outcome == OutcomeBlocked || p.Outcome == OutcomeLocked || p.Outcome == OutcomeCancelled)
}

// Took is how long the deploy itself took, as Result's; 0 where nobody knows.
func (p *Past) Took() time.Duration { return time.Duration(p.DurationMS-p.WaitedMS) * time.Millisecond }

// Waited is how long its questions waited for answers.
func (p *Past) Waited() time.Duration { return time.Duration(p.WaitedMS) * time.Millisecond }

// Source hands out events as they come, like a deploy. Next gives io.EOF after the last one.
type Source interface {
	Next(ctx context.Context) ([]Event, error)
}
