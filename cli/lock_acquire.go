package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/target"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

const (
	freezesFor    = time.Hour           // unless the command line says how long
	longestFreeze = 30 * 24 * time.Hour // a freeze that everybody has forgotten ends, too
	maxFreezeText = 200                 // runes of a freeze's reason, as many as a lock shows
)

// freeze is what `lock acquire` asks for.
type freeze struct {
	why   string
	d     time.Duration
	until string
}

func lockAcquireCommand() *cobra.Command {
	var r recordSettings
	f := freeze{d: freezesFor}
	cmd := &cobra.Command{
		Use:   "acquire",
		Short: "Freeze deploys: take the lock until an end, with a reason",
		Long: `Keeps everybody from deploying with flydeploy, you included, and tells them why: hot and cold deploys, trials' ends and
withdrawals are refused (exit code 4), or wait with --lock-wait. It ends by itself; ` + "`flydeploy lock release`" + ` ends it earlier, and
` + "`flydeploy hot --force`" + ` deploys all the same, which ends it for everybody. Machines go on catching up with what is recorded.
It does not stop ` + "`fly deploy`" + `.`,
		Example: `  flydeploy lock acquire -m "Black Friday" --until "2026-11-28 08:00"
  flydeploy lock acquire -m "hunting a memory leak" --for 2h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("for") && f.until != "" {
				return usage("give either --for or --until")
			}
			if err := f.check(time.Now()); err != nil {
				return err
			}
			return withRecord(cmd, r.appSettings, func(c *connection, t *target.Target) error {
				held, err := f.take(cmd.Context(), c, t)
				if err != nil {
					return err
				}
				return r.tell(cmd, held)
			})
		},
	}
	r.register(cmd)
	cmd.Flags().StringVarP(&f.why, "message", "m", "", "why nobody may deploy (required)")
	cmd.Flags().Var(inSeconds(&f.d), "for", "how long, such as 2h")
	cmd.Flags().StringVar(&f.until, "until", "", "until when, by this computer's clock: 18:00, \"2026-11-28 08:00\", or with a zone: 2026-11-28T08:00:00Z")
	return cmd
}

// check refuses what makes no freeze, and works out how long it lasts.
func (f *freeze) check(now time.Time) error {
	f.why = strings.TrimSpace(text.Line(f.why))
	switch n := utf8.RuneCountInString(f.why); {
	case n == 0:
		return usage("say why nobody may deploy: -m \"…\"")
	case n > maxFreezeText:
		return usage("the message has %d characters, and %d fit", n, maxFreezeText)
	}
	if f.until != "" {
		end, err := parseEnd(f.until, now)
		if err != nil {
			return err
		}
		f.d = end.Sub(now)
	}
	switch {
	case f.d < time.Second:
		return usage("the freeze must end in the future")
	case f.d > longestFreeze:
		return usage("a freeze ends within %d days", int(longestFreeze.Hours()/24))
	}
	return nil
}

// parseEnd reads a time; a time of day is the next one.
func parseEnd(s string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return at, nil
		}
	}
	at, err := time.ParseInLocation("15:04", s, now.Location())
	if err != nil {
		return at, usage("the end is a time such as 18:00, \"2026-11-28 08:00\" or 2026-11-28T08:00:00Z, not %q", s)
	}
	end := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, now.Location())
	if !end.After(now) {
		end = time.Date(now.Year(), now.Month(), now.Day()+1, at.Hour(), at.Minute(), 0, 0, now.Location())
	}
	return end, nil
}

// duringTrial refuses a freeze in which a trial could be neither confirmed nor taken back: at its end its machines would restart.
func duringTrial(trial *engine.Trial, now time.Time) error {
	if trial == nil || trial.Over(now) {
		return nil
	}
	return engine.NewProblem("on_trial", trial.Describe(now)+": in a freeze nobody could confirm it, and at its end its machines would restart", nil,
		"First run `flydeploy confirm`, or `flydeploy confirm --back`.")
}

// typedFreeze is one whose end is typed as either of the options: 2h, or 18:00.
func typedFreeze(why, end string, now time.Time) (freeze, error) {
	f := freeze{why: why, d: freezesFor}
	if end = strings.TrimSpace(end); end != "" && inSeconds(&f.d).Set(end) != nil {
		f.until = end
	}
	if strings.TrimSpace(why) == "" {
		return f, engine.NewProblem("freeze", "say why nobody may deploy", nil, "")
	}
	if err := f.check(now); err != nil {
		return f, engine.NewProblem("freeze", err.Error(), nil, "")
	}
	return f, nil
}

// question tells what a freeze does.
func (f *freeze) question(app string, until time.Time) string {
	return fmt.Sprintf("This keeps everybody from deploying %s with flydeploy, you included, until %s (for %s):\n%s\n\n"+
		"Hot and cold deploys, trials' ends and withdrawals are refused, or wait. It ends by itself, and by `flydeploy lock release` earlier.\n"+
		"Machines go on catching up with what is recorded. It does not stop `fly deploy`.", text.Line(app), until.Local().Format(engine.EndFormat), text.Seconds(f.d), f.why)
}

// possible refuses a freeze during a trial, and while somebody holds the lock.
func (f *freeze) possible(ctx context.Context, t *target.Target) error {
	held, err := t.Storage.Locks.Current(ctx)
	if err == nil {
		return lockedError(&engine.LockHeldError{Held: held})
	} else if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	return noTrial(ctx, t)
}

// noTrial is an error while there is a trial.
func noTrial(ctx context.Context, t *target.Target) error {
	md, _, err := t.Storage.Records.Metadata(ctx)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	return duringTrial(md.Trial(), t.Storage.Clock())
}

// take freezes deploys, and gives the lock that does it.
func (f *freeze) take(ctx context.Context, c *connection, t *target.Target) (engine.LockInfo, error) {
	if err := noTrial(ctx, t); err != nil {
		return engine.LockInfo{}, err
	}
	if err := t.Storage.Locks.Freeze(ctx, identify(ctx, c.app.dir()).owner, t.Storage.NewID(ctx), f.why, f.d); err != nil {
		return engine.LockInfo{}, lockedError(err)
	}
	return t.Storage.Locks.Current(ctx)
}

func frozenText(held engine.LockInfo) string {
	return lockText(true, held) + "\n`flydeploy lock release` ends the freeze."
}

// tell writes which lock freezes deploys now.
func (r *recordSettings) tell(cmd *cobra.Command, held engine.LockInfo) error {
	if r.json() {
		return plain.Encode(cmd.OutOrStdout(), lockShown{Held: true, LockInfo: held.ByLocalClock(), ExpiresInMS: held.ExpiresIn().Milliseconds()})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), frozenText(held))
	return err
}
