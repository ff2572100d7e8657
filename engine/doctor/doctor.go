// Package doctor has the looks that change nothing: the overview of a fleet, the inspection of its VMs, and the checks of everything
// that a deploy depends on.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/sign"
	"flydeploy/engine/target"
	"flydeploy/text"
)

// checkWithin bounds one check. An answer may have to wait for rate limits and for a busy CPU.
const checkWithin = 45 * time.Second

// Patient is what the doctor examines: one Fly app.
type Patient struct {
	engine.App
	Fly   string // the app's name on Fly
	Fleet Fleet
	Open  engine.OpenStorage
	Keys  *sign.Ring // nil without any

	ReadOnly bool // nothing is written, not even a throw-away object
}

// Fleet is the part of the Machines API that the doctor needs; package fly implements it, and engine.Fleet says what the methods
// do.
type Fleet interface {
	Machines(ctx context.Context) ([]engine.Machine, error)
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error)
	MayCreate(ctx context.Context) error
}

// doctor reports each check as soon as it has ended.
type doctor struct {
	Patient
	report func(engine.Check)
	hooks  map[string]agent.Hook // of the machines that were examined
}

// Examine checks everything outside of this computer that a deploy depends on. It writes nothing except a throw-away object in the
// bucket, and not even that where the patient is read-only.
func Examine(ctx context.Context, p Patient, report func(engine.Check)) {
	d := &doctor{Patient: p, report: report, hooks: map[string]agent.Hook{}}
	machines, err := within(ctx, p.Fleet.Machines)
	if err != nil {
		d.report(engine.FailedCheck("app", err))
		d.skip("the app cannot be looked at", "machines", "power", "release", "bucket", "conditional_writes", "lock", "storage_clock")
		return
	}
	d.ok("app", "%s, %s", p.Fly, text.Counted(len(machines), "machine"))
	d.machines(machines)
	d.power(ctx)
	d.storage(ctx, d.releases(ctx, machines))
}

// within asks within the time of one check.
func within[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	return ask(ctx)
}

