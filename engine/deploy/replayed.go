package deploy

import (
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/text"
)

// What lies in the bucket may be an old record, which is signed as well as a new one: whoever can write there keeps copies. Where keys are
// demanded, what a record says has run is held against what the machine's VM told when it was staged.

// checkBefore fails if what is recorded may not be what a machine ran before the deploy: nobody who is trusted has signed it, or it is older
// than that. u is nil where nothing is recorded, which is the image's own code.
func (c *committing) checkBefore(r *rollout, u *engine.HotUpgrade) error {
	keys, ran := c.ports.Keys, r.status.Ran
	switch {
	case !keys.Demands():
		return nil
	case c.tookEarlier(r): // what it told before that nobody remembers
		return engine.NewProblem("older_record", "its agent had gone when the deploy was resumed, so that its VM does not tell any more what it ran before, and what is recorded may be an older record",
			nil, "`flydeploy history` shows what ran before; `flydeploy hot --to ID` deploys what you name.")
	case u == nil:
		return c.checkOwnCode(r)
	}
	if err := keys.CheckUpgrade(appOf(c.upgrade), *u, c.upgrade.BaseImage, r.machine.ID); err != nil {
		return err
	}
	switch was := r.status.Running; {
	case ran != nil && u.Signature.SignedAtMS < ran.NewestMS && !ranCode(ran, u):
		return olderRecord(fmt.Sprintf("the upgrade to %s in current.json was signed at %s, and machine %s has run what was signed at %s",
			text.Line(u.Version), engine.SignedAt(u.Signature.SignedAtMS), r.machine.ID, engine.SignedAt(ran.NewestMS)))
	case was != "" && was != u.Version: // all that is known without the package
		return olderRecord(fmt.Sprintf("current.json names %s for machine %s, which ran %s", text.Line(u.Version), r.machine.ID, was))
	}
	return nil
}

// ranCode reports whether the VM tells that the upgrade's code is what it ran, whatever it had run before that: an earlier deploy has taken it
// back to it, and could not record it.
func ranCode(ran *agent.Ran, u *engine.HotUpgrade) bool {
	return ran.Code != "" && ran.Code == u.Fingerprint
}

// checkOwnCode fails if a machine that ran an upgrade is to get its image's own code, and current.json names none for it by somebody else's
// doing.
func (c *committing) checkOwnCode(r *rollout) error {
	ran, found := r.status.Ran, c.surveyed.foundBefore(r.machine)
	if ran == nil || ran.Own || ran.NewestMS == 0 {
		return nil
	}
	if err := c.ports.Keys.CheckOwnCode(appOf(c.upgrade), found); err != nil {
		return err
	}
	if signed := found.OwnCode.SignedAtMS; signed < ran.NewestMS {
		return olderRecord(fmt.Sprintf("that current.json names no upgrade was signed at %s, and machine %s has run what was signed at %s",
			engine.SignedAt(signed), r.machine.ID, engine.SignedAt(ran.NewestMS)))
	}
	return nil
}

// checkResumed refuses to go on with a deploy on a machine that runs the upgrade of a later one, whose record is not there any more.
func (st *staged) checkResumed(r *rollout) error {
	ran := r.status.Ran
	if !st.ports.Keys.Demands() || !st.surveyed.resumes || ran == nil || ran.Upgrade <= st.surveyed.earlier.ID { // IDs are in the order of time
		return nil
	}
	return olderRecord(fmt.Sprintf("the last deploy that is recorded is %s, and machine %s runs the upgrade of a later one, %s",
		st.surveyed.earlier.ID, r.machine.ID, text.Line(ran.Upgrade)))
}

func olderRecord(what string) error {
	return engine.NewProblem("older_record", what, nil, engine.Remedies["older_record"])
}
