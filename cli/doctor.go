package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/doctor"
	"flydeploy/fly"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

func doctorCommand() *cobra.Command {
	var r recordSettings
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything a deploy depends on, and say how to fix what is wrong",
		Long: `Checks the configuration, the token and what it may do, flyctl, the app and its machines, the
running release (distribution, crypto, ssl, certificates, files), the bucket, conditional writes,
the deploy lock and the clocks. It changes nothing, except for a temporary object in the bucket.

Exit codes: 0 ready, perhaps with warnings; 1 something prevents a deploy; 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			to := &report{out: cmd.OutOrStdout(), json: r.json()}
			if err := examine(cmd, r.appSettings, to.add); err != nil {
				return err
			}
			return to.end()
		},
	}
	r.register(cmd)
	return cmd
}

// examine makes all checks. Its error is wrong usage or a cancellation: everything else is a check that failed.
func examine(cmd *cobra.Command, app appSettings, tell func(engine.Check)) error {
	_, err := app.load(cmd)
	var wrong usageError
	if errors.As(err, &wrong) {
		return err
	}
	if err != nil {
		tell(engine.FailedCheck("config", err))
		return nil
	}
	token, found := checkHere(cmd.Context(), app, tell)
	if !found {
		return nil
	}
	fleet, err := newFlyClient(app, token)
	if err != nil {
		tell(engine.FailedCheck("app", err))
		return nil
	}
	return app.examine(cmd.Context(), fleet, false, tell)
}

// checkHere checks what a deploy needs on this computer, and gives the token.
func checkHere(ctx context.Context, app appSettings, tell func(engine.Check)) (token string, found bool) {
	tell(configCheck(app))
	tell(flyctlCheck(ctx))
	token, from, err := fly.Token()
	if err != nil {
		tell(engine.FailedCheck("token", err))
		return "", false
	}
	tell(engine.Check{Name: "token", Status: engine.CheckOK, Text: "from " + from})
	return token, true
}

// examine checks everything else. Its error is a cancellation: everything else is a check that failed.
func (a *appSettings) examine(ctx context.Context, fleet doctor.Fleet, readOnly bool, tell func(engine.Check)) error {
	doctor.Examine(ctx, doctor.Patient{App: a.target(), Fly: a.name, Fleet: fleet, Open: a.openStorage, Keys: a.keys, ReadOnly: readOnly}, tell)
	return ctx.Err()
}

// examine checks everything for the console that is open on the app. The demo's needs nothing of this computer.
func (c *connection) examine(ctx context.Context, readOnly bool, tell func(engine.Check)) error {
	if c.passing {
		tell(configCheck(c.app))
	} else if _, found := checkHere(ctx, c.app, tell); !found {
		return ctx.Err()
	}
	return c.app.examine(ctx, c.fleet, readOnly, tell)
}

func configCheck(app appSettings) engine.Check {
	text := "app " + app.name + ", from " + app.config
	if app.config == "" {
		text = "app " + app.name + ", without a fly.toml"
	}
	return engine.Check{Name: "config", Status: engine.CheckOK, Text: text}
}

// flyctlCheck only warns: a deploy of an image that was pushed earlier needs no flyctl.
func flyctlCheck(ctx context.Context) engine.Check {
	path, version, err := fly.Flyctl(ctx)
	if err != nil {
		c := engine.FailedCheck("flyctl", err)
		c.Status = engine.CheckWarn
		return c
	}
	return engine.Check{Name: "flyctl", Status: engine.CheckOK, Text: strings.TrimSpace(path + ", " + version)}
}

// report writes checks as they come, and the totals at the end.
type report struct {
	out   io.Writer
	json  bool
	count map[engine.CheckStatus]int
	err   error // of the first write that failed
}

// checkLine is a check in JSON output; the last line has the type "result".
type checkLine struct {
	V    int    `json:"v"`
	Type string `json:"type"`
	engine.Check
}

type reportEnd struct {
	V        int            `json:"v"`
	Type     string         `json:"type"`
	Outcome  engine.Outcome `json:"outcome"` // succeeded or failed
	OK       int            `json:"ok"`
	Warnings int            `json:"warnings"`
	Failed   int            `json:"failed"`
	Skipped  int            `json:"skipped"`
}

func (r *report) add(c engine.Check) {
	if r.count == nil {
		r.count = map[engine.CheckStatus]int{}
	}
	r.count[c.Status]++
	if r.json {
		r.write(plain.Encode(r.out, checkLine{engine.EventVersion, "check", c}))
		return
	}
	says := c.Text
	if c.Machine != "" {
		says = "machine " + c.Machine + ": " + says
	}
	_, err := fmt.Fprintf(r.out, "%-7s  %-18s  %s\n", c.Status, c.Name, text.Line(says))
	if c.Remedy != "" && err == nil {
		_, err = fmt.Fprintf(r.out, "%29s→ %s\n", "", text.Line(c.Remedy))
	}
	r.write(err)
}

func (r *report) write(err error) {
	if r.err == nil {
		r.err = err
	}
}

// end writes the totals. A failed check is a failed command.
func (r *report) end() error {
	outcome := engine.OutcomeSucceeded
	if r.count[engine.CheckFail] > 0 {
		outcome = engine.OutcomeFailed
	}
	ok, warnings, failed, skipped := r.count[engine.CheckOK], r.count[engine.CheckWarn], r.count[engine.CheckFail], r.count[engine.CheckSkipped]
	switch {
	case r.json:
		r.write(plain.Encode(r.out, reportEnd{engine.EventVersion, "result", outcome, ok, warnings, failed, skipped}))
	default:
		_, err := fmt.Fprintf(r.out, "\n%d ok, %d warnings, %d failed, %d not checked\n", ok, warnings, failed, skipped)
		r.write(err)
	}
	if r.err != nil || outcome == engine.OutcomeSucceeded {
		return r.err
	}
	return ended{outcome}
}
