package engine

// CatchUp is what the package fly_deploy in a VM says of how it keeps up with the record by itself.
type CatchUp struct {
	// Mode says when it looks at the record: CatchUpAfterSuspension or CatchUpAlways.
	Mode string `json:"mode"`
	// Outcome is how its last look ended. Text says more.
	Outcome CatchUpOutcome `json:"outcome"`
	Text    string         `json:"text,omitempty"`
}

// CatchUpOutcome is how a machine's last look at the record ended, as elixir/lib/fly_deploy/catch_up.ex names it.
type CatchUpOutcome string

// The ends of a look.
const (
	CatchUpWatching CatchUpOutcome = "watching" // there was none yet
	CatchUpSettled  CatchUpOutcome = "settled"  // there is nothing to do
	CatchUpDone     CatchUpOutcome = "caught_up"
	CatchUpWaiting  CatchUpOutcome = "waiting"
	CatchUpFailed   CatchUpOutcome = "failed"
	CatchUpGaveUp   CatchUpOutcome = "gave_up"
)

// When a machine looks at the record by itself.
const (
	CatchUpAfterSuspension = "after_suspension" // once it has woken
	CatchUpAlways          = "always"           // then, and about every ten minutes
)

// Behind says why a VM that is stale runs other code than recorded, as far as it knows, and what to expect of it.
func (c MachineCode) Behind() string {
	switch {
	case c.CatchUp == nil:
		return "it woke from a suspension, or its startup hook is missing or failed; it does not catch up by itself"
	case c.CatchUp.Outcome == CatchUpFailed:
		return "it cannot catch up by itself: " + c.CatchUp.Text
	case c.CatchUp.Outcome == CatchUpGaveUp:
		return "it no longer tries to catch up by itself: " + c.CatchUp.Text
	case c.CatchUp.Outcome == CatchUpWaiting:
		return "it is going to catch up by itself, and looks again within ten minutes: " + c.CatchUp.Text
	}
	looks := "it checks for missed upgrades only after a suspension, a few seconds after waking"
	if c.CatchUp.Mode == CatchUpAlways {
		looks = "it checks for missed upgrades about every ten minutes, and after a suspension"
	}
	if c.CatchUp.Outcome == CatchUpSettled { // before the upgrade was recorded, or for a reason that it names
		looks += "; its last look said: " + c.CatchUp.Text
	}
	return looks
}

// Lagging lists the IDs of the machines whose VM has loaded other code than recorded, among those that were asked.
func (o *Overview) Lagging() []string {
	var ids []string
	for _, m := range o.Machines {
		if o.Code[m.ID].Stale {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
