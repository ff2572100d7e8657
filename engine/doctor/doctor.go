package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/target"
	"flydeploy/text"
)

// CheckStatus is how one check of the doctor ended.
type CheckStatus string

// The statuses of checks. Skipped: another check has to succeed first.
const (
	CheckOK      CheckStatus = "ok"
	CheckWarn    CheckStatus = "warn"
	CheckFail    CheckStatus = "fail"
	CheckSkipped CheckStatus = "skipped"
)

// Check is one line of the doctor's report.
type Check struct {
	Name    string      `json:"name"`
	Status  CheckStatus `json:"status"`
	Machine string      `json:"machine,omitempty"`
	Text    string      `json:"text"`
	Remedy  string      `json:"remedy,omitempty"`
}

// FailedCheck tells what err keeps from working.
func FailedCheck(name string, err error) Check {
	p := engine.AsProblem(err)
	return Check{Name: name, Status: CheckFail, Text: p.What, Remedy: p.Remedy}
}

// checkWithin bounds one check: a machine's answer may have to wait for rate limits and for a busy CPU.
const checkWithin = 45 * time.Second

// Patient is what the doctor looks at: one Fly app.
type Patient struct {
	engine.App
	Fly   string // its name on Fly
	Fleet Fleet
	Open  engine.OpenStorage
}

// doctor tells each check as soon as it has ended.
type doctor struct {
	Patient
	tell func(Check)
}

// Examine looks at everything that a deploy depends on outside of this computer. It changes nothing but a throw-away
// object in the bucket.
func Examine(ctx context.Context, p Patient, tell func(Check)) {
	d := &doctor{p, tell}
	machines, err := bounded(ctx, p.Fleet.Machines)
	if err != nil {
		d.tell(FailedCheck("app", err))
		d.skip("the app cannot be looked at", "machines", "power", "release", "bucket", "conditional_writes", "lock", "storage_clock")
		return
	}
	d.ok("app", "%s, %s", p.Fly, text.Counted(len(machines), "machine"))
	d.machines(machines)
	d.power(ctx)
	d.storage(ctx, d.releases(ctx, machines))
}

func bounded[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	return ask(ctx)
}

func (d *doctor) ok(name, format string, args ...any) {
	d.tell(Check{Name: name, Status: CheckOK, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) skip(why string, names ...string) {
	for _, name := range names {
		d.tell(Check{Name: name, Status: CheckSkipped, Text: "not checked: " + why})
	}
}

// machines tells what a deploy would take and leave out, whether the fleet is of one image, and what an earlier deploy left.
func (d *doctor) machines(all []engine.Machine) {
	s, err := target.ScopeOf(all, engine.Selection{})
	if err != nil {
		d.tell(FailedCheck("machines", err))
	} else {
		d.ok("machines", "%d take part in a deploy%s", len(s.In), leftOutText(s.Out))
	}
	if images := tagsOf(s.In); len(images) > 1 {
		d.tell(Check{
			Name: "images", Status: CheckWarn, Text: "machines run different images: " + strings.Join(images, ", "),
			Remedy: "A hot upgrade needs one image: `fly deploy` brings all machines to it, or select the machines of one.",
		})
	}
	for _, m := range all {
		if m.Temporary != "" {
			d.tell(Check{
				Name: "temporary_machine", Status: CheckWarn, Machine: m.ID,
				Text:   "a temporary machine of deploy " + m.Temporary + " is there",
				Remedy: "If that deploy is over, the next one removes it; it also ends by itself.",
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

func tagsOf(machines []engine.Machine) []string {
	var tags []string
	for _, m := range machines {
		if tag := engine.Tag(m.Image); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// power asks what the token may do.
func (d *doctor) power(ctx context.Context) {
	_, err := bounded(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, d.Fleet.MayCreate(ctx) })
	if err != nil {
		d.tell(FailedCheck("power", err))
		return
	}
	d.ok("power", "the token may create and destroy machines")
}

// storage looks at the bucket with the settings of the release that was found.
func (d *doctor) storage(ctx context.Context, found *examined) {
	const bucket, conditions, lock, clock = "bucket", "conditional_writes", "lock", "storage_clock"
	if found == nil {
		d.skip("no running release has told where the bucket is", bucket, conditions, lock, clock)
		return
	}
	storage, err := bounded(ctx, func(ctx context.Context) (engine.Storage, error) { return d.Open(ctx, found.otpApp, found.storage) })
	if err == nil {
		_, err = bounded(ctx, func(ctx context.Context) (struct{}, error) {
			_, _, err := storage.Records.Metadata(ctx)
			if errors.Is(err, engine.ErrNotFound) {
				err = nil
			}
			return struct{}{}, err
		})
	}
	if err != nil {
		d.tell(FailedCheck(bucket, err))
		d.skip("the bucket cannot be read", conditions, lock, clock)
		return
	}
	d.ok(bucket, "%s is readable", storage.Place)
	if f, differs := storage.SettingsFinding(); differs {
		d.tell(Check{Name: bucket, Status: CheckWarn, Text: f.What, Remedy: f.Remedy})
	}
	d.trials(ctx, storage.Trials)
}

func (d *doctor) trials(ctx context.Context, t engine.Trials) {
	_, err := bounded(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.TryConditions(ctx) })
	if err != nil {
		d.tell(FailedCheck("conditional_writes", err))
	} else {
		d.ok("conditional_writes", "the storage honours them, so that one deploy at a time holds the lock")
	}
	d.lock(ctx, t)
	skew, err := bounded(ctx, t.Skew)
	if err != nil {
		d.tell(FailedCheck("storage_clock", err))
		return
	}
	d.clock("storage_clock", "", "the storage's clock", skew)
}

func (d *doctor) lock(ctx context.Context, t engine.Trials) {
	last, err := bounded(ctx, t.LastLock)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		d.ok("lock", "the deploy lock is free")
	case err != nil:
		d.tell(FailedCheck("lock", err))
	case last.ExpiresIn() == 0:
		d.ok("lock", "the deploy lock is free; that of %s expired without a release, it was written %s ago", last.LockedBy, last.Age.Round(time.Second))
	default:
		d.tell(Check{
			Name: "lock", Status: CheckWarn, Text: (&engine.LockHeldError{Held: last}).Error(),
			Remedy: "Wait until that deploy ends. If it is dead, the lock expires by itself; `flydeploy hot --force` overrides it.",
		})
	}
}

// refusedSkew is how far off a clock may be before S3 refuses what it signs. Source: Amazon S3, RequestTimeTooSkewed.
const refusedSkew = 15 * time.Minute

// clock tells how far another clock is off ours. A small difference only makes times hard to compare.
func (d *doctor) clock(name, machine, whose string, skew time.Duration) {
	c := Check{Name: name, Machine: machine, Status: CheckOK, Text: whose + " agrees with this computer's"}
	if skew != 0 {
		c.Status, c.Text = CheckWarn, fmt.Sprintf("%s is %s off this computer's", whose, skew.Round(time.Second))
		c.Remedy = "Set the clock that is wrong (compare with `date -u`). From 15 minutes on, storages refuse signed requests."
	}
	if skew.Abs() >= refusedSkew {
		c.Status = CheckFail
	}
	d.tell(c)
}
