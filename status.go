package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/elixir"
	"flydeploy/engine"
)

func statusCommand() *cobra.Command {
	var flags recordFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the machines, what they run, and who deploys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			s, err := readSettings(cmd, flags.deployFlags)
			if err != nil {
				return err
			}
			c, err := connect(s)
			if err != nil {
				return err
			}
			o, err := c.overview(cmd.Context())
			if err != nil {
				return err
			}
			if flags.output == "json" {
				return json.NewEncoder(os.Stdout).Encode(o)
			}
			return printStatus(os.Stdout, o)
		},
	}
	flags.register(cmd)
	return cmd
}

func printStatus(out io.Writer, o engine.Overview) error {
	fmt.Fprintf(out, "app %s\n", o.App)
	switch {
	case o.Storage != nil:
		fmt.Fprintf(out, "storage: %v\n", o.Storage)
	case o.Metadata == nil || o.Metadata.HotUpgrade == nil && len(o.Metadata.MachineUpgrades) == 0:
		fmt.Fprintln(out, "hot upgrade: none, the machines run their image")
	case o.Metadata.HotUpgrade != nil:
		u := o.Metadata.HotUpgrade
		fmt.Fprintf(out, "hot upgrade: %s, deployed %s, on image %s\n", u.Version, u.DeployedAt.Format(time.RFC3339), o.Metadata.ImageRef)
	default:
		fmt.Fprintf(out, "hot upgrade: on %d machines only, on image %s\n", len(o.Metadata.MachineUpgrades), o.Metadata.ImageRef)
	}
	if o.Lock != nil {
		fmt.Fprintf(out, "deploy lock: held by %s since %s, until %s\n", o.Lock.LockedBy,
			o.Lock.LockedAt.Format(time.RFC3339), o.Lock.ExpiresAt.Format(time.RFC3339))
	} else if o.Storage == nil {
		fmt.Fprintln(out, "deploy lock: free")
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MACHINE\tNAME\tREGION\tSTATE\tGROUP\tCHECKS\tIMAGE\tHOT VERSION")
	for _, m := range o.Machines {
		hot := "-"
		if u, ok := o.HotUpgradeOf(m); ok {
			hot = u.Version
		}
		if m.Temporary != "" {
			hot = "temporary machine of deploy " + m.Temporary
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\n", m.ID, m.Name, m.Region, m.State, m.ProcessGroup,
			m.ChecksPassed, m.ChecksTotal, engine.Tag(m.Image), hot)
	}
	return w.Flush()
}

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "Print the Elixir source that would run inside the machines' VMs",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, name := range append([]string{"bootstrap.exs"}, elixir.Agent...) {
				source, err := elixir.Files.ReadFile(name)
				if err != nil {
					return err
				}
				if _, err := fmt.Printf("# %s\n\n%s\n", name, source); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