func (d *doctor) ok(name, format string, args ...any) {
	d.report(engine.Check{Name: name, Status: engine.CheckOK, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) skip(why string, names ...string) {
	for _, name := range names {
		d.report(engine.Check{Name: name, Status: engine.CheckSkipped, Text: "not checked: " + why})
	}
}

// machines reports what a deploy would upgrade and leave out, whether the machines run one image, and what an earlier deploy has
// left behind.
func (d *doctor) machines(all []engine.Machine) {
	s, err := target.ScopeOf(all, engine.Selection{})
	if err != nil {
		d.report(engine.FailedCheck("machines", err))
	} else {
		d.ok("machines", "%d take part in a deploy%s", len(s.In), leftOutText(s.Out))
	}
	if images := imagesOf(s.In); len(images) > 1 {
		d.report(engine.Check{
			Name: "images", Status: engine.CheckWarn, Text: "machines run different images: " + strings.Join(images, ", "),
			Remedy: "A hot upgrade needs machines of one image. Bring all machines to one with `fly deploy`, or select the machines of one image.",
		})
	}
	for _, m := range all {
		if m.Lease.Held() && m.Temporary == "" {
			d.report(engine.Check{
				Name: "lease", Status: engine.CheckWarn, Machine: m.ID,
				Text: "its lease is held by " + m.Lease.Holder() + ", who may be changing the machine", Remedy: engine.Remedies["leased"],
			})
		}
		if m.KeepsDisk && m.Temporary == "" {
			d.report(engine.Check{
				Name: "keeps_disk", Status: engine.CheckWarn, Machine: m.ID, Remedy: engine.Remedies["keeps_disk"],
				Text: "it keeps its disk over restarts (persist_rootfs), so a restart after `flydeploy withdraw` does not lead back to its image",
			})
		}
		if m.Temporary != "" {
			d.report(engine.Check{
				Name: "temporary_machine", Status: engine.CheckWarn, Machine: m.ID,
				Text:   "there is a temporary machine of deploy " + m.Temporary,
				Remedy: "If that deploy is over, the next one removes it. It also destroys itself.",
			})
		}
	}
}

func leftOutText(out []engine.Machine) string {
	count := map[string]int{}
	for _, m := range out {
		count[m.LeftOut]++
	}
	var parts []string
	for why, n := range count {
		parts = append(parts, fmt.Sprintf("%d left out (%s)", n, why))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return ", " + strings.Join(parts, ", ")
}

func imagesOf(machines []engine.Machine) []string {
	var images []string
	for _, m := range machines {
		images = append(images, m.FullImage())
	}
	return engine.ImageNames(images...)
}

// power checks what the token may do.
func (d *doctor) power(ctx context.Context) {
	_, err := within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, d.Fleet.MayCreate(ctx) })
	if err != nil {
		d.report(engine.FailedCheck("power", err))
		return
	}
	d.ok("power", "the token may create and destroy machines")
}

// storage checks the bucket with the settings of the release that was found.
func (d *doctor) storage(ctx context.Context, found *examined) {
	const bucket, conditions, lock, clock = "bucket", "conditional_writes", "lock", "storage_clock"
	if found == nil {
		d.skip("no running release could say where the bucket is", bucket, conditions, lock, clock)
		return
	}
	var recorded engine.Metadata
	storage, err := within(ctx, func(ctx context.Context) (engine.Storage, error) { return d.Open(ctx, found.otpApp, found.storage) })
	if err == nil {
		recorded, err = within(ctx, func(ctx context.Context) (engine.Metadata, error) {
			md, _, err := storage.Records.Metadata(ctx)
			if errors.Is(err, engine.ErrNotFound) {
				err = nil
			}
			return md, err
		})
	}
	if err != nil {
		d.report(engine.FailedCheck(bucket, err))
		d.skip("the bucket cannot be read", conditions, lock, clock)
		return
	}
	d.ok(bucket, "%s is readable", storage.Place)
	if f, differs := storage.SettingsFinding(); differs {
		d.report(engine.Check{Name: bucket, Status: engine.CheckWarn, Text: f.What, Remedy: f.Remedy})
	}
	d.recorded(found.otpApp, recorded)
	d.trials(ctx, storage.Trials)
}

func (d *doctor) trials(ctx context.Context, t engine.Trials) {
	d.conditions(ctx, t)
	d.lock(ctx, t)
	skew, err := within(ctx, t.Skew)
	if err != nil {
		d.report(engine.FailedCheck("storage_clock", err))
		return
	}
	d.clock("storage_clock", "", "the storage's clock", skew)
}

// conditions writes a throw-away object to try them.
func (d *doctor) conditions(ctx context.Context, t engine.Trials) {
	const name = "conditional_writes"
	if d.ReadOnly {
		d.skip("that would write an object, and this is read-only", name)
		return
	}
	if _, err := within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.TryConditions(ctx) }); err != nil {
		d.report(engine.FailedCheck(name, err))
		return
	}
	d.ok(name, "the storage honours them, so only one deploy at a time can hold the lock")
}

func (d *doctor) lock(ctx context.Context, t engine.Trials) {
	last, err := within(ctx, t.LastLock)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		d.ok("lock", "the deploy lock is free")
	case err != nil:
		d.report(engine.FailedCheck("lock", err))
	case last.ExpiresIn() == 0:
		d.ok("lock", "the deploy lock is free; the last one, of %s, expired without being released and was written %s ago", last.LockedBy, last.Age.Round(time.Second))
	case last.Frozen():
		d.report(engine.Check{
			Name: "lock", Status: engine.CheckWarn, Text: last.DescribeFreeze(), Remedy: "Wait until then, or end it: `flydeploy lock release`.",
		})
	default:
		d.report(engine.Check{
			Name: "lock", Status: engine.CheckWarn, Text: (&engine.LockHeldError{Held: last}).Error(),
			Remedy: "Wait until that deploy ends. If its console is dead, the lock expires by itself; `flydeploy hot --force` overrides it.",
		})
	}
}

// refusedSkew is how far off a clock must be for S3 to refuse what it signs (Amazon S3, RequestTimeTooSkewed).
const refusedSkew = 15 * time.Minute

// clock reports how far another clock is off ours. A small difference only makes times hard to compare.
func (d *doctor) clock(name, machine, whose string, skew time.Duration) {
	c := engine.Check{Name: name, Machine: machine, Status: engine.CheckOK, Text: whose + " agrees with this computer's"}
	if skew != 0 {
		c.Status, c.Text = engine.CheckWarn, fmt.Sprintf("%s is %s off this computer's", whose, skew.Round(time.Second))
		c.Remedy = "Set the clock that is wrong (compare with `date -u`). From 15 minutes on, storages refuse signed requests."
	}
	if skew.Abs() >= refusedSkew {
		c.Status = engine.CheckFail
	}
	d.report(c)
}
