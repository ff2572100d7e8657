package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
)

func withdrawCommand() *cobra.Command {
	var r recordSettings
	s := engine.Settings{LockTimeout: time.Minute}
	var yes bool
	cmd := &cobra.Command{
		Use:   "withdraw",
		Short: "Take the hot upgrade back out of the record: restarts run the image",
		Long: `Clears the upgrades in current.json, so that machines run their image's own code from their next start on: the way out
of an upgrade that crashes at boot. Machines that run are not touched; restart them to be rid of the upgrade.

Where no machine runs, a temporary machine tells where the bucket is; with --otp-app and --storage env (or --aws-profile)
none is asked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecord(cmd, r.appSettings, func(c *connection, t *engine.Target) error {
				md, _, err := t.Storage.Records.Metadata(cmd.Context())
				if err != nil && !errors.Is(err, engine.ErrNotFound) {
					return err
				}
				if err := confirmName(c.app.name, yes, "From their next start on, machines of "+c.app.name+" run their image instead of "+upgrades(md)+"."); err != nil {
					return err
				}
				id := identify(cmd.Context(), c.app.dir())
				s.App = c.app.name
				done, err := engine.Withdraw(cmd.Context(), id.sign(s), t.Storage)
				if err != nil {
					return lockedError(err)
				}
				if r.json() {
					return encode(cmd.OutOrStdout(), done)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "withdrawn: %s. Machines that run keep it until they restart: `fly machine restart ID`.\n",
					upgrades(engine.Metadata{HotUpgrade: done.Fleet, MachineUpgrades: done.Machines}))
				return nil
			})
		},
	}
	r.register(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "withdraw without a question")
	cmd.Flags().StringVarP(&s.Message, "message", "m", "", "why: goes into the record")
	return cmd
}

// upgrades tells which upgrades current.json names.
func upgrades(md engine.Metadata) string {
	switch {
	case md.HotUpgrade != nil && len(md.MachineUpgrades) > 0:
		return fmt.Sprintf("hot upgrade %s, and other upgrades on %s", oneLine(md.HotUpgrade.Version), engine.Counted(len(md.MachineUpgrades), "machine"))
	case md.HotUpgrade != nil:
		return "hot upgrade " + oneLine(md.HotUpgrade.Version)
	case len(md.MachineUpgrades) > 0:
		return "upgrades on " + engine.Counted(len(md.MachineUpgrades), "machine")
	}
	return "nothing"
}
