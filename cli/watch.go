package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

// watchEvery is how often the record of a deploy under way is read. Its console writes as often.
const watchEvery = 700 * time.Millisecond

func watchCommand() *cobra.Command {
	var s spectatorSettings
	cmd := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Follow a deploy that somebody else runs",
		Long: `Follows the deploy that holds the lock, or the one with the given ID, and shows what its own console shows, at most two
seconds later. Leaving with ctrl-c does not affect the deploy. The exit code is the deploy's.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := s.chooseOutput(cmd)
			if err != nil {
				return err
			}
			return withRecord(cmd, s.appSettings, func(c *connection, t *target.Target) error {
				id, err := watched(cmd, t, args)
				if err != nil {
					return err
				}
				result := func() (engine.Result, error) {
					return record.ReadResult(cmd.Context(), t.Storage.Records, id)
				}
				if out == outputConsole {
					err = c.showOther(cmd.Context(), s.screenSettings, id)
				} else {
					err = show(cmd, spectate(record.Watch(t.Storage.Records, id, watchEvery), result), out)
				}
				if err != nil {
					return err
				}
				r, err := result()
				if err != nil {
					return err
				}
				if r.Outcome == engine.OutcomeUnfinished && out == outputConsole {
					return ended{engine.OutcomeCancelled} // the watching was left, the deploy goes on
				}
				if out == outputConsole {
					fmt.Fprintln(cmd.OutOrStdout(), plain.Summary(r)+c.recall(r))
				}
				return outcomeOf(r)
			})
		},
	}
	s.register(cmd)
	return cmd
}

// watched is the deploy that was named, or the one that holds the lock.
func watched(cmd *cobra.Command, t *target.Target, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	lock, err := t.Storage.Locks.Current(cmd.Context())
	if errors.Is(err, engine.ErrNotFound) {
		return "", engine.NewProblem("nobody_deploys", "nobody is deploying", nil, "`flydeploy history` lists past deploys, `flydeploy watch ID` follows one by its ID.")
	}
	if err == nil && lock.Frozen() {
		return "", engine.NewProblem("nobody_deploys", "nobody is deploying: "+text.Line(lock.DescribeFreeze()), nil, "`flydeploy history` lists past deploys, `flydeploy watch ID` follows one by its ID.")
	}
	if err == nil && lock.DeploymentID == "" {
		return "", engine.NewProblem("no_record", "the deploy lock is held by "+text.Line(lock.LockedBy)+", and names no deploy to follow", nil,
			"`flydeploy lock show` tells who holds it.")
	}
	return lock.DeploymentID, err
}
