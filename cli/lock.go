package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/lock"
	"flydeploy/engine/target"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

func lockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Show or release the deploy lock, or take it so that nobody deploys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lockShowCommand(), lockAcquireCommand(), lockReleaseCommand())
	return cmd
}

func lockShowCommand() *cobra.Command {
	var r recordSettings
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show who holds the deploy lock, from where, since when and until when",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecord(cmd, r.appSettings, func(_ *connection, t *target.Target) error {
				lock, err := t.Storage.Locks.Current(cmd.Context())
				held := !errors.Is(err, engine.ErrNotFound)
				if held && err != nil {
					return err
				}
				if r.json() && held {
					return plain.Encode(cmd.OutOrStdout(), lockShown{Held: true, LockInfo: lock.ByLocalClock(), ExpiresInMS: lock.ExpiresIn().Milliseconds()})
				} else if r.json() {
					return plain.Encode(cmd.OutOrStdout(), map[string]bool{"held": false})
				}
				fmt.Fprintln(cmd.OutOrStdout(), lockText(held, lock))
				return nil
			})
		},
	}
	r.register(cmd)
	return cmd
}

// lockShown is the lock as JSON.
type lockShown struct {
	Held bool `json:"held"`
	engine.LockInfo
	ExpiresInMS int64 `json:"expires_in_ms"`
}

func lockText(held bool, l engine.LockInfo) string {
	switch {
	case !held:
		return "the deploy lock is free"
	case l.Frozen():
		return text.Line(l.DescribeFreeze())
	}
	shown := "held by  " + text.Line(l.LockedBy)
	if l.Host != "" {
		shown += "\nhost     " + text.Line(l.Host)
	}
	if l.DeploymentID == "" {
		return shown
	}
	return shown + fmt.Sprintf("\ndeploy   %s\nsince    %s\nexpires  in %s, unless its owner renews it (last written %s ago)", text.Line(l.DeploymentID),
		l.LockedAt.Local().Format(engine.SinceFormat), text.Seconds(l.ExpiresIn()), text.Seconds(l.Age))
}

func releaseQuestion(l engine.LockInfo) string {
	if l.Frozen() {
		return lockText(true, l) + "\nReleased, everybody may deploy again."
	}
	return lockText(true, l) + "\nIf that deploy is still alive, it notices within ten seconds, starts nothing more and says why."
}

func releasedText(l engine.LockInfo) string {
	if l.Frozen() {
		return "ended the freeze of " + text.Line(l.Holder()) + ": " + text.Line(l.Freeze)
	}
	return fmt.Sprintf("released the lock of %s (deploy %s)", text.Line(l.LockedBy), text.Line(l.DeploymentID))
}

func lockReleaseCommand() *cobra.Command {
	var app appSettings
	var yes bool
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Release a lock that a dead deploy left behind, or end a freeze",
		Long: `Releases the deploy lock that somebody holds, once you have typed the app's name, or with --yes. A deploy that is still
alive notices within ten seconds, starts nothing more and says why. A lock also expires by itself: see ` + "`flydeploy lock show`.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecord(cmd, app, func(c *connection, t *target.Target) error {
				current, err := t.Storage.Locks.Current(cmd.Context())
				if errors.Is(err, engine.ErrNotFound) {
					fmt.Fprintln(cmd.OutOrStdout(), lockText(false, current))
					return nil
				}
				if err != nil {
					return err
				}
				if err := confirmName(cmd, c.app.name, yes, releaseQuestion(current)); err != nil {
					return err
				}
				if err := c.release(cmd.Context(), t, current); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), releasedText(current))
				return nil
			})
		},
	}
	app.register(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "release it without asking")
	return cmd
}

// release frees the lock that somebody was asked about.
func (c *connection) release(ctx context.Context, t *target.Target, held engine.LockInfo) error {
	return lockedError(lock.Break(ctx, t.Storage.Locks, held, identify(ctx, c.app.dir()).owner))
}

// lockedError gives the exit code of a lock that somebody else holds.
func lockedError(err error) error {
	var held *engine.LockHeldError
	if errors.As(err, &held) {
		return failed{err, engine.OutcomeLocked}
	}
	return err
}
