package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/elixir"
	"flydeploy/engine/agent"
)

func agentCommand() *cobra.Command {
	var named, hash bool
	command := &cobra.Command{
		Use:   "agent",
		Short: "Print the Elixir source that would run inside the machines' VMs",
		Long: `Print the Elixir source that would run inside the machines' VMs.

A temporary machine compiles it with the new image's Elixir. Its modules are named FlyDeployAgent_HASH…; --hash prints HASH, the
first 12 hex digits of the source's sha256. To compare what is loaded with the source, compile it with the same Elixir and OTP:

    flydeploy agent --named > agent.ex
    elixir -e 'for {m, beam} <- Code.compile_file("agent.ex"), do: IO.inspect({m, :code.module_md5(beam)})'

and ask a VM that has the agent, for each module: bin/NAME rpc 'IO.inspect(MODULE.module_info(:md5))'. The sha256 of the compiled file is
in the deploy's record (deploy.json) and in current.json.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case hash:
				text, err := agent.SourceHash()
				return printed(cmd, text+"\n", err)
			case named:
				text, err := agent.NamedSource()
				return printed(cmd, text, err)
			}
			for _, name := range agent.Sources() {
				source, err := elixir.Files.ReadFile(name)
				if err := printed(cmd, fmt.Sprintf("# %s\n\n%s\n", name, source), err); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&hash, "hash", false, "print the hash that is part of its modules' names")
	command.Flags().BoolVar(&named, "named", false, "print the modules alone, under the names that they have in VMs")
	command.MarkFlagsMutuallyExclusive("hash", "named")
	return command
}

func printed(cmd *cobra.Command, text string, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}
