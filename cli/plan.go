package cli

import "github.com/spf13/cobra"

func planCommand(signals *interrupts) *cobra.Command {
	d := defaultDeploy()
	d.engine.DryRun = true
	cmd := &cobra.Command{
		Use:   "plan [flags] [-- flags of fly deploy]",
		Short: "Show what a hot upgrade would do (hot --dry-run)",
		Long: `Builds the new image, packs its release, stages it on the machines, and shows the plan. It takes no lock, suspends
nothing, and removes its agents and the temporary machine; the pushed image stays in Fly's registry.

Exit codes: 0 it can be deployed, 1 failed, 2 wrong usage, 3 blocked by the plan, 130 cancelled.`,
		Args: d.passOn,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHot(cmd, d, signals) },
	}
	d.appSettings.register(cmd)
	d.registerBuild(cmd)
	d.registerSelection(cmd)
	d.registerPlan(cmd)
	d.screenSettings.register(cmd)
	d.registerOutput(cmd)
	return cmd
}
