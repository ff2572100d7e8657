package cli

import (
	"github.com/spf13/cobra"

	"flydeploy/engine"
)

func confirmCommand(signals *interrupts) *cobra.Command {
	d := defaultDeploy()
	var back bool
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the upgrade that is on trial, or take it back",
		Long: `Records the upgrade that ` + "`flydeploy hot --trial`" + ` has deployed, so that machines boot it from now on, and lets the VMs run on.
Nothing is suspended. Machines that have restarted since do not run it, and are not recorded: ` + "`flydeploy hot --resume`" + ` upgrades them.
What has crashed since the commit is looked at first: an upgrade that is not well is confirmed only with --accept unhealthy.

With --back its machines get the code again that they ran before, as a hot upgrade with a plan of its own: processes keep their states
where a module's code_change has a clause for {:down, vsn}. What blocks that is accepted by name (--accept). A machine that
cannot be taken back while it runs goes on, and stops when its trial is over.

Whoever confirms needs no more than whoever deploys: it takes the deploy lock, and signs where upgrades are signed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not well, 4 locked, 5 on some of its machines only, 130 cancelled.`,
		Example: `  flydeploy hot --trial 10m --yes && ./smoke-test && flydeploy confirm
  flydeploy confirm --back`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.engine.EndTrial = engine.TrialConfirmed
			if back {
				d.engine.EndTrial = engine.TrialTakenBack
			}
			return runConfirm(cmd, d, signals)
		},
	}
	d.appSettings.register(cmd)
	d.registerOutput(cmd)
	fs, e := cmd.Flags(), &d.engine
	fs.BoolVar(&back, "back", false, "take it back instead")
	fs.StringArrayVar(&e.Accept, "accept", nil, "accept by its name what blocks it (repeatable): unhealthy, or a blocker of the way back")
	fs.StringVarP(&e.Message, "message", "m", "", "why: goes into the record")
	fs.Var(inSeconds(&e.LockWait), "lock-wait", "how long to wait for somebody else's deploy lock")
	return cmd
}

// runConfirm asks nobody: the command is the answer.
func runConfirm(cmd *cobra.Command, d deploySettings, signals *interrupts) error {
	d.engine.Yes = true
	out, err := d.chooseOutput(false)
	if err != nil {
		return err
	}
	if out == outputConsole {
		out = outputPlain
	}
	if err := d.load(cmd); err != nil {
		return err
	}
	c, err := connectDeploy(d, signals)
	if err != nil {
		return err
	}
	deploy, err := c.start(cmd.Context(), identify(cmd.Context(), d.dir()).sign(d.engine))
	if err != nil {
		return err
	}
	return c.finish(cmd, deploy, out)
}
