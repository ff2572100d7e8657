package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/sign"
	"flydeploy/engine/target"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

func withdrawCommand() *cobra.Command {
	var r recordSettings
	s := engine.Settings{LockTimeout: time.Minute}
	var yes bool
	cmd := &cobra.Command{
		Use:   "withdraw",
		Short: "Take the hot upgrade out of the record, so that restarts run the image",
		Long: `Clears the upgrades in current.json, so that machines run their image's own code from their next start on: the way out
of an upgrade that crashes at boot. Running machines are not touched; restart them to get rid of the upgrade.

If no machine is running, a temporary machine is asked where the bucket is, unless --otp-app and --storage env (or
--aws-profile) say it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecord(cmd, r.appSettings, func(c *connection, t *target.Target) error {
				s.App = c.app.name
				return withdraw(cmd, c, s, t, yes, r.json())
			})
		},
	}
	r.register(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "withdraw without asking")
	cmd.Flags().StringVarP(&s.Message, "message", "m", "", "why you withdraw it: goes into the record")
	return cmd
}

// withdraw asks only where there is something to withdraw, and withdraws what it asked about.
func withdraw(cmd *cobra.Command, c *connection, s engine.Settings, t *target.Target, yes, asJSON bool) error {
	w, err := c.askWithdrawal(cmd.Context(), t)
	if err != nil {
		return err
	}
	if err := confirmName(cmd, c.app.name, yes, w.question); err != nil {
		return err
	}
	done, err := w.make(cmd.Context(), s)
	if err != nil {
		return err
	}
	if asJSON {
		return plain.Encode(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), withdrawnText(done, c.app.keys))
	return err
}

// withdrawal is one that somebody is asked about.
type withdrawal struct {
	c        *connection
	t        *target.Target
	seen     string // ETag of the current.json that the question is about
	question string
}

// askWithdrawal tells what there is to withdraw; an error where that is nothing.
func (c *connection) askWithdrawal(ctx context.Context, t *target.Target) (withdrawal, error) {
	md, seen, err := t.Storage.Records.Metadata(ctx)
	switch {
	case errors.Is(err, engine.ErrNotFound), err == nil && !md.NamesUpgrades():
		return withdrawal{}, record.NothingToWithdraw()
	case err != nil:
		return withdrawal{}, err
	}
	question := withdrawQuestion(c.app.name, md) + onTrial(md) + unsigned(c.app.keys.CheckRecord(sign.App{Fly: c.app.name, OTP: t.OTPApp}, md))
	return withdrawal{c: c, t: t, seen: seen, question: question}, nil
}

func (w withdrawal) make(ctx context.Context, s engine.Settings) (record.Withdrawal, error) {
	done, err := record.Withdraw(ctx, identify(ctx, w.c.app.dir()).sign(s), w.t.Storage, w.c.app.keys, w.t.OTPApp, w.seen)
	return done, lockedError(err)
}

func withdrawnText(done record.Withdrawal, keys *sign.Ring) string {
	return fmt.Sprintf("withdrawn: %s. Running machines keep it until they restart: `fly machine restart ID`.%s",
		upgrades(engine.Metadata{HotUpgrade: done.Fleet, MachineUpgrades: done.Machines}), unvouched(keys))
}

// unvouched says what a withdrawal is without that was not signed.
func unvouched(keys *sign.Ring) string {
	if !keys.Demands() || keys.SignsWith() != "" {
		return ""
	}
	return "\nIt is not signed: machines run their image, warn of it, and load the upgrade again if somebody writes it back. With --signing-key they remember that it is over."
}

func withdrawQuestion(app string, md engine.Metadata) string {
	return fmt.Sprintf("This takes %s out of the record of %s.\n"+
		"Running machines keep their code until they restart; from then on they run the code of their image.", upgrades(md), text.Line(app))
}

// onTrial tells that what is on trial stays; "" for nothing.
func onTrial(md engine.Metadata) string {
	t := md.Trial()
	if t == nil || t.Over(time.Now()) {
		return ""
	}
	return "\n" + t.Describe(time.Now()) + ": that goes on."
}

// unsigned tells what of current.json nobody has signed who is trusted here; "" if that is nothing.
func unsigned(wrong map[string]error) string {
	if len(wrong) == 0 {
		return ""
	}
	id := slices.Min(slices.Collect(maps.Keys(wrong))) // "" is the fleet's
	whose := "for the whole fleet"
	if id != "" {
		whose = "for machine " + text.Line(id)
	}
	more := ""
	if len(wrong) > 1 {
		more = fmt.Sprintf(", and so are %s", text.Counted(len(wrong)-1, "other entry"))
	}
	return fmt.Sprintf("\nSomebody else may have written it: %s (%s)%s.", text.Line(engine.AsProblem(wrong[id]).What), whose, more)
}

// upgrades tells which upgrades current.json names.
func upgrades(md engine.Metadata) string {
	machines := text.Counted(len(md.MachineUpgrades), "machine")
	switch {
	case md.HotUpgrade != nil && len(md.MachineUpgrades) > 0:
		return fmt.Sprintf("hot upgrade %s, and other upgrades on %s", text.Line(md.HotUpgrade.Version), machines)
	case md.HotUpgrade != nil:
		return "hot upgrade " + text.Line(md.HotUpgrade.Version)
	}
	return "the hot upgrades of " + machines
}
