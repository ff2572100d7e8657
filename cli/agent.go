package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/elixir"
)

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "Print the Elixir source that would run inside the machines' VMs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range append([]string{"bootstrap.exs"}, elixir.Agent...) {
				source, err := elixir.Files.ReadFile(name)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "# %s\n\n%s\n", name, source); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
